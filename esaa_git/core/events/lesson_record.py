"""`lesson.record`: a rule learnt from a mistake, for the tasks that come after."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.entries import LESSONS_OF_ATTEMPT, Lesson
from esaa_git.core.events.base import Count, Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, AttemptId, LessonId, Name, TaskId
from esaa_git.core.events.spec import AGENT, PERSON
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class LessonRecord(Payload, action="lesson.record", by={AGENT, PERSON}):
    """What to do, and what went wrong without it.

    One that names no attempt is kept and goes to nobody: no result stands behind it.
    """

    lesson_id: LessonId
    rule: Annotated[str, Text(1000, 1)]
    mistake: Annotated[str, Text(1000, 1)]
    kinds: Annotated[tuple[Name, ...], Count(most=50)] | None = None
    task_id: TaskId | None = None
    attempt_id: AttemptId | None = None
    agent: Actor | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        lesson_id = f"LES-{draft.run.lessons + 1:04d}"
        if self.lesson_id != lesson_id:
            raise Violation("INV-005", f"the next lesson is {lesson_id}, not {self.lesson_id}")
        if self.attempt_id is not None:
            self._learn(draft, event, self.attempt_id)
        elif self.task_id is not None:
            draft.task(self.task_id)
        draft.put_lesson(
            Lesson(
                lesson_id,
                self.rule,
                self.mistake,
                event.actor,
                self.kinds or (),
                self.task_id,
                self.attempt_id,
            )
        )

    def _learn(self, draft: Draft, event: Stamp, attempt_id: str) -> None:
        """Note the lesson with the attempt that its holder learnt it in."""
        task, attempt = draft.attempt(str(self.task_id), attempt_id)
        if event.actor != attempt.agent:
            raise Violation("INV-002", f"'{attempt_id}' belongs to {attempt.agent}")
        if len(attempt.lessons) >= LESSONS_OF_ATTEMPT:
            raise Violation("INV-002", f"'{attempt_id}' has {LESSONS_OF_ATTEMPT} lessons already")
        lessons = (*attempt.lessons, self.lesson_id)
        draft.put_task(replace(task, attempt=replace(attempt, lessons=lessons)))

    def subject(self) -> str:
        return f"{self.lesson_id}: {self.rule[:60]}"
