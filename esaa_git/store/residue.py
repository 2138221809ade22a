"""What a process that died has left in the repository, and how it goes away.

Locks come first, since they keep every process from working: those that are provably stale
(`esaa_git.store.locks`) are freed by the next command that records. What is merely in the way of
nobody (temporary files, a copy of an index) stays until `git esaa doctor --repair`. Nothing that
might belong to a living process is touched.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from esaa_git.store.durability import is_start_noted, note_start
from esaa_git.store.files import writer_of
from esaa_git.store.locks import free_if_stale, remove_abandoned, stale_locks
from esaa_git.store.loose import damaged_objects
from esaa_git.store.refs import locks_folder
from esaa_git.store.repository import Repository

INDEX_COPY = "esaa-index"
"""The copy of an index that git works on while we hold the lock of the index itself."""

_WRITING_SECONDS = 60
_OBJECT_SECONDS = 3600
"""How old a temporary file of objects must be. Written in milliseconds, a large import in minutes;
nothing tells who writes it."""


@dataclass(frozen=True, slots=True)
class Residue:
    """One thing that a process has left, in words."""

    what: str
    path: Path


def clean_up(repository: Repository) -> list[str]:
    """Do what the next command after a crash has to do first, and return it in words.

    Locks of dead processes are freed. Once after each start of the machine, before anything is
    recorded, damaged objects are set aside: those that a power cut left are named by nothing, but
    a process that stores the same content again would take them for sound.
    """
    try:
        return [*_free_stale_locks(repository), *_set_aside_once(repository)]
    except OSError:  # a repository that may only be read needs none of it
        return []


def _set_aside_once(repository: Repository) -> list[str]:
    if repository.ref_target(repository.events_ref) is None or is_start_noted(repository.esaa_dir):
        return []
    done = set_aside(repository, damaged(repository))
    note_start(repository.esaa_dir)
    return done


def _free_stale_locks(repository: Repository) -> list[str]:
    folder = locks_folder(repository)
    freed = [
        f"recovered: freed the lock '{lock}', which a process that died had left"
        for lock in stale_locks(folder, lock_files(repository))
        if free_if_stale(folder, lock)
    ]
    remove_abandoned(folder)
    return freed


def find(repository: Repository) -> list[Residue]:
    """Return everything that `remove` would remove; nothing is changed."""
    stale = stale_locks(locks_folder(repository), lock_files(repository))
    found = [Residue("a lock of a process that died", path) for path in stale]
    found += [Residue("a file that was never finished", path) for path in _unfinished(repository)]
    return found


def remove(repository: Repository) -> list[str]:
    """Remove what dead processes have left, and return what was done in words."""
    done = _free_stale_locks(repository)
    for path in _unfinished(repository):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
        done.append(f"removed '{path}', which was never finished")
    return done


def damaged(repository: Repository) -> list[Path]:
    """Return the files of loose objects that hold something else; it reads all there are."""
    return list(damaged_objects(str(repository.common_dir / "objects")))


def set_aside(repository: Repository, paths: Iterable[Path]) -> list[str]:
    """Move damaged objects where no reader takes them for sound ones; return that in words."""
    folder = repository.esaa_dir / "damaged"
    done = []
    for path in paths:
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{path.parent.name}{path.name}"
        path.replace(target)
        done.append(f"recovered: set a damaged object aside: '{target}'")
    return done


# ---- where to look -----------------------------------------------------------------------------


def lock_files(repository: Repository) -> Iterator[Path]:
    """Yield the locks that could be ours: those of refs, and of the indexes of checkouts."""
    common = repository.common_dir
    yield from (common / "refs").rglob("*.lock")
    yield from common.glob("index.lock")
    yield from common.glob("worktrees/*/index.lock")


def _unfinished(repository: Repository) -> Iterator[Path]:
    now, common = time.time(), repository.common_dir
    for path in repository.esaa_dir.rglob("*.new"):
        writer = writer_of(path.name)
        if writer and not _is_alive(writer) and _age(path, now) > _WRITING_SECONDS:
            yield path
    for git_dir in (common, *common.glob("worktrees/*")):
        if not (git_dir / "index.lock").exists():
            for name in (INDEX_COPY, f"{INDEX_COPY}.lock"):
                if (git_dir / name).exists():
                    yield git_dir / name
    for pattern in ("tmp_object_git2_*", "tmp_objdir-esaa-*"):
        for path in (common / "objects").glob(pattern):
            if _age(path, now) > _OBJECT_SECONDS:
                yield path


def _age(path: Path, now: float) -> float:
    try:
        return now - path.lstat().st_mtime
    except OSError:
        return 0.0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
