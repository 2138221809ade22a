"""A program under a supervisor, which ends it with all that descends from it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

_SUPERVISOR: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from esaa_git.sandbox.supervisor.main import main; main(int(sys.argv[2]))"
)
_PACKAGES: Final = Path(__file__).parents[2]

_END_SECONDS: Final = 10.0
"""How long the supervisor may take to kill everything before it is killed itself."""


class NotStarted(Exception):
    """The operating system would not start the program; its reason is the message.

    `confined` says that the supervisor met the reason, so that the program's rules may be it.
    """

    def __init__(self, reason: str, *, confined: bool = False) -> None:
        super().__init__(reason)
        self.confined = confined


@dataclass(frozen=True, slots=True)
class Limits:
    """What a program may use at most, with all that it starts; None is no limit.

    Attributes:
        memory_bytes: the memory of all processes together (looked at every 50 ms), and the private
            memory of each (held by the kernel).
        processes: how many there may be at a time; threads do not count.
        disk_bytes: what is written to the disk (looked at every 100 ms), and the size of each file
            (held by the kernel).
    """

    memory_bytes: int | None = None
    processes: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What the supervisor is to do; see `confinement` for what the parts mean."""

    level: str
    command: Sequence[str]
    cwd: Path
    env: Mapping[str, str]
    read: Sequence[Path]
    write: Sequence[Path]
    hosts: Sequence[str]
    limits: Limits
    sandlock: Path | None = None


class Supervised:
    """A program that was started, and its three pipes.

    Attributes:
        pid: the program's process, or that of bubblewrap around it.
        exceeded: the name of the limit it was ended for, once that is so.
    """

    def __init__(self, supervisor: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.stdin = cast("IO[bytes]", supervisor.stdin)
        self.stdout = cast("IO[bytes]", supervisor.stdout)
        self.stderr = cast("IO[bytes]", supervisor.stderr)
        self.pid = 0
        self.exceeded: str | None = None
        self._status: int | None = None
        self._supervisor = supervisor
        self._control = control
        self._heard = b""

    def poll(self) -> int | None:
        """Return the exit status, the negative number of the signal, or None while it runs."""
        self._listen()
        return self._status

    def terminate(self) -> None:
        """Ask the program and all that it started to stop (SIGTERM)."""
        with suppress(OSError):
            self._control.send(b"T")

    def fileno(self) -> int:
        """Return a descriptor that can be read when there may be news for `poll`."""
        return self._control.fileno()

    def wait_for_start(self) -> None:
        """Wait until the program runs.

        Raises:
            NotStarted: if it does not.
        """
        self._control.setblocking(True)
        while not self.pid:
            said = self._control.recv(65536)
            if not said:
                raise NotStarted("the process that was to start it ended")
            self._take(said)
        self._control.setblocking(False)

    def end(self) -> None:
        """Kill what is left of it, and return when nothing is."""
        self._control.close()
        try:
            self._supervisor.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()
        for stream in (self.stdin, self.stdout, self.stderr):
            with suppress(OSError):
                stream.close()

    def _listen(self) -> None:
        try:
            while said := self._control.recv(65536):
                self._take(said)
        except BlockingIOError:
            return
        except OSError:
            pass
        # The supervisor alone can say how it ended, and the supervisor is gone.
        if self._status is None:
            self._status = -9

    def _take(self, said: bytes) -> None:
        *lines, self._heard = (self._heard + said).split(b"\n")
        for line in lines:
            document: dict[str, Any] = json.loads(line)
            if "failed" in document:
                raise NotStarted(document["failed"], confined=True)
            self.pid = document.get("started", self.pid)
            self.exceeded = document.get("exceeded", self.exceeded)
            self._status = document.get("status", self._status)


@contextmanager
def start(job: Job) -> Iterator[Supervised]:
    """Start a program under a supervisor of its own; in the end, nothing that it started is left.

    That holds however this process ends: the supervisor sees its socket close.

    Raises:
        NotStarted: if the operating system refuses.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            program = Supervised(_start_supervisor(job, theirs), ours)
        try:
            ours.sendall(_encoded(job))
            program.wait_for_start()
            yield program
        except OSError as error:
            if program.pid:
                raise
            raise NotStarted(error.strerror or str(error)) from error
        finally:
            program.end()


def _start_supervisor(job: Job, control: socket.socket) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            # Neither this user's site packages nor the current folder are looked into.
            [sys.executable, "-I", "-S", "-c", _SUPERVISOR, _PACKAGES, str(control.fileno())],
            bufsize=0,
            env=job.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(control.fileno(),),
            start_new_session=True,
        )
    except OSError as error:
        raise NotStarted(error.strerror or str(error)) from error


def _encoded(job: Job) -> bytes:
    document = asdict(job) | {
        "cwd": os.fspath(job.cwd),
        "env": dict(job.env),
        "read": [os.fspath(path) for path in job.read],
        "write": [os.fspath(path) for path in job.write],
        "sandlock": None if job.sandlock is None else os.fspath(job.sandlock),
    }
    return json.dumps(document).encode() + b"\n"
