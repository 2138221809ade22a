"""Files beside the objects, and those that a repository brings: written whole or not at all.

What a repository brings is opened by `esaa_git.beneath` alone, for reading and for writing.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from esaa_git import beneath
from esaa_git.core.rejection import excerpt
from esaa_git.errors import RepositoryError

# Made anew or not at all: neither a file that is there nor a link is written through.
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_APPENDED: Final = (
    os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
)

_TEMPORARY = re.compile(r".+\.(?P<pid>[0-9]+)\.new")


@contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Give a file that takes the place of `path` when all went well, and is gone otherwise.

    A reader, or a crash, sees the old content or the new, never half. What is a link becomes a
    file; nothing is written through it. The folder is not synced.

    Args:
        mode: its permissions, where they are not those of any new file.
    """
    with beneath.open_folder(path.parent, "") as folder, _replacing(folder, path.name, mode) as new:
        yield new


@contextmanager
def _replacing(folder: int, name: str, mode: int | None) -> Iterator[IO[bytes]]:
    temporary = f"{name}.{os.getpid()}.new"
    _remove(folder, temporary)  # of a process that had our number, or put there to be written to
    try:
        with os.fdopen(os.open(temporary, _NEW, 0o666, dir_fd=folder), "wb") as stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _remove(folder, temporary)
        raise


def _remove(folder: int, name: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file as `replacing` does, and the folders above it where they are not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(content)


def writer_of(name: str) -> int | None:
    """Return the process that writes, or wrote, a file of this name; None for any other file."""
    found = _TEMPORARY.fullmatch(name)
    return None if found is None else int(found["pid"])


# -- what a repository brings -----------------------------------------------------------------
#
# `root` is a folder of this machine that is trusted to be what it is, the top of a checkout as a
# rule; `path` is relative to it and comes from the repository, its first component included.


def contents_below(
    root: Path, folder: str, wanted: Callable[[str], bool] = lambda _: True
) -> dict[str, bytes]:
    """Return the contents of the wanted files in a folder, by name; none where there is no folder.

    Raises:
        RepositoryError: if a wanted one is no regular file, or is too large.
    """
    with _in_words():
        listed = [name for name in beneath.names(root, folder) if wanted(name)]
        found = {name: beneath.read(root, f"{folder}/{name}") for name in listed}
    return {name: content for name, content in found.items() if content is not None}


def read_below(root: Path, path: str, *, most: int = beneath.MAX_BYTES) -> bytes | None:
    """Return the content of one file, or None where there is none; raises as `contents_below`."""
    with _in_words():
        return beneath.read(root, path, most=most)


@contextmanager
def reading_below(root: Path, path: str) -> Iterator[IO[bytes]]:
    """Give a file as a stream, whatever its size.

    Raises:
        FileNotFoundError: if there is none.
        RepositoryError: if it is no regular file.
    """
    with _in_words(), beneath.reading(root, path) as stream:
        yield stream


@contextmanager
def replacing_below(root: Path, path: str, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Give a file as `replacing` does, and make the folders above it where they are not there.

    Raises:
        RepositoryError: if something else than a regular file is in the way.
    """
    above, _, name = path.rpartition("/")
    with _in_words(), beneath.open_folder(root, above, make=True) as folder:
        before = _regular(folder, name, path)
        if mode is None and before is not None:
            mode = stat.S_IMODE(before.st_mode)
        with _replacing(folder, name, mode) as stream:
            yield stream


def write_below(root: Path, path: str, content: bytes) -> None:
    """Write a file, or replace one, which keeps its permissions; raises as `replacing_below`."""
    with replacing_below(root, path) as stream:
        stream.write(content)


@contextmanager
def appending_below(root: Path, path: str) -> Iterator[IO[bytes]]:
    """Give a file to append to, made where it is not there; the folders above it have to be.

    Raises:
        OSError: if it cannot be opened.
        RepositoryError: if something else than a regular file is in the way.
    """
    above, _, name = path.rpartition("/")
    with _in_words(), beneath.open_folder(root, above) as folder:
        _regular(folder, name, path)
        opened = os.open(name, _APPENDED, 0o666, dir_fd=folder)
    with os.fdopen(opened, "ab") as stream:
        yield stream


def place_of(file: Path, checkout: Path | None) -> tuple[Path, str]:
    """Return a file that a person names as a folder that is trusted and the path from there.

    What lies in the checkout is reached from its top, by whatever name a person calls that.
    """
    place = Path(os.path.normpath(Path.cwd() / file))
    if checkout is not None:
        for above in reversed(place.parents):
            with suppress(OSError):
                if above.samefile(checkout):
                    return checkout, str(place.relative_to(above))
    return place.parent, place.name


def exists_below(root: Path, path: str) -> bool:
    """Answer whether a regular file is there; raises as `contents_below`."""
    with _in_words():
        return beneath.is_file(root, path)


def create_below(root: Path, path: str, content: bytes, *, executable: bool = False) -> bool:
    """Write a file that is not there yet, and answer whether it was written.

    Raises:
        RepositoryError: as `replacing_below`; a link that leads nowhere is in the way too.
    """
    above, _, name = path.rpartition("/")
    with _in_words(), beneath.open_folder(root, above, make=True) as folder:
        try:
            made = os.open(name, _NEW, 0o777 if executable else 0o666, dir_fd=folder)
        except FileExistsError:
            _regular(folder, name, path)
            return False
        with os.fdopen(made, "wb") as stream:
            stream.write(content)
        return True


def _regular(folder: int, name: str, path: str) -> os.stat_result | None:
    """Return what lstat(2) says of a regular file, None where nothing is."""
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise beneath.Obstacle(path, f"is {beneath.kind_of(found.st_mode)}")
    return found


@contextmanager
def _in_words() -> Iterator[None]:
    try:
        yield
    except beneath.Obstacle as found:
        raise obstructed(found) from found


def obstructed(found: beneath.Obstacle) -> RepositoryError:
    """Return an obstacle as the error that a person is told."""
    shown = excerpt(found.path)
    return RepositoryError(
        f"'{shown}' is in the way: it {found.what}",
        cause="what a repository brings is read and written as regular files, through no link",
        hint=f"see 'ls -ld {shlex.quote(shown)}'; put a regular file, or folder, of your own in "
        "its place and repeat",
    )
