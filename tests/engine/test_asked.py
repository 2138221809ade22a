"""An agent that asks instead of proposing blocks its task with the question; nothing else does."""

from __future__ import annotations

import pytest

from esaa_git.core.events import IssueReport
from esaa_git.core.rejection import RejectCode
from esaa_git.engine.asked import question_in
from esaa_git.engine.cycle import Options
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import Answering, result, write
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine

ACTIONS: Place = ("AGENT_CONTRACT.yaml", "actions")
WRITE: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "write")
QUESTION = "I read the task. Which of the two formats is meant?"


def left_all(words: str) -> Answering:
    """What a coding agent's adapter makes of an untouched checkout and last words."""
    answer = Answer(words.encode(), 0, "left every file as it is", RejectCode.EMPTY_PROPOSAL)
    return lambda request: answer


def said(words: str) -> Answering:
    def answer(request: Request) -> bytes:
        return words.encode()

    return answer


def after(answering: Answering, more: dict[Place, object] | None = None) -> MemoryEngine:
    made = engine(answering, given=contracts(more or {}))
    made.apply(task())
    made.run(Options(steps=1))
    return made


def issues(made: MemoryEngine) -> list[IssueReport]:
    return [each.payload for each in made.events if isinstance(each.payload, IssueReport)]


@pytest.mark.parametrize(
    "answering",
    [left_all(QUESTION), said(QUESTION), result(summary=QUESTION)],
    ids=["an untouched checkout", "prose", "a result without a change"],
)
def test_a_question_is_an_issue_that_blocks_the_task(answering: Answering) -> None:
    made = after(answering)
    (issue,) = issues(made)
    assert issue.title == "asks: Which of the two formats is meant?"
    assert issue.description == QUESTION
    assert made.task("T-1").state == "blocked"
    assert "output.rejected" not in made.actions


@pytest.mark.parametrize(
    "answering",
    [
        left_all("Nothing is to do. All is well."),
        said('{"action": "agent.result"} Is that right?'),
        result(write("docs/a.md"), summary="Done. Is that what you meant?"),
    ],
    ids=["no question", "an object was begun", "there is a change"],
)
def test_what_is_no_question_is_judged_as_ever(answering: Answering) -> None:
    made = after(answering)
    assert issues(made) == []
    assert made.task("T-1").state in ("todo", "done")


def test_where_no_issue_may_be_reported_or_nothing_written_it_is_no_question() -> None:
    without = after(said(QUESTION), {ACTIONS: ["agent.result"]})
    assert issues(without) == []
    reader = after(result(summary=QUESTION), {WRITE: []})
    assert reader.task("T-1").state == "done"


@pytest.mark.parametrize(
    ("words", "question"),
    [
        ("Which one?", "Which one?"),
        ("Two are there.\n\n**Which one should I take?**\n", "Which one should I take?"),
        ("A list:\n- one\n- two\nWhich of these", None),
        ("Is it A? It is. Done.", None),
        ("どちらですか？", "どちらですか？"),
        ("", None),
        ("???", None),
        ("a" * 30_000 + "?", None),
    ],
)
def test_a_question_is_what_the_last_words_end_in(words: str, question: str | None) -> None:
    assert question_in(words) == question
