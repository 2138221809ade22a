"""Services that are away: nothing is spent, the agent rests, the run waits or says until when."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from esaa_git.core.contracts import SWARM
from esaa_git.core.event import timestamp
from esaa_git.core.events import AttemptCreate, TaskUpdate
from esaa_git.core.machine import Cause
from esaa_git.engine.cycle import Options, cycle
from esaa_git.errors import ServiceUnavailable
from esaa_git.ports.agent import Answer, Request, Unavailable
from esaa_git.testing.answers import Answering, in_turn, oblige, says
from esaa_git.testing.contracts import contracts, task
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.world import START


def away(seconds: float | None = None, **more: Any) -> Answer:
    gone = Unavailable("status 429: slow down", seconds, **more)
    return Answer(b"", 0, "status 429: slow down", unavailable=gone)


def nonsense(_request: Request) -> bytes:
    return b"nonsense"


def own(number: int, **more: Any) -> dict[str, Any]:
    """A task that writes one file of its own."""
    return task(f"T-{number}", writes=[f"docs/qa/T-{number}.md"], **more)


def outage(minutes: float, answer: Answer | None = None) -> tuple[MemoryEngine, list[str]]:
    """An orchestrator whose service is away for so long, and the attempts that it was asked for."""
    asked: list[str] = []

    def answering(request: Request) -> Answer | bytes:
        asked.append(request.attempt_id)
        if made.clock.now() < START + timedelta(minutes=minutes):
            return answer or away()
        return oblige(request)

    made = engine(answering)
    return made, asked


def gone(made: MemoryEngine) -> list[TaskUpdate]:
    updates = (event.payload for event in made.events)
    return [
        one for one in updates if isinstance(one, TaskUpdate) and one.cause == Cause.UNAVAILABLE
    ]


def test_a_hundred_tasks_outlast_a_service_that_is_away_for_ten_minutes() -> None:
    made, asked = outage(10)
    made.apply(*(own(number, attempts_allowed=1) for number in range(1, 101)))
    report = cycle(made, Options(parallel=4))
    assert (report.result, made.state.run.rejected) == ("success", 0)
    assert all(one.is_done and one.attempts_used == 1 for one in made.state.tasks.values())
    # After 15, 30, 60, 120, 240 and 300 seconds, by all four at once.
    assert 6 <= len(gone(made)) <= 28
    assert len(asked) == 100 + len(gone(made))
    assert len([line for line in made.lines if line.startswith("waiting until")]) <= 7


def test_who_rests_is_asked_for_no_task_and_again_when_the_service_said() -> None:
    made, asked = outage(2, away(120))
    made.apply(own(1), own(2), own(3))
    assert cycle(made).result == "success"
    assert asked == ["T-1-A1", "T-1-A2", "T-2-A1", "T-3-A1"]
    (one,) = gone(made)
    assert (one.reason, one.until) == ("status 429: slow down", "2026-01-31T09:02:00.000Z")
    assert made.task("T-1").attempts_used == 1


@pytest.mark.parametrize("seconds", [86400, 3601, 40 * 86400])
def test_a_run_that_cannot_wait_so_long_stops_and_says_until_when(seconds: float) -> None:
    made, asked = outage(5, away(seconds))
    made.apply(own(1), own(2), own(3))
    with pytest.raises(ServiceUnavailable) as caught:
        cycle(made)
    until = timestamp(START + timedelta(seconds=seconds))
    assert caught.value.message.endswith(f"is not available until {until}")
    assert caught.value.cause == "status 429: slow down"
    assert "git esaa run" in str(caught.value.hint)
    assert asked == ["T-1-A1"]
    assert made.state.run.is_open
    assert not made.state.run.in_progress
    made.clock.forward(minutes=5)
    assert cycle(made).result == "success"
    assert all(one.attempts_used == 1 for one in made.state.tasks.values())


def test_what_a_person_can_do_is_said_while_a_run_waits() -> None:
    made, _ = outage(1, away(90, hint="start the service"))
    made.apply(own(1))
    cycle(made)
    until = "waiting until 2026-01-31T09:01:30.000Z for the service of agent-spec"
    assert made.lines == [f"{until}: status 429: slow down; start the service"]


def test_all_the_waiting_for_one_service_is_bounded() -> None:
    made, _ = outage(10_000)
    made.apply(own(1))
    with pytest.raises(ServiceUnavailable):
        cycle(made, Options(wait=600))
    assert timedelta(minutes=5) < made.clock.now() - START <= timedelta(minutes=10)
    assert made.task("T-1").attempts_used == 0


def test_a_service_that_wants_to_be_paid_is_not_waited_for() -> None:
    made, asked = outage(5, away(needs_person=True, hint="look after the account"))
    made.apply(own(1), own(2))
    with pytest.raises(ServiceUnavailable) as caught:
        cycle(made)
    assert str(caught.value.hint).startswith("look after the account; then run 'git esaa run'")
    assert (asked, made.clock.now()) == (["T-1-A1"], START)


def test_a_service_that_says_in_a_second_again_and_again_is_not_asked_every_second() -> None:
    made, asked = outage(10, away(1))
    made.apply(own(1))
    assert cycle(made).result == "success"
    assert len(asked) <= 10


def test_an_answer_ends_the_outage_so_that_the_next_one_is_waited_for_anew() -> None:
    times = iter([True, True, False, True, True, False])

    def answering(request: Request) -> Answer | bytes:
        return away() if next(times) else oblige(request)

    made = engine(answering)
    made.apply(own(1), own(2))
    assert cycle(made, Options(wait=50)).result == "success"
    rests = [one.until for one in gone(made)]
    assert len(rests) == 4
    assert made.clock.now() - START == timedelta(seconds=90)


def test_what_an_attempt_took_all_the_same_is_on_record() -> None:
    used = {"input_tokens": 900, "output_tokens": 30}
    made, _ = outage(0.1, replace(away(), usage=used))
    made.apply(own(1))
    cycle(made)
    (one,) = gone(made)
    assert one.usage is not None
    assert (one.usage.input_tokens, one.usage.output_tokens) == (900, 30)


def test_a_value_that_the_agent_was_given_is_neither_kept_nor_said() -> None:
    secret = "k3y-0123456789abcdef"
    gone_with = Unavailable(f"key {secret}: slow down", 60)
    answer = replace(away(), unavailable=gone_with, handed={"KEY": secret})
    made, _ = outage(1, answer)
    made.apply(own(1))
    cycle(made)
    (one,) = gone(made)
    assert str(one.reason).endswith(": slow down")
    assert secret not in repr([made.lines, [event.data for event in made.events]])


def test_no_step_of_a_run_is_used_up_and_a_named_task_is_waited_for() -> None:
    for options in (Options(steps=1), Options(task_id="T-1")):
        made, asked = outage(1)
        made.apply(own(1), own(2))
        cycle(made, options)
        assert made.task("T-1").is_done
        assert len(asked) > 2
        assert not made.task("T-2").is_done


def test_a_run_with_a_blocked_task_does_not_end_while_an_agent_rests() -> None:
    def answering(request: Request) -> Answer | bytes:
        if request.task_id == "T-1":
            return nonsense(request)
        return away() if made.clock.now() == START else oblige(request)

    made = engine(answering)
    made.apply(own(1, attempts_allowed=1), own(2))
    assert cycle(made).result == "failed"
    assert made.task("T-2").is_done


# ---------------------------------------------------------------------------- several of a kind


def lined_up(**answering: Answering) -> MemoryEngine:
    given = contracts({(SWARM, "kinds", "spec"): ["agent-spec", "agent-impl"]})
    names = {name.replace("_", "-"): one for name, one in answering.items()}
    return engine({"": oblige, **names}, given=given)


def by(made: MemoryEngine) -> list[tuple[str, str]]:
    opened = (event.payload for event in made.events)
    return [(one.attempt_id, one.agent) for one in opened if isinstance(one, AttemptCreate)]


def test_the_next_of_the_list_takes_over_while_one_rests() -> None:
    made = lined_up(agent_spec=lambda _: away(86400))
    made.apply(own(1), own(2))
    assert cycle(made).result == "success"
    assert by(made) == [
        ("T-1-A1", "agent-spec"),
        ("T-1-A2", "agent-impl"),
        ("T-2-A1", "agent-impl"),
    ]


def test_a_later_attempt_is_for_a_later_one_of_the_list_and_else_for_who_is_there() -> None:
    made = lined_up(agent_spec=in_turn(nonsense, oblige))
    made.apply(own(1), own(2))
    assert cycle(made).result == "success"
    assert [agent for _, agent in by(made)] == ["agent-spec", "agent-impl", "agent-spec"]
    back = lined_up(agent_spec=in_turn(nonsense, oblige), agent_impl=lambda _: away(86400))
    back.apply(own(1))
    assert cycle(back).result == "success"
    assert [agent for _, agent in by(back)] == ["agent-spec", "agent-impl", "agent-spec"]


def test_who_is_named_has_nobody_to_take_over() -> None:
    made = lined_up(agent_spec=lambda _: away(86400))
    made.apply(own(1, agent="agent-spec"))
    with pytest.raises(ServiceUnavailable):
        cycle(made)
    made.apply(own(1), own(2))
    with pytest.raises(ServiceUnavailable):
        cycle(made, Options(agent="agent-spec"))
    assert {agent for _, agent in by(made)} == {"agent-spec"}


def test_a_reviewer_whose_service_is_away_rests_and_loses_no_try() -> None:
    asked: list[str] = []

    def reviewing(request: Request) -> Answer | bytes:
        asked.append(request.attempt_id)
        if len(asked) == 1:
            return away(60)
        return says("agent.review", verdict="approve", reason="as asked")(request)

    review = ("AGENT_CONTRACT.yaml", "kinds", "spec", "review")
    reviewed = contracts({review: "agent", (SWARM, "reviewers"): {"spec": "agent-qa"}})
    made = engine({"": oblige, "agent-qa": reviewing}, given=reviewed)
    made.apply(own(1), own(2, depends_on=["T-1"]))
    assert cycle(made).result == "success"
    assert asked == ["T-1-A1", "T-1-A1", "T-2-A1"]
    assert made.clock.now() - START == timedelta(seconds=60)
    assert made.state.approvals["APR-0001"].tries == 0
