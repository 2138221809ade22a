"""A throwaway directory for one answer: the files that an agent may read, and room of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from esaa_git.core.paths import normalise_path
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.folders import no_room, throwaway_folder

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """A file to lay out; `path` is relative, with '/' between its components."""

    path: str
    executable: bool
    content: bytes


@dataclass(frozen=True, slots=True)
class Scratch:
    """The three parts: `snapshot` is read-only, `home` and `tmp` are empty and writable."""

    snapshot: Path
    home: Path
    tmp: Path


@contextmanager
def scratch_directory(files: Iterable[SnapshotFile]) -> Iterator[Scratch]:
    """Lay the files out in a new directory that only this user can enter, and remove it in the end.

    Files have mode 0444 or 0555, folders 0555, whatever the umask; that keeps a mistake out, not a
    program that means to write (nor root), and what is written there goes nowhere. A path that
    leads out of the snapshot is not laid out, nor is `.git` in any spelling: git, run in there,
    would obey the configuration and hooks in it.

    Raises:
        AgentError: if a file cannot be laid out.
    """
    with throwaway_folder("agent") as top:
        scratch = Scratch(top / "snapshot", top / "home", top / "tmp")
        for part in (scratch.snapshot, scratch.home, scratch.tmp):
            part.mkdir(mode=0o700)
        lay_out(scratch.snapshot, files)
        yield scratch


def lay_out(snapshot: Path, files: Iterable[SnapshotFile]) -> None:
    """Write files into an empty folder, as `scratch_directory` does into a snapshot."""
    folders = {snapshot}
    for file in files:
        if not all(map(_is_safe, file.path.split("/"))):
            continue
        path = snapshot / file.path
        try:
            for folder in reversed(path.parents):
                if folder not in folders and folder.is_relative_to(snapshot):
                    folder.mkdir(mode=0o700)
                    folders.add(folder)
            _write(path, file.content, 0o555 if file.executable else 0o444)
        except OSError as error:
            raise no_room(f"lay out '{file.path}' for the agent", error) from error
    for folder in folders:
        folder.chmod(0o555)


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, _CREATE, 0o600), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


@lru_cache(maxsize=4096)
def _is_safe(component: str) -> bool:
    if component in ("", ".", ".."):
        return False
    verdict = normalise_path(component)
    # The list of submodules is a file like any other as long as it is not written.
    return (
        not isinstance(verdict, Rejected)
        or verdict.code != RejectCode.PATH_PROTECTED
        or component == ".gitmodules"
    )
