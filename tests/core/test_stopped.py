"""A stopped log: what is lawful in it, for which stop a decision counts, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.examples import OID, SHA256
from tests.support.story import AGENT, PERSON, Story, definition

BLOB = "0" * 40


def signed(number: int, epoch: int = 0) -> dict[str, Any]:
    return {
        "epoch": epoch,
        "decision": {"sha256": f"{number:064x}", "document": BLOB, "signature": BLOB},
        "said": {"text": BLOB, "salt": BLOB},
    }


def working() -> Story:
    """T-1 is with an agent, T-2 waits to be written, T-3 is to do."""
    told = Story().started(definition("T-1"), definition("T-2"), definition("T-3"))
    return told.attempt("T-1").attempt("T-2").result("T-2", ("a.md",))


def deadline(told: Story) -> str:
    attempt = told.task("T-1").attempt
    assert attempt is not None
    return attempt.deadline


def stopped() -> Story:
    return working().then("run.halt", PERSON, **signed(1))


def test_a_stop_is_set_once_and_lifted_once_each_for_its_own_epoch() -> None:
    told = stopped()
    stop = told.state.stop
    assert (stop.epoch, stop.by, stop.event_id) == (0, PERSON, told.events[-1].event_id)
    assert "stopped already" in str(told.refused("run.halt", PERSON, **signed(2)))
    assert "about stop 1" in str(told.refused("run.resume", PERSON, **signed(2, epoch=1)))
    told.then("run.resume", PERSON, **signed(3))
    assert told.state.stop.by is None
    assert "not stopped" in str(told.refused("run.resume", PERSON, **signed(4, epoch=1)))
    told.then("run.halt", PERSON, **signed(5, epoch=1))
    assert told.state.stop.epoch == 1


def test_an_old_decision_counts_for_no_later_stop() -> None:
    told = stopped().then("run.resume", PERSON, **signed(2))
    same = told.refused("run.halt", PERSON, **signed(1))  # the very document
    late = told.refused("run.halt", PERSON, **signed(3))  # signed before, and never pushed
    assert "has taken this decision already" in str(same)
    assert "about stop 0, and the next one is 1" in str(late)
    again = told.then("run.halt", PERSON, **signed(4, epoch=1))
    assert "about stop 0" in str(again.refused("run.resume", PERSON, **signed(5)))


BEGINS: dict[str, Callable[[Story], object]] = {
    "an attempt": lambda told: told.attempt("T-3"),
    "a claim": lambda told: told.then(
        "attempt.create",
        PERSON,
        task_id="T-3",
        attempt_id="T-3-A1",
        number=1,
        agent=PERSON,
        mode="claim",
        base=OID,
        deadline=deadline(told),
    ),
    "a dispatch": lambda told: told.then(
        "orchestrator.dispatch",
        **told.here("T-1"),
        agent=AGENT,
        adapter="command",
        request_sha256=SHA256,
        sandbox="none",
    ),
    "an effect": lambda told: told.written("T-2"),
    "a task that is done": lambda told: told.closed("T-2"),
    "a task that is new": lambda told: told.then("task.create", task=definition("T-9")),
}


@pytest.mark.parametrize("what", BEGINS)
def test_nothing_new_begins_in_a_stopped_log(what: str) -> None:
    told = stopped()
    before = told.state
    with pytest.raises(ValueError, match=f"everything is stopped by {PERSON}"):
        BEGINS[what](told)
    assert told.state is before


def test_a_run_begins_by_an_admin_alone_and_the_stop_survives_it() -> None:
    told = stopped().then("run.end", run_id="RUN-0001", result="halted", reason="x")
    run: dict[str, Any] = {
        "run_id": "RUN-0002",
        "project": "example",
        "branch": "main",
        "base": OID,
        "contracts": [{"path": "AGENT_CONTRACT.yaml", "sha256": SHA256}],
        "tasks": [],
    }
    assert "stopped by" in str(told.refused("run.init", **run))
    told.then("run.init", PERSON, **run)
    assert told.state.stop.by == PERSON


def test_what_began_may_end_and_costs_no_attempt() -> None:
    told = stopped()
    told.update("T-1", "todo", "released", attempt_id="T-1-A1")
    assert told.task("T-1").attempts_used == 0

    told = stopped()
    told.later(40 * 60 * 1000).then("attempt.timeout", **told.here("T-1"), deadline=deadline(told))
    assert told.task("T-1").attempts_used == 0
    told.update("T-1", "todo", "timed_out", attempt_id="T-1-A1")

    told = stopped()
    told.result("T-1", ("b.md",)).then("note.add", PERSON, on="task", task_id="T-1", text="x")
    told.then("issue.report", AGENT, issue_id="ISS-0001", severity="low", title="x")
    told.then("verify.start", checked_from=1, checked_to=told.state.seq)
    told.then("run.end", run_id="RUN-0001", result="halted", reason="x")


def test_a_time_out_counts_again_once_it_is_resumed() -> None:
    told = stopped().then("run.resume", PERSON, **signed(2))
    told.later(40 * 60 * 1000).then("attempt.timeout", **told.here("T-1"), deadline=deadline(told))
    assert told.task("T-1").attempts_used == 1
