"""An agent that asks in plain words blocks its task with the question; nothing else does."""

from __future__ import annotations

import json

import pytest

from esaa_git.core.events import OutputRejected, QuestionAsk
from esaa_git.core.rejection import RejectCode
from esaa_git.core.said import beside, words
from esaa_git.engine.asked import question_in
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.questions import answer
from esaa_git.errors import DecisionsMissing, RefusedError, UsageError
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import Answering, oblige, result, says, write
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine

ACTIONS: Place = ("AGENT_CONTRACT.yaml", "actions")
WRITE: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "write")
BOB = "bob@example.com"
MOST: Place = ("RUNTIME_POLICY.yaml", "limits", "questions_per_task")
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


def questions(made: MemoryEngine) -> list[QuestionAsk]:
    return [each.payload for each in made.events if isinstance(each.payload, QuestionAsk)]


@pytest.mark.parametrize(
    "answering",
    [left_all(QUESTION), said(QUESTION), result(summary=QUESTION)],
    ids=["an untouched checkout", "prose", "a result without a change"],
)
def test_a_question_blocks_the_task_and_is_not_counted(answering: Answering) -> None:
    made = after(answering)
    (asked,) = questions(made)
    assert asked.question_id == "Q-0001"
    assert words(asked.exchange.text.blob, made.blobs.read) == QUESTION
    held = made.task("T-1")
    assert held.attempt is not None
    assert (held.state, held.asks, held.attempts_used) == ("blocked", True, 0)
    assert held.attempt.state == "asked"
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
    assert questions(made) == []
    assert made.task("T-1").state in ("todo", "done")


def test_where_nothing_may_be_asked_or_nothing_written_it_is_no_question() -> None:
    without = after(said(QUESTION), {ACTIONS: ["agent.result"]})
    assert questions(without) == []
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


def test_the_next_request_holds_question_and_answer_and_the_run_goes_on() -> None:
    made = engine(said(QUESTION))
    made.apply(task())
    with pytest.raises(DecisionsMissing, match="git esaa answer T-1 TEXT"):
        cycle(made)
    assert answer(made, "Q-0001", BOB, "The second one.") == ("Q-0001", "T-1")
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)
    with pytest.raises(RefusedError, match="answered already, by bob"):
        answer(made, "Q-0001", BOB, "The first one.")
    with pytest.raises(UsageError, match="no question or task 'Q-0009'"):
        answer(made, "Q-0009", BOB, "x")
    made.answering[""] = oblige
    cycle(made)
    (note,) = json.loads(made.requests[-1].view)["task"]["notes"]
    assert (
        note == f"an earlier attempt asked: {QUESTION}\nbob@example.com answered: The second one."
    )
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("done", 1)


def test_one_question_more_than_the_policy_allows_is_refused_and_counted() -> None:
    made = engine(says("question.ask", text="A or B?"), given=contracts({MOST: 1}))
    made.apply(task())
    made.run(Options(steps=1))
    answer(made, "T-1", BOB, "A")
    made.run(Options(steps=1))
    (refused,) = (one.payload for one in made.events if isinstance(one.payload, OutputRejected))
    said = beside(refused, made.blobs.read)
    assert said is not None
    assert (refused.code, said["detail"]) == ("QUESTIONS_SPENT", {"allowed": 1})
    assert "limits/questions_per_task" in said["message"]
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 1)
