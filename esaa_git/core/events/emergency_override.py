"""`emergency.override`: a person sets a done task aside, without touching its record.

The task that takes its place, if there is one, comes with a later `task.create`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import ACTOR, TASK_ID, ActionSpec, record, text
from esaa_git.core.invariants import Violation
from esaa_git.core.state import OVERRIDDEN

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    task = draft.task(payload["task_id"])
    if not task.is_done:
        raise Violation("INV-002", f"only a done task is overridden, '{task.task_id}' is not")
    if draft.supersessions.successor_of(task.task_id) is not None:
        raise Violation("INV-002", f"'{task.task_id}' is superseded already")
    draft.supersede(task.task_id, OVERRIDDEN)


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['task_id']}: by {payload['by']}"


SPEC = ActionSpec(
    "emergency.override",
    frozenset({"orchestrator"}),
    record({"task_id": TASK_ID, "reason": text(2000, 1), "by": ACTOR}),
    evolve,
    subject,
)
