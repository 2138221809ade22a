"""What people want of tasks, lessons and effects, and what they remark."""

from __future__ import annotations

from esaa_git.core.events import (
    EventNote,
    RunNote,
    TaskNote,
)
from esaa_git.core.events.base import Record
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.state import Carrier


class AddTask(Record):
    """Create one task outside of the plan."""

    task: TaskDefinition
    by: str


class Hotfix(Record):
    """Create the task that corrects a done one; an empty id stands for the next free one."""

    superseded: str
    task: TaskDefinition
    by: str
    reason: str
    issue_id: str | None = None


class BeginUndo(Record):
    """Create the task that undoes a done one."""

    task_id: str
    by: str


class OpenUndo(Record):
    """Open the attempt of a task that undoes another one."""

    task_id: str
    base: str


class Override(Record):
    """Set a done task aside without touching it."""

    task_id: str
    by: str
    reason: str


class Unblock(Record):
    """Return a blocked task, and those blocked only because of it, to `todo`.

    Attributes:
        attempts: how many more it gets; where all are spent, by default as many as a new task.
    """

    task_id: str
    by: str
    reason: str
    attempts: int | None = None


class AddNote(Record):
    """Leave a remark on a task, a run or an event."""

    note: TaskNote | RunNote | EventNote
    by: str


class WithdrawLesson(Record):
    """Take a lesson back, so that no request holds it."""

    lesson_id: str
    by: str
    reason: str


class Relink(Record):
    """Record that a commit of the branch carries an effect now; `text` says how that is known.

    Where a commit carries several, the last one says what it changes beside them.
    """

    task_id: str
    effect_commit: str
    carrier: Carrier
    text: str
