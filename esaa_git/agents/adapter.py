"""What adapters are given of the repository and the machine, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from esaa_git.core.event import instant, timestamp
from esaa_git.ports.agent import Request, Workspaces
from esaa_git.ports.files import BlobStore, Trees
from esaa_git.ports.local import Clock


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """One attempt's context; its parts are used by the thread of that attempt alone.

    Attributes:
        root: the top of the operator's checkout, None in a bare repository.
        trees: the files of commits, of which an agent is shown some.
        blobs: their contents.
        workspaces: makes throwaway checkouts.
        clock: tells how far off a deadline is.
        max_output_bytes: how much of an answer is read, from RUNTIME_POLICY.
        sandbox: the confinement that was asked for: `auto`, `landlock`, `bubblewrap` or `none`.
        prompt: gives the text of a pinned prompt template by name, or None.
    """

    root: Path | None
    trees: Trees
    blobs: BlobStore
    workspaces: Workspaces
    clock: Clock
    max_output_bytes: int
    sandbox: str
    prompt: Callable[[str], bytes | None]


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
