"""Files beside the objects and in `.roadmap/`: read as they stand, written whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_TEMPORARY = re.compile(r".+\.(?P<pid>[0-9]+)\.new")


@contextmanager
def replacing(path: Path, *, mode: int | None = None) -> Iterator[IO[bytes]]:
    """Give a file that takes the place of `path` when all went well, and is gone otherwise.

    A reader, or a crash, sees the old content or the new, never half. The folder is not synced.

    Args:
        mode: its permissions, where they are not those of any new file.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with temporary.open("wb") as stream:
            if mode is not None:
                os.fchmod(stream.fileno(), mode)
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file as `replacing` does, and the folders above it where they are not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as stream:
        stream.write(content)


def writer_of(name: str) -> int | None:
    """Return the process that writes, or wrote, a file of this name; None for any other file."""
    found = _TEMPORARY.fullmatch(name)
    return None if found is None else int(found["pid"])


# -- what people edit -------------------------------------------------------------------------


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the contents of the files in a folder, by name; none where there is no folder."""
    if not folder.is_dir():
        return {}
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def read_below(folder: Path, name: str) -> bytes | None:
    """Return the content of one file in the folder, or None where there is none."""
    path = folder / name
    return path.read_bytes() if path.is_file() else None


def write_below(folder: Path, name: str, content: bytes) -> None:
    """Replace a file in the folder, which keeps its permissions.

    Behind a link lies the file that is meant, and a rename would put another in the link's place.
    """
    place = (folder / name).resolve()
    mode = place.stat().st_mode & 0o777 if place.exists() else None
    with replacing(place, mode=mode) as stream:
        stream.write(content)


def create_below(folder: Path, name: str, content: bytes, *, executable: bool = False) -> bool:
    """Write a file that is not there yet, and answer whether it was written."""
    target = folder / name
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    if executable:
        target.chmod(0o755)
    return True
