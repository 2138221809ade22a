"""How a program ended, in words."""

from __future__ import annotations

import signal

from esaa_git.sandbox.processes import signal_name


def test_a_signal_has_its_name_and_a_real_time_one_its_number() -> None:
    assert signal_name(signal.SIGKILL) == "SIGKILL"
    assert signal_name(40) == "40"
