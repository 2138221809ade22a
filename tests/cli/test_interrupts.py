"""How often Ctrl-C was pressed, told from who sent which signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from esaa_git.cli.interrupts import TERMINAL, Presses, counted, raise_once

GIT, SHELL, STRANGER = 101, 102, 103


@pytest.fixture
def presses() -> Presses:
    """Those of a process that git has started, for a shell's script."""
    made = Presses()
    vars(made).update(_starters=frozenset({GIT, SHELL}), _git=GIT)
    return made


@pytest.mark.parametrize(
    ("senders", "times"),
    [
        ([TERMINAL], 1),
        ([TERMINAL, GIT], 1),
        ([GIT, TERMINAL], 1),
        ([GIT], 1),
        ([TERMINAL, GIT, TERMINAL], 2),
        ([TERMINAL, TERMINAL], 2),
        ([TERMINAL, GIT, SHELL], 1),
        ([TERMINAL, GIT, TERMINAL, GIT], 2),
        ([SHELL, SHELL], 2),
        ([STRANGER, GIT], 1),
        ([STRANGER, STRANGER + 1], 2),
        ([TERMINAL, STRANGER], 2),
        ([None], 1),
        ([None, None], 1),
        ([TERMINAL, None], 1),
        ([None, GIT], 1),
        ([None, None, None], 2),
        ([TERMINAL, GIT, None], 2),
    ],
)
def test_each_sender_hands_a_press_on_once(
    presses: Presses, senders: list[int | None], times: int
) -> None:
    for sender in senders:
        presses.heard(sender)
    assert presses.count == times


def test_where_git_has_not_started_us_every_signal_of_unknown_origin_counts() -> None:
    presses = Presses()
    vars(presses).update(_starters=frozenset({SHELL}), _git=None)
    assert [presses.heard(None) for _ in range(3)] == [1, 2, 3]


def test_what_has_started_us_counts_where_it_is_in_our_process_group() -> None:
    asks = (
        "from esaa_git.cli.interrupts import Presses; found = Presses(); "
        "print(sorted(found._starters), found._git)"
    )
    command = [sys.executable, "-c", asks]
    env = {**os.environ, "PATH": "/usr/lib/git-core:" + os.environ["PATH"]}
    said = subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout
    starters, _, git = said.strip().rpartition(" ")
    assert str(os.getpid()) in starters
    assert git == str(os.getpid())
    said = subprocess.run(
        command, capture_output=True, text=True, check=True, env=env, start_new_session=True
    ).stdout
    assert said == "[] None\n"


def test_a_command_is_not_interrupted_again_by_the_copy_of_one_press(
    presses: Presses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("esaa_git.cli.interrupts.PRESSES", presses)
    for is_copy in (False, True, False):
        if is_copy:
            raise_once(signal.SIGINT, None)
        else:
            with pytest.raises(KeyboardInterrupt):
                raise_once(signal.SIGINT, None)
    for number in (signal.SIGTERM, signal.SIGTERM):
        with pytest.raises(KeyboardInterrupt):
            raise_once(number, None)


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no sigwaitinfo(2)")
def test_signals_are_waited_for_and_everything_is_as_before_afterwards() -> None:
    came: list[None] = []
    handler, mask = signal.getsignal(signal.SIGINT), signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with counted(lambda: came.append(None)):
        for times in (1, 2):
            # Another process that is no starter of ours, as a person's kill(1).
            subprocess.run(["kill", "-INT", str(os.getpid())], check=True)
            while len(came) < times:
                time.sleep(0.001)
    assert len(came) == 2
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == mask
