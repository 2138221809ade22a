"""`policy.decision`: what executable policy said about a proposal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Line, Payload, Stamp, Text
from esaa_git.core.events.fields import AttemptId, TaskId
from esaa_git.core.events.spec import GUARD

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class PolicyDecision(Payload, action="policy.decision", by={GUARD}):
    """Which rule allowed or denied what an attempt proposes."""

    task_id: TaskId
    attempt_id: AttemptId
    rule: Annotated[str, Line(100)]
    effect: Literal["allow", "deny"]
    reason: Annotated[str, Text(2000)]

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Name a task and attempt that exist; the decision itself changes no state."""
        draft.attempt(self.task_id, self.attempt_id)

    def subject(self) -> str:
        return f"{self.attempt_id}: {self.effect} by {self.rule}"
