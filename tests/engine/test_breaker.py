"""The circuit breaker: the same failure over several tasks stops a run before it costs them all."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.contracts import POLICY
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.engine.breaker import Breaker
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.exchange import Admission
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import oblige, result, write
from esaa_git.testing.contracts import contracts, task
from esaa_git.testing.engine import MemoryEngine, engine


def own(number: int, **more: Any) -> dict[str, Any]:
    """A task that writes one file of its own."""
    return task(f"T-{number}", writes=[f"docs/qa/T-{number}.md"], **more)


def dies(request: Request) -> Answer:
    said = f"left with exit status 3 in /tmp/x{request.attempt_id}"
    return Answer(b"", 0, said, RejectCode.AGENT_FAILED)


def spent(made: MemoryEngine) -> list[int]:
    return [one.attempts_used for one in made.state.tasks.values()]


@pytest.mark.parametrize("parallel", [1, 3])
def test_the_same_failure_over_several_tasks_stops_the_run(parallel: int) -> None:
    made = engine(dies)
    made.apply(*(own(number) for number in range(1, 9)))
    with pytest.raises(AgentError, match="agent 'agent-spec' failed 3 times in a row") as caught:
        cycle(made, Options(parallel=parallel))
    assert str(caught.value.cause).startswith("AGENT_FAILED: left with exit status 3")
    assert spent(made) == [1, 1, 1, 0, 0, 0, 0, 0]
    assert made.state.run.is_open
    assert not made.state.run.blocked
    made.answering[""] = oblige
    assert cycle(made).result == "success"


def test_a_rule_that_denies_all_is_named_as_what_may_be_wrong() -> None:
    """As one does that errs whatever is proposed."""
    rule = {"name": "none", "match": {"files": {"more_than": 0}}, "effect": "deny"}
    made = engine(
        lambda asked: result(write(f"docs/qa/{asked.task_id}.md"))(asked),
        given=contracts({(POLICY, "rules"): [rule]}),
    )
    made.apply(own(1), own(2))
    with pytest.raises(AgentError, match="in the same way") as caught:
        cycle(made)
    assert "mend what is wrong with the agent, its checks, a rule of the policy" in str(
        caught.value.hint
    )


def test_a_task_alone_has_all_of_its_attempts() -> None:
    made = engine(dies)
    made.apply(own(1))
    assert cycle(made).result == "failed"
    assert spent(made) == [3]


def test_an_answer_that_is_refused_may_be_corrected_and_is_asked_for_again_at_once() -> None:
    made = engine(lambda _: b"nonsense")
    made.apply(own(1), own(2), own(3))
    with pytest.raises(AgentError, match="failed 4 times in a row"):
        cycle(made)
    assert spent(made) == [3, 1, 0]


def rejected(task_id: str, message: str, code: str = "AGENT_FAILED", **detail: Any) -> Admission:
    return Admission(
        "rejected", task_id, f"{task_id}-A1", message, Rejected(RejectCode(code), message, detail)
    )


def test_failures_are_alike_but_for_what_each_attempt_has_its_own_of() -> None:
    breaker = Breaker()
    assert breaker.heard("a", rejected("T-1", "no file /tmp/a1b2/x at 10:11:12")) is None
    assert breaker.heard("a", rejected("T-2", "no file /tmp/c3d4/x at 10:11:13")) is None
    assert breaker.suspects == {"T-1", "T-2"}
    assert breaker.heard("a", rejected("T-2", "no file /tmp/e5/x at 10:11:14")) is not None


@pytest.mark.parametrize(
    "between",
    [
        ("a", Admission("done", "T-9", "T-9-A1")),
        ("a", rejected("T-9", "something else")),
        ("a", rejected("T-9", "'x' changed on the branch", "WRITE_CONFLICT")),
    ],
)
def test_another_end_between_them_begins_anew(between: tuple[str, Admission]) -> None:
    breaker = Breaker()
    for task_id in ("T-1", "T-2"):
        breaker.heard("a", rejected(task_id, "it broke"))
    breaker.heard(*between)
    assert breaker.heard("a", rejected("T-3", "it broke")) is None
    assert breaker.heard("b", rejected("T-4", "it broke")) is None


def test_a_check_that_fails_in_another_way_each_time_fails_for_what_was_proposed() -> None:
    def failed(task_id: str, output: str) -> Admission:
        said = "the check 'tests' failed: it left with exit status 1"
        return rejected(task_id, said, "CHECK_FAILED", check="tests", output=output)

    breaker = Breaker()
    words = ("apples", "pears", "plums", "figs")
    assert not any(breaker.heard("a", failed(f"T-{n}", word)) for n, word in enumerate(words))
    same = [breaker.heard("a", failed(f"T-{n}", f"no module 'x' in 0.{n} s")) for n in range(3)]
    assert [one is not None for one in same] == [False, False, True]
    assert not breaker.suspects
