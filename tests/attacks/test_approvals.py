"""Approvals that nobody gave: refused on append, by the hook and by `verify` alike.

Two of three people have to agree to a result. An honest grant takes; then each attack is made twice
on the same log: through the transaction that every command goes through, and past it, as one who
holds the orchestrator's key would write it. Hook and `verify` ask the same `EventChecker`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from esaa_git.core import canonical, contract_rules
from esaa_git.core.approvals import subject
from esaa_git.core.attachments import kept_decision, kept_exchange
from esaa_git.core.canonical import digest
from esaa_git.core.decision import NAMESPACE, Document, salted
from esaa_git.core.entries import Requirement
from esaa_git.core.event import Event, after, instant, seal
from esaa_git.core.events.base import encode
from esaa_git.core.projection import evolve
from esaa_git.core.requirements import requirements
from esaa_git.core.state import State
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import EsaaError
from esaa_git.ports.files import FileEntry
from esaa_git.ports.log import Attachments
from esaa_git.store.objects import BLOB
from esaa_git.trust import roles
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import load_signer
from esaa_git.trust.signer import KeySpec, SigningKeys, SshSigner
from esaa_git.verification.checks import EventChecker
from esaa_git.verification.failure import Failure
from tests.support.logs import LOG_ID, PERSON, MadeLog, default_contracts, make_log, write_key
from tests.support.records import new_event

ANN, BEN, BEN_TWICE = "ann@example.com", "ben@example.com", "ben@example.com/2"
CAROL, DAN, FORMER = "carol@example.com", "dan@example.com", "former@example.com"
STRANGER = "stranger@example.com"
ROLE = {CAROL: "contributor", FORMER: "approver", ANN: "approver", BEN: "approver", DAN: "admin"}
ORCHESTRATOR = "orchestrator"
TEXT, SALT = b"I looked", bytes(32)
OTHER = b"something else\n"
TWO = (Requirement("two of them", "approver", 2),)


@dataclass
class Scene:
    """A log in which ANN has granted what T-1000 waits for, and everybody's keys."""

    made: MadeLog
    keys: dict[str, SshSigner]
    start: str

    @property
    def state(self) -> State:
        return self.made.state

    def now(self, later: timedelta = timedelta()) -> datetime:
        return instant(self.state.ts) + later

    def append(self, said: Said) -> None:
        """Append through the transaction of every command; an orchestrator's key signs."""
        new = said.new(self)
        tx = Transaction(self.made.log.begin(), self.state, self.made.contracts, self.now(said.at))
        tx.record(new)

    def forge(self, said: Said) -> str:
        """Write the event past our own code, and return its commit."""
        new = said.new(self)
        now = after(self.state.ts, int(said.at.total_seconds() * 1000))
        event = seal(new, after_seq=self.state.seq, after_ts=self.state.ts, now=now)
        try:
            state = evolve(self.state, event)
        except ValueError:
            state = self.state
        beside = said.beside(self, event)
        return self.made.log.begin().write(event, state, self.made.contracts, beside)


@dataclass
class Said:
    """An event that an attacker bends; what is left out is as in the honest grant of BEN."""

    signer: str = BEN
    actor: str = ""
    action: str = "approval.grant"
    what: Mapping[str, Any] = field(default_factory=lambda: {"role": "approver"})
    signed: Mapping[str, Any] | None = None
    payload: Callable[[Scene], dict[str, Any]] | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)
    log_id: str = LOG_ID
    signed_action: str = ""
    namespace: str = NAMESPACE
    nonce: str = ""
    bend: Callable[[bytes, bytes], tuple[bytes, bytes]] = lambda document, made: (document, made)
    kept_text: bytes = TEXT
    subject: bytes | None = None
    at: timedelta = timedelta(seconds=1)

    def new(self, scene: Scene) -> Any:
        if self.payload is not None:
            return new_event(self.action, self.actor or ORCHESTRATOR, self.payload(scene))
        given = {**about(scene.state, "APR-0001"), **self.asked}
        put = scene.made.repository.put
        arguments = {**given, **self.what}
        arguments.pop("approval_id")
        signed = canonical.encode({**arguments, **(self.signed or {})})
        document, made = self.bend(*self.document(scene, digest(signed)))
        decision = {
            "sha256": digest(document),
            "document": put(BLOB, document),
            "signature": put(BLOB, made),
        }
        said = {"text": put(BLOB, self.kept_text), "salt": put(BLOB, SALT)}
        more = {"decision": decision, "said": said}
        actor = self.actor or self.signer.partition("/")[0]
        return new_event(self.action, actor, {**given, **self.what, **more})

    def document(self, scene: Scene, subject_sha256: str) -> tuple[bytes, bytes]:
        action = self.signed_action or self.action
        words = salted(SALT, TEXT)
        nonce = self.nonce or digest(self.signer.encode())[:32]
        document = Document(self.log_id, action, subject_sha256, nonce, words).encode()
        return document, scene.keys[self.signer].sign(document, namespace=self.namespace)

    def beside(self, scene: Scene, event: Event) -> Attachments:
        payload: Any = event.payload
        files = {
            file.path: FileEntry(file.mode, file.after) for file in getattr(payload, "files", ())
        }
        found = self.subject
        if found is None and event.action == "approval.request":
            found = subject(LOG_ID, scene.state, payload.task_id, TWO)
        return Attachments(files, kept_exchange(payload), kept_decision(payload), found)


