"""`attempt.create`: an attempt opens: a lease with a deadline, against a base commit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Payload, Range, Stamp
from esaa_git.core.events.fields import Actor, AttemptId, Oid, TaskId, Timestamp
from esaa_git.core.events.spec import ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Attempt

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class AttemptCreate(Payload, action="attempt.create", by={ORCHESTRATOR, PERSON}):
    """An agent, or a person by a claim, holds a task until the deadline."""

    task_id: TaskId
    attempt_id: AttemptId
    number: Annotated[int, Range(1, 9_999_999)]
    agent: Actor
    mode: Literal["dispatch", "claim"]
    base: Oid
    deadline: Timestamp

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.require_open_run()
        task = draft.task(self.task_id)
        target = draft.step("task", task.state, "attempt.create")
        for dependency in task.depends_on:
            if not draft.task(dependency).is_done:
                raise Violation("INV-002", f"'{task.task_id}' waits for '{dependency}'")
        if task.not_before is not None and event.ts < task.not_before:
            raise Violation("INV-002", f"'{task.task_id}' cools down until {task.not_before}")
        number = task.attempts_total + 1
        attempt_id = f"{task.task_id}-A{number}"
        if self.attempt_id != attempt_id or self.number != number:
            raise Violation("INV-005", f"the next attempt is '{attempt_id}'")
        if self.deadline <= event.ts:
            raise Violation("INV-002", f"the deadline of '{attempt_id}' is not after its start")
        attempt = Attempt(
            attempt_id,
            number,
            self.agent,
            draft.step("attempt", None, "attempt.create"),
            event.ts,
            self.deadline,
            self.base,
            self.mode,
        )
        draft.put_task(
            replace(
                task,
                state=target,
                attempt=attempt,
                attempts_used=task.attempts_used + 1,
                attempts_total=number,
                not_before=None,
            )
        )
        running = draft.step("run", draft.run.state, "attempt.create")
        if running != draft.run.state:
            draft.change_run(state=running)

    def subject(self) -> str:
        return f"{self.attempt_id}: {self.agent}"
