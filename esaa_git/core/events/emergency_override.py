"""`emergency.override`: a person sets a done task aside, without touching its record.

The task that takes its place, if there is one, comes with a later `task.create`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.state import OVERRIDDEN

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class EmergencyOverride(Payload, action="emergency.override", by={ORCHESTRATOR}):
    """A done task counts no longer."""

    task_id: TaskId
    reason: Annotated[str, Text(2000, 1)]
    by: Actor

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task = draft.task(self.task_id)
        if not task.is_done:
            raise Violation("INV-002", f"only a done task is overridden, '{task.task_id}' is not")
        if draft.supersessions.successor_of(task.task_id) is not None:
            raise Violation("INV-002", f"'{task.task_id}' is superseded already")
        draft.supersede(task.task_id, OVERRIDDEN)

    def subject(self) -> str:
        return f"{self.task_id}: by {self.by}"
