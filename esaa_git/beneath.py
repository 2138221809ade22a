"""Opens what lies beneath a folder: folders and regular files, and through no link.

A repository brings names as well as contents. A symbolic link below `.roadmap/` leads wherever its
author likes, a pipe keeps a reader waiting, and either may be swapped in between a look and an
open. So every component is opened through the folder above it (openat(2)) with O_NOFOLLOW, and
what was opened is looked at, not what was there before.

A hard link is the file that it names: git brings none, and tools that save space make them. It is
read as any file; what is written takes the place of one name, and the others keep their content.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

MAX_BYTES: Final = 32 << 20
"""The most that is read of one file that people edit."""

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe without a writer would keep us waiting, and a terminal would become ours.
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Obstacle(Exception):
    """Something stands at a path, or on the way to it, that is neither folder nor regular file.

    Attributes:
        path: what is in the way, relative to the folder that was to be looked beneath.
        what: what it is, in words; where it leads to is not said, and is not looked at.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"'{path}' {what}")
        self.path = path
        self.what = what


@contextmanager
def open_folder(root: Path, path: str, *, make: bool = False) -> Iterator[int]:
    """Give the descriptor of a folder beneath `root`; '' is `root` itself, which may be a link.

    Args:
        make: the folders on the way that are not there yet.

    Raises:
        FileNotFoundError: if it is not there.
        Obstacle: if something else is, or it is closed to us.
    """
    try:
        opened = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Obstacle(path or ".", f"cannot be read ({error.strerror})") from error
    try:
        done: list[str] = []
        for name in _names(path):
            done.append(name)
            if make:
                _make(opened, name)
            inner = _open(opened, name, _FOLDER, "/".join(done))
            os.close(opened)
            opened = inner
        yield opened
    finally:
        os.close(opened)


@contextmanager
def open_file(root: Path, path: str) -> Iterator[int]:
    """Give the descriptor of a regular file beneath `root`, open for reading.

    Raises:
        FileNotFoundError: if it is not there.
        Obstacle: as `open_folder`.
    """
    above, _, name = path.rpartition("/")
    _names(name)
    with open_folder(root, above) as folder:
        opened = _open(folder, name, _FILE, path)
    try:
        mode = os.fstat(opened).st_mode
        if not stat.S_ISREG(mode):
            raise Obstacle(path, f"is {kind_of(mode)}")
        yield opened
    finally:
        os.close(opened)


@contextmanager
def reading(root: Path, path: str) -> Iterator[IO[bytes]]:
    """Give a regular file beneath `root` as a stream; raises as `open_file`."""
    with open_file(root, path) as opened, open(opened, "rb", closefd=False) as stream:
        yield stream


def read(root: Path, path: str, *, most: int = MAX_BYTES) -> bytes | None:
    """Return the content of a regular file beneath `root`, or None where there is none.

    Raises:
        Obstacle: as `open_folder`, or if it has more than `most` bytes.
    """
    try:
        with reading(root, path) as stream:
            content = stream.read(most + 1)
    except FileNotFoundError:
        return None
    if len(content) > most:
        raise Obstacle(path, f"has more than {most} bytes")
    return content


def read_with_mode(root: Path, path: str, *, most: int = MAX_BYTES) -> tuple[bytes, bool] | None:
    """Return what `read` does, and whether its owner may execute the file."""
    content = read(root, path, most=most)
    if content is None:
        return None
    with open_file(root, path) as opened:
        return content, bool(os.fstat(opened).st_mode & stat.S_IXUSR)


def files_under(root: Path, path: str, left_out: Sequence[str] = (), *, most: int) -> Iterator[str]:
    """Yield the paths beneath `root` that are `path` or lie below it and are no folders.

    A link is yielded, and not followed.

    Args:
        left_out: names of folders that are not looked into.
        most: how many entries are looked at.

    Raises:
        Obstacle: as `open_folder`, or if there are more entries.
    """
    waiting, seen = [path], 0
    while waiting:
        at = waiting.pop()
        try:
            with open_folder(root, at) as folder:
                found = sorted(os.scandir(folder), key=lambda entry: entry.name, reverse=True)
                kinds = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
        except FileNotFoundError:
            continue
        except Obstacle:
            if at == path:
                yield at
                continue
            raise
        seen += len(kinds)
        if seen > most:
            raise Obstacle(path or ".", f"has more than {most} entries")
        for name, is_folder in kinds:
            inner = f"{at}/{name}" if at else name
            if not is_folder:
                yield inner
            elif name not in left_out:
                waiting.append(inner)


def is_file(root: Path, path: str) -> bool:
    """Answer whether a regular file is there; raises Obstacle as `open_folder`."""
    try:
        with open_file(root, path):
            return True
    except FileNotFoundError:
        return False


def named_file(root: Path, path: str) -> Path:
    """Return the place of a file that a setting names, relative to `root`, with './' and '..'.

    Where a path leads out of `root` by its words, it is no path of the repository, and not looked
    at. Nor need there be a file.

    Raises:
        Obstacle: as `open_folder`.
    """
    plain = os.path.normpath(path)
    if plain.split("/", 1)[0] not in ("..", "."):
        is_file(root, plain)
    return root.absolute() / plain


def names(root: Path, path: str) -> list[str]:
    """Return the names in a folder beneath `root`, sorted; none where there is no folder.

    Raises:
        Obstacle: as `open_folder`.
    """
    try:
        with open_folder(root, path) as folder:
            return sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return []


def kind_of(mode: int) -> str:
    """Return what a file mode says that something is, in words."""
    kinds = {
        stat.S_IFREG: "a file",
        stat.S_IFLNK: "a symbolic link",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFDIR: "a folder",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def _names(path: str) -> list[str]:
    parts = path.split("/") if path else []
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"no plain path: {path!r}")
    return parts


def _make(folder: int, name: str) -> None:
    with suppress(FileExistsError):  # as what, the opening says
        os.mkdir(name, dir_fd=folder)


def _open(folder: int, name: str, flags: int, path: str) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Obstacle(path, _why(folder, name, flags, error)) from error


def _why(folder: int, name: str, flags: int, error: OSError) -> str:
    """Return what keeps a name from being opened: what it is, or else what the system says."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return f"cannot be read ({error.strerror})"
    wanted = stat.S_IFDIR if flags & os.O_DIRECTORY else stat.S_IFREG
    if stat.S_IFMT(mode) != wanted:
        return f"is {kind_of(mode)}"
    return f"cannot be read ({error.strerror})"
