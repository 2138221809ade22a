"""What a dispatch reserves is held, settled and corrected, on every account that it falls under."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esaa_git.core.accounts import NOTHING, Account, Amount, account_words
from esaa_git.core.projection import projection_hash
from esaa_git.core.state import State
from tests.support.examples import OID, SHA256
from tests.support.story import AGENT, PERSON, REVIEWED, Story, definition

ACCOUNTS = (
    "run.RUN-0001",
    "day.2026-01-31",
    "kind.RUN-0001.spec",
    f"agent.RUN-0001.{AGENT}",
    "task.T-1",
)
USAGE = {"input_tokens": 10, "output_tokens": 20, "cost_microdollars": 300}


def asked(told: Story, microdollars: int | None = 500, **more: Any) -> Story:
    reserves = {"microdollars": microdollars, "tokens": 40, "ms": 60_000}
    return told.then(
        "orchestrator.dispatch",
        **told.here(),
        adapter="command",
        request_sha256=SHA256,
        sandbox="none",
        reserves={name: held for name, held in reserves.items() if held is not None},
        **{"agent": AGENT, **more},
    )


def correction(event_id: str, microdollars: int) -> dict[str, Any]:
    decision = {"sha256": SHA256, "document": OID, "signature": OID}
    said = {"text": OID, "salt": OID}
    return {"event_id": event_id, "microdollars": microdollars, "decision": decision, "said": said}


def opened() -> Story:
    return Story().started(definition()).attempt()


def account(state: State) -> Account:
    """Return what all five accounts say; they say the same where there is one task."""
    found = {state.accounts[name] for name in ACCOUNTS}
    if len(found) == 1:
        return found.pop()
    raise AssertionError(found)


def test_a_dispatch_holds_what_it_reserves() -> None:
    told = asked(opened())
    assert account(told.state) == Account(reserved=Amount(500, 40, 1, 1, 60_000))
    assert told.state.open_reservations.of("T-1-A1") == (told.events[-1].event_id,)


def test_a_result_settles_at_what_it_reports() -> None:
    told = asked(opened()).result(usage=USAGE, latency_ms=7)
    assert account(told.state) == Account(spent=Amount(300, 30, 1, 1, 7))
    assert told.state.open_reservations.by_holder == ()


def test_what_nobody_reports_counts_at_its_whole_reservation_and_is_unknown() -> None:
    told = asked(opened()).later(1500)
    told.update("T-1", "todo", "released", attempt_id="T-1-A1")
    assert account(told.state) == Account(spent=Amount(500, 40, 1, 1, 1500), unknown=500)


def test_a_timeout_settles() -> None:
    told = asked(opened())
    deadline = told.task().attempt.deadline  # type: ignore[union-attr]
    told.later(31 * 60 * 1000).then("attempt.timeout", **told.here(), deadline=deadline)
    assert account(told.state).spent.microdollars == 500


def test_a_dispatch_that_is_sent_again_reserves_for_itself_and_is_one_attempt() -> None:
    told = asked(asked(opened()))
    assert account(told.state).reserved == Amount(1000, 80, 2, 1, 120_000)
    told.result(usage=USAGE, latency_ms=7)
    assert account(told.state) == Account(spent=Amount(800, 70, 2, 1, 7), unknown=500)


def test_the_hash_of_the_projection_does_not_depend_on_how_often_it_was_sent() -> None:
    calm, killed = asked(opened()), asked(asked(opened()))
    assert projection_hash(calm.state) == projection_hash(killed.state)
    for told in (calm, killed):
        told.result(usage=USAGE)
    assert projection_hash(calm.state) == projection_hash(killed.state)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run.RUN-0001", "RUN-0001"),
        ("day.2026-01-31", "2026-01-31 (UTC)"),
        ("kind.RUN-0001.spec", "kind 'spec'"),
        ("agent.RUN-0001.a.b", "agent 'a.b'"),
        ("task.T-1", "task 'T-1'"),
    ],
)
def test_an_account_is_told_in_words(name: str, words: str) -> None:
    assert account_words(name) == words


def test_a_log_without_reservations_has_no_accounts() -> None:
    told = opened().result(usage=USAGE)
    assert dict(told.state.accounts) == {}
    assert not any("budget" in str(key) or "accounts" in str(key) for key in told.state.touched)


def test_more_than_was_reserved_is_an_overrun_that_waits_for_somebody() -> None:
    told = asked(opened(), 200)
    dispatch = told.events[-1].event_id
    told.result(usage=USAGE)
    mine = told.state.accounts[f"agent.RUN-0001.{AGENT}"]
    assert (mine.overrun.microdollars, mine.overrun_by) == (100, dispatch)
    assert told.state.accounts["run.RUN-0001"].overrun_by is None
    told.then("budget.correct", PERSON, **correction(dispatch, 300))
    mine = told.state.accounts[f"agent.RUN-0001.{AGENT}"]
    assert (mine.spent.microdollars, mine.overrun_by) == (300, None)


def test_an_admin_corrects_what_is_unknown_with_evidence() -> None:
    told = asked(opened())
    dispatch = told.events[-1].event_id
    assert "not settled yet" in str(
        told.refused("budget.correct", PERSON, **correction(dispatch, 1))
    )
    told.update("T-1", "todo", "released", attempt_id="T-1-A1")
    told.then("budget.correct", PERSON, **correction(dispatch, 120))
    assert account(told.state) == Account(spent=Amount(120, 40, 1, 1, 0))
    assert told.state.reservations[dispatch].corrected_by == told.events[-1].event_id


def test_a_correction_of_nothing_is_refused() -> None:
    refused = opened().refused("budget.correct", PERSON, **correction("EV-00000001", 1))
    assert "nothing was reserved" in str(refused)


def settled(**more: Any) -> dict[str, Any]:
    return {
        "source_sha256": SHA256,
        "agent": AGENT,
        "ts": "2026-01-30T23:59:59.000Z",
        "kind": "spec",
        "task_id": "T-1",
        "microdollars": 70,
        "reserves": {"microdollars": 50},
        **more,
    }


def test_a_superseded_dispatch_is_settled_once_on_its_own_day() -> None:
    told = opened().then("settle", **settled())
    day = told.state.accounts["day.2026-01-30"]
    assert (day.spent.microdollars, day.overrun.microdollars) == (70, 20)
    assert told.state.accounts["run.RUN-0001"].spent == Amount(70, 0, 1)
    assert "has settled this dispatch already" in str(told.refused("settle", **settled()))
    told.refused("settle", **settled(source_sha256="c" * 64, ts="2027-01-01T00:00:00.000Z"))


def reviewed(told: Story) -> Story:
    """A result waits for its reviewer, who was asked under a budget."""
    told.result(usage=USAGE).asked()
    until = "2026-01-31T09:20:00.000Z"
    return asked(told, agent="agent-qa", review={"approval_id": "APR-0001", "deadline": until})


@pytest.mark.parametrize("decide", [Story.granted, Story.denied])
def test_a_person_who_is_quicker_settles_what_the_reviewer_was_asked(
    decide: Callable[[Story], Story],
) -> None:
    told = reviewed(asked(opened()))
    assert told.state.open_reservations.of("APR-0001")
    decide(told)
    assert told.state.open_reservations.by_holder == ()
    review = told.state.accounts["agent.RUN-0001.agent-qa"]
    assert (review.spent.microdollars, review.spent.attempts, review.unknown) == (500, 0, 500)


def test_a_review_settles_at_what_it_reports_and_is_no_attempt() -> None:
    told = reviewed(asked(opened()))
    told.then(
        "review.result",
        **told.here(),
        approval_id="APR-0001",
        reviewer="agent-qa",
        verdict="approve",
        exchange=REVIEWED,
        usage={"cost_microdollars": 9},
    )
    assert told.state.accounts["agent.RUN-0001.agent-qa"].spent.microdollars == 9
    assert told.state.accounts["agent.RUN-0001.agent-qa"].reserved == NOTHING
    assert told.state.accounts["task.T-1"].spent.calls == 2
