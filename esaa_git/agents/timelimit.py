"""How long an agent has for one attempt, and what is said of it where that was not enough."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from esaa_git.core.event import instant, timestamp
from esaa_git.ports.agent import Request


@dataclass(frozen=True, slots=True)
class Limit:
    """The time that an agent has, until when that is, and what it failed to do after it."""

    milliseconds: int
    deadline: str
    failure: str


def limit(request: Request, timeout_ms: int | None, now: datetime) -> Limit:
    """Return the shorter of what an entry allows and what the attempt's deadline leaves."""
    left_ms = (instant(request.deadline) - now) // timedelta(milliseconds=1)
    if timeout_ms is not None and timeout_ms < left_ms:
        deadline = timestamp(now + timedelta(milliseconds=timeout_ms))
        failure = f"did not answer within its timeout of {timeout_ms} ms"
        return Limit(timeout_ms, deadline, failure)
    failure = f"did not answer before its deadline {request.deadline}"
    return Limit(left_ms, request.deadline, failure)
