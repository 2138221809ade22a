"""What a power cut may take: when and how objects and refs are brought to the disk.

Everything that a ref names is on the disk before the ref is, and the refs are on the disk before
a command says what it did (docs/decisions/0036-sync-order.md). `esaa.sync` says how:

- `filesystem` (the default where the system has syncfs(2)): one call a transaction for all of it,
  whichever process wrote it.
- `files` (the default elsewhere): libgit2 syncs each object as it is written; for file systems
  on which others write so much that waiting for all of it takes too long.
- `unsafe-none`: nothing is synced, for repositories that are thrown away.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pygit2

from esaa_git.disk import flush, sync_folder
from esaa_git.errors import ConfigurationError
from esaa_git.faults import Point, reach

SETTING = "esaa.sync"
FILESYSTEM, FILES, UNSAFE_NONE = "filesystem", "files", "unsafe-none"

_WRITTEN_BACK_SECONDS = 600
"""Systems write back by themselves what is older than half a minute or so (proc_sys_vm(5))."""

_NOTE = "boot"

_syncs_each = False


def sync_mode(configured: str | None) -> str:
    """Return how to sync, given the setting.

    Raises:
        ConfigurationError: if the setting is none of the three words.
    """
    if configured is None:
        return FILES if _syncfs() is None else FILESYSTEM
    if configured not in (FILESYSTEM, FILES, UNSAFE_NONE):
        raise ConfigurationError(
            f"{SETTING} '{configured}' is not a way to sync",
            cause=f"there are '{FILESYSTEM}', '{FILES}' and '{UNSAFE_NONE}'",
            hint=f"run 'git config --unset {SETTING}' for the default",
        )
    if configured == FILESYSTEM and _syncfs() is None:
        return FILES
    return configured


def prepare(mode: str) -> None:
    """Have libgit2 and git sync each object that they write, or not, from here on."""
    global _syncs_each  # noqa: PLW0603 - as the setting of libgit2 is
    _syncs_each = mode == FILES
    pygit2.settings.enable_fsync_gitdir(_syncs_each)


def git_settings() -> tuple[str, ...]:
    """Return the settings that a git which may write objects is started with."""
    return ("core.fsync=committed,loose-object",) if _syncs_each else ()


def sync_everything(
    mode: str, objects: Path, folder: Path, descriptors: Iterable[int] = ()
) -> None:
    """Bring all that was written so far to the disk: objects, journal, and these open files.

    Args:
        objects: where the repository's objects are.
        folder: where the open files are, on the same file system.

    Raises:
        OSError: if the disk reports that it could not keep it.
    """
    if mode == FILESYSTEM:
        _sync_filesystem(folder)
    elif mode == FILES:
        for descriptor in descriptors:
            flush(descriptor)
        sync_folders(mode, [folder, *_changed_lately(objects)])
    reach(Point.OBJECTS_SYNCED)


def sync_folders(mode: str, folders: Iterable[Path]) -> None:
    """Bring the names in these folders to the disk: what was created, renamed, removed."""
    if mode != UNSAFE_NONE:
        for folder in dict.fromkeys(folders):
            sync_folder(folder)


def sync_file(mode: str, descriptor: int) -> None:
    """Bring one open file to the disk."""
    if mode != UNSAFE_NONE:
        flush(descriptor)


def is_start_noted(folder: Path) -> bool:
    """Answer whether something was recorded here since the machine was started."""
    start = _start()
    try:
        return not start or (folder / _NOTE).read_text("ascii", "replace") == start
    except OSError:
        return False


def note_start(folder: Path) -> None:
    """Remember that what an earlier power cut left has been looked at; a lost note costs time."""
    start = _start()
    if start:
        (folder / _NOTE).write_text(start, "ascii")


@cache
def _start() -> str:
    """Return what is drawn anew whenever the machine starts (random(4)), or nothing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def _changed_lately(objects: Path) -> list[Path]:
    """Return the folders of objects whose names the system may not have written by itself yet."""
    found, since = [objects, objects / "pack"], time.time() - _WRITTEN_BACK_SECONDS
    with os.scandir(objects) as entries:
        for entry in entries:
            if len(entry.name) == 2 and entry.stat().st_mtime > since:
                found.append(Path(entry.path))
    return [folder for folder in found if folder.is_dir()]


def _sync_filesystem(folder: Path) -> None:
    import ctypes

    syncfs = _syncfs()
    assert syncfs is not None
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(descriptor)


@cache
def _syncfs() -> Any:
    """Return syncfs(2), which Python does not offer, or None where the system has none."""
    import ctypes

    return getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