def about(state: State, approval_id: str) -> dict[str, Any]:
    asked = state.approvals[approval_id]
    return {
        "approval_id": approval_id,
        "subject_sha256": asked.subject_sha256,
        "nonce": asked.nonce,
    }


def worked(made: MadeLog, task_id: str) -> None:
    """Have a task worked on, so that people have to be asked."""
    attempt_id = made.open(task_id)
    address = {"task_id": task_id, "attempt_id": attempt_id}
    path, data = f"src/{task_id}.txt", b"as agreed\n"
    result = {"summary": "x", "paths": [path]}
    made.emit("agent.result", "agent-impl", {**address, **result})
    oid = made.repository.put(BLOB, data)
    made.emit(
        "orchestrator.file.write",
        ORCHESTRATOR,
        {**address, "base": made.branch_tip, "files": [added(path, oid, data)], "changed_lines": 1},
        files={path: FileEntry("100644", oid)},
    )


def added(path: str, oid: str, data: bytes) -> dict[str, Any]:
    size = {"sha256": digest(data), "bytes": len(data)}
    return {"path": path, "change": "add", "mode": "100644", "after": oid, **size}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Plan and contracts ask for one person; where two are asked for, a rule of policy does."""
    folder = tmp_path_factory.mktemp("approvals")
    public = write_key(folder / ORCHESTRATOR)
    keys: dict[str, Any] = {ORCHESTRATOR: load_signer(KeySpec("ssh", str(folder / ORCHESTRATOR)))}
    lines = ""
    for number, name in enumerate((ANN, BEN, BEN_TWICE, CAROL, DAN, FORMER, STRANGER), 64):
        line = write_key(folder / str(number), bytes([number]) * 32)
        keys[name] = load_signer(KeySpec("ssh", str(folder / str(number))))
        person = name.partition("/")[0]
        if person in ROLE:
            admitted = allowed_signers_line((person, ROLE[person]), line)
            ended = admitted.replace(" namespaces=", ' valid-before="20251231",namespaces=')
            lines += (ended if person == FORMER else admitted) + "\n"
    honest = default_contracts(public)
    swarm = honest.files["agents_swarm.yaml"].replace(
        b"  agent-impl:\n", b"  agent-impl:\n    stands_for: dan@example.com\n"
    )
    changed = {
        "allowed_signers": honest.files["allowed_signers"] + lines.encode(),
        "agents_swarm.yaml": swarm,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contract_rules, "requirements", two_of_them)
        patch.setattr("tests.support.logs.requirements", two_of_them)
        given = default_contracts(public, changed=changed)
        made = make_log(folder / "log", tasks=3, done=0, review=True, contracts=given)
        for task_id in ("T-1000", "T-1001", "T-1002"):
            worked(made, task_id)
        for task_id in ("T-1000", "T-1001"):
            made.ask(task_id)
        made.record()
        keys[PERSON] = made.log.keys.person
        made.log.keys = SigningKeys(lambda: keys[ORCHESTRATOR])
        granted = Said(signer=ANN).new(Scene(made, keys, made.tip))
        made.emit(granted.action, ANN, encode(granted.payload))
        made.record()
        yield Scene(made, keys, made.tip)


def two_of_them(task: Any, contracts: Any) -> tuple[Requirement, ...]:
    return TWO if requirements(task, contracts) else ()


def checked(scene: Scene, commit: str) -> None:
    EventChecker(scene.made.repository.read, scene.start).check(commit)


def with_nonce(document: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return document.replace(b'"nonce":"', b'"nonce":"0', 1)[:-1] + b"\n", signature


def taken_already(scene: Scene) -> dict[str, Any]:
    """The very grant of ANN once more."""
    last = scene.made.events[-1]
    return encode(last.payload)


def request(**bent: Any) -> Callable[[Scene], dict[str, Any]]:
    def payload(scene: Scene) -> dict[str, Any]:
        asked = scene.state.approvals["APR-0001"]
        given = {
            "approval_id": "APR-0003",
            "kind": "proposal",
            "task_id": "T-1002",
            "attempt_id": "T-1002-A1",
            "subject_sha256": digest(subject(LOG_ID, scene.state, "T-1002", TWO)),
            "requirements": [one.to_json() for one in TWO],
            "nonce": "f" * 32,
            "expires": asked.expires,
        }
        return {**given, **bent}

    return payload


def closing(cause: str, to: str, task_id: str = "T-1000") -> Callable[[Scene], dict[str, Any]]:
    def payload(_: Scene) -> dict[str, Any]:
        here = {"task_id": task_id, "attempt_id": f"{task_id}-A1"}
        effect = {"effect_commit": "e" * 40} if to == "done" else {}
        return {**here, "from": "in_progress", "to": to, "cause": cause, **effect}

    return payload


def expired(scene: Scene) -> dict[str, Any]:
    return {"approval_id": "APR-0001"}


def retargeted(scene: Scene) -> dict[str, Any]:
    """What ANN said of APR-0001, as if she had said it of APR-0002."""
    return {**taken_already(scene), "approval_id": "APR-0002"}


BY_US: dict[str, Any] = {"signer": ORCHESTRATOR, "actor": ORCHESTRATOR}
ASKED = {**BY_US, "action": "approval.request"}
LATE = timedelta(days=15)
DENIED = {"action": "approval.deny", "what": {"verdict": "request_changes"}}

ATTACKS: dict[str, tuple[int, str, dict[str, Any]]] = {
    "a forged signature": (3, "bad", {"bend": with_nonce}),
    "no signature": (3, "malformed", {"bend": lambda document, _: (document, b"none")}),
    "a signature of a commit": (3, "wrong-namespace", {"namespace": "git"}),
    "a stranger's": (3, "unknown-key", {"signer": STRANGER}),
    "under a key that has expired": (3, "expired", {"signer": FORMER}),
    "a contributor's": (3, "approver is asked for", {"signer": CAROL}),
    "as an admin, by an approver": (3, "it grants as admin", {"what": {"role": "admin"}}),
    "signed in another role": (3, "something else", {"signed": {"role": "admin"}}),
    "in another's name": (3, "it is the key of", {"actor": ANN}),
    "the orchestrator's, in a person's name": (3, "key of their own", {
        "signer": ORCHESTRATOR, "actor": BEN,
    }),
    "for what an agent made that stands for them": (7, "own work", {"signer": DAN}),
    "twice by one person": (7, "has decided on it already", {"signer": ANN, "nonce": "1" * 32}),
    "a document once more": (7, "taken this decision already", {
        "actor": ANN, "payload": taken_already,
    }),
    "of one request, for another": (7, "taken this decision already|another request", {
        "actor": ANN, "payload": retargeted,
    }),
    "for another log": (3, "is for the log", {"log_id": "f" * 32}),
    "a denial as a grant": (3, "is for approval.deny", {"signed_action": "approval.deny"}),
    "a wish for changes as a denial": (3, "something else", {
        **DENIED, "signed": {"verdict": "deny"},
    }),
    "signed for other bytes": (3, "something else", {"signed": {"subject_sha256": "1" * 64}}),
    "for other bytes": (7, "another request", {"asked": {"subject_sha256": "1" * 64}}),
    "for an earlier request": (7, "another request", {"asked": {"nonce": "1" * 32}}),
    "for a request that there is not": (7, "there is no approval", {
        "asked": {"approval_id": "APR-0009"},
    }),
    "after it expired": (7, "expired at", {"at": LATE}),
    "a denial after it expired": (7, "expired at", {**DENIED, "at": LATE}),
    "an expiry before its time": (7, "has not expired", {
        **BY_US, "action": "approval.expire", "payload": expired,
    }),
    "closed with one of two": (7, "is not approved", {
        **BY_US, "action": "task.update", "payload": closing("approved", "done"),
    }),
    "closed as if nobody had to agree": (7, "needs a review|is not approved", {
        **BY_US, "action": "task.update", "payload": closing("accepted", "done"),
    }),
    "denied by nobody": (7, "nobody decided so", {
        **BY_US, "action": "task.update", "payload": closing("denied", "blocked"),
    }),
    "sent back by nobody": (7, "nobody decided so", {
        **BY_US, "action": "task.update", "payload": closing("changes_requested", "todo"),
    }),
    "asked for one of them only": (7, "something else than is due", {
        **ASKED, "payload": request(requirements=[{"rule": "two of them", "role": "approver"}]),
    }),
    "asked again under another rule": (7, "something else than is due", {
        **ASKED, "payload": request(requirements=[{**TWO[0].to_json(), "rule": "the other"}]),
    }),
    "asked of an agent": (7, "something else than is due", {
        **ASKED, "payload": request(requirements=[{**TWO[0].to_json(), "role": "reviewer"}]),
    }),
    "asked for longer than is due": (7, "at another time than is due", {
        **ASKED, "payload": request(expires="2027-01-31T00:00:00.000Z"),
    }),
    "asked for other bytes than are recorded": (8, "about something else", {
        **ASKED, "payload": request(subject_sha256="1" * 64),
    }),
    "asked while it is asked for": (7, "has nothing to approve", {
        **ASKED, "payload": request(task_id="T-1001", attempt_id="T-1001-A1"),
    }),
    "asked with the answer of yesterday": (7, "would expire before", {
        **ASKED, "payload": request(expires="2025-12-31T00:00:00.000Z"),
    }),
    "unanswered before its time": (7, "nobody decided so", {
        **BY_US, "action": "task.update", "payload": closing("unanswered", "blocked"),
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_what_nobody_decided_is_refused_everywhere(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, words, bent = ATTACKS[name]
    before = scene.made.repository.ref_target(scene.made.log.ref)
    with pytest.raises((EsaaError, ValueError)) as caught:
        scene.append(Said(**bent))
    said = f"{caught.value} {getattr(caught.value, 'cause', '')}"
    assert re.search(words, said) or "INV-" in said, said
    monkeypatch.setattr(roles.Authority, "check", lambda *_, **__: None)  # past our own writer
    with pytest.raises(Failure, match=words) as found:
        checked(scene, scene.forge(Said(**bent)))
    assert found.value.check == check
    assert scene.made.repository.ref_target(scene.made.log.ref) == before


def test_an_honest_grant_takes(scene: Scene) -> None:
    scene.append(Said())
    checked(scene, scene.forge(Said()))


def test_an_honest_request_takes_and_its_subject_is_what_it_says(scene: Scene) -> None:
    asks = Said(**ASKED, payload=request())
    scene.append(asks)
    checked(scene, scene.forge(asks))
    of_another = subject("f" * 32, scene.state, "T-1002", TWO)
    for wrong, words in ((b"", "is missing"), (b"{}\n", "is none"), (of_another, "another log")):
        with pytest.raises(Failure, match=words) as found:
            checked(scene, scene.forge(Said(**ASKED, payload=request(), subject=wrong)))
        assert found.value.check == 8


def test_words_that_were_not_signed_are_found(scene: Scene) -> None:
    with pytest.raises(Failure, match="words of the decision are not those") as found:
        checked(scene, scene.forge(Said(kept_text=b"whatever you like")))
    assert found.value.check == 8


def test_a_grant_does_not_count_for_bytes_that_changed(scene: Scene) -> None:
    tx = Transaction(scene.made.log.begin(), scene.state, scene.made.contracts, scene.now())
    tx.record(Said().new(scene))
    assert tx.state.approvals["APR-0001"].state == "granted"
    files = [added("src/T-1000.txt", scene.made.repository.put(BLOB, OTHER), OTHER)]
    here = {"task_id": "T-1000", "attempt_id": "T-1000-A1"}
    merged = {**here, "base": scene.made.branch_tip, "files": files, "changed_lines": 1}
    tx.record(new_event("orchestrator.file.write", ORCHESTRATOR, merged))
    assert tx.state.approvals["APR-0001"].state == "void"
    with pytest.raises(EsaaError) as caught:
        tx.record(new_event("task.update", ORCHESTRATOR, closing("approved", "done")(scene)))
    assert "'T-1000' is not approved" in str(caught.value.cause)
