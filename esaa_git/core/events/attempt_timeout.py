"""`attempt.timeout`: the lease of an attempt expired."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from esaa_git.core.entries import Rejection
from esaa_git.core.events.base import Payload, Stamp
from esaa_git.core.events.fields import AttemptId, TaskId, Timestamp
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class AttemptTimeout(Payload, action="attempt.timeout", by={ORCHESTRATOR}):
    """No answer came before the deadline."""

    task_id: TaskId
    attempt_id: AttemptId
    deadline: Timestamp

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task, attempt = draft.active_attempt(self.task_id, self.attempt_id)
        if self.deadline != attempt.deadline or event.ts < attempt.deadline:
            raise Violation("INV-002", f"'{attempt.attempt_id}' has until {attempt.deadline}")
        state = draft.step("attempt", attempt.state, "attempt.timeout")
        signal = Rejection(attempt.attempt_id, "AGENT_TIMEOUT")
        closed = replace(task, attempt=replace(attempt, state=state), rejection=signal)
        if draft.stop.by is not None:  # rule 32: nobody was let work until then
            closed = replace(closed, attempts_used=closed.attempts_used - 1)
        draft.put_task(closed)

    def subject(self) -> str:
        return f"{self.attempt_id}: deadline {self.deadline}"
