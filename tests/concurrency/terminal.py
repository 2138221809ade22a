"""A run at a terminal of its own, started through whatever people start it with."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.concurrency.runs import PROGRAM, agents, surroundings, wait
from tests.support.patience import patience
from tests.support.project import Project

CTRL_C = b"\x03"


class Terminal:
    """The terminal's side of a program: keys go in, what is shown comes out."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self._shown = bytearray()

    def press(self, key: bytes = CTRL_C) -> None:
        os.write(self._descriptor, key)

    def shows(self, text: str) -> bool:
        self._look(0.02)
        return text in self._shown.decode(errors="replace")

    def ended(self) -> tuple[int, str]:
        """Wait for the program and return its exit status, as a shell has it, and all it showed."""
        until = time.monotonic() + patience(60.0)
        while self._look(0.2):
            assert time.monotonic() < until, f"it goes on: {self._shown.decode(errors='replace')}"
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return 128 - code if code < 0 else code, self._shown.decode(errors="replace")

    def kill(self) -> None:
        """End what is left of it, all that is in its session's foreground included."""
        with suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
        os.close(self._descriptor)
        with suppress(OSError):
            os.waitpid(self.pid, 0)

    def _look(self, seconds: float) -> bool:
        if not select.select([self._descriptor], [], [], seconds)[0]:
            return True
        try:
            more = os.read(self._descriptor, 65536)
        except OSError:  # the end, on Linux
            return False
        self._shown += more
        return bool(more)


@contextmanager
def at_a_terminal(
    project: Project, command: Sequence[str], *, at_work: int = 1
) -> Iterator[Terminal]:
    """Start a command in the project at a terminal, and wait until so many agents are at work."""
    env = surroundings(project)
    programs = project.path.parent / "bin"
    programs.mkdir(exist_ok=True)
    # What git starts for `git esaa`.
    starter = programs / "git-esaa"
    starter.write_text(f"#!{sys.executable}\n{PROGRAM}\n")
    starter.chmod(0o755)
    env["PATH"] = os.pathsep.join([str(programs), env["PATH"]])
    env["TERM"] = "xterm"
    program = shutil.which(command[0], path=env["PATH"])
    assert program is not None, command
    pid, descriptor = pty.fork()
    if pid == 0:
        os.chdir(project.path)
        os.execve(program, command, env)
    terminal = Terminal(pid, descriptor)
    try:
        wait(lambda: terminal.shows("") and len(agents(project)) == at_work, "agents at work")
        yield terminal
    finally:
        terminal.kill()


def has_handed_on(pid: int) -> bool:
    """Answer whether git is in its handler of SIGINT, and waits there for what it has started."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    is_blocked = int(fields["SigBlk"], 16) >> (signal.SIGINT - 1) & 1
    return bool(is_blocked) and fields["State"].startswith("S")
