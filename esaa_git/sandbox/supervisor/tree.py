"""The processes that descend from this one, whatever they do to get out of sight."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress

LINUX = sys.platform == "linux"

_PR_SET_CHILD_SUBREAPER = 36


def adopt() -> None:
    """Become the parent of every descendant that loses its own (prctl(2), CHILD_SUBREAPER)."""
    if LINUX:
        prctl(_PR_SET_CHILD_SUBREAPER, 1)


def prctl(option: int, value: int) -> None:
    """Call prctl(2); what it cannot do here is left."""
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def silence() -> None:
    """Let go of our standard streams: a reader of the program's waits until nobody holds them."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)


def read(path: str) -> str:
    """Return the text of a small file. (`pathlib` takes longer to import than a start should.)

    Raises:
        OSError: if it cannot be read.
    """
    with os.fdopen(os.open(path, os.O_RDONLY), encoding="utf-8", errors="replace") as file:
        return file.read()


def descendants() -> list[int]:
    """Return every process that descends from this one, zombies included."""
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def is_zombie(pid: int) -> bool:
    """Answer whether a process has ended and is only not forgotten yet."""
    try:
        return read(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def send(pid: int, number: int) -> None:
    """Send a signal to a process, if it is there."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)


def send_group(leader: int, number: int) -> None:
    """Send a signal to a process group, if it is there; on macOS all that can be reached."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def kill_all(leader: int) -> int | None:
    """Kill every descendant, until the kernel says that none is left; return how `leader` ended.

    A listing may miss a process that changes its parent meanwhile. But a living descendant always
    leads up to a child of ours, so only `waitpid` saying that there is none ends this.
    """
    status = None
    while True:
        if LINUX:
            # Stopped first: what does not run has no further children.
            for number in (signal.SIGSTOP, signal.SIGKILL):
                for pid in descendants():
                    send(pid, number)
        else:
            send_group(leader, signal.SIGKILL)
        try:
            pid, raw = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status
        if pid == leader:
            status = os.waitstatus_to_exitcode(raw)
        elif pid == 0:
            time.sleep(0.001)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with suppress(OSError), os.scandir(f"/proc/{pid}/task") as tasks:
        for task in tasks:
            with suppress(OSError):
                found += map(int, read(f"{task.path}/children").split())
    return found
