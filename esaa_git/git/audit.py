"""The audit: walks the log and the branch, and hands ranges of events to the numbered checks.

Ranges are independent, so they are spread over all cores. The last verified point is remembered
in `.git/esaa/verified.json`; a log that does not reach it was rolled back or rewritten (check 1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

import pygit2

from esaa_git.core.projection import projection_hash
from esaa_git.core.state import State
from esaa_git.errors import CorruptedError, RepositoryError
from esaa_git.git import commitform
from esaa_git.git.effectcheck import EffectChecker, Walked, check_branch
from esaa_git.git.journal import write_atomically
from esaa_git.git.log import LoadedTip, load_tip, read_event_commit
from esaa_git.git.objects import MalformedObject, decode_commit
from esaa_git.git.repository import Repository
from esaa_git.git.verification import CHECKS, Closed, Failure, Verifier
from esaa_git.ports import Audit

CHUNK = 1000
"""Events a range has."""

PARALLEL_FROM = 4 * CHUNK
"""Below this many events, starting processes costs more than it saves."""


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the log was verified, kept locally."""

    log_id: str
    genesis: str
    tip: str
    seq: int
    branch: str | None = None
    branch_tip: str | None = None


@dataclass
class Report:
    """What an audit found, with what it covered and what it could not.

    `sound` is the last event commit before the first offending one.
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
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Range:
    """Commits to check, oldest first, after `start`; as one string, to be sent cheaply."""

    start: str | None
    oids: bytes

    def __iter__(self) -> Iterator[str]:
        for at in range(0, len(self.oids), 20):
            yield self.oids[at : at + 20].hex()


class Auditor:
    """Verifies one repository's log and branch."""

    def __init__(
        self,
        repository: Repository,
        *,
        full: bool = False,
        jobs: int | None = None,
        strict: bool = False,
        remember: bool = True,
        with_branch: bool = True,
        on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    ) -> None:
        self._repository = repository
        self._full = full
        self._jobs = jobs or _cores()
        self._strict = strict
        self._remember = remember
        self._with_branch = with_branch
        self._on_progress = on_progress
        self._mark_path = repository.esaa_dir / "verified.json"
        self._log_id: str | None = None
        self._genesis: str | None = None
        self._sound: str | None = None
        self._meets_mark = False
        self._absent = 0
        self._effect_failures: list[Failure] = []

    def run(self) -> Report:
        """Verify, and remember the verified point if all is well.

        Raises:
            RepositoryError: if there is no log, and none was ever verified here.
        """
        mark = read_mark(self._mark_path)
        tip = self._repository.ref_target(self._repository.events_ref)
        if tip is None and mark is None:
            raise RepositoryError(
                "there is no event log in this repository yet",
                hint="run 'git esaa run' to start one, or fetch it from a remote",
            )
        report = Report(
            Audit("ok", 1, 0),
            self._repository.events_ref,
            tip,
            None,
            None,
            0 if self._full or mark is None else mark.seq,
            1,
        )
        try:
            state = self._verify(tip, mark, report)
        except Failure as failure:
            self._fail(report, failure)
            return report
        audit = report.audit
        report.audit = Audit("ok", audit.checked_from, audit.checked_to, projection_hash(state))
        if self._remember:
            self._write_mark(report)
        return report

    # -- the log ----------------------------------------------------------------------------

    def _verify(self, tip: str | None, mark: Mark | None, report: Report) -> State:
        if tip is None:
            assert mark is not None
            message = f"the log is gone; {mark.seq} events of it were verified here"
            raise Failure(1, "mismatch", None, mark.tip, message)
        loaded = self._load_tip(tip, None if self._full else mark)
        seq = loaded.tip.seq
        if mark is not None and seq < mark.seq:
            message = f"the log ends at event {seq}; {mark.seq} events were verified here"
            raise Failure(1, "mismatch", None, tip, message)
        since = None if self._full or mark is None else mark
        report.audit = Audit("ok", 1 if since is None else since.seq + 1, seq)
        count = seq - (0 if since is None else since.seq)
        report.jobs = self._jobs if count >= PARALLEL_FROM else 1
        closed = self._check_ranges(tip, since, report.jobs, seq, mark)
        if since is not None:
            self._log_id, self._genesis = since.log_id, since.genesis
        self._check_anchor(tip, mark)
        report.tip, report.log_id, report.genesis = tip, self._log_id, self._genesis
        if self._with_branch:
            self._check_effects(loaded.state, closed, since, report)
        self._look_for_deception(report)
        return loaded.state

    def _load_tip(self, tip: str, since: Mark | None) -> LoadedTip:
        try:
            return load_tip(self._repository, tip)
        except (CorruptedError, KeyError, pygit2.GitError) as error:
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

    def _check_anchor(self, tip: str, mark: Mark | None) -> None:
        if mark is None:
            return
        if mark.genesis != self._genesis or mark.log_id != self._log_id:
            message = f"this is another log: it begins with {str(self._genesis)[:12]}"
            raise Failure(1, "mismatch", None, tip, f"{message}, not {mark.genesis[:12]}")
        if self._full and not self._meets_mark:
            message = f"the log does not contain {mark.tip[:12]}, which was verified here"
            raise Failure(1, "mismatch", None, tip, message)

    def _check_ranges(
        self, tip: str, since: Mark | None, jobs: int, seq: int | None, mark: Mark | None
    ) -> list[Closed]:
        """Check every range and return the closed effects; raise the first failure by sequence.

        Args:
            seq: the sequence number of the tip, where it is known.
            mark: whose tip is looked out for on the way.
        """
        outcomes: list[_Outcome] = []
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
        self._effect_failures = [
            one.effect_failure for one in outcomes if one.effect_failure is not None
        ]
        log_ids = {outcome.log_id for outcome in outcomes if outcome.log_id is not None}
        if len(log_ids) > 1:
            raise Failure(5, "mismatch", None, tip, "the log id changes along the log")
        if log_ids:
            self._log_id = log_ids.pop()
        return [closed for outcome in outcomes for closed in outcome.closed]

    def _outcomes(self, ranges: Iterator[_Range], jobs: int) -> Iterator[_Outcome]:
        if jobs == 1:
            for part in ranges:
                yield _check_range(self._repository, self._with_branch, part)
            return
        path = str(self._repository.git_dir)
        opening = (path, self._with_branch)
        with ProcessPoolExecutor(jobs, initializer=_open_in_worker, initargs=opening) as pool:
            pending: set[Future[_Outcome]] = set()
            for part in ranges:
                pending.add(pool.submit(_check_in_worker, part))
                if len(pending) >= 4 * jobs:
                    ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in ready)
            for future in pending:
                yield future.result()

    def _ranges(
        self, tip: str, since: Mark | None, seq: int | None, mark: Mark | None
    ) -> Iterator[_Range]:
        """Walk back over raw commits and yield ranges, the newest first."""
        oids: list[str] = []
        current: str | None = tip
        stop = None if since is None else since.tip
        while current is not None and current != stop:
            oids.append(current)
            self._meets_mark |= mark is not None and current == mark.tip
            parent = self._parent(current, seq)
            seq = None if seq is None or seq <= 1 else seq - 1
            if len(oids) == CHUNK:
                yield _range(parent, oids)
                oids = []
            if parent is None:
                self._genesis = current
            current = parent
        if oids:
            yield _range(current, oids)
        if current is None and since is not None:
            message = f"the log does not contain {since.tip[:12]}, which was verified here"
            raise Failure(1, "mismatch", None, tip, message)

    def _parent(self, oid: str, seq: int | None) -> str | None:
        """Return the parent in the raw bytes of the commit, which no graft or replacement bends."""
        try:
            data = self._repository.read(oid)[1]
        except (KeyError, pygit2.GitError) as error:
            raise Failure(2, "corrupted", seq, oid, f"commit {oid} cannot be read") from error
        return data[53:93].decode("ascii", "replace") if data[46:53] == b"parent " else None

    # -- the branch -------------------------------------------------------------------------

    def _check_effects(
        self, state: State, closed: list[Closed], since: Mark | None, report: Report
    ) -> None:
        """Check 11: every effect in the log, then on the branch that its run worked on."""
        effects = _Effects(self._repository, closed, since)
        imported = commitform.imported_events(self._log_id)
        closed = sorted((one for one in closed if one.seq > imported), key=lambda one: one.seq)
        if self._effect_failures:
            raise min(self._effect_failures, key=lambda failure: failure.seq or 0)
        if self._absent:
            note = f"{self._absent} effect commits are not here; the log holds what they change"
            self._note(report, 11, note)
        current = state.run.branch
        names = {one.branch for one in closed} | ({current} if current is not None else set())
        for name in sorted(names, key=lambda name: (name != current, name)):
            of_branch = [one for one in closed if one.branch == name]
            walked = self._check_branch(name, of_branch, effects, since, report)
            if walked is not None and name == current:
                report.branch, report.branch_commits = name, walked.commits
                report.branch_tip = walked.tip

    def _check_branch(
        self,
        name: str,
        closed: list[Closed],
        effects: _Effects,
        since: Mark | None,
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
            is_known=effects.is_known,
            seen=self._base(),
            verified=since.branch_tip if since is not None and since.branch == name else None,
            shallow=self._shallow(),
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
        assert self._genesis is not None
        base = read_event_commit(self._repository.read, self._genesis).event.payload.get("base")
        return () if base is None else (str(base),)

    def _shallow(self) -> frozenset[str]:
        try:
            listed = (self._repository.common_dir / "shallow").read_text(errors="replace")
        except FileNotFoundError:
            return frozenset()
        return frozenset(listed.split())

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
        for what in found:
            note = f"git shows another history here because of {what}; we read past it"
            self._note(report, 1, note)

    # -- the outcome ------------------------------------------------------------------------

    def _fail(self, report: Report, failure: Failure) -> None:
        where = f"{failure.event_id}: " if failure.event_id else ""
        report.failed_commit, report.sound = failure.oid, self._sound
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
        document = {
            "log_id": report.log_id,
            "genesis": report.genesis,
            "tip": report.tip,
            "seq": report.audit.checked_to,
            "branch": report.branch,
            "branch_tip": report.branch_tip,
        }
        write_atomically(self._mark_path, json.dumps(document, indent=1).encode() + b"\n")


class _Effects:
    """Every effect commit that the log names: those checked now, and earlier ones when asked."""

    def __init__(
        self, repository: Repository, closed: Sequence[Closed], since: Mark | None
    ) -> None:
        self._repository = repository
        self._known = {one.effect_commit for one in closed}
        self._unread = None if since is None else since.tip

    def is_known(self, oid: str) -> bool:
        if oid not in self._known and self._unread is not None:
            self._read_earlier()
        return oid in self._known

    def _read_earlier(self) -> None:
        target, self._unread = self._unread, None
        while target is not None:
            found = read_event_commit(self._repository.read, target)
            effect = found.event.payload.get("effect_commit")
            if found.event.action == "task.update" and effect is not None:
                self._known.add(str(effect))
            target = found.parent


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_mark(path: Path) -> Mark | None:
    """Return the last verified point, or None where nothing was verified yet.

    Raises:
        RepositoryError: if the file is there and cannot be read.
    """
    try:
        return Mark(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise RepositoryError(
            f"'{path}' cannot be read",
            cause=str(error),
            hint="delete it; the next 'git esaa verify' then starts from genesis",
        ) from error


# -- ranges, in this process or in a worker ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What checking one range found."""

    count: int
    log_id: str | None
    closed: list[Closed]
    failure: Failure | None = None
    sound: str | None = None
    effect_failure: Failure | None = None
    absent: int = 0


_in_worker: tuple[Repository, bool] | None = None


def _open_in_worker(path: str, with_effects: bool) -> None:
    global _in_worker  # noqa: PLW0603  # a worker process opens its repository once
    _in_worker = (Repository(pygit2.Repository(path)), with_effects)


def _check_in_worker(part: _Range) -> _Outcome:
    assert _in_worker is not None
    return _check_range(*_in_worker, part)


def _check_range(repository: Repository, with_effects: bool, part: _Range) -> _Outcome:
    count = len(part.oids) // 20
    verifier = None
    try:
        verifier = Verifier(repository.read, part.start)
        for oid in part:
            verifier.check(oid)
    except Failure as failure:
        sound = None if verifier is None else verifier.sound
        return _Outcome(count, None, [], failure, sound)
    closed = [replace(one, form=None) for one in verifier.closed]
    absent = 0
    try:
        if with_effects:
            absent = _check_range_effects(repository, verifier)
    except Failure as failure:
        return _Outcome(count, verifier.log_id, closed, effect_failure=failure)
    return _Outcome(count, verifier.log_id, closed, absent=absent)


def _check_range_effects(repository: Repository, verifier: Verifier) -> int:
    """Check the effect commits of a range; return how many are not here, and need not be."""
    checker = EffectChecker(repository.read)
    imported = commitform.imported_events(verifier.log_id)
    is_shallow = (repository.common_dir / "shallow").exists()
    is_here = {
        name: repository.ref_target(f"refs/heads/{name}") is not None
        for name in {one.branch for one in verifier.closed}
    }
    absent = 0
    for one in verifier.closed:
        if one.seq > imported:
            is_partial = is_shallow or not is_here[one.branch]
            absent += not checker.check(one, is_partial=is_partial)
    return absent


def _range(start: str | None, newest_first: list[str]) -> _Range:
    return _Range(start, b"".join(bytes.fromhex(oid) for oid in reversed(newest_first)))
