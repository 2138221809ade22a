"""The audit: walks the log and the branch, and hands ranges of events to the numbered checks.

Ranges are independent, so they are spread over all cores. The last verified point is remembered
(`esaa_git.verification.pins`); a log that does not reach it was rolled back or rewritten (check 1).
A log that ends at a shallow boundary is verified from there, and it is said so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

import pygit2

from esaa_git.core import logid
from esaa_git.core.projection import projection_hash
from esaa_git.core.state import State
from esaa_git.errors import CorruptedError, NoLog
from esaa_git.ports.checks import Audit
from esaa_git.ports.refs import RefStore
from esaa_git.store import commitform
from esaa_git.store.eventcommit import read_commit, read_event_commit
from esaa_git.store.objects import MalformedObject, message_of
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import GuardedRepository, Repository
from esaa_git.store.tip import LoadedTip, load_tip
from esaa_git.verification.anchor import NOTHING, Anchor, Expected, Seen
from esaa_git.verification.branchaudit import BranchAudit, BranchSettings, Rewritten
from esaa_git.verification.claims import ClaimJudge
from esaa_git.verification.effects import Closed
from esaa_git.verification.evaluated import Unevaluated, check_evaluated, other_library
from esaa_git.verification.failure import CHECKS, Failure
from esaa_git.verification.heads import Heads
from esaa_git.verification.pins import (
    Kept,
    Mark,
    Pin,
    PinUnusable,
    keep,
    mark_path,
    read_pin,
    write_mark,
)
from esaa_git.verification.ranges import (
    Outcome,
    bound_cache,
    check_ranges,
    cores,
)
from esaa_git.verification.report import Report
from esaa_git.verification.walk import (
    CHUNK,
    LogWalk,
    deceptions,
    is_missing,
    read_parent,
    shallow_commits,
)

PARALLEL_FROM = 4 * CHUNK
"""Below this many events, starting processes costs more than it saves."""


NOT_PINNED: Final = (
    "programs not pinned: the log does not say which programs acted and judged; the next run.init, "
    "as by 'git esaa plan apply --restart', pins them"
)

_STILL_OPEN: Final = (
    "when events to {} were verified, something could only be noted; 'git esaa verify --full' "
    "looks again and says what, and --strict fails for it"
)


@dataclass(frozen=True, slots=True)
class _Settings:
    """How an audit is made; see `Auditor`."""

    jobs: int
    strict: bool
    with_branch: bool
    is_own: bool
    branch: BranchSettings
    expected: Expected
    on_progress: Callable[[int, int], None]


class Auditor:
    """Verifies one repository's log and branch.

    Args:
        full: from genesis, whatever was verified before.
        strict: fail for what is otherwise only noted.
        remember: keep the verified point.
        relink: look on the whole branch for effects that are not where the log has them; this
            is always `full`.
        accept: commits that carry effects and change something beside them, merges that lose
            effects, or effects that are given up, for which an admin answers; `by` is who.
        judged: a branch that is judged beside those that runs worked on; by default what is
            checked out, without a branch too, as in a job of a forge.
        expected: what the log is held against besides what is known here.
        refs: where log and branches are, by default those of the repository, with the branches
            that it fetched from its remotes.
        mark: the verified point, by default the one that is remembered here.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        full: bool = False,
        jobs: int | None = None,
        strict: bool = False,
        remember: bool = True,
        with_branch: bool = True,
        relink: bool = False,
        accept: Collection[str] = (),
        by: str | None = None,
        judged: str | None = None,
        expected: Expected = NOTHING,
        refs: RefStore | None = None,
        mark: Mark | None = None,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        if not isinstance(repository, GuardedRepository):
            repository = GuardedRepository(repository.raw, repository.places)
        self._repository = repository
        self._refs = refs or GitRefs(self._repository)
        self._mark = mark
        self._full = full or relink
        self._remember = remember
        branch = BranchSettings(strict, full, relink, accept, by, judged)
        self._settings = _Settings(
            jobs or cores(), strict, with_branch, refs is None, branch, expected, on_progress
        )

    def run(self) -> Report:
        """Verify, and remember the verified point if all is well.

        Raises:
            RepositoryError: if there is no log, and none was ever verified here.
        """
        bound_cache()
        kept = Kept(self._mark) if self._mark else keep(self._repository, self._mark_path)
        mark, pin = kept.mark, self._pin()
        tip = self._refs.read(self._repository.events_ref)
        if tip is None and mark is None and pin is None:
            raise NoLog
        anchor = Anchor(self._repository, mark, pin, self._settings.expected)
        since = None if self._full else self._since(mark)
        attempt_from = partial(_Attempt, self._repository, self._refs, self._settings, anchor, mark)
        attempt = attempt_from(since)
        report = attempt.run(tip)
        if attempt.was_rewritten:
            # A branch was rewritten, renamed or deleted since: every effect is looked for again.
            report = attempt_from(None).run(tip)
        if kept.doubt is not None:
            done = ": everything was verified" if report.audit.is_ok else ""
            report.notes.append(kept.doubt + done)
        if report.audit.is_ok and self._remember and report.is_recorded:
            self._keep(report)
        return report

    @property
    def _mark_path(self) -> Path:
        return mark_path(self._repository)

    def _pin(self) -> Pin | PinUnusable | None:
        try:
            return read_pin(self._repository)
        except PinUnusable as error:
            return error

    def _keep(self, report: Report) -> None:
        """Remember the verified point; an auditor may have no right to, and no place for it."""
        cause = "there is no secret in a configuration folder of yours that nobody else can read"
        try:
            if write_mark(self._repository, self._mark_path, report.mark):
                return
        except OSError as error:
            cause = error.strerror or str(error)
        report.notes.append(f"how far it was verified is not remembered here: {cause}")

    def _since(self, mark: Mark | None) -> Mark | None:
        """Return where to start: not after a boundary, once what is before it has come.

        Nor, with `strict`, after what was only noted.
        """
        if mark is not None and mark.is_open and self._settings.strict:
            return None
        if mark is not None and mark.boundary is not None:
            parent = read_parent(self._repository, mark.boundary)
            return None if not is_missing(self._repository, parent) else mark
        return mark


