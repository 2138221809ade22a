"""A run on a terminal: a live table of who is at work, and lines for what is over."""

from __future__ import annotations

import io
import os
import pty
import re
import sys
from pathlib import Path

import pytest

from esaa_git.cli.output import progress

CHECKOUT = Path(__file__).resolve().parents[2]

HIDDEN, SHOWN = "\x1b[?25l", "\x1b[?25h"
"""What hides a terminal's cursor, as a bar does while it is drawn, and brings it back."""


def test_a_terminal_shows_who_is_at_work_and_what_is_over(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "esaa_git", "demo", "--into", str(tmp_path / "demo")]
    child, terminal = pty.fork()
    if not child:
        os.environ.update(PYTHONPATH=str(CHECKOUT), TERM="xterm", COLUMNS="120")
        os.execv(command[0], command)
    shown = bytearray()
    while True:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # the end, on Linux
            break
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode())
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert text.count("done     T-1000-A1") == 1
    assert re.search(r"\d done +0 rejected", text), text
    assert "run success: 9 tasks done (49 events, 0 rejected)" in text


def test_a_bar_is_gone_when_all_is_done_and_back_for_the_next_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(drawn, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", drawn)
    monkeypatch.setenv("TERM", "xterm")

    def is_drawn() -> bool:
        text = drawn.getvalue()
        return text.rfind(HIDDEN) > text.rfind(SHOWN)

    with progress("working") as tell:
        tell(1, 2)
        assert is_drawn()
        tell(2, 2)
        assert not is_drawn()
        tell(1, 2)
        assert is_drawn()
    assert not is_drawn()
