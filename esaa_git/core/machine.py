"""The state machine: one table, free of I/O.

The projection obeys this table, the decisions ask it, the property tests walk it, and the
diagram in docs/FORMAT.md is drawn from it (`diagram`). A transition that is not in the table
does not exist.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class TaskState(StrEnum):
    """Where a task stands. `done` is final: a correction is a new task that supersedes it."""

    TODO = "todo"
    IN_PROGRESS = "in_progress"
    BLOCKED = "blocked"
    DONE = "done"


class AttemptState(StrEnum):
    """Where an attempt (one agent's lease on one task) stands."""

    ACTIVE = "active"
    COMPLETED = "completed"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    ASKED = "asked"


class RunState(StrEnum):
    """Where the run stands; `idle` before the first `run.init`."""

    IDLE = "idle"
    INITIALIZED = "initialized"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    HALTED = "halted"


class Cause(StrEnum):
    """Why a `task.update` changes a task."""

    ACCEPTED = "accepted"
    APPROVED = "approved"
    REJECTED = "rejected"
    TIMED_OUT = "timed_out"
    CHANGES_REQUESTED = "changes_requested"
    DENIED = "denied"
    UNANSWERED = "unanswered"
    ASKED_AGAIN = "asked_again"
    QUESTION = "question"
    ANSWERED = "answered"
    RELEASED = "released"
    UNAVAILABLE = "unavailable"
    ATTEMPTS_SPENT = "attempts_spent"
    ISSUE = "issue"
    DEPENDENCY = "dependency"
    OPERATOR = "operator"
    AMENDED = "amended"


class Transition(NamedTuple):
    """One row: in `source`, `action` (with `cause`, where it has one) leads to `target`."""

    entity: str
    source: str | None
    action: str
    cause: str | None
    target: str


_T, _A, _R = TaskState, AttemptState, RunState
_UPDATE = "task.update"

TABLE: tuple[Transition, ...] = (
    # A task appears.
    Transition("task", None, "run.init", None, _T.TODO),
    Transition("task", None, "task.create", None, _T.TODO),
    # An attempt opens, and closes well.
    Transition("task", _T.TODO, "attempt.create", None, _T.IN_PROGRESS),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.ACCEPTED, _T.DONE),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.APPROVED, _T.DONE),
    # It closes otherwise, with attempts left.
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.REJECTED, _T.TODO),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.TIMED_OUT, _T.TODO),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.CHANGES_REQUESTED, _T.TODO),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.RELEASED, _T.TODO),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.UNAVAILABLE, _T.TODO),
    # People decide, or do not in time; what was proposed is kept for when they are asked again.
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.DENIED, _T.BLOCKED),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.UNANSWERED, _T.BLOCKED),
    Transition("task", _T.BLOCKED, _UPDATE, Cause.ASKED_AGAIN, _T.IN_PROGRESS),
    # An agent asks, and a person answers.
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.QUESTION, _T.BLOCKED),
    Transition("task", _T.BLOCKED, _UPDATE, Cause.ANSWERED, _T.TODO),
    # Blocked: attempts spent, a grave issue, or a dependency that is blocked by one.
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.ATTEMPTS_SPENT, _T.BLOCKED),
    Transition("task", _T.TODO, _UPDATE, Cause.ISSUE, _T.BLOCKED),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.ISSUE, _T.BLOCKED),
    Transition("task", _T.TODO, _UPDATE, Cause.DEPENDENCY, _T.BLOCKED),
    Transition("task", _T.IN_PROGRESS, _UPDATE, Cause.DEPENDENCY, _T.BLOCKED),
    # A person decides, with a reason.
    Transition("task", _T.BLOCKED, _UPDATE, Cause.OPERATOR, _T.TODO),
    # The definition changes, the state does not.
    Transition("task", _T.TODO, _UPDATE, Cause.AMENDED, _T.TODO),
    Transition("task", _T.BLOCKED, _UPDATE, Cause.AMENDED, _T.BLOCKED),
    # Attempts.
    Transition("attempt", None, "attempt.create", None, _A.ACTIVE),
    Transition("attempt", None, "attempt.create", "undo", _A.COMPLETED),
    Transition("attempt", _A.ACTIVE, "agent.result", None, _A.COMPLETED),
    Transition("attempt", _A.ACTIVE, "output.rejected", None, _A.REJECTED),
    Transition("attempt", _A.ACTIVE, "attempt.timeout", None, _A.TIMED_OUT),
    Transition("attempt", _A.ACTIVE, "question.ask", None, _A.ASKED),
    Transition("attempt", _A.ACTIVE, _UPDATE, Cause.RELEASED, _A.CANCELLED),
    Transition("attempt", _A.ACTIVE, _UPDATE, Cause.UNAVAILABLE, _A.CANCELLED),
    Transition("attempt", _A.ACTIVE, _UPDATE, Cause.ISSUE, _A.CANCELLED),
    Transition("attempt", _A.ACTIVE, _UPDATE, Cause.DEPENDENCY, _A.CANCELLED),
    # Runs.
    Transition("run", _R.IDLE, "run.init", None, _R.INITIALIZED),
    Transition("run", _R.SUCCESS, "run.init", None, _R.INITIALIZED),
    Transition("run", _R.FAILED, "run.init", None, _R.INITIALIZED),
    Transition("run", _R.HALTED, "run.init", None, _R.INITIALIZED),
    Transition("run", _R.INITIALIZED, "attempt.create", None, _R.RUNNING),
    Transition("run", _R.RUNNING, "attempt.create", None, _R.RUNNING),
    Transition("run", _R.INITIALIZED, "run.end", "success", _R.SUCCESS),
    Transition("run", _R.RUNNING, "run.end", "success", _R.SUCCESS),
    Transition("run", _R.INITIALIZED, "run.end", "failed", _R.FAILED),
    Transition("run", _R.RUNNING, "run.end", "failed", _R.FAILED),
    Transition("run", _R.INITIALIZED, "run.end", "halted", _R.HALTED),
    Transition("run", _R.RUNNING, "run.end", "halted", _R.HALTED),
)

_INDEX = {(row.entity, row.source, row.action, row.cause): row.target for row in TABLE}

OPEN_RUN = frozenset({RunState.INITIALIZED, RunState.RUNNING})
"""The states in which a run accepts work."""


class IllegalTransition(ValueError):
    """The table has no such row."""

    def __init__(self, entity: str, source: str | None, action: str, cause: str | None) -> None:
        why = f"{action} ({cause})" if cause else action
        super().__init__(f"{entity} in state '{source or 'none'}' does not take {why}")


def next_state(entity: str, source: str | None, action: str, cause: str | None = None) -> str:
    """Return the state that the table gives for this step.

    Raises:
        IllegalTransition: if the table has no row for it.
    """
    try:
        return _INDEX[entity, source, action, cause]
    except KeyError:
        raise IllegalTransition(entity, source, action, cause) from None


def diagram(entity: str) -> str:
    """Return the Mermaid state diagram of `task`, `attempt` or `run`, drawn from the table."""
    lines = ["stateDiagram-v2"]
    for row in TABLE:
        if row.entity == entity:
            label = f"{row.action} ({row.cause})" if row.cause else row.action
            lines.append(f"    {row.source or '[*]'} --> {row.target}: {label}")
    return "\n".join(lines) + "\n"
