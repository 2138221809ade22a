"""Looks through a checkout that is not trusted: what was touched, what is new, what is gone.

Nothing in it is obeyed and no git runs in it. Every folder is opened through the one above it,
never through a symlink, so that a folder which is swapped for one meanwhile leads nowhere.

A file is unchanged if lstat(2) says of it what it said when it was laid out: size, inode, and both
times to the nanosecond. A program can set the time of modification back but not the time of change
(utimensat(2)). A file whose time of change is not before that of the index was laid out in the
same tick of the clock, and is read again whatever lstat says (git's racy-git rule).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from esaa_git import beneath
from esaa_git.checkout.manifest import Manifest, ManifestEntry
from esaa_git.core.paths import MAX_PATH, normalise_path
from esaa_git.core.rejection import RejectCode, Rejected, excerpt
from esaa_git.store.objects import MODE_SUBMODULE, MODE_SYMLINK, bytes_of

_SECOND: Final = 10**9
_WORD: Final = 0xFFFFFFFF

_MOST_NEW: Final = 100_000
"""So many new names are looked at; what a proposal may hold is far less."""


class ScanFault(Exception):
    """Carries what cannot be proposed at all out of a diff."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__()
        self.rejected = rejected


@dataclass(slots=True)
class Scan:
    """The paths at which something may have changed, in no order.

    `touched` are files that were laid out and may hold something else now.
    """

    touched: dict[str, ManifestEntry] = field(default_factory=dict)
    gone: dict[str, ManifestEntry] = field(default_factory=dict)
    new: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    """New, and left out by a rule: files, and folders with `/` at the end, which stand for all."""


Ignored = Callable[[Sequence[str], Sequence[str]], set[str]]
"""Takes new files and new folders, and returns those that are ignored."""


class Scanner:
    """Walks one checkout, a level of folders at a time, around what is hidden."""

    def __init__(
        self,
        checkout: Path,
        manifest: Manifest,
        ignored: Ignored,
        hidden: frozenset[str] = frozenset(),
    ) -> None:
        self._hidden = hidden
        self._checkout = checkout
        self._manifest = manifest
        self._ignored = ignored
        self._scan = Scan()
        self._files: dict[str, int] = {}
        self._folders: list[str] = []
        self._count = 0

    def scan(self) -> Scan:
        """Look at every file that was laid out, and at every new one that is not ignored.

        Raises:
            ScanFault: for a symlink, device, socket or pipe that is new or in the place of a file,
                a submodule that changed, a git repository, or what cannot be read.
        """
        level = [""]
        visited = set()
        while level:
            visited.update(level)
            below = [path for folder in level for path in self._visit(folder)]
            level = below + self._admit_new()
        for folder, files in self._manifest.folders.items():
            if folder not in visited:
                self._missing(f"{folder}/", files)
        return self._scan

    def _visit(self, folder: str) -> list[str]:
        """Look at what is in a folder and return the folders of the base that are."""
        laid = self._manifest.folders.get(folder, {})
        racy_from, start = self._manifest.index_mtime_ns, f"{folder}/" if folder else ""
        below = []
        left = dict(laid)
        with open_below(self._checkout, folder) as opened, os.scandir(opened) as found:
            for entry in found:
                name = entry.name
                if start + name in self._hidden:
                    continue  # what a setup provides
                if entry.is_dir(follow_symlinks=False):
                    if self._is_of_base(folder, name, left):
                        below.append(start + name)
                    continue
                file = laid.get(name)
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if file is None:
                    if not _is_git_dir(folder, name):
                        self._note(start + name)
                        self._files[start + name] = status.st_mode
                    continue
                left.pop(name, None)
                changed = status.st_ctime_ns
                if (
                    changed != file[0] * _SECOND + file[1]
                    or status.st_mtime_ns != file[2] * _SECOND + file[3]
                    or status.st_ino & _WORD != file[4]
                    or status.st_size & _WORD != file[6]
                    or changed >= racy_from
                ):
                    self._touched(start + name, file, status.st_mode)
        self._missing(start, left)
        return below

    def _is_of_base(self, folder: str, name: str, left: dict[str, ManifestEntry]) -> bool:
        """Answer whether a folder holds files of the base; note it where it is new."""
        path = f"{folder}/{name}" if folder else name
        if _is_git_dir(folder, name):
            return False
        if path in self._manifest.folders:
            return True
        file = left.get(name)
        if file is not None and file.mode == MODE_SUBMODULE:
            del left[name]
            self._check_submodule(path)
            return False
        self._note(path)
        self._folders.append(path)
        return False

    def _touched(self, path: str, file: ManifestEntry, mode: int) -> None:
        if file.mode == MODE_SYMLINK and stat.S_ISLNK(mode):
            self._scan.touched[path] = file
            return
        if file.mode in (MODE_SYMLINK, MODE_SUBMODULE) or not stat.S_ISREG(mode):
            raise ScanFault(not_a_file(path, file, mode))
        self._scan.touched[path] = file

    def _missing(self, start: str, files: dict[str, ManifestEntry]) -> None:
        for name, file in files.items():
            path = start + name
            if file.mode in (MODE_SYMLINK, MODE_SUBMODULE):
                raise ScanFault(not_a_file(path, file, None))
            self._scan.gone[path] = file

    def _note(self, path: str) -> None:
        self._count += 1
        if self._count > _MOST_NEW:
            message = f"the checkout holds more than {_MOST_NEW} new files and folders"
            raise ScanFault(Rejected(RejectCode.TOO_MANY_FILES, message, {"allowed": _MOST_NEW}))
        if len(bytes_of(path)) > MAX_PATH:
            rejected = normalise_path(path)
            assert isinstance(rejected, Rejected)
            raise ScanFault(rejected)

    def _admit_new(self) -> list[str]:
        """Take the new files of this level that are not ignored; return the folders to visit."""
        files, folders = self._files, self._folders
        if not files and not folders:
            return []
        self._files, self._folders = {}, []
        ignored = self._ignored(list(files), folders)
        self._scan.ignored += [path for path in files if path in ignored]
        self._scan.ignored += [f"{path}/" for path in folders if path in ignored]
        for path, mode in files.items():
            if path in ignored:
                continue
            if not stat.S_ISREG(mode):
                raise ScanFault(not_a_file(path, None, mode))
            self._scan.new.append(path)
        return [path for path in folders if path not in ignored]

    def _check_submodule(self, path: str) -> None:
        with open_below(self._checkout, path) as opened, os.scandir(opened) as found:
            if next(found, None) is not None:
                raise ScanFault(
                    Rejected(
                        RejectCode.PATH_NOT_A_FILE,
                        f"'{excerpt(path)}' is a submodule, and no task writes into one; "
                        "leave its folder empty",
                        {"path": excerpt(path)},
                    )
                )


