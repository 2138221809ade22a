"""Whether the record is intact, held against what the person who asks knows from elsewhere."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from esaa_git.app import project as wiring
from esaa_git.app.project import Project, finish_interrupted
from esaa_git.core.contracts import duration_ms
from esaa_git.core.event import after, timestamp
from esaa_git.errors import (
    ConfigurationError,
    CorruptedError,
    EsaaError,
    MismatchError,
    UsageError,
)
from esaa_git.trust.signers import SignerSet
from esaa_git.verification.audit import Auditor
from esaa_git.verification.checkpoint import NAMESPACE, Checkpoint, MalformedCheckpoint, decode
from esaa_git.verification.pins import NOTHING, Expected, is_oid
from esaa_git.verification.report import Report as Report

_SHORT = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the log has to be besides intact, as a person writes it.

    Attributes:
        genesis: the log's first commit.
        max_age: how old the last event may be: `2h`, `1d12h`, `PT90M`.
        checkpoint: the bytes of a checkpoint's file, and what to call it in a message.
        cosigner: a file with the keys whose signatures of the checkpoint count, and `require`
            how many of them have to have signed.
    """

    genesis: str | None = None
    max_age: str | None = None
    checkpoint: tuple[bytes, str] | None = None
    cosigner: Path | None = None
    require: int | None = None


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found; `recorded` counts the links that it put into the log."""

    found: Report
    recorded: int = 0

    @property
    def failure(self) -> type[EsaaError] | None:
        """The kind of error that the outcome amounts to; None where the record is intact."""
        return failure_of(self.found)


def verify(
    project: Project,
    expectation: Expectation | None = None,
    *,
    full: bool = False,
    strict: bool = False,
    relink: bool = False,
    record: bool = False,
    jobs: int | None = None,
) -> VerifyReport:
    """Recompute every state, hash and signature of the log, and find every effect on the branch.

    Args:
        full: from genesis, whatever was verified before.
        strict: fail for what is otherwise only noted.
        relink: look for effects by what they change, on a branch that was rebased or squashed.
        record: record in the log what `relink` found, and verify once more.
        jobs: how many processes; all cores by default.

    Raises:
        UsageError: for an expectation that says nothing that can be held against a log.
    """
    expected = _expected(expectation or Expectation())
    finish_interrupted(project)

    report = audited(
        project,
        full=full,
        strict=strict,
        relink=relink,
        expected=expected,
        jobs=jobs,
    )
    if not record or not report.audit.is_ok or report.is_recorded:
        return VerifyReport(report)
    recorded = _record(project, report)
    again = audited(project, full=True, strict=strict, expected=expected, jobs=jobs)
    return VerifyReport(again, recorded)


def audited(
    project: Project,
    *,
    full: bool = False,
    strict: bool = False,
    relink: bool = False,
    expected: Expected = NOTHING,
    jobs: int | None = None,
) -> Report:
    """Verify what is there, and remember how far it held."""
    report = Auditor(
        project.repository,
        full=full,
        jobs=jobs,
        strict=strict,
        relink=relink,
        expected=expected,
        on_progress=project.observer.progress,
    ).run()
    # Over, wherever it ended: what signs next may have a person asked for a passphrase.
    project.observer.progress(1, 1)
    return report


def failure_of(report: Report) -> type[EsaaError] | None:
    """Return the kind of error that an outcome amounts to; None where the record is intact."""
    kinds: dict[str, type[EsaaError] | None] = {"ok": None, "mismatch": MismatchError}
    return kinds.get(report.audit.outcome, CorruptedError)


def max_age_ms(text: str) -> int:
    """Return the milliseconds of a duration: ISO 8601 as in contracts, or `2h`, `1d12h`, `90m`.

    Raises:
        UsageError: for anything else.
    """
    short = _SHORT.fullmatch(text)
    if text and text.isascii() and short is not None:
        days, hours, minutes, seconds = (part or "0" for part in short.groups())
        written = f"P{days}DT{hours}H{minutes}M{seconds}S"
    else:
        written = text if text.isascii() else ""
    try:
        return duration_ms(written, "--max-age")
    except ConfigurationError as error:
        raise UsageError(
            f"--max-age: '{text}' is not a duration that can be used",
            hint="write it as in 2h, 3d, 1d12h, PT90M or P1D; ten years at most",
        ) from error


def _expected(said: Expectation) -> Expected:
    if said.genesis is not None and not is_oid(said.genesis):
        raise UsageError(
            f"--genesis: '{said.genesis}' is not the whole id of a commit",
            hint="write all 40 digits: a part of an id can be met by another commit",
        )
    not_before = None
    if said.max_age is not None:
        now = timestamp(wiring.SystemClock().now())
        not_before = after(now, -max_age_ms(said.max_age))
    return Expected(
        said.genesis,
        not_before,
        said.max_age or "",
        None if said.checkpoint is None else load_checkpoint(*said.checkpoint),
        None if said.cosigner is None else cosigners(said.cosigner),
        said.require or 1,
    )


def load_checkpoint(data: bytes, name: str) -> Checkpoint:
    """Return the checkpoint in the bytes of a file.

    Raises:
        CorruptedError: if they are none.
    """
    try:
        return decode(data)
    except MalformedCheckpoint as error:
        raise CorruptedError(
            f"'{name}' is not a checkpoint",
            cause=str(error),
            hint="it is taken as it was written, to the byte: 'git esaa checkpoint create' "
            "writes one",
        ) from error


def cosigners(path: Path) -> SignerSet:
    """Return the keys whose signatures of a checkpoint count.

    Raises:
        ConfigurationError: if the file cannot be read as allowed_signers, or names none.
    """
    try:
        found = SignerSet.parse(path.read_bytes())
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the cosigners in '{path}' cannot be used",
            cause=error.cause or error.message,
            hint="a line is a name and a public key, as in 'auditor@example.com ssh-ed25519 AAAA'",
        ) from error
    if not found.keys_for(NAMESPACE):
        raise ConfigurationError(
            f"no key in '{path}' is for checkpoints",
            cause=f"every line has other namespaces than '{NAMESPACE}'",
            hint=f'write namespaces="{NAMESPACE}", or leave the option out',
        )
    return found


def _record(project: Project, report: Report) -> int:
    from esaa_git.engine.operator import relink

    links = [
        (one.task_id, one.effect_commit, one.carried_by, one.how)
        for one in report.relinked
        if not one.is_recorded
    ]
    return relink(project.engine, links)
