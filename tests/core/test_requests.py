"""What an admin asks for is carried out as it was asked, and once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from esaa_git.core.draft import Draft
from esaa_git.core.event import seal
from esaa_git.core.events import spec
from esaa_git.core.events.base import Stamp
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.events.fields import Decided, Said
from esaa_git.core.invariants import Violation
from esaa_git.core.projection import evolve
from tests.support.examples import OID, SHA256
from tests.support.records import new_event
from tests.support.story import PERSON, Story, definition

ADMIN = PERSON
BLOB = "0" * 40


def blocked() -> Story:
    """T-1 and T-3 are blocked, T-2 because of T-1 alone, and T-0 is done."""
    told = Story().started(
        definition("T-0"),
        definition("T-1"),
        definition("T-2", depends_on=["T-1"]),
        definition("T-3"),
    )
    told.done("T-0", "a")
    for task_id in ("T-1", "T-3"):
        told.update(task_id, "blocked", "issue", reason="x")
    return told.update("T-2", "blocked", "dependency", blocked_by="T-1")


def asked(told: Story, kind: str, document: str = "1", **arguments: Any) -> str:
    """Record a request and return its id."""
    decision = {"sha256": document.rjust(64, "0"), "document": BLOB, "signature": BLOB}
    said = {"text": BLOB, "salt": BLOB}
    told.then("operator.request", ADMIN, kind=kind, **arguments, decision=decision, said=said)
    return told.events[-1].event_id


def carry(told: Story, request: str | None, action: str, **payload: Any) -> None:
    """Record an event that carries out a request; nothing changes where it is refused."""
    new = replace(new_event(action, "orchestrator", payload), causation_id=request)
    event = seal(new, after_seq=told.state.seq, after_ts=told.state.ts, now=told.now)
    told.state = evolve(told.state, event)
    told.events.append(event)


def freed(task_id: str, **more: Any) -> dict[str, Any]:
    update = {"task_id": task_id, "from": "blocked", "to": "todo", "cause": "operator"}
    return {**update, "by": ADMIN, **more}


def test_a_request_frees_a_task_and_those_that_were_blocked_because_of_it() -> None:
    told = blocked()
    request = asked(told, "unblock", task_id="T-1")
    assert told.state.run.requests == (request,)
    carry(told, request, "task.update", **freed("T-1"))
    carry(told, request, "task.update", **freed("T-2"))
    assert [told.task(name).state for name in ("T-1", "T-2", "T-3")] == ["todo", "todo", "blocked"]
    assert told.state.run.requests == ()
    assert told.state.requests[request].carried_out == told.state.seq


@pytest.mark.parametrize(
    "payload",
    [
        freed("T-3"),
        freed("T-2"),
        freed("T-1", attempts_allowed=9),
        freed("T-1", by="eve@example.com"),
        {"task_id": "T-3", "from": "blocked", "to": "blocked", "cause": "amended", "by": ADMIN},
        {
            "task_id": "T-1",
            "from": "blocked",
            "to": "blocked",
            "cause": "amended",
            "by": ADMIN,
            "changes": {"attempts_allowed": 2, "title": "Another"},
        },
    ],
    ids=["another", "a dependent first", "attempts", "by another", "amended", "more than attempts"],
)
def test_another_thing_than_was_asked_for_is_not_carried_out(payload: dict[str, Any]) -> None:
    told = blocked()
    request = asked(told, "unblock", task_id="T-1", attempts=2)
    with pytest.raises(Violation, match=f"the request {request} is another one"):
        carry(told, request, "task.update", **payload)
    carry(told, request, "task.update", **freed("T-1", attempts_allowed=2))


KINDS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "hotfix": (
        "hotfix",
        {"supersedes": "T-0", "task": definition("T-9")},
        "task.create",
        {"task": definition("T-9"), "supersedes": "T-0", "by": ADMIN},
    ),
    "override": (
        "override",
        {"task_id": "T-0"},
        "emergency.override",
        {"task_id": "T-0", "reason": "no", "by": ADMIN},
    ),
    "relink": (
        "relink",
        {"links": [{"task_id": "T-0", "effect_commit": OID, "reached_by": "a" * 40}]},
        "orchestrator.view.mutate",
        {
            "view": "effect",
            "task_id": "T-0",
            "effect_commit": OID,
            "reached_by": "a" * 40,
            "text": "relinked",
        },
    ),
    "accept": (
        "accept",
        {"commit": "a" * 40},
        "orchestrator.view.mutate",
        {
            "view": "effect",
            "task_id": "T-0",
            "effect_commit": OID,
            "reached_by": "a" * 40,
            "text": "accepted",
            "how": "accepted",
            "accepted_by": ADMIN,
        },
    ),
}
OTHER: dict[str, dict[str, Any]] = {
    "hotfix": {"task": definition("T-9", writes=["**"])},
    "override": {"by": "eve@example.com"},
    "relink": {"reached_by": "b" * 40},
    "accept": {"reached_by": "b" * 40},
    "an acceptance": {"accepted_by": "eve@example.com"},
    "a link": {"how": "accepted", "accepted_by": ADMIN},
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_carried_out_as_it_was_asked_for_and_once(name: str) -> None:
    kind, arguments, action, payload = KINDS[name]
    told = blocked()
    request = asked(told, kind, **arguments)
    with pytest.raises(Violation, match="is another one"):
        carry(told, request, action, **{**payload, **OTHER[name]})
    carry(told, request, action, **payload)
    told.then("orchestrator.health", status="ok", message="in between")
    with pytest.raises(Violation, match=r"carried out already|exists already|superseded already"):
        carry(told, request, action, **payload)


@pytest.mark.parametrize(("name", "other"), [("accept", "an acceptance"), ("relink", "a link")])
def test_an_acceptance_is_the_admins_who_asked(name: str, other: str) -> None:
    kind, arguments, action, payload = KINDS[name]
    told = blocked()
    request = asked(told, kind, **arguments)
    with pytest.raises(Violation, match="is another one"):
        carry(told, request, action, **{**payload, **OTHER[other]})


@pytest.mark.parametrize("name", ["hotfix", "override", "accept"])
def test_what_a_person_alone_decides_is_unlawful_without_a_request(name: str) -> None:
    _, _, action, payload = KINDS[name]
    with pytest.raises(Violation, match="nobody has asked for this"):
        carry(blocked(), None, action, **payload)


def test_nobody_unblocks_without_a_request() -> None:
    with pytest.raises(Violation, match="nobody has asked for this"):
        carry(blocked(), None, "task.update", **freed("T-1"))


@pytest.mark.parametrize("name", ["EV-00000001", "EV-00000099", "1", "me"])
def test_a_request_that_is_none_makes_nothing_lawful(name: str) -> None:
    with pytest.raises(Violation, match="there is no request"):
        carry(blocked(), name, "task.update", **freed("T-1"))


def test_a_request_of_another_kind_makes_nothing_lawful() -> None:
    told = blocked()
    request = asked(told, "override", task_id="T-0")
    with pytest.raises(Violation, match="it asks to override"):
        carry(told, request, "task.update", **freed("T-1"))


def test_a_request_is_spent_with_the_first_event_that_is_not_its_own() -> None:
    told = blocked()
    request = asked(told, "unblock", task_id="T-1")
    carry(told, request, "task.update", **freed("T-1"))
    told.then("orchestrator.health", status="ok", message="in between")
    with pytest.raises(Violation, match=f"{request} was carried out already"):
        carry(told, request, "task.update", **freed("T-2"))


def test_a_request_that_is_open_waits_for_the_orchestrator() -> None:
    told = blocked()
    request = asked(told, "unblock", task_id="T-1")
    told.then("orchestrator.health", status="ok", message="in between")
    other = asked(told, "override", "2", task_id="T-0")
    assert told.state.run.requests == (request, other)
    carry(told, request, "task.update", **freed("T-1"))
    assert told.state.run.requests == (other,)


def test_a_task_is_freed_once_for_each_request() -> None:
    told = blocked()
    request = asked(told, "unblock", task_id="T-1")
    carry(told, request, "task.update", **freed("T-1"))
    carry(told, request, "task.update", **freed("T-2"))
    told.update("T-1", "blocked", "issue", reason="again")
    with pytest.raises(Violation, match="was carried out already"):
        carry(told, request, "task.update", **freed("T-1"))


def test_a_document_is_taken_once() -> None:
    told = blocked()
    asked(told, "unblock", task_id="T-1")
    for kind, arguments in (("unblock", {"task_id": "T-1"}), ("override", {"task_id": "T-0"})):
        with pytest.raises(Violation, match="has taken this decision already"):
            asked(told, kind, **arguments)


@pytest.mark.parametrize("actor", ["orchestrator", "agent-spec", "policy-guard"])
def test_a_request_is_a_persons(actor: str) -> None:
    parts = {"sha256": SHA256, "document": BLOB, "signature": BLOB}
    payload = {"kind": "unblock", "task_id": "T-1", "decision": parts}
    payload["said"] = {"text": BLOB, "salt": BLOB}
    assert "has no authority" in str(blocked().refused("operator.request", actor, **payload))


class Optional(DecisionPayload):
    """An action that may come without a document."""

    action = "operator.request"
    actors = frozenset({spec.PERSON})
    decision: Decided | None = None
    said: Said | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        pass


def test_a_document_and_its_words_go_together_and_count_for_any_action() -> None:
    told = blocked()
    asked(told, "unblock", task_id="T-1")
    event, before = told.events[-1], replace(told.state, seq=told.state.seq - 1)
    decision = Decided(sha256="2" * 64, document=BLOB, signature=BLOB)
    said = Said(text=BLOB, salt=BLOB)
    assert len(evolve(before, replace(event, payload=Optional())).decisions) == 1  # type: ignore[arg-type]
    both = Optional(decision=decision, said=said)
    taken = evolve(before, replace(event, payload=both))  # type: ignore[arg-type]
    assert taken.decisions["2" * 64].by == ADMIN
    for half in (Optional(decision=decision), Optional(said=said)):
        with pytest.raises(Violation, match="go together"):
            evolve(before, replace(event, payload=half))  # type: ignore[arg-type]
