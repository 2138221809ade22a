"""What stands where a path of a checkout has to be, beside what changes together with it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path


def obstacle(root: Path, path: str, changes: Collection[str]) -> str | None:
    """Return what stands where a folder above the path must be.

    Not where it changes together with the path: then it is judged on its own.
    """
    for above in ancestors(path):
        mode = mode_of(root / above)
        if mode is None or (not stat.S_ISDIR(mode) and above in changes):
            return None
        if not stat.S_ISDIR(mode):
            kind = "symlink" if stat.S_ISLNK(mode) else "file"
            return f"lies behind '{above}', which is a {kind}"
        if mode_of(root / above / ".git") is not None:
            return f"lies in '{above}', which is another repository"
    return None


def contents_of_folder(root: Path, path: str, changes: Collection[str]) -> str | None:
    """Return what a folder at the path holds, beside what changes together with the path."""
    for inside in _files_below(root, path):
        if inside not in changes:
            return f"is a folder with '{inside}' in it"
    return None


def ancestors(path: str) -> Iterator[str]:
    """Yield the folders above the path, the outermost first."""
    position = path.find("/")
    while position >= 0:
        yield path[:position]
        position = path.find("/", position + 1)


def kin(in_the_way: Collection[str], others: Collection[str]) -> dict[str, str]:
    """Return the others that lie above or below a path in the way.

    A file and a folder change places there, so neither can go without the other.
    """
    found: dict[str, str] = {}
    left_alone = set(in_the_way)
    while True:
        above = {folder: path for path in left_alone for folder in ancestors(path)}
        more = {}
        for path in others:
            below = next((folder for folder in ancestors(path) if folder in left_alone), None)
            culprit = above.get(path) or below
            if culprit and path not in left_alone:
                more[path] = f"cannot change without '{culprit}', which is in the way"
        if not more:
            return found
        found |= more
        left_alone |= set(more)


def _files_below(folder: Path, path: str) -> Iterator[str]:
    if not stat.S_ISDIR(mode_of(folder / path) or 0):
        return
    with os.scandir(folder / path) as entries:
        for entry in entries:
            inside = f"{path}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                yield from _files_below(folder, inside)
            else:
                yield inside


def mode_of(path: Path) -> int | None:
    """Return what lstat(2) says of the path, or None where nothing is."""
    try:
        return path.lstat().st_mode
    except OSError:  # a name that the file system cannot hold, a folder that is closed to us
        return None
