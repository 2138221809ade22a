"""Git's lock files, taken so that a stale one can be told from a living one.

Git locks `X` by creating `X.lock`, and whoever dies leaves it behind for ever. Ours is a second
name (link(2)) of a file in `.git/esaa/locks` on which we hold an flock(2): the kernel frees that
when the process dies, however it dies. So a lock file of git's is ours if it is the same file as
one in that folder, and stale if nobody holds that one; then it may go. Of any other lock nothing
can be proven, and it is left alone.

After a power cut the file in that folder must be there where the lock is. One that becomes a ref
is synced before it is linked, with all else; one that only locks stands for ever, so that nothing
has to be synced for it (`Claim.standing`).

Git sees nothing unusual: link(2) fails where the name exists, as creating it exclusively does.
Where a file system has no hard links, the lock is created as git does it, and a person has to
remove it after a crash.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from esaa_git.store.durability import sync_folders

_STANDING = "standing"
_PATIENCE_SECONDS = 1.0
"""Whoever looks for stale locks holds every claim for a moment."""
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class LockHeld(Exception):
    """Somebody holds the lock, or it cannot be proven that nobody does; the path is the message."""


class Claim:
    """A file that becomes a lock of git's, and then, by `replace`, the file that it locks.

    It is made with its content, so that whatever has to be on disk before the lock is taken can
    be brought there together. A context manager: in the end nothing of it is left.

    Args:
        folder: where claims are kept, on the file system of what is locked.
        content: what the locked file is to hold.
    """

    def __init__(self, folder: Path, content: bytes) -> None:
        self._lock: Path | None = None
        self._descriptor, self._path = _claimed(folder)
        try:
            _write(self._descriptor, content)
        except BaseException:
            self.release()
            raise

    @classmethod
    def standing(cls, folder: Path, sync_mode: str) -> Self:
        """Return the claim for locks that are freed and never replace anything.

        Raises:
            LockHeld: if another process, or a git that outlived it, has it.
        """
        claim = cls.__new__(cls)
        claim._lock, claim._path = None, folder / _STANDING
        claim._descriptor = _standing(claim._path, sync_mode)
        return claim

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    @property
    def descriptor(self) -> int:
        """The open file, to be synced."""
        return self._descriptor

    def take(self, lock: Path) -> None:
        """Take the lock; one that a dead process of ours has left is freed first.

        Raises:
            LockHeld: if it is held.
        """
        try:
            self._link(lock)
        except FileExistsError:
            if not free_if_stale(self._path.parent, lock):
                raise LockHeld(str(lock)) from None
            try:
                self._link(lock)
            except FileExistsError:
                raise LockHeld(str(lock)) from None
        self._lock = lock

    def replace(self, target: Path) -> None:
        """Put the content in the place of the file that is locked, which frees the lock."""
        assert self._lock is not None
        self._lock.rename(target)
        self._lock = None

    def release(self) -> None:
        """Free the lock, if it is held, and remove the claim."""
        if self._lock is not None:
            self._lock.unlink(missing_ok=True)
            self._lock = None
        if self._descriptor >= 0:
            _forget(self._path)
            os.close(self._descriptor)
            self._descriptor = -1

    def _link(self, lock: Path) -> None:
        try:
            os.link(self._path, lock)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            plain = os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
            try:
                _write(plain, self._path.read_bytes())
                os.fsync(plain)
            finally:
                os.close(plain)


def free_if_stale(folder: Path, lock: Path) -> bool:
    """Remove a lock that a dead process of ours has left; answer whether it is gone."""
    try:
        found = lock.lstat()
    except FileNotFoundError:
        return True
    for descriptor, path in _abandoned(folder):
        if os.path.samestat(os.fstat(descriptor), found):
            lock.unlink(missing_ok=True)
            _forget(path)
            return True
    return False


def stale_locks(folder: Path, locks: Iterator[Path]) -> list[Path]:
    """Return those of the lock files that dead processes of ours have left."""
    # A second name of a claim is its lock, or what the lock has become.
    linked = (os.fstat(descriptor) for descriptor, _ in _abandoned(folder))
    abandoned = [status for status in linked if status.st_nlink > 1]
    found = []
    for lock in locks if abandoned else ():
        try:
            status = lock.lstat()
        except OSError:
            continue
        if any(os.path.samestat(status, one) for one in abandoned):
            found.append(lock)
    return found


def remove_abandoned(folder: Path) -> None:
    """Remove the claims of dead processes; once they are gone, none of their locks can be told."""
    for _, path in _abandoned(folder):
        _forget(path)


def _forget(path: Path) -> None:
    if path.name != _STANDING:
        path.unlink(missing_ok=True)


def _abandoned(folder: Path) -> Iterator[tuple[int, Path]]:
    """Yield every claim that nobody holds, locked by us while it is looked at."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - on every start, and mostly empty
    except OSError:
        return
    for name in names:
        path = folder / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            if _is_abandoned(descriptor):
                yield descriptor, path
        finally:
            os.close(descriptor)


def _claimed(folder: Path) -> tuple[int, Path]:
    """Create a file and hold it; another name is taken if somebody takes it for abandoned."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        path = folder / f"{os.getpid()}-{os.urandom(6).hex()}"
        try:
            descriptor = os.open(path, flags, 0o666)
        except FileNotFoundError:
            folder.mkdir(parents=True, exist_ok=True)
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.lstat()):
                return descriptor, path
        except (BlockingIOError, FileNotFoundError):
            pass  # whoever has it removes it
        except OSError:  # no such locks on this file system, so nothing is ever proven stale
            return descriptor, path
        os.close(descriptor)


def _standing(path: Path, sync_mode: str) -> int:
    """Open the standing claim and hold it; it is on the disk from its beginning."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        sync_folders(sync_mode, [path.parent, path.parent.parent, path.parent.parent.parent])
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > give_up:
                os.close(descriptor)
                raise LockHeld(str(path)) from None
            time.sleep(0.005)
        except OSError:  # as below
            return descriptor
        else:
            return descriptor


def _is_abandoned(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, or a file system without such locks
        return False
    return True


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
