"""Checkpoints: what a log was at one event, signed, to be kept and published elsewhere.

A log that is later rolled back or forked contradicts every checkpoint of it, wherever that is kept.
The document is canonical JSON (docs/FORMAT.md, "Checkpoints"); its signatures are SSH signatures
over the bytes of its `checkpoint`, in a namespace of their own, so that no signature of a commit
can be taken for one of a checkpoint.

On `refs/esaa/checkpoints/SEQ` lies a commit whose tree holds the document. A commit and not a
blob, because a signature that is added then continues what was there: a push of it is a
fast-forward, and a server can keep the ref from being replaced without reading it. The commit
itself is not signed, since the document is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pygit2

from esaa_git.core import canonical
from esaa_git.core.event import epoch_seconds, is_timestamp
from esaa_git.core.refnames import checkpoint_ref
from esaa_git.errors import CorruptedError, KeyUnavailable, MismatchError
from esaa_git.ports.refs import RefMove
from esaa_git.store import commitform
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    TREE,
    MalformedObject,
    TreeEntry,
    decode_commit,
    decode_tree,
    encode_commit,
    encode_tree,
)
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository
from esaa_git.trust import sshsig
from esaa_git.trust.signer import Signer, SshKeySigner

SCHEMA = "git-esaa/checkpoint/1"
NAMESPACE = "git-esaa-checkpoint"
FILE = "checkpoint.json"

MAX_BYTES = 1_048_576
MAX_SIGNATURES = 100

_PATTERNS: Mapping[str, re.Pattern[str]] = {
    "log_id": re.compile(r"[A-Za-z0-9-]{1,100}"),
    "tip": re.compile(r"[0-9a-f]{40}"),
    "event_sha256": re.compile(r"[0-9a-f]{64}"),
    "projection_hash_sha256": re.compile(r"[0-9a-f]{64}"),
    "ts": re.compile(r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z"),
}
_FIELDS = frozenset({"schema", "seq", *_PATTERNS})


class MalformedCheckpoint(ValueError):
    """The bytes are not a checkpoint."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature: the key as `ssh-ed25519 AAAA...`, and the armoured text."""

    public_key: str
    signature: str

    @property
    def fingerprint(self) -> str:
        return sshsig.fingerprint(sshsig.decode_public_key(self.public_key))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the log was after one event. `ts` is the event's, so the same event gives the same."""

    log_id: str
    seq: int
    tip: str
    event_sha256: str
    projection_hash_sha256: str
    ts: str
    signatures: tuple[Signature, ...] = ()

    @property
    def fields(self) -> dict[str, Any]:
        return {
            "schema": SCHEMA,
            "log_id": self.log_id,
            "seq": self.seq,
            "tip": self.tip,
            "event_sha256": self.event_sha256,
            "projection_hash_sha256": self.projection_hash_sha256,
            "ts": self.ts,
        }

    @property
    def payload(self) -> bytes:
        """The bytes that are signed: the canonical JSON of the fields, its LF included."""
        return canonical.encode(self.fields)


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the document; its signatures stand in the order of their keys, one a key."""
    signatures = [
        {"public_key": one.public_key, "signature": one.signature}
        for one in _in_order(checkpoint.signatures)
    ]
    return canonical.encode({"checkpoint": checkpoint.fields, "signatures": signatures})


def decode(data: bytes) -> Checkpoint:
    """Return the checkpoint in these bytes; whether its signatures hold is `signed_by`'s question.

    Raises:
        MalformedCheckpoint: for anything but what `encode` writes.
    """
    if len(data) > MAX_BYTES:
        raise MalformedCheckpoint(f"longer than {MAX_BYTES} bytes")
    try:
        document = canonical.decode(data)
    except canonical.NotCanonical as error:
        raise MalformedCheckpoint(f"not canonical JSON: {error}") from error
    if not isinstance(document, dict) or document.keys() != {"checkpoint", "signatures"}:
        raise MalformedCheckpoint("not an object with 'checkpoint' and 'signatures'")
    fields, listed = document["checkpoint"], document["signatures"]
    if not isinstance(fields, dict) or fields.keys() != _FIELDS:
        raise MalformedCheckpoint(f"'checkpoint' has not exactly {', '.join(sorted(_FIELDS))}")
    if fields["schema"] != SCHEMA:
        raise MalformedCheckpoint(f"its schema is not '{SCHEMA}'")
    seq = fields["seq"]
    if type(seq) is not int or not 0 < seq <= canonical.MAX_INTEGER:
        raise MalformedCheckpoint("'seq' is not a number of an event")
    for name, pattern in _PATTERNS.items():
        if not isinstance(fields[name], str) or not pattern.fullmatch(fields[name]):
            raise MalformedCheckpoint(f"'{name}' has not the form of one")
    if not is_timestamp(fields["ts"]):
        raise MalformedCheckpoint("'ts' is not a date")
    if not isinstance(listed, list) or len(listed) > MAX_SIGNATURES:
        raise MalformedCheckpoint(f"'signatures' is not a list of up to {MAX_SIGNATURES}")
    signatures = tuple(_signature(one) for one in listed)
    if signatures != _in_order(signatures):
        raise MalformedCheckpoint("its signatures are not one a key, in the order of the keys")
    values = {name: fields[name] for name in _PATTERNS}
    return Checkpoint(seq=seq, signatures=signatures, **values)


def _signature(value: Any) -> Signature:
    if not isinstance(value, dict) or value.keys() != {"public_key", "signature"}:
        raise MalformedCheckpoint("a signature has not exactly 'public_key' and 'signature'")
    key, armored = value["public_key"], value["signature"]
    if not isinstance(key, str) or not isinstance(armored, str):
        raise MalformedCheckpoint("a signature and its key are texts")
    try:
        blob = sshsig.decode_public_key(key)
        made = sshsig.decode(armored.encode("utf-8"))
    except sshsig.MalformedSignature as error:
        raise MalformedCheckpoint(f"a signature cannot be read: {error}") from error
    if key != sshsig.encode_public_key(blob):
        raise MalformedCheckpoint("a key has a comment, or another spelling")
    if made.public_key != blob:
        raise MalformedCheckpoint("a signature is by another key than the one beside it")
    return Signature(key, armored)


def _in_order(signatures: Iterable[Signature]) -> tuple[Signature, ...]:
    by_key = {one.public_key: one for one in signatures}
    return tuple(by_key[key] for key in sorted(by_key))


def signed_by(checkpoint: Checkpoint) -> tuple[bytes, ...]:
    """Return the keys whose signatures the checkpoint carries, every one of them verified.

    Raises:
        BadSignature: naming the key whose signature does not hold.
    """
    found = []
    for one in checkpoint.signatures:
        try:
            armored = one.signature.encode()
            found.append(sshsig.verify(checkpoint.payload, armored, namespace=NAMESPACE))
        except (sshsig.BadSignature, sshsig.MalformedSignature) as error:
            raise sshsig.BadSignature(f"by '{one.fingerprint}': {error}") from error
    return tuple(found)


def _holds_for(checkpoint: Checkpoint) -> Callable[[Signature], bool]:
    def holds(one: Signature) -> bool:
        try:
            signed_by(replace(checkpoint, signatures=(one,)))
        except sshsig.BadSignature:
            return False
        return True

    return holds


def sign(checkpoint: Checkpoint, signer: Signer) -> Checkpoint:
    """Return the checkpoint with a signature of this key added.

    Raises:
        KeyUnavailable: if the key cannot sign, or is not an SSH key: OpenPGP has no namespaces.
    """
    if not isinstance(signer, SshKeySigner):
        raise KeyUnavailable(
            "a checkpoint is signed with an SSH key",
            cause=f"'{signer.fingerprint}' is of type {signer.key_type}",
            hint="name an SSH key with --key PATH",
        )
    armored = signer.sign(checkpoint.payload, namespace=NAMESPACE).decode()
    return with_signatures(checkpoint, [Signature(signer.public_key_line, armored)])


def with_signatures(checkpoint: Checkpoint, more: Iterable[Signature]) -> Checkpoint:
    """Return the checkpoint with these signatures too; a key that signed before keeps its own."""
    return replace(checkpoint, signatures=_in_order([*more, *checkpoint.signatures]))


# -- on a ref ---------------------------------------------------------------------------------


def publish(repository: Repository, checkpoint: Checkpoint) -> Checkpoint:
    """Put the checkpoint on its ref, with the signatures that are there already; return the whole.

    Raises:
        MismatchError: if another checkpoint of this event is there: one of the logs is forked.
        CorruptedError: if what is there is none.
        ConflictError: if the ref moved meanwhile.
    """
    ref = checkpoint_ref(repository.events_ref, checkpoint.seq)
    old = repository.ref_target(ref)
    whole = checkpoint
    if old is not None:
        known = read_ref(repository, ref)
        if known.fields != checkpoint.fields:
            raise MismatchError(
                f"'{ref}' holds another checkpoint of event {checkpoint.seq}",
                cause=f"it names {known.tip[:12]} of log {known.log_id}, and this one "
                f"{checkpoint.tip[:12]} of log {checkpoint.log_id}",
                hint=f"keep both: run 'git show {ref}:{FILE}' for the one that is there",
            )
        # A pusher to the ref can add a signature that does not hold.
        whole = with_signatures(checkpoint, filter(_holds_for(known), known.signatures))
        if whole.signatures == known.signatures:
            return whole
    entry = TreeEntry(MODE_FILE, repository.put(BLOB, encode(whole)))
    payload = commit_bytes(whole, repository.put(TREE, encode_tree({FILE: entry})), old)
    move = RefMove(ref, old, repository.put(COMMIT, payload), "esaa: checkpoint")
    GitRefs(repository).move([move])
    return whole


def commit_bytes(checkpoint: Checkpoint, tree: str, parent: str | None) -> bytes:
    """Return the bytes of the commit that carries the checkpoint; it is not signed."""
    when = f"{commitform.COMMITTER} {epoch_seconds(checkpoint.ts)} +0000"
    parents = () if parent is None else (parent,)
    message = f"checkpoint of event {checkpoint.seq}, signatures: {len(checkpoint.signatures)}\n"
    return encode_commit(tree, parents, when, when, message)


def read_ref(repository: Repository, ref: str) -> Checkpoint:
    """Return the checkpoint on a ref.

    Raises:
        CorruptedError: if there is none that can be read.
    """
    try:
        commit = decode_commit(repository.read(str(repository.ref_target(ref)))[1])
        entry = decode_tree(repository.read(commit.tree)[1])[FILE]
        return decode(repository.read(entry.oid)[1])
    except (KeyError, ValueError, MalformedObject, pygit2.GitError) as error:
        raise CorruptedError(
            f"'{ref}' holds no checkpoint that can be read",
            cause=str(error),
            hint=f"run 'git show {ref}' to see what is there",
        ) from error
