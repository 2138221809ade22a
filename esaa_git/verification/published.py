"""What may lie on a shared ref beside the log: the one rule for the hook, push and fetch.

A name says what is there (`core.refnames`); here the content is held against the name and against
the log as it is after the push, so that nobody takes a name with something else.
"""

from __future__ import annotations

import pygit2

from esaa_git.core.events import AgentResult, OutputRejected
from esaa_git.core.projection import projection_hash
from esaa_git.core.state import State
from esaa_git.errors import CorruptedError
from esaa_git.store.commitform import COMMITTER, proposal_message
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    Commit,
    MalformedObject,
    decode_commit,
    decode_tree,
    encode_commit,
    split_signature,
)
from esaa_git.store.position import contains, events_about
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.roles import Authority
from esaa_git.trust.signers import Verified
from esaa_git.verification.checkpoint import (
    FILE,
    MAX_SIGNATURES,
    NAMESPACE,
    Checkpoint,
    MalformedCheckpoint,
    commit_bytes,
    decode,
    signed_by,
)


class Unfounded(Exception):
    """It is not what its name says; the text says why, and goes on from 'it'."""


def check_checkpoint(
    repository: Repository, seq: int, new: str, old: str | None, log_tip: str | None
) -> None:
    """Hold what is to lie on the ref of a checkpoint against its name and the log.

    Args:
        seq: the number in the name.
        old: what lies there now, which is continued.
        log_tip: the last event of the log, None where there is no log.

    Raises:
        Unfounded: saying why it is not the checkpoint of this event of this log.
    """
    try:
        found = _read_chain(repository, new, old)
        _check_against_log(repository, seq, found, log_tip)
    except KeyError as error:
        raise Unfounded(f"it cannot be read: object {error} is missing") from error
    except (MalformedObject, MalformedCheckpoint, CorruptedError, pygit2.GitError) as error:
        raise Unfounded(f"it cannot be read: {error}") from error


def _read_chain(repository: Repository, new: str, old: str | None) -> Checkpoint:
    """Return the checkpoint in a commit, each commit before it being one of the same event."""
    newest: Checkpoint | None = None
    current: str | None = new
    for _ in range(MAX_SIGNATURES + 1):
        if current is None or current == old:
            break
        found, parent = _read_commit(repository, current)
        if newest is None:
            newest = found
        elif found.fields != newest.fields:
            raise Unfounded("it leads to the checkpoint of another event")
        current = parent
    if newest is None or current != old:
        raise Unfounded("it does not continue what is there: a record is not replaced")
    if old is not None:
        before, _ = _read_commit(repository, old)
        if before.fields != newest.fields:
            raise Unfounded("it is of another event than what is there: a record is not replaced")
        if not set(before.signatures) <= set(newest.signatures):
            raise Unfounded("it lacks a signature that is there")
    return newest


def _read_commit(repository: Repository, oid: str) -> tuple[Checkpoint, str | None]:
    kind, data = repository.read(oid)
    if kind != COMMIT:
        raise Unfounded("it is not a commit")
    commit = decode_commit(data)
    tree = decode_tree(repository.read(commit.tree)[1])
    entry = tree.get(FILE)
    if len(tree) != 1 or entry is None or entry.mode != MODE_FILE or len(commit.parents) > 1:
        raise Unfounded(f"it is not a commit of one file, '{FILE}'")
    kind, content = repository.read(entry.oid)
    if kind != BLOB:
        raise Unfounded(f"its '{FILE}' is not a file")
    found = decode(content)
    parent = commit.parents[0] if commit.parents else None
    if data != commit_bytes(found, commit.tree, parent):
        raise Unfounded("its commit is not the one that such a checkpoint has")
    return found, parent


def _check_against_log(
    repository: Repository, seq: int, found: Checkpoint, log_tip: str | None
) -> None:
    if found.seq != seq:
        raise Unfounded(f"it is of event {found.seq}, and its name says {seq}")
    if log_tip is None:
        raise Unfounded("there is no log here that it could be of")
    if found.tip not in repository.odb or not contains(repository, log_tip, found.tip):
        raise Unfounded(f"it names {found.tip[:12]}, which is no event of the log")
    at, last = load_tip(repository, found.tip), load_tip(repository, log_tip)
    said = (found.log_id, found.seq, found.event_sha256, found.ts, found.projection_hash_sha256)
    is_so = (at.tip.log_id, at.tip.seq, at.tip.event_sha256, at.tip.ts, projection_hash(at.state))
    if said != is_so:
        raise Unfounded(f"it does not say what event {at.tip.seq} of the log is")
    known = [Authority(one.contracts) for one in (at, last)]
    try:
        blobs = signed_by(found)
    except sshsig.BadSignature as error:
        raise Unfounded(f"it has a bad signature {error}") from error
    if not blobs:
        raise Unfounded("nobody has signed it")
    for blob in blobs:
        if not any(_may_sign(authority, blob) for authority in known):
            raise Unfounded(f"the log does not know the key {sshsig.fingerprint(blob)} that signs")


