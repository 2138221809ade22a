"""`agent.heartbeat`: the holder of an attempt is alive; its lease is extended."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, AttemptId, TaskId, Timestamp
from esaa_git.core.events.spec import AGENT
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class AgentHeartbeat(Payload, action="agent.heartbeat", by={AGENT}):
    """The holder is alive, and has until the new deadline."""

    task_id: TaskId
    attempt_id: AttemptId
    deadline: Timestamp
    note: Annotated[str, Text(500)] | None = None
    agent: Actor | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task, attempt = draft.active_attempt(self.task_id, self.attempt_id)
        if event.actor != attempt.agent:
            raise Violation("INV-002", f"'{attempt.attempt_id}' belongs to {attempt.agent}")
        if event.ts >= attempt.deadline:
            raise Violation("INV-002", f"the lease of '{attempt.attempt_id}' ran out")
        if self.deadline < attempt.deadline:
            raise Violation("INV-002", "a heartbeat never shortens a lease")
        draft.put_task(replace(task, attempt=replace(attempt, deadline=self.deadline)))

    def subject(self) -> str:
        return f"{self.attempt_id}: until {self.deadline}"
