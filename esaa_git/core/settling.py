"""Settling: every event that ends an attempt, or takes a decision from an agent, ends its costs.

It is told by what the event has left, and not by which event it was, so that none is forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def close_reservations(draft: Draft, event: Event) -> None:
    """Settle what was reserved for attempts and decisions that this event has ended."""
    for holder, _ in draft.open_reservations.by_holder:
        if _has_ended(draft, event, holder):
            usage = ms = None
            if holder in (event.approval_id, event.attempt_id):
                usage = getattr(event.payload, "usage", None)
                ms = getattr(event.payload, "latency_ms", None)
            draft.ledger.settle(holder, usage, ms, event.ts)


def _has_ended(draft: Draft, event: Event, holder: str) -> bool:
    """Answer whether nobody is asked any more for an attempt or a decision."""
    task_id, is_attempt, _ = holder.rpartition("-A")
    if not is_attempt:
        approval = draft.approvals[holder]
        return approval.state != "pending" or approval.reviewer is None
    if event.task_id != task_id:
        return False
    attempt = draft.tasks[task_id].active_attempt
    return attempt is None or attempt.attempt_id != holder
