"""The audit: walks the log and the branch, and hands ranges of events to the numbered checks.

Ranges are independent, so they are spread over all cores. The last verified point is remembered
in `.git/esaa/verified.json`; a log that does not reach it was rolled back or rewritten (check 1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

import pygit2

from esaa_git.core.projection import projection_hash
from esaa_git.core.state import State
from esaa_git.errors import CorruptedError, RepositoryError
from esaa_git.git.effectcheck import check_branch, check_effect
from esaa_git.git.journal import write_atomically
from esaa_git.git.log import LoadedTip, load_tip
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
    """What an audit found, with what it covered and what it could not."""

    audit: Audit
    ref: str
    tip: str | None
    log_id: str | None
    genesis: str | None
    since: int
    jobs: int
    branch: str | None = None
    branch_commits: int = 0
    failed_commit: str | None = None
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
        on_progress: Callable[[int, int], None] = lambda done, total: None,
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
        report.audit = Audit(
            "ok", audit.checked_from, audit.checked_to, projection_hash(state)
        )
        if self._remember:
            self._write_mark(report)
        return report

    # -- the log ----------------------------------------------------------------------------

    def _verify(self, tip: str | None, mark: Mark | None, report: Report) -> State:
        if tip is None:
            assert mark is not None
            message = f"the log is gone; {mark.seq} events of it were verified here"
            raise Failure(1, "mismatch", None, mark.tip, message)
        loaded = self._load_tip(tip)
        seq = loaded.tip.seq
        if mark is not None and seq < mark.seq:
            message = f"the log ends at event {seq}; {mark.seq} events were verified here"
            raise Failure(1, "mismatch", None, tip, message)
        since = None if self._full or mark is None else mark
        report.audit = Audit("ok", 1 if since is None else since.seq + 1, seq)
        count = seq - (0 if since is None else since.seq)
        report.jobs = self._jobs if count >= PARALLEL_FROM else 1
        closed = self._check_ranges(tip, since, report.jobs, count)
        if since is not None:
            self._log_id, self._genesis = since.log_id, since.genesis
        self._check_anchor(tip, mark)
        report.tip, report.log_id, report.genesis = tip, self._log_id, self._genesis
        if self._with_branch:
            self._check_effects(loaded.state, closed, since, report)
        self._look_for_deception(report)
        return loaded.state

    def _load_tip(self, tip: str) -> LoadedTip:
        try:
            return load_tip(self._repository, tip)
        except (CorruptedError, pygit2.GitError) as error:
            cause = getattr(error, "cause", None)
            message = f"the tip cannot be read: {cause or error}"
            raise Failure(2, "corrupted", None, tip, message) from error

    def _check_anchor(self, tip: str, mark: Mark | None) -> None:
        if mark is None:
            return
        if mark.genesis != self._genesis or mark.log_id != self._log_id:
            message = f"this is another log: it begins with {str(self._genesis)[:12]}"
            raise Failure(1, "mismatch", None, tip, f"{message}, not {mark.genesis[:12]}")
        raw = self._repository.raw
        if self._full and tip != mark.tip:
            known = mark.tip in raw and raw.descendant_of(tip, mark.tip)
            if not known:
                message = f"the log does not contain {mark.tip[:12]}, which was verified here"
                raise Failure(1, "mismatch", None, tip, message)

    def _check_ranges(
        self, tip: str, since: Mark | None, jobs: int, count: int
    ) -> list[Closed]:
        """Check every range and return the closed effects; raise the first failure by sequence."""
        outcomes: list[_Outcome] = []
        done = 0
        for outcome in self._outcomes(self._ranges(tip, since), jobs):
            outcomes.append(outcome)
            done += outcome.count
            self._on_progress(done, count)
        failures = [outcome.failure for outcome in outcomes if outcome.failure is not None]
        if failures:
            raise min(failures, key=lambda failure: failure.seq or 0)
        log_ids = {outcome.log_id for outcome in outcomes if outcome.log_id is not None}
        if len(log_ids) > 1:
            raise Failure(5, "mismatch", None, tip, "the log id changes along the log")
        if log_ids:
            self._log_id = log_ids.pop()
        return [closed for outcome in outcomes for closed in outcome.closed]

    def _outcomes(self, ranges: Iterator[_Range], jobs: int) -> Iterator[_Outcome]:
        if jobs == 1:
            for part in ranges:
                yield _check_range(self._repository, part)
            return
        path = str(self._repository.git_dir)
        with ProcessPoolExecutor(jobs, initializer=_open_in_worker, initargs=(path,)) as pool:
            pending: set[Future[_Outcome]] = set()
            for part in ranges:
                pending.add(pool.submit(_check_in_worker, part))
                if len(pending) >= 4 * jobs:
                    ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in ready)
            for future in pending:
                yield future.result()

    def _ranges(self, tip: str, since: Mark | None) -> Iterator[_Range]:
        """Walk back over raw commits and yield ranges, the newest first."""
        oids: list[str] = []
        current: str | None = tip
        stop = None if since is None else since.tip
        while current is not None and current != stop:
            oids.append(current)
            parent = self._parent(current)
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

    def _parent(self, oid: str) -> str | None:
        """Return the parent in the raw bytes of the commit, which no graft or replacement bends."""
        try:
            data = self._repository.read(oid)[1]
        except (KeyError, pygit2.GitError) as error:
            raise Failure(2, "corrupted", None, oid, f"commit {oid} cannot be read") from error
        return data[53:93].decode("ascii", "replace") if data[46:53] == b"parent " else None

    # -- the branch -------------------------------------------------------------------------

    def _check_effects(
        self, state: State, closed: list[Closed], since: Mark | None, report: Report
    ) -> None:
        for one in sorted(closed, key=lambda one: one.seq):
            check_effect(self._repository.read, one)
        branch = state.run.branch
        tip = None if branch is None else self._repository.ref_target(f"refs/heads/{branch}")
        if branch is None or tip is None:
            note = f"the working branch '{branch}' is not here: effects were checked in the log"
            report.notes.append(note)
            if self._strict:
                raise Failure(11, "mismatch", None, str(report.tip), note)
            return
        raw = self._repository.raw
        stop_at = []
        if since is not None and since.branch == branch and since.branch_tip is not None:
            verified = since.branch_tip
            if verified != tip and (verified not in raw or not raw.descendant_of(tip, verified)):
                message = f"'{branch}' does not contain {verified[:12]}, which was verified here"
                raise Failure(11, "mismatch", None, tip, message)
            stop_at.append(verified)
        report.branch = branch
        report.branch_commits = check_branch(raw, tip, closed, stop_at=stop_at)

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
            report.notes.append(note)
            if self._strict:
                raise Failure(1, "mismatch", None, str(report.tip), note)

    # -- the outcome ------------------------------------------------------------------------

    def _fail(self, report: Report, failure: Failure) -> None:
        where = f"{failure.event_id}: " if failure.event_id else ""
        report.failed_commit = failure.oid
        report.audit = Audit(
            failure.outcome,
            report.audit.checked_from,
            report.audit.checked_to,
            None,
            failure.check,
            failure.event_id,
            f"{where}{CHECKS[failure.check]}: {failure.message}",
        )

    def _write_mark(self, report: Report) -> None:
        branch_tip = None
        if report.branch is not None:
            branch_tip = self._repository.ref_target(f"refs/heads/{report.branch}")
        document = {
            "log_id": report.log_id,
            "genesis": report.genesis,
            "tip": report.tip,
            "seq": report.audit.checked_to,
            "branch": report.branch,
            "branch_tip": branch_tip,
        }
        write_atomically(self._mark_path, json.dumps(document, indent=1).encode() + b"\n")


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


_in_worker: Repository | None = None


def _open_in_worker(path: str) -> None:
    global _in_worker  # noqa: PLW0603  # a worker process opens its repository once
    _in_worker = Repository(pygit2.Repository(path))


def _check_in_worker(part: _Range) -> _Outcome:
    assert _in_worker is not None
    return _check_range(_in_worker, part)


def _check_range(repository: Repository, part: _Range) -> _Outcome:
    verifier = None
    try:
        verifier = Verifier(repository.read, part.start)
        for oid in part:
            verifier.check(oid)
    except Failure as failure:
        return _Outcome(len(part.oids) // 20, None, [], failure)
    return _Outcome(len(part.oids) // 20, verifier.log_id, verifier.closed)


def _range(start: str | None, newest_first: list[str]) -> _Range:
    return _Range(start, b"".join(bytes.fromhex(oid) for oid in reversed(newest_first)))
