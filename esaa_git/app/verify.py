"""Whether the record is intact, held against what the person who asks knows from elsewhere."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pygit2

from esaa_git.app import plain_git
from esaa_git.app import project as wiring
from esaa_git.app.moved import links_of
from esaa_git.app.project import Project, finish_interrupted
from esaa_git.core.duration import duration_ms
from esaa_git.core.event import after, timestamp
from esaa_git.core.logid import imported_events, origin_of
from esaa_git.errors import (
    ConfigurationError,
    CorruptedError,
    EsaaError,
    UsageError,
)
from esaa_git.trust.signers import SignerSet
from esaa_git.verification import placement
from esaa_git.verification.anchor import NOTHING, Expected
from esaa_git.verification.audit import Auditor
from esaa_git.verification.branch import Relinked
from esaa_git.verification.checkpoint import NAMESPACE, Checkpoint, MalformedCheckpoint, decode
from esaa_git.verification.failure import failure_of
from esaa_git.verification.pins import is_oid
from esaa_git.verification.presence import LOST, Gone
from esaa_git.verification.report import Report

if TYPE_CHECKING:
    from esaa_git.engine.operator import Link

_SHORT = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?")


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What a verification found, what it covered, and what it could not see.

    Attributes:
        outcome: `ok`, `mismatch` (well-formed history that does not add up) or `corrupted` (bytes
            that no honest writer produced, or that cannot be read), or `not evaluated` (all else
            holds, and what evaluates the expressions of a pinned policy is not installed).
        ref, tip, log_id, genesis: the log, its last and its first commit.
        trust: why its beginning is believed: `given`, `pinned`, `verified-before`, `first-use`.
        boundary: where the log that is here begins, if not with the genesis.
        checked_from, checked_to: the events that were checked now; `since` were verified before.
        projection_hash: of the last state, where the record is intact.
        branch: the working branch; `branch_commits` of it were read.
        elsewhere: effects that `branch` is without and another one holds: that one's name, the
            effect's commit, its task.
        relinked: effects that the branch holds in other commits than their own, and `recorded` how
            many of these links were put into the log now.
        gone: paths that are not at the tip of the branch as an effect left them, and why: what
            later effects or people changed since is how files live, what a merge lost is not.
        foreign: commits whose claims are let be (of another log, or older than this one), and why.
        check, event_id, commit: the number of the check that failed, the event, and the object;
            None where none did. `message` and `hint` are about that.
        sound: the last event commit before the first offending one.
        jobs: how many processes it took.
        notes: what a person should know beside.
    """

    outcome: str
    ref: str
    tip: str | None
    log_id: str | None
    genesis: str | None
    trust: str
    boundary: str | None
    checked_from: int
    checked_to: int
    since: int
    projection_hash: str | None
    branch: str | None
    branch_commits: int
    elsewhere: tuple[tuple[str, str, str], ...]
    relinked: tuple[Relinked, ...]
    foreign: tuple[tuple[str, str], ...]
    gone: tuple[Gone, ...]
    recorded: int
    check: int | None
    event_id: str | None
    commit: str | None
    message: str
    hint: str | None
    sound: str | None
    jobs: int
    notes: tuple[str, ...]

    @property
    def is_ok(self) -> bool:
        """Whether the record is intact."""
        return self.outcome == "ok"

    @property
    def failure(self) -> type[EsaaError] | None:
        """The kind of error that the outcome amounts to; None where the record is intact."""
        return failure_of(self.outcome)

    @property
    def apart(self) -> str | None:
        """What to say where effects are on other branches than the working branch."""
        if self.branch is None or not self.elsewhere:
            return None
        return placement.said(self.branch, self.elsewhere)

    def gone_counts(self) -> list[tuple[str, int]]:
        """Return how effects are not at the tip any more, each with how many there are."""
        hows: dict[str, set[str]] = {}
        for one in self.gone:
            hows.setdefault(one.how, set()).add(one.effect_commit)
        return sorted((how, len(effects)) for how, effects in hows.items() if how != LOST)

    def foreign_counts(self) -> list[tuple[str, int]]:
        """Return why claims of commits are let be, each with how many commits there are."""
        return sorted(Counter(why for _, why in self.foreign).items())

    @property
    def is_recorded(self) -> bool:
        """Whether the log itself says of every relinked effect which commit carries it."""
        return all(one.is_recorded for one in self.relinked)

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa verify --json` prints it."""
        return {
            "verify_status": self.outcome,
            "ref": self.ref,
            "tip": self.tip,
            "log_id": self.log_id,
            "imported": {
                "events": imported_events(self.log_id),
                "from": origin_of(self.log_id),
            },
            "genesis": self.genesis,
            "trust": self.trust,
            "boundary": self.boundary,
            "checked_from": self.checked_from,
            "checked_to": self.checked_to,
            "projection_hash_sha256": self.projection_hash,
            "branch": self.branch,
            "elsewhere": [
                {"branch": name, "effect_commit": oid, "task_id": task_id}
                for name, oid, task_id in self.elsewhere
            ],
            "relinked": [
                {
                    "task_id": one.task_id,
                    "effect_commit": one.effect_commit,
                    "carried_by": one.carried_by,
                    "how": one.how,
                    "recorded": one.is_recorded,
                    "beside": [path.path for path in one.carrier.beside],
                    "people": list(one.carrier.people),
                    "accepted_by": one.carrier.accepted_by,
                }
                for one in self.relinked
            ],
            "gone": [asdict(one) for one in self.gone],
            "foreign": [{"commit": oid, "why": why} for oid, why in self.foreign],
            "check": self.check,
            "event_id": self.event_id,
            "commit": self.commit,
            "sound": self.sound,
            "message": self.message or None,
            "hint": self.hint,
            "jobs": self.jobs,
            "notes": list(self.notes),
            "recorded": self.recorded,
        }


def verify(
    project: Project,
    *,
    full: bool = False,
    strict: bool = False,
    genesis: str | None = None,
    max_age: str | None = None,
    checkpoint: bytes | None = None,
    checkpoint_name: str = "checkpoint",
    cosigner: Path | None = None,
    require: int | None = None,
    relink: bool = False,
    record: bool = False,
    accept: Sequence[str] = (),
    jobs: int | None = None,
) -> VerifyReport:
    """Recompute every state, hash and signature of the log, and find every effect on the branch.

    What is wrong with the record is in the report; exceptions are for what cannot be verified.

    Args:
        full: from genesis, whatever was verified before.
        strict: fail for what is otherwise only noted.
        genesis: the first commit that the log has to have.
        max_age: how old the last event may be: `2h`, `1d12h`, `PT90M`.
        checkpoint: the bytes of a checkpoint's file, which the log has to reach, and
            `checkpoint_name` what to call it in a message.
        cosigner: a file with the keys whose signatures of the checkpoint count, and `require`
            how many of them have to have signed, one by default.
        relink: look for effects by what they change, on a branch that was rebased or squashed.
        record: record in the log what `relink` found, and verify once more.
        accept: commits that change something beside the effects they carry, or merges that lose
            effects, for which the person who records this answers; it takes an admin's key.
        jobs: how many processes; all cores by default.

    Raises:
        UsageError: for an expectation that says nothing that can be held against a log.
        CorruptedError: if the checkpoint is none.
        ConfigurationError: if the cosigners cannot be read.
    """
    if record and not relink:
        raise UsageError("what is not looked for cannot be recorded", hint="relink as well")
    if accept and not record:
        raise UsageError("what is accepted has to be recorded", hint="relink and record as well")
    if require is not None and cosigner is None:
        raise UsageError("nobody's signatures count", hint="name a file with the cosigners' keys")
    if jobs is not None and jobs < 1:
        raise UsageError(f"{jobs} processes verify nothing", hint="use one or more")
    expected = _expected(
        genesis,
        max_age,
        None if checkpoint is None else (checkpoint, checkpoint_name),
        cosigner,
        require,
    )
    finish_interrupted(project)

    report = audited(
        project,
        full=full,
        strict=strict,
        relink=relink,
        accept=[_commit(project, name) for name in accept],
        expected=expected,
        jobs=jobs,
    )
    if not record or not report.audit.is_ok or report.is_recorded:
        return _public(report, 0)
    recorded = _record(project, links_of(report))
    again = audited(project, full=True, strict=strict, expected=expected, jobs=jobs)
    return _public(again, recorded)


def _record(project: Project, links: Sequence[Link]) -> int:
    """Record links, as an admin's request where one is at hand; exact carriers need nobody's."""
    from esaa_git.app.keys import admins_needed
    from esaa_git.core.requests import ACCEPTED
    from esaa_git.engine import operator

    if not links:
        return 0
    needs_admin = any(carrier.how in ACCEPTED for _, _, carrier in links)
    if not needs_admin and admins_needed(project, project.log.load()[1]) is not None:
        return operator.follow_moved(project.engine, links)
    return operator.relink(project.engine, links, project.actor(None))


def _public(report: Report, recorded: int) -> VerifyReport:
    audit = report.audit
    return VerifyReport(
        outcome=audit.outcome,
        ref=report.ref,
        tip=report.tip,
        log_id=report.log_id,
        genesis=report.genesis,
        trust=report.trust,
        boundary=report.boundary,
        checked_from=audit.checked_from,
        checked_to=audit.checked_to,
        since=report.since,
        projection_hash=audit.projection_hash,
        branch=report.branch,
        branch_commits=report.branch_commits,
        elsewhere=tuple(report.elsewhere),
        relinked=tuple(report.relinked),
        foreign=tuple(report.foreign),
        gone=tuple(report.gone),
        recorded=recorded,
        check=audit.check,
        event_id=audit.event_id,
        commit=report.failed_commit,
        message=audit.message,
        hint=report.hint,
        sound=report.sound,
        jobs=report.jobs,
        notes=tuple(report.notes),
    )


def audited(
    project: Project,
    *,
    full: bool = False,
    strict: bool = False,
    relink: bool = False,
    accept: Sequence[str] = (),
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
        accept=accept,
        by=project.actor(None) if accept else None,
        expected=expected,
        on_progress=project.observer.progress,
    ).run()
    if report.audit.is_ok and report.tip is not None:
        plain_git.write(project.repository, report.tip, project.note)
    # Over, wherever it ended: what signs next may have a person asked for a passphrase.
    project.observer.progress(1, 1)
    return report


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


def _expected(
    genesis: str | None,
    max_age: str | None,
    checkpoint: tuple[bytes, str] | None,
    cosigner: Path | None,
    require: int | None,
) -> Expected:
    if genesis is not None and not is_oid(genesis):
        raise UsageError(
            f"--genesis: '{genesis}' is not the whole id of a commit",
            hint="write all 40 digits: a part of an id can be met by another commit",
        )
    not_before = None
    if max_age is not None:
        now = timestamp(wiring.SystemClock().now())
        not_before = after(now, -max_age_ms(max_age))
    return Expected(
        genesis,
        not_before,
        max_age or "",
        None if checkpoint is None else load_checkpoint(*checkpoint),
        None if cosigner is None else cosigners(cosigner),
        require or 1,
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


def _commit(project: Project, name: str) -> str:
    """Return the id of a commit that a person names; an effect need not be here any more."""
    effects = _effects_named(project, name)
    if len(effects) == 1:
        return effects[0]
    try:
        return str(project.repository.raw.revparse_single(name).peel(pygit2.Commit).id)
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise UsageError(f"there is no commit '{name}'", hint="name one of the branch") from error


def _effects_named(project: Project, name: str) -> list[str]:
    """Return the effects of the log whose ids begin so."""
    if re.fullmatch("[0-9a-f]{7,40}", name) is None:
        return []
    results = (task.result for task in project.log.load()[0].tasks.values())
    found = {one.effect_commit for one in results if one is not None}
    return [oid for oid in found if oid is not None and oid.startswith(name)]
