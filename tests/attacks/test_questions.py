"""Answers that nobody gave to what an agent asked: refused on append and by `verify` alike.

An approver's honest answer takes first. Then each attack is tried twice on the same log: through
our own writer, and past it, as one who holds the orchestrator's key would write it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from esaa_git.core.decision import SALT, salted
from esaa_git.core.event import NewEvent, seal
from esaa_git.core.events.fields import TEXT
from esaa_git.core.invariants import Violation
from esaa_git.core.projection import evolve
from esaa_git.core.refnames import INBOX, Name, inbox_ref
from esaa_git.errors import EsaaError
from esaa_git.hooks.commands import Command, Record
from esaa_git.hooks.inbox import check_entry
from esaa_git.store.objects import BLOB
from esaa_git.trust import roles
from esaa_git.verification.checks import EventChecker
from esaa_git.verification.failure import Failure
from esaa_git.verification.inbox import store
from esaa_git.verification.published import Unfounded
from tests.support.decisions import BOB, CAROL, EVE, STRANGER, Scene, build
from tests.support.logs import PERSON
from tests.support.records import new_event
from tests.support.team import LOG

QUESTION = b"Which of the two?"
OF_IT = bytes(range(32))
ASKED = {"question_id": "Q-0001", "question_sha256": salted(OF_IT, QUESTION)}
OTHER = {**ASKED, "question_sha256": salted(OF_IT, b"Drop the database?")}
ANSWER: dict[str, Any] = {
    "actor": BOB,
    "signer": BOB,
    "action": "question.answer",
    "recorded": "question.answer",
    "signed": ASKED,
    "arguments": {**ASKED, "task_id": "T-1001"},
    "text": b"The second one.",
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Return a log in which the agent of T-1001 has asked something."""
    found = build(tmp_path_factory.mktemp("questions"))
    made = found.made
    address = {"task_id": "T-1001", "attempt_id": made.open("T-1001")}
    said = {TEXT: made.repository.put(BLOB, QUESTION), SALT: made.repository.put(BLOB, OF_IT)}
    text = {"sha256": salted(OF_IT, QUESTION), "bytes": len(QUESTION), "blob": said[TEXT]}
    asked = {**address, "question_id": "Q-0001", "exchange": {"salt": said[SALT], "text": text}}
    made.emit("question.ask", "agent-impl", asked, exchange=said)
    block = {"from": "in_progress", "to": "blocked", "cause": "question", "reason": "asks Q-0001"}
    made.emit("task.update", "orchestrator", {**address, **block})
    made.record()
    found.start = made.tip
    return found


def checked(scene: Scene, commit: str) -> None:
    EventChecker(scene.made.repository.read, scene.start).check(commit)


def test_an_approvers_answer_is_taken_and_verified(scene: Scene) -> None:
    checked(scene, scene.asked(**ANSWER).write(scene.made.log.begin()))


def bent(document: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return document.replace(b'"nonce":"0', b'"nonce":"1'), signature


ATTACKS: dict[str, tuple[str, dict[str, Any]]] = {
    "a forged signature": ("bad", {"bend": bent}),
    "a stranger's key": ("unknown-key", {"signer": STRANGER}),
    "a contributor's": (
        "its role is contributor; approver is asked for",
        {"signer": CAROL, "actor": CAROL},
    ),
    "an admin who is no approver by name": ("it is the key of", {"signer": EVE}),
    "in an approver's name": ("it is the key of", {"signer": PERSON}),
    "of another log": ("is for the log", {"log_id": "f" * 32}),
    "a grant that is replayed as an answer": (
        "is for approval.grant",
        {"action": "approval.grant"},
    ),
    "signed for another question": (
        "about something else",
        {"signed": {**ASKED, "question_id": "Q-0002"}},
    ),
    "signed for other words under this id": ("about something else", {"signed": OTHER}),
    "a signature of a commit": ("wrong-namespace", {"namespace": "git"}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_answer_that_is_not_an_approvers_is_refused_everywhere(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, bend = ATTACKS[name]
    monkeypatch.setattr(scene.made.log.keys, "person", None, raising=False)
    before = scene.made.repository.ref_target(scene.made.log.ref)
    with pytest.raises(EsaaError) as caught:
        scene.asked(**{**ANSWER, **bend}).write(scene.made.log.begin())
    assert words in f"{caught.value.message} {caught.value.cause}"
    monkeypatch.setattr(roles.Authority, "check", lambda *_, **__: None)  # past our writer
    forged = scene.asked(**{**ANSWER, **bend}).write(scene.made.log.begin())
    with pytest.raises(Failure, match=words) as found:
        checked(scene, forged)
    assert found.value.check == 3
    assert scene.made.repository.ref_target(scene.made.log.ref) == before


@pytest.mark.parametrize("name", ["the same again", "another answer"])
def test_a_question_that_is_answered_takes_no_other_answer(scene: Scene, name: str) -> None:
    first = scene.asked(**ANSWER).event()
    state = evolve(scene.made.state, first)
    again = {"the same again": {}, "another answer": {"nonce": "2" * 32, "text": b"Neither."}}
    event = scene.asked(**{**ANSWER, **again[name]}).event()
    payload = json.loads(event.data)["payload"]
    new = new_event("question.answer", BOB, payload)
    with pytest.raises(Violation, match=r"taken this decision already|answered already"):
        evolve(state, seal(new, after_seq=state.seq, after_ts=state.ts, now=state.ts))


def test_words_of_an_answer_that_were_not_signed_are_found(scene: Scene) -> None:
    made = scene.made
    start = made.tip
    transaction = made.log.begin()
    commit = scene.asked(**ANSWER, kept_text=b"Neither.").write(transaction)
    with pytest.raises(Failure, match="words of the decision are not those") as found:
        EventChecker(made.repository.read, start).check(commit)
    assert found.value.check == 8


def test_of_two_answers_from_two_clones_the_inbox_keeps_the_first_that_is_recorded(
    scene: Scene,
) -> None:
    repository = scene.made.repository
    commands = []
    for nonce, person in (("1", BOB), ("2", EVE)):
        event = scene.asked(
            **{**ANSWER, "actor": person, "signer": person}, nonce=nonce * 32
        ).event()
        at, oid = store(repository, NewEvent(event.actor, event.payload))
        ref = inbox_ref(LOG, at.key, at.digest)
        commands.append(Record(Command(None, oid, ref), Name(INBOX, key=at.key, digest=at.digest)))
    for record in commands:
        check_entry(repository, record, None, scene.start, [record.command.ref])
    after = scene.asked(**ANSWER, nonce="1" * 32).write(scene.made.log.begin())
    for record, words in zip(commands, ("taken this decision", "answered already"), strict=True):
        with pytest.raises(Unfounded, match=words):
            check_entry(repository, record, None, after, [record.command.ref])
