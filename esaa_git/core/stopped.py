"""A stopped log: nothing new begins, and all that closes or reports what began is lawful.

`run.halt` sets the stop and `run.resume` lifts it (rule 32). It is a flag of the log and not of
a run, so it survives a `run.init`. Append, the server's hook and `verify` ask `check_stop` alone.
"""

from __future__ import annotations

from typing import Final

from esaa_git.core.event import Event
from esaa_git.core.events import (
    AttemptCreate,
    Dispatch,
    FileWrite,
    RunInit,
    TaskCreate,
    TaskUpdate,
)
from esaa_git.core.events.spec import is_person
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State
from esaa_git.core.task import Task

_BEGIN: Final = TaskCreate | AttemptCreate | Dispatch | FileWrite


def check_stop(state: State, event: Event) -> None:
    """Refuse what would begin or be done while the log is stopped.

    Raises:
        Violation: INV-002, naming who stopped it.
    """
    by = state.stop.by
    if by is not None and begins(event) and not is_undo(state, event):
        raise Violation("INV-002", f"everything is stopped by {by}, until an admin resumes it")


def is_undo(state: State, event: Event) -> bool:
    """Answer whether an event carries out an undo: its task, its effect or its closing (rule 32).

    That an admin asked for it, the task says whose creation names the request.
    """
    payload = event.payload
    if isinstance(payload, TaskCreate):
        return payload.undoes is not None
    task = state.tasks.get(event.task_id or "")
    if task is None or task.undoes is None:
        return False
    return isinstance(payload, AttemptCreate | FileWrite | TaskUpdate)


def begins(event: Event) -> bool:
    """Answer whether an event is one of those that a stop forbids, but for an admin's undo."""
    payload = event.payload
    match payload:
        case RunInit():
            return not is_person(event.actor)
        case TaskUpdate():
            return payload.to == TaskState.DONE
        case _:
            return isinstance(payload, _BEGIN)


def attempts_used(state: State, task: Task) -> int:
    """Return how many attempts a task has used once the active one is timed out.

    While the log is stopped a time-out counts no attempt, as a release never does.
    """
    return task.attempts_used - (state.stop.by is not None)
