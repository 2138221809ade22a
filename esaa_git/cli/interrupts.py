"""Ctrl-C, counted by key presses, whoever else hands each of them on to us.

A terminal sends SIGINT to every process of its foreground group. A program of that group that has
started us may send us its own as well, as git does for `git esaa` (git's run-command.c, children
that are cleaned on exit), so that one key press arrives twice. Which of two signals is which is
told from who sent them, where the kernel says that (sigwaitinfo(2)), and from no time that passed.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

TERMINAL = 0
"""The sender of what the kernel itself sent; no process has this number."""


class Presses:
    """How often somebody asked for an interrupt, counted from the signals that arrived.

    What starts us and is in our process group hands each request on at most once. So there were
    as many as came from elsewhere (the terminal, `kill`), or from one of those, whichever is more.
    """

    def __init__(self) -> None:
        self._direct = 0
        self._handed_on: Counter[int] = Counter()

    @property
    def count(self) -> int:
        return max(self._direct, *self._handed_on.values(), 0)

    def heard(self, sender: int | None) -> int:
        """Take note of one SIGINT and return how many requests there have been.

        Args:
            sender: the process that sent it, or `TERMINAL`; None where that is not known, which is
                then a copy where one is due from git.
        """
        if sender is None and self._git is not None:
            is_due = self._handed_on[self._git] < self.count
            sender = self._git if is_due else TERMINAL
        if sender in self._starters:
            self._handed_on[sender] += 1
        else:
            self._direct += 1
        return self.count

    @cached_property
    def _starters(self) -> frozenset[int]:
        """The processes between the leader of our group and us, from our parent upwards."""
        found: list[int] = []
        pid = os.getppid()
        while pid and _is_beside_us(pid):
            found.append(pid)
            pid = _parent(pid)
        return frozenset(found)

    @cached_property
    def _git(self) -> int | None:
        """Our parent, where that is git: it puts its own programs first on PATH (git(1))."""
        first = os.environ.get("PATH", "").split(os.pathsep)[0]
        parent = os.getppid()
        return parent if Path(first).name == "git-core" and parent in self._starters else None


def _is_beside_us(pid: int) -> bool:
    try:
        return os.getpgid(pid) == os.getpgrp()
    except OSError:
        return False


def _parent(pid: int) -> int:
    """Return the parent of another process, or 0 where the system does not say (proc(5))."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


PRESSES = Presses()
"""Those of this process: what was handed on late is known also after a run has been stopped."""


def raise_once(number: int, _frame: object) -> None:
    """Handle a signal: interrupt the command, but not again for a copy of the same key press."""
    if number != signal.SIGINT or PRESSES.count < PRESSES.heard(None):
        raise KeyboardInterrupt


@contextmanager
def counted(then: Callable[[], None]) -> Iterator[None]:
    """Have each key press call `then`, once, until the block is left.

    Where the system tells who sent a signal, another thread waits for it, and all threads and
    processes that are started meanwhile have SIGINT blocked: a Ctrl-C at the terminal ends no git
    of ours half-way. A thread that was there before takes a signal without its sender.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        yield
        return

    def interrupt(_number: int, _frame: object) -> None:
        told(None)

    def told(sender: int | None) -> None:
        if PRESSES.count < PRESSES.heard(sender):
            then()

    signal.signal(signal.SIGINT, interrupt)
    try:
        if sys.platform == "darwin":  # has no sigwaitinfo(2)
            yield
        else:
            with _waited_for(told):
                yield
    finally:
        signal.signal(signal.SIGINT, before)


if sys.platform != "darwin":

    @contextmanager
    def _waited_for(told: Callable[[int], None]) -> Iterator[None]:
        done = threading.Event()

        def wait() -> None:
            while not done.is_set():
                found = signal.sigwaitinfo({signal.SIGINT})
                if not done.is_set():
                    # Above 0 is what the kernel says of itself (sigaction(2), si_code).
                    told(TERMINAL if found.si_code > 0 else found.si_pid)

        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        waiting = threading.Thread(target=wait, name="esaa-interrupts", daemon=True)
        waiting.start()
        try:
            yield
        finally:
            done.set()
            signal.pthread_kill(waiting.ident or 0, signal.SIGINT)
            waiting.join()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
