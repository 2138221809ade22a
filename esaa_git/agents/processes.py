"""One program, run to its end within limits: bytes in, bytes out, and nothing left running."""

from __future__ import annotations

import os
import resource
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, cast

GRACE_SECONDS: Final = 2.0
"""Between SIGTERM and SIGKILL."""

DRAIN_SECONDS: Final = 1.0
"""How long children may hold the pipes open once the program itself has ended."""

STDERR_BYTES: Final = 4000
"""How much of the standard error is kept: the end of it."""

_CHUNK: Final = 65536
# The program's end is looked for after 1 ms of silence, then ever less often.
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05

_core_limit = threading.Lock()


class NotStarted(Exception):
    """The operating system would not start the program; its reason is the message."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    Attributes:
        status: the exit status, or the negative number of the signal that ended it.
        output: its standard output, at most one byte longer than the limit.
        stderr: the last `STDERR_BYTES` of its standard error.
        truncated: it wrote more than the limit and was ended for that.
        timed_out: it was still running at its deadline and was ended for that.
    """

    status: int
    output: bytes
    stderr: bytes
    truncated: bool
    timed_out: bool


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    body: bytes,
    max_output_bytes: int,
    until: float,
    pause: Callable[[], None],
) -> Outcome:
    """Run a program in a session of its own and return how it ended.

    Where it runs over its time or its output, its process group gets SIGTERM and, 2 seconds later,
    SIGKILL. However this function is left, the whole group is killed first; with interrupts held
    (`interrupts.held_interrupts`) and delivered by `pause`, that has no gap. A descendant that
    leaves the group (`setsid`) escapes: catching it takes a sandbox.

    Args:
        command: the program, as an absolute path, and its arguments.
        cwd: the folder it starts in.
        env: its whole environment.
        body: its standard input; it may leave it unread.
        max_output_bytes: reading stops one byte after them.
        until: the deadline, on the clock of `time.monotonic`.
        pause: called at least every 50 ms while the program runs; it may raise.

    Raises:
        NotStarted: if the operating system refuses.
    """
    with _start(command, cwd, env) as process:
        try:
            with selectors.DefaultSelector() as selector:
                pipes = _Pipes(selector, process, body, max_output_bytes, pause)
                stopped = pipes.pump(until, lambda: pipes.truncated or _has_ended(process))
                ended = _has_ended(process)
                if not ended:
                    _signal_group(process, signal.SIGTERM)
                    ended = pipes.pump(
                        time.monotonic() + GRACE_SECONDS, lambda: _has_ended(process)
                    )
                if ended:
                    pipes.pump(time.monotonic() + DRAIN_SECONDS, pipes.are_done)
        finally:
            _signal_group(process, signal.SIGKILL)
        status = process.wait()
    return Outcome(
        status,
        bytes(pipes.output),
        bytes(pipes.stderr[-STDERR_BYTES:]),
        pipes.truncated,
        timed_out=not stopped,
    )


def _start(command: Sequence[str], cwd: Path, env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    try:
        with _no_core_dumps():
            return subprocess.Popen(
                command,
                bufsize=0,
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                close_fds=True,
                start_new_session=True,
            )
    except OSError as error:
        raise NotStarted(error.strerror or str(error)) from error


@contextmanager
def _no_core_dumps() -> Iterator[None]:
    """Let a program that starts now inherit a limit of 0: what it knew is not left on the disk.

    The limit is lowered in this process for that moment. A function that runs between fork and
    exec (`preexec_fn`) could lower it in the child alone, but may deadlock where there are threads.
    """
    with _core_limit:
        soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Answer without reaping where possible: the id of a zombie is not given to another group."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13
        return process.poll() is not None
    try:
        seen = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        # Whoever started us ignores SIGCHLD, so the kernel has reaped it.
        return True
    return seen is not None


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # Where only a zombie is left in the group, macOS says EPERM.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


class _Pipes:
    """The three pipes of a program, served together, so that none of them can block another."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        process: subprocess.Popen[bytes],
        body: bytes,
        max_output_bytes: int,
        pause: Callable[[], None],
    ) -> None:
        self.output = bytearray()
        self.stderr = bytearray()
        self.truncated = False
        self._limit = max_output_bytes + 1
        self._unsent = memoryview(body)
        self._selector = selector
        self._pause = pause
        self._stdin = cast("IO[bytes]", process.stdin)
        self._stdout = cast("IO[bytes]", process.stdout)
        self._stderr = cast("IO[bytes]", process.stderr)
        self._register(self._stdin, selectors.EVENT_WRITE, self._write_stdin)
        self._register(self._stdout, selectors.EVENT_READ, self._read_stdout)
        self._register(self._stderr, selectors.EVENT_READ, self._read_stderr)

    def pump(self, until: float, is_over: Callable[[], bool]) -> bool:
        """Move bytes until `is_over` answers yes, or until the time has come: then return False."""
        silence = _FIRST_PAUSE
        while not is_over():
            self._pause()
            left = until - time.monotonic()
            if left <= 0:
                return False
            ready = self._selector.select(min(silence, left))
            silence = _FIRST_PAUSE if ready else min(2 * silence, _LONGEST_PAUSE)
            for key, _ in ready:
                # Ready may turn out not to be (select(2), BUGS).
                with suppress(BlockingIOError):
                    key.data()
        return True

    def are_done(self) -> bool:
        """Answer whether both outputs are read to their end."""
        return self._stdout.closed and self._stderr.closed

    def _register(self, stream: IO[bytes], event: int, serve: Callable[[], None]) -> None:
        os.set_blocking(stream.fileno(), False)
        self._selector.register(stream, event, serve)

    def _close(self, stream: IO[bytes]) -> None:
        self._selector.unregister(stream)
        stream.close()

    def _write_stdin(self) -> None:
        try:
            sent = os.write(self._stdin.fileno(), self._unsent[:_CHUNK])
        except BrokenPipeError:
            # Nobody is obliged to read the request.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if not self._unsent:
            self._close(self._stdin)

    def _read_stdout(self) -> None:
        room = self._limit - len(self.output)
        chunk = os.read(self._stdout.fileno(), min(_CHUNK, room))
        self.output += chunk
        self.truncated = len(self.output) == self._limit
        if not chunk or self.truncated:
            self._close(self._stdout)

    def _read_stderr(self) -> None:
        chunk = os.read(self._stderr.fileno(), _CHUNK)
        self.stderr += chunk
        del self.stderr[:-STDERR_BYTES]
        if not chunk:
            self._close(self._stderr)
