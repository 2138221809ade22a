"""`task.update`: a task changes state, or its definition is amended before it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.entries import DENIED, EXPIRED, GRANTED, PENDING, RETURNED, Rejection
from esaa_git.core.events.base import Payload, Range, Stamp, Text
from esaa_git.core.events.fields import (
    Actor,
    AttemptId,
    IssueId,
    Oid,
    TaskChanges,
    TaskId,
    Timestamp,
    Usage,
)
from esaa_git.core.events.file_write import digest_of
from esaa_git.core.events.spec import ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import AttemptState, Cause, TaskState
from esaa_git.core.rejection import RejectCode
from esaa_git.core.task import Blocked, Task

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.state import State

ACTION = "task.update"
_UNCOUNTED = frozenset({Cause.RELEASED, Cause.UNAVAILABLE})
_DECIDED = {
    Cause.CHANGES_REQUESTED: RETURNED,
    Cause.DENIED: DENIED,
    Cause.UNANSWERED: EXPIRED,
}
"""What has to have become of the request for an approval."""
_LOSES_ATTEMPT = _UNCOUNTED | {Cause.ISSUE, Cause.DEPENDENCY}


def approved_by(state: Draft | State, task: Task) -> tuple[str, ...]:
    """Return the people who approved what a task waits to be closed with, in that order."""
    approval = state.approvals.get(task.pending_approval or "")
    return () if approval is None else tuple(one.by for one in approval.grants)


class TaskUpdate(Payload, action=ACTION, by={ORCHESTRATOR, PERSON}):
    """One step of a task by the state machine's table.

    With `unavailable` go `until`, when its agent is asked again, and `usage`, what was used up.
    """

    task_id: TaskId
    from_: TaskState
    to: TaskState
    cause: Cause
    attempt_id: AttemptId | None = None
    effect_commit: Oid | None = None
    reason: Annotated[str, Text(20_000)] | None = None
    by: Actor | None = None
    not_before: Timestamp | None = None
    attempts_allowed: Annotated[int, Range(1, 1000)] | None = None
    issue_id: IssueId | None = None
    blocked_by: TaskId | None = None
    changes: TaskChanges | None = None
    until: Timestamp | None = None
    usage: Usage | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task = draft.task(self.task_id)
        if self.from_ != task.state:
            raise Violation("INV-002", f"'{task.task_id}' is {task.state}, not {self.from_}")
        target = draft.step("task", task.state, ACTION, self.cause)
        if self.to != target:
            raise Violation("INV-002", f"{self.cause} leads to {target}, not {self.to}")
        if self.attempt_id is not None:
            draft.attempt(task.task_id, self.attempt_id)
        if target == TaskState.DONE:
            draft.put_task(self._closed(draft, task))
            draft.finish_undo(task)
            if task.attempt is not None:
                draft.accept_lessons(task.attempt)
            draft.change_run(accepted=draft.run.accepted + 1)
            return
        draft.put_task(self._changed(draft, replace(task, state=target)))

    def _closed(self, draft: Draft, task: Task) -> Task:
        """Return the done task: its effect, if it has one, is written and named."""
        if task.result is None or self.attempt_id != task.result.attempt_id:
            raise Violation("INV-003", f"'{task.task_id}' has no accepted result of this attempt")
        if (task.effect == "written") != (self.effect_commit is not None) or (
            task.effect == "pending"
        ):
            raise Violation("INV-003", f"the effect of '{task.task_id}' is {task.effect or 'none'}")
        granted = False
        if task.pending_approval is not None:
            granted = draft.approvals[task.pending_approval].state == GRANTED
        if granted != (self.cause == Cause.APPROVED) or (task.pending_approval and not granted):
            raise Violation("INV-003", f"'{task.task_id}' is not approved")
        wrote = digest_of(task.written) if task.effect == "written" else None
        return replace(
            task,
            state=TaskState.DONE,
            effect=None,
            written=(),
            checked=(),
            result=replace(
                task.result,
                effect_commit=self.effect_commit,
                reviewed_by=approved_by(draft, task),
                wrote=wrote,
            ),
            rejection=None,
            not_before=None,
            pending_approval=None,
            judged=None,
        )

    def _changed(self, draft: Draft, task: Task) -> Task:
        cause = self.cause
        if cause == Cause.AMENDED:
            return self._amended(draft, task)
        if cause in _LOSES_ATTEMPT and task.active_attempt is not None:
            state = draft.step("attempt", task.active_attempt.state, ACTION, cause)
            task = replace(task, attempt=replace(task.active_attempt, state=state))
            if cause in _UNCOUNTED:
                task = replace(task, attempts_used=task.attempts_used - 1)
        elif task.active_attempt is not None:
            raise Violation(
                "INV-002", f"attempt '{task.active_attempt.attempt_id}' is still active"
            )
        elif cause == Cause.QUESTION:
            if task.attempt is None or task.attempt.state != AttemptState.ASKED:
                raise Violation("INV-002", f"'{task.task_id}' has asked nothing")
            task = replace(task, attempts_used=task.attempts_used - 1)
        elif cause == Cause.ANSWERED:
            if not task.asks or task.open_questions:
                raise Violation("INV-002", f"'{task.task_id}' has no answer that it waited for")
        elif cause == Cause.RELEASED and _is_rejected(task):
            task = replace(task, attempts_used=task.attempts_used - 1)
        reason = self.reason or ""
        asked = draft.approvals.get(task.pending_approval or "")
        decided = PENDING if asked is None else asked.state
        if cause in _DECIDED and decided != _DECIDED[cause]:
            raise Violation("INV-002", f"nobody decided so on '{task.task_id}'")
        if cause == Cause.UNANSWERED:
            return replace(task, blocked=Blocked(cause, reason))
        if cause == Cause.ASKED_AGAIN:
            if task.blocked is None or task.blocked.cause != Cause.UNANSWERED:
                raise Violation("INV-002", f"'{task.task_id}' waits for no answer")
            return replace(task, blocked=None, pending_approval=None)
        task = draft.without_approval(task)
        if decided in (DENIED, RETURNED) and asked is not None:
            code = RejectCode.REVIEW_CHANGES_REQUESTED
            signal = Rejection(asked.attempt_id, code, text=asked.text)
            task = replace(task, rejection=signal)
        blocked = None
        if task.state == TaskState.BLOCKED:
            blocked = Blocked(cause, reason, self.issue_id, self.blocked_by)
        if self.attempts_allowed is not None:
            task = replace(task, attempts_allowed=self.attempts_allowed)
        return replace(
            task,
            blocked=blocked,
            effect=None,
            written=(),
            checked=(),
            result=None,
            pending_approval=None,
            judged=None,
            not_before=self.not_before,
        )

    def _amended(self, draft: Draft, task: Task) -> Task:
        if self.changes is None:
            return task
        if task.undoes is not None and self.changes.given().keys() != {"attempts_allowed"}:
            raise Violation("INV-002", f"what '{task.task_id}' undoes says what it is")
        for dependency in self.changes.depends_on or ():
            draft.task(dependency)
        return replace(task, **self.changes.given())

    def subject(self) -> str:
        change = f"{self.task_id}: {self.from_} → {self.to}"
        if self.cause in (Cause.ACCEPTED, Cause.REJECTED):
            return change
        return f"{change} ({self.cause})"


def _is_rejected(task: Task) -> bool:
    return task.attempt is not None and task.attempt.state == AttemptState.REJECTED
