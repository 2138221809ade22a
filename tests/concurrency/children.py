"""Processes that work at the same moment, and what each of them found.

A child is forked, so that it starts in a millisecond with everything imported; it waits until all
are there, works, and hands over what its work returned. Whatever happens, none is left behind.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from tests.support.patience import patience

SECONDS = 100.0
"""After which a test gives up on its children on a quiet machine, unless it says otherwise."""


@dataclass(slots=True)
class Child:
    """A process of ours, and the pipe by which it hands over what it found."""

    pid: int
    pipe: int

    def result(self, until: float) -> Any:
        """Return what its work returned.

        Raises:
            AssertionError: with the child's own words, if it failed or took too long.
        """
        data = bytearray()
        while True:
            ready, _, _ = select.select([self.pipe], [], [], max(0.0, until - time.monotonic()))
            assert ready, f"process {self.pid} is still at work"
            chunk = os.read(self.pipe, 1 << 16)
            if not chunk:
                break
            data += chunk
        self.wait()
        said = json.loads(data) if data else {"failed": "it died"}
        assert "failed" not in said, said["failed"]
        return said["returned"]

    def kill(self) -> None:
        """End it as a power cut would, with all that it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> None:
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def together(*works: Callable[[], Any], seconds: float = SECONDS) -> list[Any]:
    """Do every work in a process of its own, all from the same moment; return what they return.

    What a work returns is handed over as JSON.
    """
    with at_work(*works) as children:
        until = time.monotonic() + patience(seconds)
        return [child.result(until) for child in children]


@contextmanager
def at_work(*works: Callable[[], Any]) -> Iterator[list[Child]]:
    """Have children at work while the block is; whoever still is in the end is killed."""
    gate, opener = os.pipe()
    children: list[Child] = []
    try:
        for work in works:
            children.append(_fork(work, gate, opener))
        os.close(opener)
        opener = -1
        yield children
    finally:
        for descriptor in (gate, opener):
            if descriptor >= 0:
                os.close(descriptor)
        for child in children:
            child.kill()
            os.close(child.pipe)


def _fork(work: Callable[[], Any], gate: int, opener: int) -> Child:
    reading, writing = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writing)
        with suppress(OSError):  # in both, since nobody knows who comes first
            os.setpgid(pid, pid)
        return Child(pid, reading)
    status = 1
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # see `_heed_signals` in tests/conftest.py
        os.close(opener)
        os.close(reading)
        os.read(gate, 1)  # ends when everybody who holds the other end has let it go
        _hand_over(work, writing)
        status = 0
    finally:
        os._exit(status)


def _hand_over(work: Callable[[], Any], writing: int) -> None:
    said: Sequence[Any] | dict[str, Any]
    try:
        said = {"returned": work()}
    except BaseException:
        said = {"failed": traceback.format_exc()}
    with os.fdopen(writing, "wb") as stream:
        stream.write(json.dumps(said).encode())
