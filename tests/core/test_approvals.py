"""What people are asked for is given by different people, in time and for these bytes."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.events.approval import lacks
from esaa_git.core.invariants import Violation
from tests.support.examples import SHA256
from tests.support.story import PERSON, REVIEWED, Story, definition

ANN, BEN, CAROL = "ann@example.com", "ben@example.com", "carol@example.com"
TWO = {"rule": "two of them", "role": "approver", "count": 2}
ADMIN = {"rule": "an admin", "role": "admin"}
AGENT = {"rule": "its reviewer", "role": "reviewer"}
ANOTHER = {"rule": "somebody else", "role": "approver", "other_than": "starter"}


def asked(*required: dict[str, Any], **more: Any) -> Story:
    told = Story().started(definition()).attempt().result(paths=("a.txt",)).written()
    return told.asked(requirements=list(required), **more)


def state_of(told: Story) -> str:
    return told.state.approvals["APR-0001"].state


def wanted(told: Story) -> str:
    return lacks(told.state.approvals["APR-0001"])


def test_two_of_three_have_to_be_two() -> None:
    told = asked(TWO).granted(ANN)
    assert state_of(told) == "pending"
    assert wanted(told) == "one more of role approver (two of them)"
    for again in (ANN, "Ann@Example.com"):
        with pytest.raises(Violation, match="has decided on it already"):
            told.granted(again)
    assert state_of(told.granted(BEN)) == "granted"
    told.closed(cause="approved")


def test_each_requirement_is_met_by_its_own_role_and_one_person_may_meet_several() -> None:
    told = asked(TWO, ADMIN).granted(ANN).granted(BEN)
    assert state_of(told) == "pending"
    assert state_of(told.granted(CAROL, role="admin")) == "granted"
    told = asked(TWO, ADMIN).granted(CAROL, role="admin")
    assert state_of(told.granted(ANN)) == "granted"


def test_one_denial_ends_it() -> None:
    told = asked(TWO).granted(ANN).denied(BEN, verdict="deny")
    assert state_of(told) == "denied"
    with pytest.raises(Violation, match="is denied already"):
        told.granted(CAROL)
    told.update("T-1", "blocked", "denied", reason="no")
    assert told.task().result is None


def test_who_started_the_agent_counts_unless_somebody_else_is_asked_for() -> None:
    assert state_of(asked(ANOTHER, started_by=ANN).granted("ANN@example.com")) == "pending"
    assert (
        wanted(asked(ANOTHER, started_by=ANN))
        == f"one of role approver beside {ANN} (somebody else)"
    )
    assert state_of(asked(ANOTHER, started_by=ANN).granted(BEN)) == "granted"
    assert state_of(asked(TWO, started_by=ANN).granted(ANN).granted(BEN)) == "granted"


def test_the_agent_s_word_is_no_person_s() -> None:
    told = asked(AGENT, ADMIN)
    lent = {"approval_id": "APR-0001", "deadline": "2026-01-31T10:00:00.000Z"}
    sent = {**told.here(), "adapter": "x", "request_sha256": "0" * 64, "sandbox": "none"}
    told.then("orchestrator.dispatch", agent="judge", review=lent, **sent)
    said = {**told.here(), "approval_id": "APR-0001", "reviewer": "judge", "exchange": REVIEWED}
    told.then("review.result", **said, verdict="approve")
    assert state_of(told) == "pending"
    assert state_of(told.granted(ANN, role="admin")) == "granted"


def test_after_it_expired_nobody_decides_and_what_was_made_is_kept() -> None:
    told = asked(TWO, expires="2026-01-31T11:00:00.000Z")
    assert told.refused("approval.expire", approval_id="APR-0001").rule == "INV-002"
    told.granted(ANN).later(10 * 3_600_000)
    with pytest.raises(Violation, match="expired at"):
        told.granted(BEN)
    told.then("approval.expire", approval_id="APR-0001")
    told.update("T-1", "blocked", "unanswered", reason="nobody decided")
    assert (told.task().effect, told.task().attempts_used) == ("written", 1)
    told.update("T-1", "in_progress", "asked_again", by=PERSON).asked(nonce="1" * 32)
    told.granted(ANN, approval_id="APR-0002", nonce="1" * 32)  # what she said before is void
    assert told.state.approvals["APR-0002"].state == "granted"


@pytest.mark.parametrize(
    ("cause", "to"),
    [("denied", "blocked"), ("unanswered", "blocked"), ("changes_requested", "todo")],
)
def test_nothing_follows_from_what_nobody_decided(cause: str, to: str) -> None:
    told = asked(TWO)
    with pytest.raises(Violation, match="nobody decided so"):
        told.update("T-1", to, cause)
    with pytest.raises(Violation):
        told.update("T-1", "in_progress", "asked_again")


def written_anew(told: Story, *paths: str, sha: str = "b" * 40, mode: str = "100644") -> Story:
    files = [
        {
            "path": path,
            "change": "add",
            "mode": mode,
            "after": sha,
            "sha256": "c" * 64,
            "bytes": 3,
        }
        for path in paths
    ]
    more = {"base": "a" * 40, "merged_onto": "d" * 40, "changed_lines": 1}
    return told.then("orchestrator.file.write", **told.here(), files=files, **more)


def test_a_merge_that_leaves_the_files_as_they_are_keeps_the_approval() -> None:
    told = written_anew(asked(TWO).granted(ANN).granted(BEN), "a.txt", sha="a" * 40)
    assert state_of(told) == "granted"
    told.closed(cause="approved")


@pytest.mark.parametrize(
    "other",
    [
        {"sha": "b" * 40},
        {"sha": "a" * 40, "mode": "100755"},
        {"more": ("b.txt",), "sha": "a" * 40},
    ],
)
def test_a_merge_that_makes_them_others_voids_it(other: dict[str, Any]) -> None:
    told = asked(TWO).granted(ANN).granted(BEN)
    written_anew(told, "a.txt", *other.pop("more", ()), **other)
    assert (state_of(told), told.task().pending_approval) == ("void", None)
    with pytest.raises(Violation, match="is not approved"):
        told.closed(cause="approved")
    assert told.asked().task().pending_approval == "APR-0002"


def test_other_contracts_void_what_was_asked_and_granted_and_leave_what_was_denied() -> None:
    def renewed(told: Story, sha: str) -> Story:
        told.ended("halted")
        pins = [{"path": "AGENT_CONTRACT.yaml", "sha256": sha}]
        init = {"run_id": "RUN-0002", "project": "p", "branch": "main", "base": "a" * 40}
        return told.then("run.init", **init, contracts=pins, tasks=[])

    same, other = SHA256, "f" * 64
    assert state_of(renewed(asked(TWO).granted(ANN), same)) == "pending"
    for told in (asked(TWO), asked(TWO).granted(ANN).granted(BEN)):
        assert state_of(renewed(told, other)) == "void"
        with pytest.raises(Violation, match="is void already"):
            told.granted(CAROL)
    assert state_of(renewed(asked(TWO).denied(ANN), other)) == "returned"


def test_a_request_goes_with_its_attempt() -> None:
    told = asked(TWO).granted(ANN)
    told.update("T-1", "blocked", "issue", reason="it leaks")
    assert state_of(told) == "void"
