"""`attempt.create`: an attempt opens: a lease with a deadline, against a base commit.

An attempt at undoing a task asks nobody: what it comes to follows from the effect that it undoes,
so it is completed as it opens, and a lease on it means nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Payload, Range, Stamp
from esaa_git.core.events.fields import Actor, AttemptId, Oid, TaskId, Timestamp
from esaa_git.core.events.spec import ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.task import Attempt, Result, Task
from esaa_git.core.undone import base_fault, satisfies

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class AttemptCreate(Payload, action="attempt.create", by={ORCHESTRATOR, PERSON}):
    """An agent, or a person by a claim, holds a task until the deadline; or it undoes another."""

    task_id: TaskId
    attempt_id: AttemptId
    number: Annotated[int, Range(1, 9_999_999)]
    agent: Actor
    mode: Literal["dispatch", "claim", "undo"]
    base: Oid
    deadline: Timestamp

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task = draft.task(self.task_id)
        if (self.mode == "undo") != (task.undoes is not None):
            raise Violation("INV-002", f"'{task.task_id}' is none for an attempt of this mode")
        if task.undoes is None:
            draft.require_open_run()
        target = draft.step("task", task.state, "attempt.create")
        for dependency in task.depends_on:
            if not satisfies(draft, dependency):
                raise Violation("INV-002", f"'{task.task_id}' waits for '{dependency}'")
        if task.not_before is not None and event.ts < task.not_before:
            raise Violation("INV-002", f"'{task.task_id}' cools down until {task.not_before}")
        number = task.attempts_total + 1
        attempt_id = f"{task.task_id}-A{number}"
        if self.attempt_id != attempt_id or self.number != number:
            raise Violation("INV-005", f"the next attempt is '{attempt_id}'")
        if self.deadline <= event.ts:
            raise Violation("INV-002", f"the deadline of '{attempt_id}' is not after its start")
        cause = "undo" if task.undoes is not None else None
        attempt = Attempt(
            attempt_id,
            number,
            self.agent,
            draft.step("attempt", None, "attempt.create", cause),
            event.ts,
            self.deadline,
            self.base,
            self.mode,
        )
        task = replace(
            task,
            state=target,
            attempt=attempt,
            attempts_used=task.attempts_used + 1,
            attempts_total=number,
            not_before=None,
        )
        if task.undoes is not None:
            draft.put_task(self._undoing(draft, task, draft.task(task.undoes), event.actor))
            return
        draft.put_task(task)
        running = draft.step("run", draft.run.state, "attempt.create")
        if running != draft.run.state:
            draft.change_run(state=running)

    def _undoing(self, draft: Draft, task: Task, undone: Task, actor: str) -> Task:
        """Return the task with what undoing another one comes to, as far as the log says it."""
        if {actor, self.agent} != {ORCHESTRATOR}:
            raise Violation("INV-002", f"'{task.task_id}' is the orchestrator's own to do")
        fault = base_fault(draft, undone.task_id)
        if fault is not None or undone.result is None:
            raise Violation("INV-002", fault or f"'{undone.task_id}' has no result to undo")
        is_written = undone.result.wrote is not None
        summary = f"Undo {undone.task_id}: {undone.title}"
        paths = undone.result.paths if is_written else ()
        result = Result(self.attempt_id, self.agent, summary, paths)
        return replace(task, result=result, effect="pending" if is_written else None)

    def subject(self) -> str:
        return f"{self.attempt_id}: {self.agent}"
