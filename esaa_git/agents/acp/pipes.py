"""JSON-RPC messages, one a line, over the pipes of a program that is not trusted to end a line."""

from __future__ import annotations

import asyncio
import json
import time
from typing import IO, Any, Final, Protocol

MAX_LINE_BYTES: Final = 8 << 20
"""The longest message that is read: a tool call may carry a file before and after its change."""

MAX_STRAY_LINES: Final = 100
"""How many lines that are no messages are passed over: some programs print a greeting first."""

STDERR_BYTES: Final = 65_536
"""How much of the standard error is kept: the end of it."""

DRAIN_SECONDS: Final = 1.0
"""How long the pipes of a program may stay open once it has ended, and the other way round."""

_POLL: Final = 0.01


class Program(Protocol):
    """A program that runs, and its pipes."""

    @property
    def stdin(self) -> IO[bytes]: ...

    @property
    def stdout(self) -> IO[bytes]: ...

    @property
    def stderr(self) -> IO[bytes]: ...

    @property
    def exceeded(self) -> str | None:
        """The name of the limit that it was ended for."""
        ...

    def poll(self) -> int | None:
        """Return the exit status, or the negative number of a signal; None while it runs."""
        ...


class Pipes:
    """What `acp.connection.Connection` sends and receives messages through.

    Memory is bounded whatever the program does: a line may be `MAX_LINE_BYTES` long, messages are
    taken one at a time, and none is while the program leaves our answers unread. Nothing raises at
    the connection, which would print it: to the connection, a program that breaks the rules has
    closed its output, and `fault` says why that is.
    """

    # Set by `open`, which alone makes these.
    _stdin: asyncio.WriteTransport
    _stdout: asyncio.ReadTransport
    _stderr: asyncio.ReadTransport

    def __init__(self, program: Program) -> None:
        self.fault: str | None = None
        self.stray = b""
        self._program = program
        self._ended_at: float | None = None
        self._stray_lines = 0
        self._reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        self._end = _End()
        self._gate = _Gate()

    @classmethod
    async def open(cls, program: Program) -> Pipes:
        """Take the program's pipes over, in the running loop; `close` closes them."""
        pipes = cls(program)
        loop = asyncio.get_running_loop()
        pipes._stdout, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(pipes._reader), program.stdout
        )
        pipes._stderr, _ = await loop.connect_read_pipe(lambda: pipes._end, program.stderr)
        pipes._stdin, _ = await loop.connect_write_pipe(lambda: pipes._gate, program.stdin)
        return pipes

    @property
    def stderr(self) -> bytes:
        """The end of the standard error, as far as it came."""
        return bytes(self._end.kept)

    @property
    def exceeded(self) -> str | None:
        """The name of the limit that the program was ended for."""
        return self._program.exceeded

    async def close(self) -> None:
        """Close all three, without waiting for what was not written yet; again is no harm."""
        if not self._stdin.is_closing():
            self._stdin.abort()
        self._stdout.close()
        self._stderr.close()
        # The transports close their pipes in the next round of the loop.
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def send(self, message: dict[str, Any]) -> None:
        if not self._stdin.is_closing():
            self._stdin.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
        await self._gate.opened.wait()

    async def receive(self) -> dict[str, Any] | None:
        while self.fault is None:
            await self._gate.opened.wait()
            # What the last message brought about is done before the next is looked at.
            await asyncio.sleep(0)
            try:
                line = await self._reader.readuntil()
            except asyncio.IncompleteReadError as error:
                self._pass_over(error.partial)
                return None
            except asyncio.LimitOverrunError:
                self.fault = f"wrote a line of more than {MAX_LINE_BYTES} bytes"
                return None
            message = _message(line)
            if message is not None:
                return message
            self._pass_over(line)
        return None

    async def status(self) -> int | None:
        """Return how the program ended, after its output did; None where it still runs.

        It and its standard error get `DRAIN_SECONDS` to end as well.
        """
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until:
            if self._end.closed and self._program.poll() is not None:
                break
            await asyncio.sleep(_POLL)
        return self._program.poll()

    def look_after(self) -> None:
        """Give up an output that others hold open where the program ended some time ago."""
        if self._program.poll() is None:
            return
        now = time.monotonic()
        if self._ended_at is None:
            self._ended_at = now
        elif now > self._ended_at + DRAIN_SECONDS:
            self._stdout.close()

    def _pass_over(self, line: bytes) -> None:
        line = line.strip()
        if not line:
            return
        self.stray = self.stray or line[:200]
        self._stray_lines += 1
        if self._stray_lines > MAX_STRAY_LINES:
            self.fault = f"wrote more than {MAX_STRAY_LINES} lines that are no messages"


def _message(line: bytes) -> dict[str, Any] | None:
    """Return what a line says, where the connection can make sense of it."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("id"), int | str | None):
        return None
    if "method" in message:
        return message if isinstance(message["method"], str) else None
    is_answer = "id" in message and isinstance(message.get("error"), dict | None)
    return message if is_answer else None


class _End(asyncio.Protocol):
    """Keeps the end of a stream."""

    def __init__(self) -> None:
        self.kept = bytearray()
        self.closed = False

    def data_received(self, data: bytes) -> None:
        self.kept += data
        del self.kept[:-STDERR_BYTES]

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True


class _Gate(asyncio.BaseProtocol):
    """Is open while the program reads what is written to it, or has stopped reading for good."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.opened.set()

    def pause_writing(self) -> None:
        self.opened.clear()

    def resume_writing(self) -> None:
        self.opened.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.opened.set()
