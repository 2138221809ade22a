"""What a program wrote last, and what that says of the service that it works with."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from esaa_git.agents import outage
from esaa_git.core.printable import printable_output
from esaa_git.core.rejection import excerpt
from esaa_git.ports.agent import Unavailable

COME_BACK_LATER: Final = 75
"""The exit status by which any program says that its service is away: EX_TEMPFAIL."""

_MOST_READ: Final = 8000
_LINES: Final = 5


def last_lines(stream: bytes, count: int = _LINES) -> str:
    """Return the last lines of a stream that hold something."""
    lines = printable_output(stream[-_MOST_READ:]).splitlines()
    return "\n".join([line.strip() for line in lines if line.strip()][-count:])


def last_line(*streams: bytes) -> str:
    """Return the last line of the first stream that holds anything, shortened."""
    lines = (last_lines(stream, 1) for stream in streams)
    return excerpt(next(filter(None, lines), ""))


def late(failure: str, last: str) -> str:
    """Return the failure of a program that was not over in time, with what it wrote last."""
    return f"{failure}; it last wrote: {last}" if last else failure


def away(status: int, stderr: bytes, now: datetime) -> Unavailable | None:
    """Return what a program says of its service that left with an error, None if it is not away.

    It says so by its exit status, or by the last line of its standard error.
    """
    last = last_line(stderr)
    if status == COME_BACK_LATER:
        reason = last or f"left with exit status {COME_BACK_LATER}"
        return Unavailable(reason, outage.seconds_in(last, now))
    return outage.found_in(last, now) if status > 0 else None
