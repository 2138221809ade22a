"""Files that programs have made, moved from one throwaway checkout to another.

Many of them name the place that they were made at: the first lines of the scripts of a virtual
environment, the debug information of a build. All throwaway checkouts have names of one length, so
such a place is replaced by the new one byte for byte, in text and in binaries alike.

Nothing that is copied is trusted: no link is followed, and what is neither file, folder nor link is
refused.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

_CHUNK: Final = 1 << 20
_DEEPEST: Final = 100
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Bound:
    """What is copied at one time at most.

    Attributes:
        links: symbolic links are copied, as links; otherwise they are refused.
        left_out: paths that are not looked at.
    """

    bytes: int = 4 << 30
    files: int = 1_000_000
    links: bool = True
    left_out: Set[str] = frozenset()


WHOLE: Final = Bound()


class CannotMove(Exception):
    """Something cannot be copied; the message says what, of its path."""


@dataclass(slots=True)
class Moved:
    """What was copied: how much, and the files and links that name the place they were made at."""

    files: int = 0
    bytes: int = 0
    placed: set[str] = field(default_factory=set)


def take(
    source: Path,
    path: str,
    target: Path,
    place: bytes | None,
    pause: Callable[[], None],
    moved: Moved,
    bound: Bound = WHOLE,
) -> None:
    """Copy what stands at a path of a checkout, and note what in it names a place.

    Args:
        source, target: the tops of both.
        path: relative to both, through no link.
        place: where the source lies; None where nobody asks what names it.
        moved: is counted on.

    Raises:
        CannotMove: for what is no file, folder or link, too much, or not there.
        OSError: if it cannot be written.
    """
    copy = _Copy(pause, moved, lambda mode: mode & 0o555, searched=place, bound=bound)
    copy.run(source, path, target)


def put(
    source: Path,
    path: str,
    target: Path,
    change: tuple[bytes, bytes] | None,
    placed: Set[str],
    pause: Callable[[], None],
) -> None:
    """Copy back what `take` took, with one place in the stead of the other.

    Raises:
        CannotMove: if something stands there already.
        OSError: if it cannot be written.
    """
    copy = _Copy(pause, Moved(), lambda mode: mode & 0o777 | 0o600, change=change, placed=placed)
    copy.run(source, path, target)


class _Copy:
    def __init__(
        self,
        pause: Callable[[], None],
        moved: Moved,
        mode: Callable[[int], int],
        *,
        searched: bytes | None = None,
        change: tuple[bytes, bytes] | None = None,
        placed: Set[str] = frozenset(),
        bound: Bound = WHOLE,
    ) -> None:
        self._pause = pause
        self._moved = moved
        self._mode = mode
        self._searched = searched
        self._change = change
        self._placed = placed
        self._bound = bound

    def run(self, source: Path, path: str, target: Path) -> None:
        *above, name = path.split("/")
        opened = [os.open(source, _FOLDER), os.open(target, _FOLDER)]
        try:
            for folder in above:
                opened.append(self._enter(opened[-2], folder, path))
                with suppress(FileExistsError):
                    os.mkdir(folder, 0o700, dir_fd=opened[-2])
                opened.append(self._enter(opened[-2], folder, path))
            self._copy(opened[-2], opened[-1], name, path)
        finally:
            for one in opened:
                os.close(one)

    def _enter(self, above: int, name: str, path: str) -> int:
        try:
            return os.open(name, _FOLDER, dir_fd=above)
        except FileNotFoundError as error:
            raise CannotMove(f"'{path}' is not there") from error
        except OSError as error:
            raise CannotMove(f"'{path}' does not lie in a folder") from error

    def _copy(self, source: int, target: int, name: str, path: str) -> None:
        self._pause()
        if path in self._bound.left_out:
            return
        try:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
        except FileNotFoundError as error:
            raise CannotMove(f"'{path}' is not there") from error
        self._moved.files += 1
        if self._moved.files > self._bound.files:
            raise CannotMove(f"there are more than {self._bound.files} files and folders")
        try:
            if stat.S_ISDIR(status.st_mode):
                self._folder(source, target, name, path, status)
            elif stat.S_ISLNK(status.st_mode) and self._bound.links:
                self._link(source, target, name, path)
            elif stat.S_ISREG(status.st_mode):
                self._file(source, target, name, path, status)
            else:
                either = "file, folder or link" if self._bound.links else "file or folder"
                raise CannotMove(f"'{path}' is no {either}")
        except FileExistsError as error:
            raise CannotMove(f"'{path}' stands there already") from error

    def _folder(
        self, source: int, target: int, name: str, path: str, status: os.stat_result
    ) -> None:
        os.mkdir(name, 0o700, dir_fd=target)
        if path.count("/") > _DEEPEST:
            raise CannotMove(f"'{path[:200]}…' lies deeper than {_DEEPEST} folders")
        inside = os.open(name, _FOLDER, dir_fd=source)
        outside = os.open(name, _FOLDER, dir_fd=target)
        try:
            with os.scandir(inside) as found:
                names = sorted(entry.name for entry in found)
            for below in names:
                self._copy(inside, outside, below, f"{path}/{below}")
            os.fchmod(outside, self._mode(status.st_mode) | 0o500)
        finally:
            os.close(inside)
            os.close(outside)

    def _link(self, source: int, target: int, name: str, path: str) -> None:
        leads = os.fsencode(os.readlink(name, dir_fd=source))
        if self._searched is not None and self._searched in leads:
            self._moved.placed.add(path)
        if self._change is not None and path in self._placed:
            leads = leads.replace(*self._change)
        os.symlink(leads, os.fsencode(name), dir_fd=target)

    def _file(self, source: int, target: int, name: str, path: str, status: os.stat_result) -> None:
        self._moved.bytes += status.st_size
        if self._moved.bytes > self._bound.bytes:
            raise CannotMove(f"there are more than {self._bound.bytes} bytes")
        with (
            os.fdopen(os.open(name, _READ, dir_fd=source), "rb") as read,
            os.fdopen(os.open(name, _WRITE, 0o600, dir_fd=target), "wb") as written,
        ):
            if self._change is not None and path in self._placed:
                written.write(read.read().replace(*self._change))
            elif self._passed_on(read, written):
                self._moved.placed.add(path)
            os.fchmod(written.fileno(), self._mode(status.st_mode))
            written.flush()
            os.utime(written.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))

    def _passed_on(self, read: IO[bytes], written: IO[bytes]) -> bool:
        """Copy a content, and answer whether it names the place that is searched for."""
        searched, found, end = self._searched, False, b""
        while chunk := read.read(_CHUNK):
            written.write(chunk)
            if searched:
                found = found or searched in end + chunk
                end = chunk[1 - len(searched) :]
            self._pause()
        return found
