"""The audit: walks the log and the branch, and hands ranges of events to the numbered checks.

Ranges are independent, so they are spread over all cores. The last verified point is remembered
(`esaa_git.verify.pins`); a log that does not reach it was rolled back or rewritten (check 1). A log
that ends at a shallow boundary is verified from there, and it is said so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace

import pygit2

from esaa_git.core.projection import projection_hash
from esaa_git.core.state import State
from esaa_git.errors import CorruptedError, RepositoryError
from esaa_git.ports.checks import Audit
from esaa_git.store import commitform
from esaa_git.store.log import LoadedTip, load_tip, read_event_commit
from esaa_git.store.objects import MalformedObject, decode_commit, raw_parent
from esaa_git.store.repository import GuardedRepository, Repository
from esaa_git.verify.checks import CHECKS, Closed, Failure, Link
from esaa_git.verify.effects import Relinked, Walked, check_branch
from esaa_git.verify.pins import (
    NOTHING,
    Anchor,
    Expected,
    Mark,
    Seen,
    is_oid,
    mark_path,
    read_mark,
    read_pin,
    write_mark,
)
from esaa_git.verify.ranges import (
    Outcome,
    Range,
    bound_cache,
    check_in_worker,
    check_range,
    cores,
    open_in_worker,
    range_of,
)
from esaa_git.verify.relink import Relinker

CHUNK = 1000
"""Events a range has."""

PARALLEL_FROM = 4 * CHUNK
"""Below this many events, starting processes costs more than it saves."""


@dataclass
class Report:
    """What an audit found, with what it covered and what it could not.

    `sound` is the last event commit before the first offending one. `boundary` is where the log
    that is here begins, if not with `genesis`; `trust` says why that is believed (`Anchor.trust`).
    `relinked` are the effects that the branch holds in other commits than their own.
    """

    audit: Audit
    ref: str
    tip: str | None
    log_id: str | None
    genesis: str | None
    since: int
    jobs: int
    branch: str | None = None
    branch_tip: str | None = None
    branch_commits: int = 0
    failed_commit: str | None = None
    sound: str | None = None
    boundary: str | None = None
    trust: str = "first-use"
    hint: str | None = None
    relinked: list[Relinked] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def is_recorded(self) -> bool:
        """Whether the log itself says of every relinked effect which commit carries it."""
        return all(one.is_recorded for one in self.relinked)


class Auditor:
    """Verifies one repository's log and branch.

    Args:
        full: from genesis, whatever was verified before.
        strict: fail for what is otherwise only noted.
        remember: keep the verified point.
        relink: look on the whole branch for effects that are not where the log has them; this
            is always `full`.
        expected: what the log is held against besides what is known here.
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
        expected: Expected = NOTHING,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        is_guarded = isinstance(repository, GuardedRepository)
        self._repository = repository if is_guarded else GuardedRepository(repository.raw)
        self._full = full or relink
        self._jobs = jobs or cores()
        self._strict = strict
        self._remember = remember
        self._with_branch = with_branch
        self._relink = relink
        self._expected = expected
        self._on_progress = on_progress
        self._shallow = _shallow(repository)
        self._forget()

    def _forget(self) -> None:
        """Be as before anything was looked at."""
        self._log_id: str | None = None
        self._genesis: str | None = None
        self._boundary: str | None = None
        self._sound: str | None = None
        self._meets_mark = False
        self._at_checkpoint: str | None = None
        self._absent = 0
        self._effect_failures: list[Failure] = []
        self._links: list[Link] = []

    def run(self) -> Report:
        """Verify, and remember the verified point if all is well.

        Raises:
            RepositoryError: if there is no log, and none was ever verified here.
        """
        bound_cache()
        mark = read_mark(mark_path(self._repository))
        pin = read_pin(self._repository)
        tip = self._repository.ref_target(self._repository.events_ref)
        if tip is None and mark is None and pin is None:
            raise RepositoryError(
                "there is no event log in this repository yet",
                hint="run 'git esaa run' to start one, or fetch it from a remote",
            )
        anchor = Anchor(self._repository, mark, pin, self._expected)
        since = None if self._full else self._since(mark)
        report = self._attempt(tip, mark, since, anchor)
        if report.audit.check == 11 and since is not None and self._links:
            # The branch was rewritten, and the events after the verified point say how: what was
            # verified of the branch before is looked for again.
            self._forget()
            report = self._attempt(tip, mark, None, anchor)
        if report.audit.is_ok and self._remember and report.is_recorded:
            try:
                self._write_mark(report)
            except OSError as error:
                # Whoever audits a repository may have no right to write into it.
                cause = error.strerror or str(error)
                report.notes.append(f"how far it was verified is not remembered here: {cause}")
        return report

    def _since(self, mark: Mark | None) -> Mark | None:
        """Return where to start: not after a boundary, once what is before it has come."""
        if mark is not None and mark.boundary is not None:
            parent = self._parent(mark.boundary, None)
            return None if not self._is_missing(parent) else mark
        return mark

    def _attempt(
        self, tip: str | None, mark: Mark | None, since: Mark | None, anchor: Anchor
    ) -> Report:
        report = Report(
            Audit("ok", 1, 0),
            self._repository.events_ref,
            tip,
            None,
            None,
            0 if since is None else since.seq,
            1,
            trust=anchor.trust,
        )
        try:
            if tip is None:
                raise anchor.check_gone()
            state = self._verify(tip, mark, since, anchor, report)
        except Failure as failure:
            self._fail(report, failure)
            return report
        audit = report.audit
        report.audit = Audit("ok", audit.checked_from, audit.checked_to, projection_hash(state))
        return report

    # -- the log ----------------------------------------------------------------------------

    def _verify(
        self, tip: str, mark: Mark | None, since: Mark | None, anchor: Anchor, report: Report
    ) -> State:
        loaded = self._load_tip(tip, since)
        seq = loaded.tip.seq
        anchor.check_length(tip, seq)
        report.audit = Audit("ok", 1 if since is None else since.seq + 1, seq)
        count = seq - (0 if since is None else since.seq)
        report.jobs = self._jobs if count >= PARALLEL_FROM else 1
        closed = self._check_ranges(tip, since, report.jobs, seq, mark)
        if since is not None:
            self._log_id, self._genesis = since.log_id, since.genesis
            self._boundary, self._meets_mark = since.boundary, True
        first = None if self._boundary is None else self._seq_of(self._boundary)
        if self._log_id is None:
            self._log_id = loaded.tip.log_id  # there was nothing to check after the boundary
        anchor.check(self._seen(loaded, first, since))
        report.tip, report.log_id, report.genesis = tip, self._log_id, self._genesis
        if first is not None:
            self._say_where_it_begins(first, since, report)
        if self._with_branch:
            self._check_effects(loaded.state, closed, since, report)
        self._look_for_deception(report)
        return loaded.state

    def _seen(self, loaded: LoadedTip, first: int | None, since: Mark | None) -> Seen:
        return Seen(
            loaded,
            self._log_id,
            self._genesis,
            self._boundary,
            first,
            self._meets_mark,
            lambda seq: self._at(seq, first or 1, since),
        )

    def _at(self, seq: int, first: int, since: Mark | None) -> str | None:
        """Return the commit at the checkpoint's sequence number, which may lie before the range.

        Back from the verified point it is walked to, and not looked up in an index: the answer
        decides.
        """
        if seq < first or self._at_checkpoint is not None:
            return self._at_checkpoint
        if since is None or seq > since.seq:
            return None
        current: str | None = since.tip
        for number in range(since.seq, seq, -1):
            current = None if current is None else self._parent(current, number)
        return current

    def _seq_of(self, oid: str) -> int:
        try:
            return read_event_commit(self._repository.read, oid).event.seq
        except (CorruptedError, pygit2.GitError) as error:
            raise Failure(2, "corrupted", None, oid, f"it cannot be read: {error}") from error

    def _say_where_it_begins(self, first: int, since: Mark | None, report: Report) -> None:
        report.boundary = self._boundary
        if since is None:
            report.audit = replace(report.audit, checked_from=first + 1)
        note = (
            f"the log that is here begins at event {first} (a shallow clone), which is trusted as "
            f"it stands: nothing was checked before event {first + 1}"
        )
        self._note(report, 1, note)

    def _load_tip(self, tip: str, since: Mark | None) -> LoadedTip:
        try:
            return load_tip(self._repository, tip)
        except (CorruptedError, KeyError, MalformedObject, pygit2.GitError) as error:
            # What keeps the tip from being read may have come in long before it.
            seq = self._claimed_seq(tip)
            self._check_ranges(tip, since, 1, seq, None)
            cause = getattr(error, "cause", None)
            message = f"the tip cannot be read: {cause or error}"
            raise Failure(2, "corrupted", seq, tip, message) from error

    def _claimed_seq(self, oid: str) -> int | None:
        """Return the sequence number that the trailers of a commit give it, if they can be read."""
        try:
            message = decode_commit(self._repository.read(oid)[1]).message
        except (KeyError, MalformedObject, pygit2.GitError):
            return None
        claimed = commitform.trailers(message.decode("utf-8", "replace")).get("ESAA-Seq", "")
        return int(claimed) if claimed.isdecimal() and len(claimed) < 16 else None

    def _check_ranges(
        self, tip: str, since: Mark | None, jobs: int, seq: int | None, mark: Mark | None
    ) -> list[Closed]:
        """Check every range and return the closed effects; raise the first failure by sequence.

        Args:
            seq: the sequence number of the tip, where it is known.
            mark: whose tip is looked out for on the way.
        """
        outcomes: list[Outcome] = []
        done = 0
        count = (seq or 0) - (0 if since is None else since.seq)
        for outcome in self._outcomes(self._ranges(tip, since, seq, mark), jobs):
            outcomes.append(outcome)
            done += outcome.count
            self._on_progress(done, count)
        failures = [(one.failure, one.sound) for one in outcomes if one.failure is not None]
        if failures:
            failure, self._sound = min(failures, key=lambda found: found[0].seq or 0)
            raise failure
        self._absent = sum(one.absent for one in outcomes)
        self._effect_failures = [failure for one in outcomes for failure in one.effect_failures]
        self._links = [link for outcome in outcomes for link in outcome.links]
        log_ids = {outcome.log_id for outcome in outcomes if outcome.log_id is not None}
        if len(log_ids) > 1:
            raise Failure(5, "mismatch", None, tip, "the log id changes along the log")
        if log_ids:
            self._log_id = log_ids.pop()
        return [closed for outcome in outcomes for closed in outcome.closed]

    def _outcomes(self, ranges: Iterator[Range], jobs: int) -> Iterator[Outcome]:
        if jobs == 1:
            for part in ranges:
                yield check_range(self._repository, self._with_branch, part)
            return
        path = str(self._repository.git_dir)
        opening = (path, self._with_branch)
        with ProcessPoolExecutor(jobs, initializer=open_in_worker, initargs=opening) as pool:
            pending: set[Future[Outcome]] = set()
            for part in ranges:
                pending.add(pool.submit(check_in_worker, part))
                if len(pending) >= 4 * jobs:
                    ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in ready)
            for future in pending:
                yield future.result()

    def _ranges(
        self, tip: str, since: Mark | None, seq: int | None, mark: Mark | None
    ) -> Iterator[Range]:
        """Walk back over raw commits and yield ranges, the newest first.

        A parent that is missing ends the walk where the commit is a shallow boundary; the ranges
        then stand on that commit. A boundary whose parent is here all the same is walked past.
        """
        oids: list[str] = []
        current: str | None = tip
        stop = None if since is None else since.tip
        checkpoint = self._expected.checkpoint
        wanted = None if checkpoint is None else checkpoint.seq
        while current is not None and current != stop:
            if wanted is not None and seq == wanted:
                self._at_checkpoint = current
            self._meets_mark |= mark is not None and current == mark.tip
            parent = self._parent(current, seq)
            if current in self._shallow and self._is_missing(parent) and parent != stop:
                self._boundary = current
                break
            oids.append(current)
            seq = None if seq is None or seq <= 1 else seq - 1
            if len(oids) == CHUNK:
                yield range_of(parent, oids)
                oids = []
            if parent is None:
                self._genesis = current
            current = parent
        if oids:
            yield range_of(current, oids)
        if current != stop and since is not None:
            message = f"the log does not contain {since.tip[:12]}, which was verified here"
            if self._boundary is not None:
                message = f"the log that is here ends early (a shallow clone): {message}"
            raise Failure(1, "mismatch", None, tip, message)

    def _is_missing(self, oid: str | None) -> bool:
        return oid is not None and oid not in self._repository.odb

    def _parent(self, oid: str, seq: int | None) -> str | None:
        try:
            data = self._repository.read(oid)[1]
        except (KeyError, MalformedObject, pygit2.GitError) as error:
            raise Failure(2, "corrupted", seq, oid, f"commit {oid} cannot be read") from error
        return raw_parent(data)

    # -- the branch -------------------------------------------------------------------------

    def _check_effects(
        self, state: State, closed: list[Closed], since: Mark | None, report: Report
    ) -> None:
        """Check 11: every effect in the log, then on the branch that its run worked on."""
        imported = commitform.imported_events(self._log_id)
        closed = sorted((one for one in closed if one.seq > imported), key=lambda one: one.seq)
        explain = None
        if self._relink or self._links:
            explain = Relinker(self._repository, self._links, closed, search=self._relink)
        else:
            self._refuse_effects(())
        if self._absent:
            note = f"{self._absent} effect commits are not here; the log holds what they change"
            self._note(report, 11, note)
        current = state.run.branch
        names = {one.branch for one in closed} | ({current} if current is not None else set())
        for name in sorted(names, key=lambda name: (name != current, name)):
            of_branch = [one for one in closed if one.branch == name]
            walked = self._check_branch(name, of_branch, state, since, explain, report)
            if walked is None:
                continue
            report.relinked += walked.relinked
            if name == current:
                report.branch, report.branch_commits = name, walked.commits
                report.branch_tip = walked.tip
        self._refuse_effects({one.effect_commit for one in report.relinked})

    def _refuse_effects(self, carried: Collection[str]) -> None:
        """Raise the first failure of an effect commit, but for those that are gone and carried."""
        failures = [
            failure
            for failure in self._effect_failures
            if failure.hint is None or failure.oid not in carried
        ]
        if failures:
            raise min(failures, key=lambda failure: failure.seq or 0)

    def _check_branch(
        self,
        name: str,
        closed: list[Closed],
        state: State,
        since: Mark | None,
        explain: Relinker | None,
        report: Report,
    ) -> Walked | None:
        tip = self._repository.ref_target(f"refs/heads/{name}")
        if tip is None:
            note = f"the working branch '{name}' is not here: effects were checked in the log"
            self._note(report, 11, note)
            return None
        walked = check_branch(
            self._repository.read,
            tip,
            closed,
            is_known=lambda oid, message: _names(state, oid, message),
            seen=self._base(),
            verified=since.branch_tip if since is not None and since.branch == name else None,
            shallow=self._shallow,
            explain=explain,
        )
        if walked.beyond:
            note = (
                f"the history of '{name}' that is here ends early (a shallow clone): "
                f"{len(walked.beyond)} commits to be found in it may lie beyond"
            )
            self._note(report, 11, note)
        return walked

    def _base(self) -> tuple[str, ...]:
        """Return the commit that the log began on; no effect of it can be older."""
        if self._genesis is None:
            return ()
        base = read_event_commit(self._repository.read, self._genesis).event.payload.get("base")
        return () if base is None else (str(base),)

    def _note(self, report: Report, check: int, note: str) -> None:
        report.notes.append(note)
        if self._strict:
            raise Failure(check, "mismatch", None, str(report.tip), note)

    def _look_for_deception(self, report: Report) -> None:
        """Name what makes git's own commands show another history than the one verified here."""
        replaced = [ref for ref in self._repository.raw.references if "refs/replace/" in ref]
        grafts = self._repository.common_dir / "info" / "grafts"
        found = []
        if replaced:
            found.append(f"{len(replaced)} replace refs (refs/replace/)")
        if grafts.is_file() and grafts.stat().st_size:
            found.append(f"a grafts file ({grafts})")
        hidden = sum(self._is_cut_in_vain(oid) for oid in self._shallow)
        if hidden:
            found.append(f"a shallow file that cuts off {hidden} commits whose parents are here")
        for what in found:
            note = f"git shows another history here because of {what}; we read past it"
            self._note(report, 1, note)

    def _is_cut_in_vain(self, oid: str) -> bool:
        try:
            parents = decode_commit(self._repository.read(oid)[1]).parents
        except (KeyError, ValueError, MalformedObject, pygit2.GitError):
            return False  # git itself complains of such a file
        return any(parent in self._repository.odb for parent in parents)

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

    def _write_mark(self, report: Report) -> None:
        assert report.tip is not None
        assert report.log_id is not None
        mark = Mark(
            report.log_id,
            report.genesis,
            report.tip,
            report.audit.checked_to,
            report.branch,
            report.branch_tip,
            report.boundary,
        )
        write_mark(mark_path(self._repository), mark)


def _names(state: State, oid: str, message: bytes) -> bool:
    """Answer whether the task that a commit claims was closed with exactly this commit.

    The state at the tip tells, however long the log is: `done` is final, so the result of a task
    stays for ever.
    """
    named = commitform.trailers(message.decode("utf-8", "replace")).get("ESAA-Task", "")
    task = state.tasks.get(named)
    return task is not None and task.result is not None and task.result.effect_commit == oid


def _shallow(repository: Repository) -> frozenset[str]:
    """Return the commits at which git takes the history to end (gitformat-commit-graph(5))."""
    try:
        listed = (repository.common_dir / "shallow").read_text("ascii", errors="replace")
    except FileNotFoundError:
        return frozenset()
    return frozenset(word for word in listed.split() if is_oid(word))


# -- ranges, in this process or in a worker ---------------------------------------------------
