"""The lock of a checkout's index, held by us while git works on a copy of the index.

A git that is killed leaves the lock of its index for ever, and no process could prove that it is
stale. So the lock is ours (`esaa_git.store.locks`), git's own is on the copy, and the copy takes
the place of the index in the end. A git that outlives us inherits the claim, and holds the lock.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from esaa_git.errors import ConflictError
from esaa_git.faults import Point, reach
from esaa_git.store.durability import sync_file
from esaa_git.store.locks import Claim, LockHeld, free_if_stale
from esaa_git.store.residue import INDEX_COPY

# Prompts and editors run `git status` all the time, and hold the index's lock for milliseconds.
_ONE_HOLDER_SECONDS = 1.0
_ALL_HOLDERS_SECONDS = 60.0


class Patience:
    """How long a lock of an index is waited for: a second for each that holds it.

    A script that runs one git after another may hold it at every moment we look, and is no reason
    to give up; an editor that a commit has open is. The writer of
    a lock file that grows is at work.
    """

    def __init__(self, lock: Path) -> None:
        self._lock = lock
        self._holder: tuple[int, int] | None = None
        self._until = time.monotonic() + _ONE_HOLDER_SECONDS
        self._last = time.monotonic() + _ALL_HOLDERS_SECONDS

    def is_over(self) -> bool:
        """Wait a moment, unless the holder of the lock has had its time."""
        now, holder = time.monotonic(), identity(self._lock)
        if holder != self._holder:
            self._holder, self._until = holder, now + _ONE_HOLDER_SECONDS
        if now > min(self._until, self._last):
            return True
        time.sleep(0.01)
        return False


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from one that takes its place, or None where there is none."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_ctime_ns


def wait_for_lock(git_dir: Path, locks: Path) -> None:
    """Return when no process holds the lock of a checkout's index.

    Raises:
        ConflictError: if that does not come about.
    """
    lock = git_dir / "index.lock"
    patience = Patience(lock)
    while lock.exists() and not free_if_stale(locks, lock):
        if patience.is_over():
            raise index_is_locked(lock, "the file exists")


@contextmanager
def replacing_index(
    git_dir: Path, locks: Path, sync_mode: str, held: Claim | None = None
) -> Iterator[tuple[Mapping[str, str], Claim]]:
    """Lock the index of a checkout, and yield what git needs to be started with to change it.

    Args:
        git_dir: the git directory of the checkout.
        locks: where claims are kept.
        held: the lock, where it is held already; then it stays so.

    Yields:
        variables for git's environment, and the claim that git has to hold as well.

    Raises:
        ConflictError: if the index is locked; nothing was changed.
    """
    index, copy = git_dir / "index", git_dir / INDEX_COPY
    with lock_index(git_dir, locks, sync_mode) if held is None else nullcontext(held) as claim:
        reach(Point.INDEX_LOCKED)
        # What a killed process has left of another time; no other process is in here.
        copy.with_name(f"{INDEX_COPY}.lock").unlink(missing_ok=True)
        copy.unlink(missing_ok=True)
        before = None
        with suppress(FileNotFoundError):
            shutil.copy2(index, copy)
            before = copy.stat().st_ino
        try:
            yield {"GIT_INDEX_FILE": str(copy)}, claim
            if copy.exists() and copy.stat().st_ino != before:
                with copy.open("rb") as stream:  # it holds what a person has staged
                    sync_file(sync_mode, stream.fileno())
                copy.replace(index)
            reach(Point.INDEX_WRITTEN)
        finally:
            copy.unlink(missing_ok=True)


def index_is_locked(lock: Path, cause: str) -> ConflictError:
    return ConflictError(
        f"the index is locked by another process, '{lock}'",
        cause=cause,
        hint=f"wait for it and repeat; if no git is running, run 'rm {lock}' first",
    )


def lock_index(git_dir: Path, locks: Path, sync_mode: str) -> Claim:
    """Lock the index of a checkout as git does, until the claim is released.

    Raises:
        ConflictError: if another process holds it and goes on holding it.
    """
    lock = git_dir / "index.lock"
    patience = Patience(lock)
    while True:
        try:
            return _taken(lock, locks, sync_mode)
        except ConflictError:
            # Waiting first and taking then would leave a moment for a third to come in between.
            if patience.is_over():
                raise


def _taken(lock: Path, locks: Path, sync_mode: str) -> Claim:
    try:
        claim = Claim.standing(locks, sync_mode)
    except LockHeld:
        raise index_is_locked(lock, "another git-esaa process is at work there") from None
    try:
        claim.take(lock)
    except LockHeld:
        claim.release()
        raise index_is_locked(lock, "the file exists") from None
    except BaseException:
        claim.release()
        raise
    return claim