@contextmanager
def open_below(checkout: Path, path: str, *, is_file: bool = False) -> Iterator[int]:
    """Open a folder or a regular file of the checkout, through no symlink.

    Raises:
        ScanFault: if something else stands there or on the way, or it is closed to us.
    """
    opener = beneath.open_file if is_file else beneath.open_folder
    try:
        with opener(checkout, path) as opened:
            yield opened
    except (FileNotFoundError, beneath.Obstacle) as error:
        raise ScanFault(_closed(path, error)) from error


def not_a_file(path: str, file: ManifestEntry | None, mode: int | None) -> Rejected:
    """Return the refusal of what is not a regular file now, or was none when it was laid out."""
    shown = excerpt(path)
    if file is not None and file.mode in (MODE_SYMLINK, MODE_SUBMODULE):
        was = "a symlink" if file.mode == MODE_SYMLINK else "a submodule"
        message = f"'{shown}' is {was}, and only files can be changed; put it back as it was"
    else:
        message = (
            f"'{shown}' is {beneath.kind_of(mode or 0)}, and only files can be proposed; remove it"
        )
    return Rejected(RejectCode.PATH_NOT_A_FILE, message, {"path": shown})


def _is_git_dir(folder: str, name: str) -> bool:
    """Answer whether this is the checkout's own `.git`.

    Raises:
        ScanFault: if it is one somewhere else, which makes that folder a repository.
    """
    if len(name) != 4 or name.lower() != ".git":
        return False
    if not folder and name == ".git":
        return True
    raise ScanFault(_repository(folder))


def _repository(folder: str) -> Rejected:
    shown = excerpt(folder or ".")
    return Rejected(
        RejectCode.PATH_NOT_A_FILE,
        f"'{shown}' is a git repository of its own, and none can be proposed; remove its '.git'",
        {"path": shown},
    )


def _closed(path: str, error: Exception) -> Rejected:
    shown = excerpt(path or ".")
    why = f"'{shown}' is gone" if isinstance(error, FileNotFoundError) else excerpt(str(error))
    return Rejected(
        RejectCode.PATH_NOT_A_FILE,
        f"{why}; give it back its mode, or put a file in its place or remove it",
        {"path": shown},
    )
