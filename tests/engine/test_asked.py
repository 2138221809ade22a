"""An agent that asks in plain words blocks its task with the question; nothing else does."""

from __future__ import annotations

import json

import pytest

from esaa_git.core.events import OutputRejected, QuestionAsk
from esaa_git.core.rejection import RejectCode
from esaa_git.core.said import beside, words
from esaa_git.engine.asked import question_in
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.halting import Halting
from esaa_git.engine.questions import answer
from esaa_git.errors import DecisionsMissing, RefusedError, RunHalted, UsageError
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


def asking() -> MemoryEngine:
    """Return a run whose one task waits for an answer; its agent works well from then on."""
    made = engine(says("question.ask", text="A or B?"))
    made.apply(task())
    with pytest.raises(DecisionsMissing):
        cycle(made)
    made.answering[""] = oblige
    return made


def test_a_run_that_waits_for_decisions_goes_on_when_the_answer_arrives() -> None:
    made = asking()
    sleep, naps = made.clock.sleep, 0

    def answer_meanwhile(seconds: float) -> None:
        nonlocal naps
        naps += 1
        if naps == 3:
            answer(made, "Q-0001", BOB, "A")
        sleep(seconds)

    made.clock.sleep = answer_meanwhile  # type: ignore[method-assign]
    made.run(Options(decisions=3600))
    assert made.task("T-1").is_done
    assert naps == 3


@pytest.mark.parametrize("stopped", ["before", "after"])
def test_an_answer_beside_a_stop_is_not_asked_for_again(stopped: str) -> None:
    made = asking()
    stop = Halting(made, "ann@example.com", "the bill explodes")
    if stopped == "before":
        stop.halt(made)
    answer(made, "Q-0001", BOB, "A")
    if stopped == "after":
        stop.halt(made)
    with pytest.raises(RunHalted, match="stopped by ann"):
        cycle(made)
    Halting(made, "ann@example.com", "a cap is set").resume(made)
    cycle(made)
    assert made.task("T-1").is_done
    assert len(questions(made)) == 1


def test_what_an_agent_that_asks_says_that_it_took_is_what_it_took() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "cost_microdollars": 70}

    def ask(request: Request) -> Answer:
        return Answer(says("question.ask", text="A or B?")(request), 5, usage=usage)  # type: ignore[arg-type]

    budget: dict[Place, object] = {
        ("RUNTIME_POLICY.yaml", "budgets"): {"run": {"microdollars": 1_000_000}},
        ("agents_swarm.yaml", "agents", "agent-spec", "max_cost"): 400,
    }
    made = engine(ask, given=contracts(budget))
    made.apply(task())
    made.run(Options(steps=1))
    spent = made.state.accounts["run.RUN-0001"]
    assert (spent.spent.microdollars, spent.reserved.microdollars, spent.unknown) == (70, 0, 0)
