"""An entry of the inbox: a decision whose push lost the race, until somebody gives it a place.

It is a commit, signed by nobody, of what an event would hold: `entry.json` (action, actor and
payload), the decision document with its signature, and its words. Whose it is the document's
signature says. Hook, fetch and admission hold it against the log by the rules here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

import pygit2

from esaa_git.core import canonical, limits, logid
from esaa_git.core.attachments import kept_decision, kept_exchange
from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.decision import DOCUMENT, NAMESPACE, SALT, SIGNATURE, decode, salted
from esaa_git.core.event import Event, MalformedEvent, NewEvent, seal
from esaa_git.core.events import ACTIONS, AnyPayload
from esaa_git.core.events.base import decode as decode_payload
from esaa_git.core.events.base import encode, schema_of
from esaa_git.core.events.decided import document_of
from esaa_git.core.events.fields import TEXT
from esaa_git.core.invariants import Violation
from esaa_git.core.projection import evolve
from esaa_git.errors import ConfigurationError, CorruptedError
from esaa_git.store.commitform import COMMITTER
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    MODE_TREE,
    TREE,
    MalformedObject,
    TreeEntry,
    decode_commit,
    decode_tree,
    encode_commit,
    encode_tree,
)
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.decision import carried_by
from esaa_git.trust.roles import Authority
from esaa_git.verification.published import Unfounded

ENTRY: Final = "entry.json"

MOST_OF_A_KEY: Final = 16
"""How many entries of one key a server keeps at once."""

_PARTS: Final = {
    "decision": {DOCUMENT: limits.DECISION, SIGNATURE: limits.DECISION},
    "exchange": {TEXT: limits.DECISION_WORDS, SALT: limits.DECISION},
}


@dataclass(frozen=True, slots=True)
class Address:
    """Where an entry lies: whose key has signed it, and the SHA-256 of its document.

    `key` is the SHA-256 of the public key as SSH has it on the wire.
    """

    key: str
    digest: str


def store(repository: Repository, new: NewEvent) -> tuple[Address, str]:
    """Store an entry, whose blobs are here, and return where it belongs and its commit."""
    carried = document_of(new.payload)
    assert carried is not None
    signature = repository.read(carried[0].signature)[1]
    key = canonical.digest(sshsig.decode(signature).public_key)
    said = {"action": new.action, "actor": new.actor, "payload": encode(new.payload)}
    entries = {ENTRY: TreeEntry(MODE_FILE, repository.put(BLOB, canonical.encode(said)))}
    for part, files in (
        ("decision", kept_decision(new.payload)),
        ("exchange", kept_exchange(new.payload)),
    ):
        below = {name: TreeEntry(MODE_FILE, oid) for name, oid in files.items()}
        entries[part] = TreeEntry(MODE_TREE, repository.put(TREE, encode_tree(below)))
    tree = repository.put(TREE, encode_tree(entries))
    return Address(key, carried[0].sha256), repository.put(COMMIT, _commit(tree, new))


def _commit(tree: str, new: NewEvent) -> bytes:
    """Return the bytes of the commit: they follow from the entry, so two clones make the same."""
    who = f"{COMMITTER} 0 +0000"
    return encode_commit(tree, (), who, who, f"{new.action} by {new.actor}, for the log\n")


def read(repository: Repository, at: Address, oid: str, log_tip: str | None) -> NewEvent:
    """Return the decision in an entry, which is what its address says.

    Of an entry whose document no key of the log has signed, nothing else is parsed.

    Raises:
        Unfounded: saying why it is no entry of this address, or whose key it is not.
    """
    if log_tip is None:
        raise Unfounded("there is no log here that it could be for")
    try:
        authority = Authority(load_tip(repository, log_tip).contracts)
        return _read(repository, authority, at, oid)
    except KeyError as error:
        raise Unfounded(f"it cannot be read: object {error} is missing") from error
    except (MalformedObject, CorruptedError, pygit2.GitError) as error:
        raise Unfounded(f"it cannot be read: {error}") from error


def _read(repository: Repository, authority: Authority, at: Address, oid: str) -> NewEvent:
    kind, data = repository.read(oid, limits.COMMIT)
    if kind != COMMIT:
        raise Unfounded("it is not a commit")
    root = decode_tree(repository.read(decode_commit(data).tree, limits.TREE)[1])
    if root.keys() != {ENTRY, *_PARTS} or root[ENTRY].mode != MODE_FILE:
        raise Unfounded("it is not the tree of an entry")
    parts = {part: _files(repository, root[part].oid, names) for part, names in _PARTS.items()}
    signed = parts["decision"]
    document, signature = (
        repository.read(signed[name], limits.DECISION)[1] for name in (DOCUMENT, SIGNATURE)
    )
    try:
        authority.signers.verify_in(NAMESPACE, document, signature)
        key = sshsig.decode(signature).public_key
    except (SignatureRefused, sshsig.BadSignature) as error:
        raise Unfounded(f"it is signed by nobody whom the log knows: {error}") from error
    if at != Address(canonical.digest(key), canonical.digest(document)):
        raise Unfounded("it is another decision than its name says, or of another key")
    for name, blob in parts["exchange"].items():
        repository.read(blob, _PARTS["exchange"][name])
    new = _event(repository.read(root[ENTRY].oid, limits.DECISION_WORDS)[1])
    if parts != {"decision": kept_decision(new.payload), "exchange": kept_exchange(new.payload)}:
        raise Unfounded("its files are not those that it names")
    if data != _commit(decode_commit(data).tree, new):
        raise Unfounded("its commit is not the one that such an entry has")
    return new


def _files(repository: Repository, tree: str, names: Collection[str]) -> dict[str, str]:
    found = decode_tree(repository.read(tree, limits.TREE)[1])
    if found.keys() != set(names) or any(one.mode != MODE_FILE for one in found.values()):
        raise Unfounded("it is not the tree of an entry")
    return {name: entry.oid for name, entry in found.items()}


def _event(data: bytes) -> NewEvent:
    import jsonschema_rs  # as in `core.event`: where nothing waits, nothing is paid

    try:
        said: Any = canonical.decode(data)
    except canonical.NotCanonical as error:
        raise Unfounded(f"its '{ENTRY}' is not canonical JSON: {error}") from error
    if not isinstance(said, Mapping) or said.keys() != {"action", "actor", "payload"}:
        raise Unfounded(f"its '{ENTRY}' has other fields")
    form = ACTIONS.get(str(said["action"]))
    if form is None or not isinstance(said["actor"], str):
        raise Unfounded(f"its '{ENTRY}' names no action of ours")
    if not jsonschema_rs.is_valid(schema_of(form), said["payload"]):
        raise Unfounded(f"its '{ENTRY}' is no {said['action']}")
    return NewEvent(said["actor"], cast(AnyPayload, decode_payload(form, said["payload"])))


def fault(repository: Repository, new: NewEvent, log_tip: str | None, now: str) -> str | None:
    """Return why a log cannot take a decision as its next event; None where it can.

    It would be taken now, whenever it was signed: a key that has run out since the log's last
    event takes no place any more, and what nobody can give a place holds up nothing.

    It is held against what any event of a log is held against: schema, state, contracts, and the
    role of the key that signed the document.

    Args:
        now: the time of whoever gives it its place, or of the server that keeps it.
    """
    if log_tip is None:
        return "there is no log here"
    last = load_tip(repository, log_tip)
    state = last.state
    try:
        event = seal(new, after_seq=state.seq, after_ts=state.ts, now=now)
        check_contract_rules(state, event, last.contracts)
        evolve(state, event)
        _check_words(repository.read, event)
        log_id = logid.recorded_in(last.tip.log_id, event.seq)
        decision = carried_by(event, log_id, repository.read)
        return Authority(last.contracts).decided_fault(event, state, decision)
    except (Violation, MalformedEvent, SignatureRefused, Unfounded) as error:
        return str(error)
    except ConfigurationError as error:
        return error.message


def _check_words(read: Callable[..., tuple[int, bytes]], event: Event) -> None:
    carried = document_of(event.payload)
    assert carried is not None
    decided, said = carried
    signed = decode(read(decided.document, limits.DECISION)[1])
    text, salt = read(said.text, limits.DECISION_WORDS)[1], read(said.salt, limits.DECISION)[1]
    if salted(salt, text) != signed.text_sha256:
        raise Unfounded("its words are not those that were signed")
