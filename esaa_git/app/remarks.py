"""What people say beside the work: notes, and lessons of agents that they take back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.entries import Lesson
    from esaa_git.core.events import EventNote, RunNote, TaskNote

_RUN = re.compile(r"RUN-[0-9]{4,9}")


def note(project: Project, target: str, text: str, actor: str | None = None) -> str:
    """Leave a remark, and return the id of what it is on.

    Args:
        target: a task, a run (`RUN-0001`) or an event (`EV-00000042`, `42`, `@`, `@~3`). What a
            task is called is that task, whatever it looks like.
        actor: who says it; by default whom git's configuration names.

    Raises:
        UsageError: if the text means none of them.
    """
    from esaa_git.engine import operator

    said, on = _on(project, target, text)
    operator.add_note(project.engine, said, project.actor(actor))
    return on


def _on(project: Project, target: str, text: str) -> tuple[TaskNote | RunNote | EventNote, str]:
    """Return the note, and the id of what it is on."""
    from esaa_git.app.history import event_named
    from esaa_git.core.events import EventNote, RunNote, TaskNote

    state, _ = project.log.load()
    if target in state.tasks:
        return TaskNote(text=text, task_id=target), target
    if _RUN.fullmatch(target):
        return RunNote(text=text, run_id=target), target
    event_id = event_named(project, target)
    return EventNote(text=text, event_id=event_id), event_id


@dataclass(frozen=True, slots=True)
class KnownLesson:
    """A lesson, and to which kinds of task it goes now; to none, it goes to nobody."""

    lesson: Lesson
    kinds: tuple[str, ...]

    @property
    def standing(self) -> str:
        """Where it goes, or why it goes nowhere, in a few words."""
        if self.lesson.withdrawn is not None:
            return f"withdrawn by {self.lesson.withdrawn_by}"
        return f"told to {', '.join(self.kinds)}" if self.kinds else "told to nobody"


def lessons(project: Project) -> list[KnownLesson]:
    """Return every lesson of the log, the oldest first."""
    from esaa_git.core.lessons import kinds_of

    state, contracts = project.log.load()
    return [KnownLesson(one, kinds_of(state, contracts, one)) for one in state.lessons.values()]


def withdraw_lesson(
    project: Project, lesson_id: str, reason: str, actor: str | None = None
) -> None:
    """Take a lesson back: it stays on record, and no request holds it from here on.

    Raises:
        UsageError: if there is no such lesson.
        RefusedError: if it is withdrawn already.
    """
    from esaa_git.engine import operator

    operator.withdraw_lesson(project.engine, lesson_id, project.actor(actor), reason)
