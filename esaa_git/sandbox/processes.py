"""One program, talked to until its end: bytes in, bytes out, within its time and its output."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Final

from esaa_git.sandbox.runner import Supervised

GRACE_SECONDS: Final = 2.0
"""Between SIGTERM and SIGKILL."""

DRAIN_SECONDS: Final = 1.0
"""How long children may hold the pipes open once the program itself has ended."""

STDERR_BYTES: Final = 65_536
"""How much of the standard error is kept: the end of it."""

_CHUNK: Final = 65536
# The program's end is looked for after 1 ms of silence, then ever less often.
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended.

    Attributes:
        status: the exit status, or the negative number of the signal that ended it.
        output: its standard output, at most one byte longer than the limit.
        stderr: the last `STDERR_BYTES` of its standard error.
        truncated: it wrote more than the limit and was ended for that.
        timed_out: it was still running at its deadline and was ended for that.
        exceeded: the name of the limit (`runner.Limits`) that it was ended for.
    """

    status: int
    output: bytes
    stderr: bytes
    truncated: bool
    timed_out: bool
    exceeded: str | None = None


def serve(
    program: Supervised,
    *,
    body: bytes,
    max_output_bytes: int,
    until: float,
    pause: Callable[[], None],
) -> Outcome:
    """Talk to a program until it has ended and return how; the arguments are `confinement.run`'s.

    Where it runs over its time or its output, it is asked to stop, and given 2 seconds for that.
    What is left of it then is the caller's to end, by leaving `runner.start`.
    """
    with selectors.DefaultSelector() as selector:
        pipes = _Pipes(selector, program, body, max_output_bytes, pause)
        stopped = pipes.pump(until, lambda: pipes.truncated or program.poll() is not None)
        if program.poll() is None:
            program.terminate()
            pipes.pump(time.monotonic() + GRACE_SECONDS, lambda: program.poll() is not None)
        if program.poll() is not None:
            pipes.pump(time.monotonic() + DRAIN_SECONDS, pipes.are_done)
        status = program.poll()
    return Outcome(
        -signal.SIGKILL if status is None else status,
        bytes(pipes.output),
        bytes(pipes.stderr[-STDERR_BYTES:]),
        pipes.truncated,
        timed_out=not stopped,
        exceeded=program.exceeded,
    )


class _Pipes:
    """The three pipes of a program, served together, so that none of them can block another."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        program: Supervised,
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
        self._stdin = program.stdin
        self._stdout = program.stdout
        self._stderr = program.stderr
        # Its end, which `is_over` asks for, interrupts a silence.
        selector.register(program, selectors.EVENT_READ, lambda: None)
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
            # No program is obliged to read the request.
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


def signal_name(number: int) -> str:
    """Return the name of a signal, or its number where it has none, as real-time signals have."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
