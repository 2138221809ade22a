"""`lesson.record`: a rule learnt from a mistake, for the tasks that come after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Count, Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, LessonId, Name, TaskId
from esaa_git.core.events.spec import AGENT, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Lesson

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class LessonRecord(Payload, action="lesson.record", by={AGENT, PERSON}):
    """What to do, and what went wrong without it."""

    lesson_id: LessonId
    rule: Annotated[str, Text(1000, 1)]
    mistake: Annotated[str, Text(1000, 1)]
    kinds: Annotated[tuple[Name, ...], Count(most=50)] | None = None
    task_id: TaskId | None = None
    agent: Actor | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        lesson_id = f"LES-{draft.run.lessons + 1:04d}"
        if self.lesson_id != lesson_id:
            raise Violation("INV-005", f"the next lesson is {lesson_id}, not {self.lesson_id}")
        if self.task_id is not None:
            draft.task(self.task_id)
        draft.put_lesson(
            Lesson(lesson_id, self.rule, self.mistake, event.actor, self.kinds or (), self.task_id)
        )

    def subject(self) -> str:
        return f"{self.lesson_id}: {self.rule[:60]}"
