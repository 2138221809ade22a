"""What people say beside the work: notes, and lessons that they take back."""

from __future__ import annotations

from esaa_git.core.events import LessonWithdraw, RunNote, TaskNote
from esaa_git.core.state import State
from esaa_git.engine.decide.events import Events, by_actor
from esaa_git.engine.intentions import AddNote, WithdrawLesson
from esaa_git.engine.schedule import find_task
from esaa_git.errors import RefusedError, UsageError


def add_note(state: State, wanted: AddNote) -> Events:
    """Leave a remark on what there is."""
    note = wanted.note
    if isinstance(note, TaskNote):
        find_task(state, note.task_id)
    if isinstance(note, RunNote) and note.run_id > str(state.run.run_id):
        raise UsageError(
            f"there is no run '{note.run_id}'",
            hint="run 'git esaa log --action run.init' for the runs there are",
        )
    return (by_actor(wanted.by, note),)


def withdraw_lesson(state: State, wanted: WithdrawLesson) -> Events:
    """Take back a lesson, once."""
    lesson = state.lessons.get(wanted.lesson_id)
    if lesson is None:
        raise UsageError(f"no lesson '{wanted.lesson_id}'", hint="run 'git esaa lesson list --all'")
    if lesson.withdrawn is not None:
        raise RefusedError(f"'{lesson.lesson_id}' is withdrawn already by {lesson.withdrawn_by}")
    withdrawn = LessonWithdraw(lesson_id=lesson.lesson_id, reason=wanted.reason)
    return (by_actor(wanted.by, withdrawn),)
