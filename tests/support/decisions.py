"""A log with everybody's keys, and decisions in it: honest ones, and those that somebody bent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from esaa_git.core import canonical
from esaa_git.core.canonical import digest
from esaa_git.core.decision import NAMESPACE, Document, salted
from esaa_git.core.event import Event, seal
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.projection import evolve
from esaa_git.ports.log import Attachments
from esaa_git.store.log import GitLogTransaction
from esaa_git.store.objects import BLOB
from esaa_git.trust.allowed_signers import allowed_signers_line
from esaa_git.trust.keys import load_signer
from esaa_git.trust.signer import KeySpec, SshSigner
from tests.support.logs import LOG_ID, PERSON, MadeLog, default_contracts, make_log, write_key
from tests.support.records import new_event

BOB, CAROL, EVE = "bob@example.com", "carol@example.com", "eve@example.com"
STRANGER = "stranger@example.com"
TEXT = b"the API key is renewed"
SALT = bytes(range(32))


@dataclass
class Scene:
    """A log in which T-1000 is blocked, and everybody's keys."""

    made: MadeLog
    keys: dict[str, SshSigner]
    start: str

    def asked(self, **bent: Any) -> Asked:
        return Asked(self, **bent)


@dataclass
class Asked:
    """A request to unblock T-1000; what an attacker bends is given, the rest is honest."""

    scene: Scene
    actor: str = PERSON
    signer: str = PERSON
    commit_by: str = ""
    log_id: str = LOG_ID
    action: str = "operator.request"
    recorded: str = "operator.request"
    signed: Any = None
    arguments: Any = None
    text: bytes = TEXT
    kept_text: bytes | None = None
    namespace: str = NAMESPACE
    nonce: str = "0" * 32
    bend: Callable[[bytes, bytes], tuple[bytes, bytes]] = lambda document, made: (document, made)
    sha256: str | None = None

    def event(self, changes: dict[str, Any] | None = None) -> Event:
        put = self.scene.made.repository.put
        arguments = self.arguments or {"kind": "unblock", "task_id": "T-1000", "attempts": 2}
        about = canonical.encode(self.signed or arguments)
        document = Document(
            self.log_id, self.action, digest(about), self.nonce, salted(SALT, self.text)
        ).encode()
        signature = self.scene.keys[self.signer].sign(document, namespace=self.namespace)
        document, signature = self.bend(document, signature)
        decision = {
            "sha256": self.sha256 or digest(document),
            "document": put(BLOB, document),
            "signature": put(BLOB, signature),
        }
        said = {"text": put(BLOB, self.kept_text or self.text), "salt": put(BLOB, SALT)}
        payload = {**arguments, "decision": decision, "said": said, **(changes or {})}
        state = self.scene.made.state
        new = new_event(self.recorded, self.actor, payload)
        return seal(new, after_seq=state.seq, after_ts=state.ts, now=state.ts)

    def write(self, transaction: GitLogTransaction) -> str:
        event = self.event()
        made = self.scene.made
        assert isinstance(event.payload, DecisionPayload)
        payload: Any = event.payload
        beside = Attachments(
            exchange={"text": payload.said.text, "salt": payload.said.salt},
            decision={
                "document.json": payload.decision.document,
                "signature": payload.decision.signature,
            },
        )
        return transaction.write(event, evolve(made.state, event), made.contracts, beside)


EVE_UNTIL = "20400101Z"
"""When the key of one admin runs out."""


def build(folder: Path) -> Scene:
    """Make the log, in which nobody has decided anything yet."""
    keys = {}
    lines = ""
    for number, (person, role) in enumerate(
        ((BOB, "approver"), (CAROL, "contributor"), (EVE, "admin"), (STRANGER, "")),
        64,
    ):
        public = write_key(folder / person, bytes([number]) * 32)
        keys[person] = load_signer(KeySpec("ssh", str(folder / person)))
        if role:
            line = allowed_signers_line((person, role), public)
            if person == EVE:
                line = line.replace(" ", f' valid-before="{EVE_UNTIL}",', 1)
            lines += line + "\n"
    public = write_key(folder / "orchestrator")
    honest = default_contracts(public)
    signers = honest.files["allowed_signers"] + lines.encode()
    given = default_contracts(public, changed={"allowed_signers": signers})
    made = make_log(folder / "log", tasks=2, done=0, contracts=given)
    made.emit(
        "task.update",
        "orchestrator",
        {"task_id": "T-1000", "from": "todo", "to": "blocked", "cause": "issue", "reason": "x"},
    )
    made.record()
    own = made.log.keys.person
    assert isinstance(own, SshSigner)
    assert all(isinstance(one, SshSigner) for one in keys.values())
    return Scene(made, {PERSON: own, **keys}, made.tip)  # type: ignore[dict-item]


HALT: dict[str, Any] = {"action": "run.halt", "recorded": "run.halt", "arguments": {"epoch": 0}}
