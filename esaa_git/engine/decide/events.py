"""Events that follow from several intentions, and the ids that are next."""

from __future__ import annotations

from esaa_git.core.answer import Lesson
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent, after
from esaa_git.core.events import AnyPayload, LessonRecord, RunEnd, TaskUpdate
from esaa_git.core.events.fields import TaskChanges, Usage
from esaa_git.core.events.run_end import RunResult
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.machine import Cause, TaskState
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.schedule import is_spent

Events = tuple[NewEvent, ...]

REASON = 2000
"""How many characters of a reason the end of a run holds."""

WORDS = 20_000
"""How many of one a change of a task holds, which is what the next attempt is told."""


def by_actor(actor: str, payload: AnyPayload) -> NewEvent:
    """Return what an actor says as a new event."""
    return NewEvent(actor, payload)


def by_us(payload: AnyPayload) -> NewEvent:
    """Return what the orchestrator says as a new event."""
    return by_actor(ORCHESTRATOR, payload)


def given_back(task: Task, contracts: Contracts, cause: Cause, reason: str, at: str) -> NewEvent:
    """Return a task to `todo` after an attempt that failed, or block it where none is left."""
    if is_spent(task, contracts):
        reason = f"all {task.attempts_used} attempts failed; the last: {reason}"
        return update(task, Cause.ATTEMPTS_SPENT, reason=reason)
    cooldown = contracts.policy.cooldown_ms
    not_before = after(at, cooldown) if cooldown else None
    return update(task, cause, reason=reason, not_before=not_before)


_TARGETS = {
    Cause.ACCEPTED: TaskState.DONE,
    Cause.APPROVED: TaskState.DONE,
    Cause.ATTEMPTS_SPENT: TaskState.BLOCKED,
    Cause.DENIED: TaskState.BLOCKED,
    Cause.UNANSWERED: TaskState.BLOCKED,
    Cause.ASKED_AGAIN: TaskState.IN_PROGRESS,
    Cause.QUESTION: TaskState.BLOCKED,
    Cause.ISSUE: TaskState.BLOCKED,
    Cause.DEPENDENCY: TaskState.BLOCKED,
}
"""Where a cause leads to; all others lead to `todo`, and an amendment nowhere."""


def update(
    task: Task,
    cause: Cause,
    *,
    reason: str | None = None,
    by: str | None = None,
    effect_commit: str | None = None,
    not_before: str | None = None,
    attempts_allowed: int | None = None,
    issue_id: str | None = None,
    blocked_by: str | None = None,
    changes: TaskChanges | None = None,
    until: str | None = None,
    usage: Usage | None = None,
    actor: str = ORCHESTRATOR,
) -> NewEvent:
    """Return the `task.update` of one row of the table."""
    stays = cause == Cause.AMENDED
    ends_attempt = task.state == TaskState.IN_PROGRESS and not stays
    return by_actor(
        actor,
        TaskUpdate(
            task_id=task.task_id,
            from_=TaskState(task.state),
            to=TaskState(task.state) if stays else _TARGETS.get(cause, TaskState.TODO),
            cause=cause,
            attempt_id=task.attempt.attempt_id if task.attempt and ends_attempt else None,
            effect_commit=effect_commit,
            reason=None if reason is None else reason[:WORDS],
            by=by,
            not_before=not_before,
            attempts_allowed=attempts_allowed,
            issue_id=issue_id,
            blocked_by=blocked_by,
            changes=changes,
            until=until,
            usage=usage,
        ),
    )


def run_end(
    state: State,
    result: RunResult,
    reason: str,
    *,
    by: str | None = None,
    issue_id: str | None = None,
    snapshots: tuple[str, ...] | None = None,
    recovery: str | None = None,
    actor: str = ORCHESTRATOR,
) -> NewEvent:
    """Return the end of the run."""
    return by_actor(
        actor,
        RunEnd(
            run_id=str(state.run.run_id),
            result=result,
            reason=reason[:REASON],
            by=by,
            issue_id=issue_id,
            snapshots=snapshots,
            recovery=recovery,
        ),
    )


def next_run(state: State) -> str:
    """Return the id of the run that comes next."""
    return f"RUN-{state.run.number + 1:04d}"


def next_approval(state: State) -> str:
    """Return the id of the approval that comes next."""
    return f"APR-{state.run.approvals + 1:04d}"


def lesson_recorded(
    state: State, nth: int, actor: str, task: Task, lesson: Lesson, agent: str | None = None
) -> NewEvent:
    """Return a lesson as the nth of those that one decision records."""
    attempt = task.attempt
    recorded = LessonRecord(
        lesson_id=f"LES-{state.run.lessons + nth:04d}",
        rule=lesson.rule,
        mistake=lesson.mistake,
        kinds=lesson.kinds,
        task_id=task.task_id,
        attempt_id=None if attempt is None else attempt.attempt_id,
        agent=agent,
    )
    return by_actor(actor, recorded)
