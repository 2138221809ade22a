"""`lesson.withdraw`: a person takes a lesson back; it stays on record and goes to nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import LessonId
from esaa_git.core.events.spec import PERSON
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class LessonWithdraw(Payload, action="lesson.withdraw", by={PERSON}):
    """Which lesson no request holds from here on, and why."""

    lesson_id: LessonId
    reason: Annotated[str, Text(2000, 1)]

    def evolve(self, draft: Draft, event: Stamp) -> None:
        if self.lesson_id not in draft.lessons:
            raise Violation("INV-002", f"there is no lesson '{self.lesson_id}'")
        lesson = draft.lessons[self.lesson_id]
        if lesson.withdrawn is not None:
            raise Violation("INV-002", f"'{self.lesson_id}' is withdrawn already")
        draft.drop_lesson(lesson)
        draft.put_lesson(replace(lesson, withdrawn=self.reason, withdrawn_by=event.actor))

    def subject(self) -> str:
        return self.lesson_id
