"""Digests of what was said: under which salt, where there is none, and what they tell apart."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256

import pytest

from esaa_git.core import canonical
from esaa_git.core.contracts import STORAGE_POLICY
from esaa_git.core.events import AgentResult, Dispatch, OutputRejected
from esaa_git.core.said import GONE, decode
from esaa_git.engine.commit import admit
from esaa_git.engine.cycle import Options
from esaa_git.engine.exchange import AgentOutput
from esaa_git.engine.proposer import dispatch
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import in_turn, oblige
from esaa_git.testing.contracts import contracts, task
from esaa_git.testing.engine import MemoryEngine, engine


def world(how: str = "digest", *answers: object) -> MemoryEngine:
    policy = {(STORAGE_POLICY, "exchange", side): how for side in ("request", "response")}
    made = engine(given=contracts(policy))
    if answers:
        made.answering[""] = in_turn(*answers)  # type: ignore[arg-type]
    made.apply(task())
    return made


def with_key(asked: Request, key: str) -> bytes:
    return canonical.encode({**json.loads(oblige(asked)), "idempotency_key": key})


def payloads(made: MemoryEngine, kind: type) -> list:  # type: ignore[type-arg]
    return [event.payload for event in made.events if isinstance(event.payload, kind)]


def carried(made: MemoryEngine) -> dict[str, Mapping[str, bytes]]:
    """Return what stands in `exchange/` beside the last event of each action."""
    return {
        stored.event.action: {
            name: made.repository.blobs[oid]
            for name, oid in made.log.recorded[stored.commit].attachments.exchange.items()
        }
        for stored in made.log.events()
    }


def test_what_is_said_in_an_attempt_is_told_under_the_salt_of_its_dispatch() -> None:
    made = world("digest", lambda _: b"no answer", oblige)
    made.run()
    asked, refused = payloads(made, Dispatch), payloads(made, OutputRejected)
    (done,) = payloads(made, AgentResult)
    salts = [made.repository.blobs[one.exchange.salt] for one in asked]
    assert [len(salt) for salt in salts] == [32, 32]
    assert salts[0] != salts[1]
    assert [one.exchange.salt for one in (*refused, done)] == [one.exchange.salt for one in asked]
    assert refused[0].output.sha256 == sha256(salts[0] + b"no answer").hexdigest()
    for salt, one, request in zip(salts, asked, made.requests, strict=True):
        assert one.request_sha256 == sha256(salt + request.sent).hexdigest()
    assert done.output_sha256 == done.exchange.response.sha256
    beside = carried(made)
    assert beside["orchestrator.dispatch"] == beside["agent.result"] == {"salt": salts[1]}


def test_where_nothing_is_kept_there_is_neither_digest_nor_salt_but_of_a_refusal() -> None:
    """The next attempt is told why, so that is kept whatever the policy says."""
    made = world("none", lambda _: b"no answer", oblige)
    made.run()
    (refused,), (done,) = payloads(made, OutputRejected), payloads(made, AgentResult)
    assert (refused.output.sha256, done.output_sha256) == (None, None)
    assert {one.request_sha256 for one in payloads(made, Dispatch)} == {None}
    beside = carried(made)
    said = beside.pop("output.rejected")
    assert not any(beside.values())
    part = refused.exchange.refusal
    assert set(said) == {"salt", "refusal.json"}
    assert part.sha256 == sha256(said["salt"] + said["refusal.json"]).hexdigest()
    assert made.view(1)["last_rejection"]["message"] == decode(said["refusal.json"]).message


@pytest.mark.parametrize("how", ["full", "digest", "none"])
def test_no_word_of_a_refused_answer_stands_in_an_event_or_in_the_state(how: str) -> None:
    made = world(how, lambda _: b"xyzzy is no answer", oblige)
    made.run(Options(steps=1))
    assert made.refusals[0].preview == "xyzzy is no answer"
    assert not any(b"xyzzy" in event.data for event in made.events)
    assert b"xyzzy" not in canonical.encode(made.task("T-1").to_json())


def test_where_the_words_of_a_refusal_are_gone_the_next_attempt_is_told_its_code() -> None:
    made = world("digest", lambda _: b"no answer", oblige)
    made.run(Options(steps=1))
    del made.repository.blobs[payloads(made, OutputRejected)[0].exchange.refusal.blob]
    made.run()
    told = made.view(1)["last_rejection"]
    assert (told["code"], told["message"]) == ("INVALID_JSON", GONE)
    assert made.task("T-1").is_done


@pytest.mark.parametrize("how", ["digest", "none"])
def test_an_answer_given_again_is_known_by_the_salted_digest_of_its_key(how: str) -> None:
    made = world(how)
    made.apply(task("T-2"))
    key = "a1b2c3d4"
    made.answering[""] = lambda asked: with_key(asked, key)
    made.run(Options(task_id="T-1"))
    (done,) = payloads(made, AgentResult)
    salt = made.repository.blobs[done.exchange.salt]
    assert done.idempotency_sha256 == sha256(salt + key.encode()).hexdigest()
    assert not any(key.encode() in event.data for event in made.events)
    for said, kind in ((with_key(made.requests[0], key), "repeated"), (b"?", "rejected")):
        again = AgentOutput(Answer(said + b" ", 0), "agent-spec", None, "T-1", "T-1-A1")
        assert admit(made, again).kind == kind
    other = AgentOutput(
        Answer(with_key(made.requests[0], "other"), 0), "agent-spec", None, "T-1", "T-1-A1"
    )
    assert admit(made, other).kind == "rejected"


@pytest.mark.parametrize(("is_there", "times"), [(True, 1), (False, 2)])
def test_a_request_is_known_again_under_its_salt(is_there: bool, times: int) -> None:
    """Where the salt is gone it is not comparable, and what is asked is recorded anew."""
    made = world()
    opened = dispatch(made, made.task("T-1"), None)
    made.registry.orphans.append(opened.attempt_id)  # type: ignore[attr-defined]
    if not is_there:
        del made.repository.blobs[payloads(made, Dispatch)[0].exchange.salt]
    made.run()
    assert len(payloads(made, Dispatch)) == times
    assert (
        payloads(made, AgentResult)[0].exchange.salt == payloads(made, Dispatch)[-1].exchange.salt
    )


def test_an_answer_given_again_is_known_by_its_digest() -> None:
    made = world()
    made.apply(task("T-2"))
    made.run(Options(task_id="T-1"))
    said = oblige(made.requests[0])
    again = AgentOutput(Answer(said, 0), "agent-spec", None, "T-1", "T-1-A1")
    assert admit(made, again).kind == "repeated"
    other = AgentOutput(Answer(said + b" ", 0), "agent-spec", None, "T-1", "T-1-A1")
    assert admit(made, other).kind == "rejected"
