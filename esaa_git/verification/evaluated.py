"""Check 8, of the log as a whole: the policy was evaluated for every event under it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from esaa_git.core.event import event_id
from esaa_git.core.policy.cel import CelMissing, library
from esaa_git.verification.failure import NOT_EVALUATED, Failure

Unevaluated: TypeAlias = tuple[int, CelMissing]
"""An event of which the policy in force says nothing here, and why."""


def check_evaluated(unevaluated: Collection[Unevaluated]) -> None:
    """Refuse to call a log sound of which a part was not evaluated; asked when all else holds."""
    if not unevaluated:
        return
    seq, why = min(unevaluated, key=lambda found: found[0])
    said = f"the policy was not evaluated for {len(unevaluated)} events, from {event_id(seq)} on"
    raise Failure(8, f"{said}: {why.message}", NOT_EVALUATED, why.hint)


def other_library(pinned: str | None) -> str | None:
    """Return what to say where another version evaluated the policy than the log pins."""
    here = None if pinned is None else library()
    if here is None or here == pinned:
        return None
    return f"the policy was evaluated by {here}, which passes its cases; the log pins {pinned}"
