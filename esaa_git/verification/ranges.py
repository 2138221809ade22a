"""Ranges of events, checked by several processes at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pygit2

from esaa_git.core import logid
from esaa_git.store.layout import Places
from esaa_git.store.repository import GuardedRepository, Repository
from esaa_git.verification.checks import EventChecker
from esaa_git.verification.effects import Closed, EffectChecker
from esaa_git.verification.evaluated import Unevaluated
from esaa_git.verification.failure import Failure


@dataclass(frozen=True, slots=True)
class Range:
    """Commits to check, oldest first, after `start`; as one string, to be sent cheaply."""

    start: str | None
    oids: bytes

    def __iter__(self) -> Iterator[str]:
        for at in range(0, len(self.oids), 20):
            yield self.oids[at : at + 20].hex()


def cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What checking one range found."""

    count: int
    log_id: str | None
    closed: list[Closed]
    failure: Failure | None = None
    sound: str | None = None
    effect_failures: Sequence[Failure] = ()
    absent: int = 0
    unevaluated: Sequence[Unevaluated] = ()


_in_worker: tuple[Repository, bool, bool] | None = None

CACHE_BYTES = 16 << 20


def bound_cache() -> None:
    """Have libgit2 keep no more of what it has read than helps: by itself it keeps 256 MiB."""
    pygit2.settings.cache_max_size(CACHE_BYTES)


def check_ranges(
    repository: Repository,
    ranges: Iterator[Range],
    with_effects: bool,
    is_partial: bool,
    jobs: int,
) -> Iterator[Outcome]:
    """Yield what checking each range found, in whatever order the worker processes end.

    Args:
        is_partial: effect commits need not be here: their branches were not fetched.
        jobs: how many processes; with one, it is this process.
    """
    if jobs == 1:
        for part in ranges:
            yield check_range(repository, with_effects, is_partial, part)
        return
    opening = (repository.places, with_effects, is_partial)
    with (
        _safe_path(),
        ProcessPoolExecutor(jobs, initializer=_open_in_worker, initargs=opening) as pool,
    ):
        pending: set[Future[Outcome]] = set()
        for part in ranges:
            pending.add(pool.submit(_check_in_worker, part))
            if len(pending) >= 4 * jobs:
                ready, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
        for future in pending:
            yield future.result()


@contextmanager
def _safe_path() -> Iterator[None]:
    """Have new interpreters look for no module in the working directory (PYTHONSAFEPATH).

    Where worker processes are no copies of this one (macOS, Python 3.14), an interpreter starts for
    each, and the working directory may be a checkout that nobody trusts.
    """
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def _open_in_worker(places: Places, with_effects: bool, is_partial: bool) -> None:
    global _in_worker  # noqa: PLW0603  # a worker process opens its repository once
    bound_cache()
    repository = GuardedRepository(places.again(), places)
    repository.ask_promisors()
    _in_worker = (repository, with_effects, is_partial)


def _check_in_worker(part: Range) -> Outcome:
    assert _in_worker is not None
    return check_range(*_in_worker, part)


def check_range(
    repository: Repository, with_effects: bool, is_partial: bool, part: Range
) -> Outcome:
    """Hold one range against checks 2 to 10, and the effects that it names against check 11."""
    count = len(part.oids) // 20
    events = None
    try:
        events = EventChecker(repository.read, part.start)
        for oid in part:
            events.check(oid)
    except Failure as failure:
        sound = None if events is None else events.sound
        return Outcome(count, None, [], failure, sound)
    closed = [replace(one, form=None) for one in events.closed]
    absent, failures = (
        _check_range_effects(repository, events, is_partial) if with_effects else (0, ())
    )
    return Outcome(
        count,
        events.log_id,
        closed,
        effect_failures=failures,
        absent=absent,
        unevaluated=events.unevaluated,
    )


def _check_range_effects(
    repository: Repository, events: EventChecker, is_partial: bool
) -> tuple[int, Sequence[Failure]]:
    """Check 11, on the effect commits of a range.

    Returns how many are not here, and need not be; and what is wrong. Effect commits that are
    gone (with a hint) are all named, since a branch may carry them in others; of the other
    failures the first.
    """
    checker = EffectChecker(repository.read)
    imported = logid.imported_events(events.log_id)
    is_shallow = (repository.common_dir / "shallow").exists()
    is_partial = is_partial or is_shallow
    absent = 0
    failures: list[Failure] = []
    for one in events.closed:
        if one.seq > imported:
            try:
                absent += not checker.check(one, is_partial=is_partial)
            except Failure as failure:
                failures.append(failure)
                if failure.hint is None:
                    break
    return absent, failures


def range_of(start: str | None, newest_first: list[str]) -> Range:
    return Range(start, b"".join(bytes.fromhex(oid) for oid in reversed(newest_first)))
