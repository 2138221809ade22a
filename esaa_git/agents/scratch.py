"""A throwaway directory for one answer: the files that an agent may read, and room of its own."""

from __future__ import annotations

import os
import stat
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Final

from esaa_git.core.paths import normalise_path
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import AgentError

_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# A path of so many components of 255 bytes is within the 4096 that Linux takes.
_LEVELS: Final = 10

# What a killed program had begun may still reach the disk while we remove it.
_REMOVAL_PAUSES: Final = (0.0, 0.05, 0.2, 1.0)


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
    top = _new_directory()
    try:
        scratch = Scratch(top / "snapshot", top / "home", top / "tmp")
        for part in (scratch.snapshot, scratch.home, scratch.tmp):
            part.mkdir(mode=0o700)
        _fill(scratch.snapshot, files)
        yield scratch
    finally:
        remove(top)


def remove(top: Path) -> None:
    """Remove a directory with all that is below it, whatever modes and depth a program left there.

    Symlinks are removed and never followed. Only a process that goes on writing there can keep it
    from going; then the rest stays, as an answer is worth more than a clean temporary folder.
    """
    for pause in _REMOVAL_PAUSES:
        time.sleep(pause)
        try:
            if not _is_folder(top):
                top.unlink()
                return
            top.chmod(0o700)
            while any(top.iterdir()):
                _empty(top, top)
            top.rmdir()
            return
        except FileNotFoundError:
            if not os.path.lexists(top):
                return
        except OSError:
            continue


def _new_directory() -> Path:
    try:
        # Mode 0700.
        return Path(tempfile.mkdtemp(prefix="esaa-agent-"))
    except OSError as error:
        raise _cannot("make a directory for the agent", error) from error


def _fill(snapshot: Path, files: Iterable[SnapshotFile]) -> None:
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
            raise _cannot(f"lay out '{file.path}' for the agent", error) from error
    for folder in folders:
        folder.chmod(0o555)


def _write(path: Path, content: bytes, mode: int) -> None:
    with os.fdopen(os.open(path, _CREATE, 0o600), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)


def _cannot(what: str, error: OSError) -> AgentError:
    return AgentError(
        f"cannot {what}",
        cause=error.strerror or str(error),
        hint="make room in the temporary folder, or set TMPDIR to another one",
    )


@lru_cache(maxsize=4096)
def _is_safe(component: str) -> bool:
    if component in ("", ".", ".."):
        return False
    verdict = normalise_path(component)
    # The list of submodules is a file like any other as long as nobody writes it.
    return (
        not isinstance(verdict, Rejected)
        or verdict.code != RejectCode.PATH_PROTECTED
        or component == ".gitmodules"
    )


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _empty(folder: Path, top: Path, levels: int = _LEVELS) -> None:
    """Remove what is in a folder, and so on for this many levels; what is deeper moves to the top.

    So neither the length of a path nor our recursion grows with the depth.
    """
    folder.chmod(0o700)
    for entry in list(folder.iterdir()):
        if not _is_folder(entry):
            entry.unlink()
        elif levels:
            _empty(entry, top, levels - 1)
            entry.rmdir()
        else:
            # Moving a folder elsewhere changes its '..', which takes the right to write.
            entry.chmod(0o700)
            entry.rename(top / token_hex(16))
