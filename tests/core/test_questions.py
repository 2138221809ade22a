"""A question: what it does to attempt and task, and which answers to it are lawful."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.decision import salted
from tests.support.story import AGENT, PERSON, Story, definition

BLOB = "0" * 40
TEXT = "Which of the two?"
SALTED = salted(bytes(32), TEXT.encode())


def asked(task_id: str = "T-1", number: int = 1) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "attempt_id": f"{task_id}-A1",
        "question_id": f"Q-{number:04d}",
        "exchange": {
            "salt": BLOB,
            "text": {"sha256": SALTED, "bytes": 17, "blob": BLOB},
        },
    }


def answered(number: int, text: str = TEXT, task_id: str = "T-1") -> dict[str, Any]:
    return {
        "question_id": "Q-0001",
        "question_sha256": salted(bytes(32), text.encode()),
        "task_id": task_id,
        "decision": {"sha256": f"{number:064x}", "document": BLOB, "signature": BLOB},
        "said": {"text": BLOB, "salt": BLOB},
    }


def step(cause: str, source: str, target: str, **more: Any) -> dict[str, Any]:
    return {"task_id": "T-1", "cause": cause, "from": source, "to": target, **more}


BLOCKED = step("question", "in_progress", "blocked", attempt_id="T-1-A1", reason="Q-0001")
GOES_ON = step("answered", "blocked", "todo")


def asking() -> Story:
    told = Story().started(definition("T-1"), definition("T-2")).attempt("T-1")
    return told.then("question.ask", AGENT, **asked())


def test_a_question_ends_the_attempt_uncounted_and_its_answer_lets_the_task_go_on() -> None:
    told = asking().then("task.update", **BLOCKED)
    task = told.task()
    assert task.attempt is not None
    assert (task.state, task.asks, task.attempts_used, task.attempt.state) == (
        "blocked",
        True,
        0,
        "asked",
    )
    assert "no answer" in str(told.refused("task.update", **GOES_ON))
    told.then("question.answer", PERSON, **answered(1)).then("task.update", **GOES_ON)
    assert (told.task().state, told.task().open_questions) == ("todo", ())
    assert told.attempt("T-1").task().attempts_used == 1


def test_a_question_comes_from_the_holder_of_an_active_attempt_in_order() -> None:
    told = Story().started(definition("T-1")).attempt("T-1")
    assert "held by" in str(told.refused("question.ask", "agent-other", **asked()))
    assert "next question is Q-0001" in str(told.refused("question.ask", AGENT, **asked(number=2)))
    assert "asked nothing" not in str(told.refused("task.update", **BLOCKED))
    told.then("question.ask", AGENT, **asked())
    assert "is asked" in str(told.refused("question.ask", AGENT, **asked(number=2)))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (answered(1, text="Another question?"), "has asked no such"),
        (answered(1, task_id="T-2"), "has asked no such"),
        ({**answered(1), "question_id": "Q-0002"}, "has asked no such"),
    ],
    ids=["another text", "another task", "another question"],
)
def test_an_answer_counts_for_its_question_alone(given: dict[str, Any], words: str) -> None:
    assert words in str(asking().refused("question.answer", PERSON, **given))


def test_a_question_is_answered_once_and_not_by_who_asks() -> None:
    told = asking().then("question.answer", PERSON, **answered(1))
    again = told.refused("question.answer", "ann@example.com", **answered(1))
    second = told.refused("question.answer", "ann@example.com", **answered(2))
    assert "taken this decision already" in str(again) or "answered already" in str(again)
    assert "answered already, by person@example.com" in str(second)
    own = Story().started(definition("T-1")).attempt("T-1", PERSON, mode="claim")
    own.then("question.ask", PERSON, **asked())
    assert "their own question" in str(own.refused("question.answer", PERSON, **answered(1)))
