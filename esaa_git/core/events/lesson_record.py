"""`lesson.record`: a rule learnt from a mistake, for the tasks that come after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import LESSON_ID, NAME, TASK_ID, ActionSpec, array, record, text
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Lesson

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    lesson_id = f"LES-{draft.run.lessons + 1:04d}"
    if payload["lesson_id"] != lesson_id:
        raise Violation("INV-005", f"the next lesson is {lesson_id}, not {payload['lesson_id']}")
    if "task_id" in payload:
        draft.task(payload["task_id"])
    draft.put_lesson(
        Lesson(
            lesson_id,
            payload["rule"],
            payload["mistake"],
            event.actor,
            tuple(payload.get("kinds", ())),
            payload.get("task_id"),
        )
    )


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['lesson_id']}: {str(payload['rule'])[:60]}"


SPEC = ActionSpec(
    "lesson.record",
    frozenset({"agent", "person"}),
    record(
        {"lesson_id": LESSON_ID, "rule": text(1000, 1), "mistake": text(1000, 1)},
        {"kinds": array(NAME, most=50), "task_id": TASK_ID},
    ),
    evolve,
    subject,
)