class _Attempt:
    """One pass over log and branches, from genesis or from the verified point.

    Attributes:
        was_rewritten: no branch holds any more what was verified.
    """

    def __init__(
        self,
        repository: Repository,
        refs: RefStore,
        settings: _Settings,
        anchor: Anchor,
        mark: Mark | None,
        since: Mark | None,
    ) -> None:
        self._repository = repository
        self._heads = Heads(repository, refs, is_own=settings.is_own)
        self._settings = settings
        self._anchor = anchor
        self._since = since
        self._shallow = shallow_commits(repository)
        self._walk = self._new_walk(mark)
        self._log_id: str | None = None
        self._sound: str | None = None
        self._absent = 0
        self._unevaluated: list[Unevaluated] = []
        self._effect_failures: list[Failure] = []
        self.was_rewritten = False

    def _new_walk(self, look_for: Mark | None) -> LogWalk:
        checkpoint = self._settings.expected.checkpoint
        return LogWalk(
            self._repository,
            self._shallow,
            since=self._since,
            look_for=look_for,
            checkpoint=None if checkpoint is None else checkpoint.seq,
        )

    def run(self, tip: str | None) -> Report:
        """Verify the log that ends here, and its effects."""
        report = Report(
            Audit("ok", 1, 0),
            self._repository.events_ref,
            tip,
            None,
            None,
            0 if self._since is None else self._since.seq,
            1,
            trust=self._anchor.trust,
        )
        try:
            said = self._anchor.check_pin()
            if said is not None:
                report.notes.append(said)
            if tip is None:
                raise self._anchor.check_gone()
            state = self._verify(tip, report)
        except Failure as failure:
            self.was_rewritten = isinstance(failure, Rewritten)
            self._fail(report, failure.at(str(tip)))
            return report
        audit = report.audit
        report.audit = Audit("ok", audit.checked_from, audit.checked_to, projection_hash(state))
        return report

    # -- the log ----------------------------------------------------------------------------

    def _verify(self, tip: str, report: Report) -> State:
        since, walk = self._since, self._walk
        # Until its signature has been checked, the tip is a commit that claims to be event `seq`.
        seq = self._claimed_seq(tip)
        if seq is not None:
            self._anchor.check_length(seq)  # check 1
        first_checked = 1 if since is None else since.seq + 1
        report.audit = Audit("ok", first_checked, seq or 0)
        count = (seq or 0) - (0 if since is None else since.seq)
        report.jobs = self._settings.jobs if count >= PARALLEL_FROM else 1
        closed = self._check_ranges(walk, tip, report.jobs, seq)  # checks 2 to 10
        loaded = self._load_tip(tip)
        report.audit = Audit("ok", first_checked, loaded.tip.seq)
        if since is not None:
            self._log_id = since.log_id
        first = None if walk.boundary is None else self._seq_of(walk.boundary)
        if self._log_id is None:
            self._log_id = loaded.tip.log_id  # there was nothing to check after the boundary
        self._anchor.check(self._seen(loaded, first))  # check 1
        report.tip, report.log_id, report.genesis = tip, self._log_id, walk.genesis
        if first is not None:
            self._say_where_it_begins(first, report)
        if self._settings.with_branch:
            self._check_effects(loaded.state, closed, report)  # check 11
        imported = logid.imported_events(self._log_id)
        if imported:
            origin = logid.origin_of(self._log_id)
            report.notes.append(
                f"events 1 to {imported} were imported"
                + (f" from log {origin}" if origin else "")
                + ": they are signed by the key that imported them, and nobody vouches for what "
                "they say"
            )
        if loaded.state.programs.pinned is None:
            report.notes.append(NOT_PINNED)
        for what in deceptions(self._repository, self._shallow):
            note = f"git shows another history here because of {what}; we read past it"
            self._note(report, 1, note)
        if since is not None and since.is_open and not report.is_open:
            report.is_open = True
            report.notes.append(_STILL_OPEN.format(since.seq))
        check_evaluated(self._unevaluated)  # check 8
        other = other_library(loaded.state.run.cel)
        if other is not None:
            report.notes.append(other)
        return loaded.state

    def _seen(self, loaded: LoadedTip, first: int | None) -> Seen:
        return Seen(
            loaded,
            self._log_id,
            self._walk.genesis,
            self._walk.boundary,
            first,
            self._walk.meets_mark,
            lambda seq: self._walk.commit_at(seq, first or 1),
        )

    def _seq_of(self, oid: str) -> int:
        try:
            return read_event_commit(self._repository.read, oid).event.seq
        except (CorruptedError, pygit2.GitError) as error:
            raise Failure(2, f"it cannot be read: {error}").at(oid) from error

    def _say_where_it_begins(self, first: int, report: Report) -> None:
        report.boundary = self._walk.boundary
        if self._since is None:
            report.audit = replace(report.audit, checked_from=first + 1)
        note = (
            f"the log that is here begins at event {first} (a shallow clone), which is trusted as "
            f"it stands: nothing was checked before event {first + 1}"
        )
        self._note(report, 1, note)

    def _load_tip(self, tip: str) -> LoadedTip:
        try:
            return load_tip(self._repository, tip)
        except (CorruptedError, KeyError, MalformedObject, pygit2.GitError) as error:
            cause = getattr(error, "cause", None)
            message = f"the tip cannot be read: {cause or error}"
            raise Failure(2, message).at(tip, self._claimed_seq(tip)) from error

    def _claimed_seq(self, oid: str) -> int | None:
        """Return the sequence number that the trailers of a commit give it, if they can be read."""
        try:
            return commitform.claimed_seq(message_of(read_commit(self._repository.read, oid)))
        except (KeyError, MalformedObject, pygit2.GitError):
            return None

    def _check_ranges(self, walk: LogWalk, tip: str, jobs: int, seq: int | None) -> list[Closed]:
        """Check every range and return the closed effects; raise the first failure by sequence.

        Args:
            seq: the sequence number of the tip, where it is known.
        """
        outcomes: list[Outcome] = []
        done = 0
        count = (seq or 0) - (0 if self._since is None else self._since.seq)
        ranges, with_effects = walk.ranges(tip, seq), self._settings.with_branch
        is_partial = self._heads.is_empty
        for outcome in check_ranges(self._repository, ranges, with_effects, is_partial, jobs):
            outcomes.append(outcome)
            done += outcome.count
            self._settings.on_progress(done, count)
        failures = [(one.failure, one.sound) for one in outcomes if one.failure is not None]
        if failures:
            failure, self._sound = min(failures, key=lambda found: found[0].seq or 0)
            raise failure
        self._unevaluated = [found for one in outcomes for found in one.unevaluated]
        self._absent = sum(one.absent for one in outcomes)
        self._effect_failures = [failure for one in outcomes for failure in one.effect_failures]
        log_ids = {outcome.log_id for outcome in outcomes if outcome.log_id is not None}
        if len(log_ids) > 1:
            raise Failure(5, "the log id changes along the log")
        if log_ids:
            self._log_id = log_ids.pop()
        return [closed for outcome in outcomes for closed in outcome.closed]

    # -- the branch -------------------------------------------------------------------------

    def _check_effects(self, state: State, closed: list[Closed], report: Report) -> None:
        """Check 11: every effect in the log, then on the branch that its run worked on."""
        imported = logid.imported_events(self._log_id)
        closed = sorted((one for one in closed if one.seq > imported), key=lambda one: one.seq)
        known = {one.effect_commit: one for one in closed}
        judge = ClaimJudge(self._repository, state, str(report.tip), self._log_id, known)
        if self._absent:
            note = f"{self._absent} effect commits are not here; the log holds what they change"
            self._note(report, 11, note)
        BranchAudit(
            self._repository,
            self._heads,
            self._settings.branch,
            judge=judge,
            shallow=self._shallow,
            since=self._since,
            genesis=self._walk.genesis,
            failures=self._effect_failures,
            note=lambda note: self._note(report, 11, note),
        ).check(closed, report)

    def _note(self, report: Report, check: int, note: str) -> None:
        report.notes.append(note)
        report.is_open = True
        if self._settings.strict:
            raise Failure(check, note)

    # -- the outcome ------------------------------------------------------------------------

    def _fail(self, report: Report, failure: Failure) -> None:
        where = f"{failure.event_id}: " if failure.event_id else ""
        report.failed_commit, report.sound = failure.oid, self._sound
        report.hint = failure.hint
        report.audit = Audit(
            failure.outcome,
            report.audit.checked_from,
            report.audit.checked_to,
            None,
            failure.check,
            failure.event_id,
            f"{where}{CHECKS[failure.check]}: {failure.message}",
            None if self._sound is None else f"git update-ref {report.ref} {self._sound}",
        )
