"""A run in a log that is stopped: it calls off what is under way, says who stopped it, goes on."""

from __future__ import annotations

import pytest

from esaa_git.engine import operator
from esaa_git.engine.attempts import expire
from esaa_git.engine.cycle import cycle
from esaa_git.engine.halting import Halting, HaltWatch
from esaa_git.engine.proposer import dispatch
from esaa_git.engine.transaction import transact
from esaa_git.errors import RefusedError, RunHalted
from esaa_git.ports.agent import Request
from esaa_git.testing.answers import oblige
from esaa_git.testing.contracts import task
from esaa_git.testing.engine import MemoryEngine, engine

ANN, BOB = "ann@example.com", "bob@example.com"


def halted() -> MemoryEngine:
    """Bob stops everything while the agent of T-1 works."""
    made = engine()

    def stop(request: Request) -> bytes:
        Halting(made, BOB, "the bill explodes").halt(made)
        return oblige(request)

    made.answering[""] = stop
    made.apply(task("T-1"), task("T-2"))
    with pytest.raises(
        RunHalted, match=r"stopped by bob@example.com at .*: the bill explodes"
    ) as caught:
        cycle(made)
    assert "git esaa resume" in str(caught.value.hint)
    return made


def test_a_run_ends_its_agents_gives_back_and_leaves_nothing_half() -> None:
    made = halted()
    before = len(made.events)
    given_back = made.last
    assert (given_back.action, given_back.payload.cause) == ("task.update", "released")  # type: ignore[union-attr]
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)
    assert made.content("docs/qa/T-1.md") is None
    with pytest.raises(RunHalted, match="stopped by bob"):
        cycle(made)
    with pytest.raises(RefusedError, match="everything is stopped by bob"):
        operator.claim(made, "T-2", ANN)
    assert len(made.events) == before


def test_the_run_goes_on_once_it_is_resumed() -> None:
    made = halted()
    made.answering[""] = oblige
    with pytest.raises(RefusedError, match="stopped already") as twice:
        Halting(made, ANN, "").halt(made)
    assert "the bill explodes" in str(twice.value.cause)
    Halting(made, ANN, "a cap is set").resume(made)
    with pytest.raises(RefusedError, match="nothing is stopped"):
        Halting(made, ANN, "").resume(made)
    assert cycle(made).result == "success"
    assert [made.task(name).attempts_used for name in ("T-1", "T-2")] == [1, 1]


def test_a_lease_that_runs_out_meanwhile_counts_no_attempt() -> None:
    made = engine()
    made.apply(task("T-1", attempts_allowed=1))
    dispatch(made, made.task("T-1"), None)
    Halting(made, BOB, "").halt(made)
    made.clock.forward(hours=2)
    assert transact(made, lambda tx: expire(tx, ["T-1"])) == 1
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)


def test_the_remote_is_asked_every_halt_poll_and_not_more_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = engine()
    now = [0.0]
    monkeypatch.setattr(made.clock, "monotonic", lambda: now[0])
    made.apply(task("T-1"))
    asked: list[float] = []

    def elsewhere() -> str | None:
        asked.append(made.clock.monotonic())
        return "stopped by bob@example.com (on 'origin')" if len(asked) == 2 else None

    made.halted_elsewhere, made.halt_poll = elsewhere, 30.0
    watch = HaltWatch(made)
    for _ in range(10):
        watch.look()
        now[0] += 2
    assert len(asked) == 1
    now[0] += 30
    with pytest.raises(RunHalted, match="on 'origin'") as halt:
        watch.look()
    assert "git esaa sync" in str(halt.value.hint)


def test_a_decision_counts_while_everything_is_stopped_and_is_carried_out_afterwards() -> None:
    made = engine(oblige)
    made.apply(task("T-1", review=True))
    with pytest.raises(RunHalted):
        cycle(made)
    Halting(made, BOB, "lunch").halt(made)
    said = operator.review(made, "T-1", ANN, "approve", "fine")
    assert said.kind == "waiting"
    assert "has your approval; everything is stopped by bob@example.com" in said.message
    assert made.last.action == "approval.grant"
    Halting(made, ANN, "").resume(made)
    assert cycle(made).result == "success"
