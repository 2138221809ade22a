"""Which log this clone believes in, and checkpoints: what the log was, signed, kept elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from esaa_git.app.project import Project
from esaa_git.errors import (
    CorruptedError,
    EsaaError,
    MismatchError,
    NoLog,
    RefusedError,
    UsageError,
)
from esaa_git.store.repository import Repository
from esaa_git.verification.pins import Mark, Pin, is_oid, mark_path, read_mark, read_pin, write_pin

if TYPE_CHECKING:
    from esaa_git.trust.signer import Signer
    from esaa_git.verification.checkpoint import (
        Checkpoint as Checkpoint,  # what this module returns
    )
    from esaa_git.verification.report import Report


# -- the pin ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trusted:
    """What is pinned, and how far the log was verified here."""

    pin: Pin | None
    mark: Mark | None


def trusted(project: Project) -> Trusted:
    """Return what this clone holds every log against.

    Raises:
        RepositoryError: if it cannot be read.
    """
    repository = project.repository
    return Trusted(read_pin(repository), read_mark(repository, mark_path(repository)))


def pin(project: Project, oid: str | None, *, replace: bool = False) -> Pin:
    """Pin a log's first commit, or that of the log which is here, and return it.

    Args:
        oid: as its owner told it; the log need not be here yet.
        replace: put it in the place of another pin.

    Raises:
        UsageError: if it is not the whole id of a commit.
        MismatchError: if the log that is here begins with another one.
        RefusedError: if another one is pinned.
        RepositoryError: if there is neither an id nor a log, or the pin cannot be read.
        CorruptedError: if there is no id, and the log cannot be read to its genesis.
    """
    if oid is not None and not is_oid(oid):
        raise UsageError(
            f"'{oid}' is not the whole id of a commit",
            hint="write all 40 digits: a part of an id can be met by another commit",
        )
    repository = project.repository
    here = None
    try:
        here = _here(repository)
    except CorruptedError:
        # A shallow clone, or worse: an id that was given can be pinned all the same.
        if oid is None:
            raise
    if here is not None and oid not in (None, here.genesis):
        raise MismatchError(
            f"the log that is here does not begin with {oid}",
            cause=f"it begins with {here.genesis}",
            hint="nothing was pinned; ask where the log comes from, and where the id does",
        )
    if here is None and oid is None:
        raise NoLog(
            hint="run 'git esaa trust pin OID' with the id that somebody has told you",
        )
    new = here or Pin(str(oid))
    # A pin that cannot be read is replaced as little as one that says something else.
    old = None if replace else read_pin(repository)
    if old is not None and old.genesis != new.genesis:
        raise RefusedError(
            f"another genesis is pinned: {old.genesis}",
            hint=f"run 'git esaa trust pin --replace {new.genesis}' if that is what you want",
        )
    write_pin(repository, new)
    return new


def _here(repository: Repository) -> Pin | None:
    """Return the anchor of the log that is here, or None where there is no log.

    Raises:
        CorruptedError: if it cannot be read to its genesis, as in a shallow clone.
    """
    from esaa_git.store.eventcommit import read_event_commit
    from esaa_git.store.position import walk_back
    from esaa_git.verification.pins import Pin

    current = repository.ref_target(repository.events_ref)
    if current is None:
        return None
    for oid in walk_back(repository, current):
        current = oid
    found = read_event_commit(repository.read, current)
    return Pin(current, found.trailers.get("ESAA-Log"))


# -- checkpoints ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Written:
    """A checkpoint, the file that holds it, and its ref."""

    checkpoint: Checkpoint
    file: Path
    ref: str


def create_checkpoint(
    project: Project,
    *,
    output: Path | None = None,
    key: Path | None = None,
) -> Written:
    """Verify the log, and sign what it is at its last event.

    Args:
        output: where to write it, instead of the folder for checkpoints in `.git/esaa`.
        key: an SSH key that signs it, instead of the orchestrator's.

    Raises:
        MismatchError: if the log does not add up; nothing is signed.
        CorruptedError: if it cannot be read; nothing is signed.
    """
    from esaa_git.app.verify import audited
    from esaa_git.store.eventcommit import read_event_commit
    from esaa_git.verification import checkpoint as checkpoints

    signer = _signer(project, key)
    report = audited(project)
    _require_sound(report)
    assert report.tip is not None
    assert report.log_id is not None
    event = read_event_commit(project.repository.read, report.tip).event
    made = checkpoints.Checkpoint(
        report.log_id,
        event.seq,
        report.tip,
        event.sha256,
        str(report.audit.projection_hash),
        event.ts,
    )
    whole = checkpoints.publish(project.repository, checkpoints.sign(made, signer))
    place = output or project.repository.esaa_dir / "checkpoints" / f"{event.seq}.json"
    _write(place, whole)
    return Written(whole, place, _ref(project, whole))


def cosign_checkpoint(
    project: Project,
    file: Path,
    *,
    key: Path | None = None,
    cosigner: Path | None = None,
) -> Written:
    """Verify the log here against a checkpoint, and add a signature to its file.

    Args:
        key: an SSH key that signs it, instead of the orchestrator's.
        cosigner: a file with the keys whose signatures of the checkpoint are believed.

    Raises:
        MismatchError: if the log here does not hold it, or does not add up; nothing is signed.
        CorruptedError: if the file holds no checkpoint, or the log cannot be read.
    """
    from esaa_git.app.verify import audited, cosigners, load_checkpoint
    from esaa_git.verification import checkpoint as checkpoints
    from esaa_git.verification.anchor import Expected

    found = load_checkpoint(file.read_bytes(), str(file))
    signer = _signer(project, key)
    believed = None if cosigner is None else cosigners(cosigner)
    expected = Expected(checkpoint=found, cosigners=believed)
    _require_sound(audited(project, expected=expected))
    whole = checkpoints.publish(project.repository, checkpoints.sign(found, signer))
    _write(file, whole)
    return Written(whole, file, _ref(project, whole))


def _ref(project: Project, checkpoint: Checkpoint) -> str:
    from esaa_git.core.refnames import checkpoint_ref

    return checkpoint_ref(project.repository.events_ref, checkpoint.seq)


def read_checkpoint(data: bytes, name: str) -> Checkpoint:
    """Return the checkpoint in the bytes of a file, its signatures verified.

    Raises:
        CorruptedError: if they are none.
        MismatchError: if a signature does not hold.
    """
    from esaa_git.app.verify import load_checkpoint
    from esaa_git.trust.sshsig import BadSignature
    from esaa_git.verification.checkpoint import signed_by

    found = load_checkpoint(data, name)
    try:
        signed_by(found)
    except BadSignature as error:
        raise MismatchError(
            f"a signature of '{name}' does not hold",
            cause=str(error),
            hint="do not rely on it; ask for another copy",
        ) from error
    return found


def _signer(project: Project, key: Path | None) -> Signer:
    from esaa_git.trust.keys import load_signer
    from esaa_git.trust.signer import KeySpec

    return project.log.signer if key is None else load_signer(KeySpec("ssh", str(key)))


def _require_sound(report: Report) -> None:
    from esaa_git.verification.failure import failure_of

    kind: type[EsaaError] | None = failure_of(report.audit.outcome)
    if kind is not None:
        raise kind(
            "nothing was signed: the log here does not verify",
            cause=f"check {report.audit.check}, {report.audit.message}",
            hint=report.hint or "run 'git esaa verify' for the whole of it",
        )


def _write(place: Path, checkpoint: Checkpoint) -> None:
    from esaa_git.store.files import write_atomically
    from esaa_git.verification.checkpoint import encode

    write_atomically(place, encode(checkpoint))