def is_over(state: State, task_id: str, attempt_id: str) -> bool:
    """Answer whether what an attempt proposed may go: nothing more comes of it (rule: FORMAT)."""
    task = state.tasks.get(task_id)
    if task is None or task.is_done:
        return task is not None
    ended = (task.result, task.rejection)
    return any(one is not None and _number(one.attempt_id) > _number(attempt_id) for one in ended)


def check_proposal(
    repository: Repository, task_id: str, attempt_id: str, new: str, log_tip: str | None
) -> None:
    """Hold what is to lie on the ref of a proposal against its name and the log.

    Args:
        log_tip: the last event of the log, None where there is no log.

    Raises:
        Unfounded: saying why it is not what this attempt proposed.
    """
    try:
        commit, payload, armored = _signed_commit(repository, new)
        messages = [proposal_message(attempt_id, rejected=how) for how in (False, True)]
        if commit.message.decode("utf-8", "replace") not in messages:
            raise Unfounded("its message is not that of a proposal of this attempt")
        if log_tip is None:
            raise Unfounded("there is no log here that it could be of")
        last = load_tip(repository, log_tip)
        task = last.state.tasks.get(task_id)
        if task is None or _number(attempt_id) > task.attempts_total:
            raise Unfounded("the log knows no such attempt")
        if is_over(last.state, task_id, attempt_id):
            raise Unfounded("its task has gone on, and nothing more comes of it")
        # Who has no key goes no farther: to find the event, the log is walked.
        authority = Authority(last.contracts)
        key = authority.prove(payload, armored)
        _check_named(repository, authority, log_tip, (task_id, attempt_id), (new, commit.tree), key)
    except KeyError as error:
        raise Unfounded(f"it cannot be read: object {error} is missing") from error
    except SignatureRefused as error:
        raise Unfounded(f"it is signed by nobody whom the log knows: {error}") from error
    except (MalformedObject, CorruptedError, pygit2.GitError) as error:
        raise Unfounded(f"it cannot be read: {error}") from error


def _signed_commit(repository: Repository, oid: str) -> tuple[Commit, bytes, bytes]:
    """Return a commit of one parent and one signature, with no header but those that it needs."""
    kind, data = repository.read(oid)
    if kind != COMMIT:
        raise Unfounded("it is not a commit")
    commit = decode_commit(data)
    if len(commit.parents) != 1 or len(commit.signatures) != 1:
        raise Unfounded("it has not one parent and one signature")
    payload, armored = _parts(data)
    author, committer = (_text(one) for one in (commit.author, commit.committer))
    plain = encode_commit(commit.tree, commit.parents, author, committer, _text(commit.message))
    if payload != plain or not committer.startswith(f"{COMMITTER} "):
        raise Unfounded("its commit is not the one that a proposal has")
    return commit, payload, armored


def _check_named(
    repository: Repository,
    authority: Authority,
    log_tip: str,
    address: tuple[str, str],
    named: tuple[str, str],
    key: Verified,
) -> None:
    """Find the event that names commit and tree, which the same key has signed."""
    task_id, attempt_id = address
    for stored in events_about(repository, log_tip, task_id):
        payload = stored.event.payload
        if not isinstance(payload, AgentResult | OutputRejected) or payload.proposal is None:
            continue
        if payload.attempt_id != attempt_id:
            continue
        said = payload.proposal
        if (said.commit, said.tree) != named:
            raise Unfounded(f"{stored.event.event_id} names {said.commit[:12]} in its place")
        signed, armored = _parts(repository.read(stored.commit)[1])
        if authority.prove(signed, armored).fingerprint != key.fingerprint:
            raise Unfounded(f"another key has signed {stored.event.event_id}, which names it")
        return
    raise Unfounded("no event of the log names it")


def _parts(data: bytes) -> tuple[bytes, bytes]:
    parts = split_signature(data)
    if parts is None:
        raise Unfounded("it has not one signature")
    return parts


def _number(attempt_id: str) -> int:
    return int(attempt_id.rpartition("-A")[2])


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _may_sign(authority: Authority, blob: bytes) -> bool:
    """Answer whether these contracts name the key as a witness, or for checkpoints alone."""
    return authority.may_witness(blob) or blob in authority.signers.keys_for(NAMESPACE)
