"""Who is at work on what in this repository, across its processes.

Each process keeps a file with what it is at work on, and holds a lock on it as long as it lives
(flock(2)): however it ends, the kernel lets the lock go. A file without a holder names work whose
process is gone. All of it is local, worth nothing elsewhere, and may be deleted while no
process runs.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from esaa_git.errors import RepositoryError
from esaa_git.store.repository import Repository

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


class FileWorkerRegistry:
    """One process's entry, and a look at those that were left behind.

    Names are those of attempts and approvals. Only the thread that decides calls it.
    """

    def __init__(self, repository: Repository) -> None:
        self._folder = repository.esaa_dir / "at-work"
        self._names: list[str] = []
        self._own: int | None = None
        self._path: Path | None = None

    def enter(self, name: str) -> None:
        """Note that this process is at work on something.

        Raises:
            RepositoryError: if it cannot be noted.
        """
        if name not in self._names:
            self._names.append(name)
            self._write()

    def leave(self, name: str) -> None:
        """Note that it no longer is; the last one to leave takes the file along."""
        if name not in self._names:
            return
        self._names.remove(name)
        if self._names:
            self._write()
        elif self._own is not None and self._path is not None:
            self._path.unlink(missing_ok=True)
            os.close(self._own)
            self._own = self._path = None
            with suppress(OSError):  # another process is at work
                self._folder.rmdir()

    def left_behind(self) -> list[str]:
        """Return what processes that are gone were at work on, and forget it.

        Of several processes that ask at once, one is told.
        """
        if not self._folder.is_dir():
            return []
        found: list[str] = []
        for path in sorted(self._folder.iterdir()):
            if path != self._path:
                found += _taken(path)
        return found

    def _write(self) -> None:
        try:
            if self._own is None:
                self._own = self._open()
            data = "".join(f"{name}\n" for name in self._names).encode()
            # The lock is held, so no process reads it half written unless this process dies here; a
            # name that is cut off then is no process's, and its lease runs out.
            os.pwrite(self._own, data, 0)
            os.ftruncate(self._own, len(data))
        except OSError as error:
            raise RepositoryError(
                f"cannot note in '{self._folder}' what is at work",
                cause=error.strerror or str(error),
                hint="make room on the disk, or make the folder writable, and repeat the command",
            ) from error

    def _open(self) -> int:
        """Make this process's file and lock it."""
        while True:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._path = self._folder / f"{os.getpid()}-{token_hex(4)}"
            try:
                descriptor = os.open(self._path, _FLAGS | os.O_EXCL, 0o600)
            except FileNotFoundError:
                continue  # the last one at work took the folder along
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_there(self._path, descriptor):
                return descriptor
            os.close(descriptor)  # another process took it for one left behind before it was locked


def _taken(path: Path) -> list[str]:
    """Return the names in a file that no process holds, and remove it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return []  # another process has just taken it, or it is none of ours
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_there(path, descriptor):
            return []
        data = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
        path.unlink()
    except OSError:
        return []  # its process lives
    finally:
        os.close(descriptor)
    return [line for line in data.decode("utf-8", "replace").split("\n")[:-1] if line]


def _is_there(path: Path, descriptor: int) -> bool:
    """Answer whether the path still names this file: who locked it before us has removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
