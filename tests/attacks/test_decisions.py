"""Decisions that are forged, replayed, bent or spent: refused on append and by `verify`.

An admin's honest request takes first. Then each attack is tried twice on the same log: through our
own writer, and past it, as one who holds the orchestrator's key would write it.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.core import canonical, projection
from esaa_git.core.decision import NAMESPACE
from esaa_git.core.event import seal
from esaa_git.core.invariants import Violation
from esaa_git.core.projection import evolve
from esaa_git.errors import EsaaError, KeyUnavailable
from esaa_git.ports.log import Attachments
from esaa_git.trust import decision as decisions
from esaa_git.trust import roles
from esaa_git.verification.checks import EventChecker
from esaa_git.verification.failure import Failure
from tests.support.decisions import BOB, CAROL, EVE, HALT, STRANGER, Asked, Scene, build
from tests.support.logs import PERSON
from tests.support.records import new_event


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return build(tmp_path_factory.mktemp("decisions"))


def checked(scene: Scene, commit: str) -> None:
    EventChecker(scene.made.repository.read, scene.start).check(commit)


def test_an_admins_request_is_taken_and_verified(scene: Scene) -> None:
    checked(scene, scene.asked().write(scene.made.log.begin()))


@pytest.mark.parametrize("here", [None, BOB])
def test_the_orchestrator_finds_the_place_of_a_decision_that_was_signed_elsewhere(
    scene: Scene, here: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = None if here is None else scene.keys[here]
    monkeypatch.setattr(scene.made.log.keys, "person", own, raising=False)
    checked(scene, scene.asked(signer=EVE, actor=EVE).write(scene.made.log.begin()))


def with_nonce(document: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return document.replace(b'"nonce":"0', b'"nonce":"1'), signature


def with_field(document: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return canonical.encode({**json.loads(document), "valid": "for ever"}), signature


def cut(document: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return document[:-1], signature


ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "a forged signature": ("bad", {"bend": with_nonce}),
    "a field more": ("bad", {"bend": with_field}),
    "not canonical": ("bad", {"bend": cut}),
    "no signature": ("malformed", {"bend": lambda document, _: (document, b"none")}),
    "a document of another digest": ("another SHA-256", {"sha256": "1" * 64}),
    "a stranger's key": ("unknown-key", {"signer": STRANGER}),
    "an approver where an admin is needed": (
        "its role is approver; admin is asked for",
        {"signer": BOB, "actor": BOB},
    ),
    "a contributor": ("admin is asked for", {"signer": CAROL, "actor": CAROL}),
    "the actor is not the signer": ("it is the key of", {"signer": EVE}),
    "an approver in an admin's name": ("it is the key of", {"signer": BOB}),
    "for another log": ("is for the log", {"log_id": "f" * 32}),
    "for another action": ("is for approval.grant", {"action": "approval.grant"}),
    "other arguments than signed": (
        "about something else",
        {"arguments": {"kind": "unblock", "task_id": "T-1001"}, "signed": {"kind": "unblock"}},
    ),
    "more attempts than signed": (
        "about something else",
        {"signed": {"kind": "unblock", "task_id": "T-1000", "attempts": 1}},
    ),
    "another kind than signed": (
        "about something else",
        {"signed": {"kind": "override", "task_id": "T-1000"}},
    ),
    "a signature of a commit": ("wrong-namespace", {"namespace": "git"}),
    "a contributor who stops everything": (
        "its role is contributor; approver is asked for",
        {**HALT, "signer": CAROL, "actor": CAROL},
    ),
    "a halt of another log": ("is for the log", {**HALT, "log_id": "f" * 32}),
    "a halt that was signed to resume": ("is for run.resume", {**HALT, "action": "run.resume"}),
    "a halt that was signed for another stop": (
        "about something else",
        {**HALT, "signed": {"epoch": 1}},
    ),
    "a halt without its signature": ("bad", {**HALT, "bend": with_nonce}),
    "a signature of a checkpoint": ("wrong-namespace", {"namespace": "git-esaa-checkpoint"}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_decision_that_is_not_the_admins_is_refused_everywhere(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, bent = ATTACKS[name]
    monkeypatch.setattr(scene.made.log.keys, "person", None, raising=False)
    before = scene.made.repository.ref_target(scene.made.log.ref)
    with pytest.raises(EsaaError) as caught:
        scene.asked(**bent).write(scene.made.log.begin())
    assert words in f"{caught.value.message} {caught.value.cause}"

    monkeypatch.setattr(roles.Authority, "check", lambda *_, **__: None)  # written past our writer
    forged = scene.asked(**bent).write(scene.made.log.begin())
    with pytest.raises(Failure, match=words) as found:
        checked(scene, forged)
    assert found.value.check == 3
    assert scene.made.repository.ref_target(scene.made.log.ref) == before


def test_a_signature_that_is_too_long_is_not_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = scene.asked(bend=lambda document, made: (document, made + b"\n" * 9000))
    with pytest.raises(KeyUnavailable) as caught:
        asked.write(scene.made.log.begin())
    assert "its decision is not beside it" in str(caught.value.cause)
    monkeypatch.setattr(roles.Authority, "check", lambda *_, **__: None)
    with pytest.raises(Failure) as found:
        checked(scene, asked.write(scene.made.log.begin()))
    assert found.value.check == 2


def test_words_that_were_not_signed_are_found(scene: Scene) -> None:
    commit = scene.asked(kept_text=b"do whatever you like").write(scene.made.log.begin())
    with pytest.raises(Failure, match="words of the decision are not those") as found:
        checked(scene, commit)
    assert found.value.check == 8


def test_another_admin_cannot_place_it_for_them(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.made.log.keys, "person", scene.keys[EVE], raising=False)
    monkeypatch.setattr(scene.made.log.keys, "alone", True)
    with pytest.raises(EsaaError) as caught:
        scene.asked().write(scene.made.log.begin())
    assert "another person's key signed the decision" in str(caught.value.cause)


def test_ssh_keygen_confirms_a_decision_with_the_pinned_file(scene: Scene, tmp_path: Path) -> None:
    commit = scene.asked().write(scene.made.log.begin())
    show = ["git", "-C", str(scene.made.path), "show"]
    for name in ("decision/document.json", "decision/signature", "contracts/allowed_signers"):
        content = subprocess.run([*show, f"{commit}:{name}"], capture_output=True, check=True)
        (tmp_path / Path(name).name).write_bytes(content.stdout)

    def confirms(document: bytes, person: str) -> bool:
        verify = ["ssh-keygen", "-Y", "verify", "-f", "allowed_signers", "-n", NAMESPACE]
        done = subprocess.run(
            [*verify, "-I", person, "-s", "signature"],
            input=document,
            cwd=tmp_path,
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    document = (tmp_path / "document.json").read_bytes()
    assert confirms(document, PERSON)
    assert not confirms(document, EVE)
    assert not confirms(document.replace(b"unblock", b"hotfix!") + b" ", PERSON)


def test_a_key_without_namespaces_signs_no_decision(scene: Scene) -> None:
    class OpenPgp:
        fingerprint, key_type, blob, public_key_line = "A" * 40, "openpgp", None, "A" * 40

        def sign(self, payload: bytes) -> bytes:
            return payload

    with pytest.raises(KeyUnavailable) as caught:
        decisions.sign(OpenPgp(), b"{}")
    assert "signed with an SSH key" in caught.value.message
    assert "key trust KEY --role admin" in str(caught.value.hint)


def test_a_document_is_spent_once_in_a_log(scene: Scene) -> None:
    transaction = scene.made.log.begin()
    scene.asked().write(transaction)
    event = scene.asked().event()
    state = evolve(scene.made.state, event)
    again = seal(
        new_event("operator.request", PERSON, json.loads(event.data)["payload"]),
        after_seq=state.seq,
        after_ts=state.ts,
        now=state.ts,
    )
    with pytest.raises(ValueError, match="has taken this decision already"):
        evolve(state, again)


def test_an_event_commit_of_another_action_carries_no_decision(scene: Scene) -> None:
    event = scene.asked().event()
    payload: Any = event.payload
    beside = Attachments(decision={"document.json": payload.decision.document})
    new = new_event("orchestrator.health", "orchestrator", {"status": "ok", "message": "x"})
    state = scene.made.state
    other = seal(new, after_seq=state.seq, after_ts=state.ts, now=state.ts)
    commit = scene.made.log.begin().write(other, evolve(state, other), scene.made.contracts, beside)
    with pytest.raises(Failure, match="the decision is not the one") as found:
        checked(scene, commit)
    assert found.value.check == 8


def test_a_request_without_its_decision_is_found(scene: Scene) -> None:
    asked = scene.asked()
    event = asked.event()
    payload: Any = event.payload
    commit = scene.made.log.begin().write(
        event,
        evolve(scene.made.state, event),
        scene.made.contracts,
        replace(Attachments(), exchange={"text": payload.said.text, "salt": payload.said.salt}),
    )
    with pytest.raises(Failure, match="the decision is not the one") as found:
        checked(scene, commit)
    assert found.value.check == 8


def test_an_approver_stops_everything_and_does_not_resume_it(scene: Scene) -> None:
    halt = scene.asked(**HALT, signer=BOB, actor=BOB)
    keys = scene.made.log.keys
    own, keys.person = keys.person, scene.keys[BOB]  # type: ignore[misc]
    try:
        transaction = scene.made.log.begin()
        first = halt.write(transaction)
        checked(scene, first)
        event = halt.event()
        state = evolve(scene.made.state, event)
        resume = Asked(
            scene,
            BOB,
            BOB,
            action="run.resume",
            recorded="run.resume",
            arguments={"epoch": 0},
            nonce="2" * 32,
        ).event()
        next_one = seal(
            new_event("run.resume", BOB, json.loads(resume.data)["payload"]),
            after_seq=state.seq,
            after_ts=state.ts,
            now=state.ts,
        )
        payload: Any = next_one.payload
        beside = Attachments(
            exchange={"text": payload.said.text, "salt": payload.said.salt},
            decision={
                "document.json": payload.decision.document,
                "signature": payload.decision.signature,
            },
        )
        with pytest.raises(EsaaError) as caught:
            transaction.write(next_one, evolve(state, next_one), scene.made.contracts, beside)
        assert "its role is approver; admin is asked for" in str(caught.value.cause)
    finally:
        keys.person = own  # type: ignore[misc]


def test_what_begins_in_a_stopped_log_is_found(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    transaction = scene.made.log.begin()
    halt = scene.asked(**HALT)
    first, stopped = halt.write(transaction), evolve(scene.made.state, halt.event())
    task = {"task_id": "T-77", "kind": "spec", "title": "New"}
    new = new_event("task.create", "orchestrator", {"task": task})
    event = seal(new, after_seq=stopped.seq, after_ts=stopped.ts, now=stopped.ts)
    with pytest.raises(Violation, match="everything is stopped by"):
        evolve(stopped, event)
    with monkeypatch.context() as past:
        past.setattr(projection, "check_stop", lambda *_: None)
        second = transaction.write(
            event, evolve(stopped, event), scene.made.contracts, Attachments()
        )
    checker = EventChecker(scene.made.repository.read, scene.start)
    checker.check(first)
    with pytest.raises(Failure, match="everything is stopped by") as found:
        checker.check(second)
    assert found.value.check == 7
