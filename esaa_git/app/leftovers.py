"""What a process that died has left in the repository, and how it goes away.

Locks come first, since they keep everybody from working: those that are provably stale
(`esaa_git.store.locks`) are freed by the next command that records. What is merely in the way of
nobody (temporary files, a copy of an index) stays until `git esaa doctor --repair`. Nothing that
might belong to a living process is touched.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from esaa_git.checkout.indexlock import COPY
from esaa_git.errors import EsaaError
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.local import Followup
from esaa_git.store.durability import is_start_noted, note_start
from esaa_git.store.journal import FileJournal, journal_path
from esaa_git.store.locks import free_if_stale, remove_abandoned, stale_locks
from esaa_git.store.log import load_tip, read_event_commit
from esaa_git.store.loose import damaged_objects
from esaa_git.store.objects import decode_commit
from esaa_git.store.program import run_git
from esaa_git.store.refs import locks_folder
from esaa_git.store.repository import Repository
from esaa_git.verify.pins import mark_path, read_mark

_TEMPORARY = re.compile(r".+\.(?P<pid>[0-9]+)\.new")
"""What `journal.write_atomically` writes before it renames."""
_WRITING_SECONDS = 60
_OBJECT_SECONDS = 3600
"""How old a temporary file of objects must be. Written in milliseconds, a large import in minutes;
nothing tells who writes it."""

_LAST_EVENTS = 1000
"""How far back the last effect is looked for: one transaction, and it closes a task."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that a process has left, in words."""

    what: str
    path: Path


def clean_up(repository: Repository) -> list[str]:
    """Do what the next command after a crash has to do first, and return it in words.

    Locks of dead processes are freed. Once after each start of the machine, before anything is
    recorded, damaged objects are set aside: those that a power cut left are named by nothing, but
    whoever stores the same content again would take them for sound.
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


def find(repository: Repository) -> list[Leftover]:
    """Return everything that `remove` would remove; nothing is changed."""
    stale = stale_locks(locks_folder(repository), lock_files(repository))
    found = [Leftover("a lock of a process that died", path) for path in stale]
    found += [Leftover("a file that was never finished", path) for path in _unfinished(repository)]
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
    """Move damaged objects where nobody takes them for sound ones; return that in words."""
    folder = repository.esaa_dir / "damaged"
    done = []
    for path in paths:
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{path.parent.name}{path.name}"
        path.replace(target)
        done.append(f"recovered: set a damaged object aside: '{target}'")
    return done


# ---- caches and journal ------------------------------------------------------------------------


def damaged_mark(repository: Repository) -> EsaaError | None:
    """Return what is wrong with the verified point, where it cannot be read."""
    try:
        read_mark(mark_path(repository))
    except EsaaError as error:
        return error
    return None


def forget_mark(repository: Repository) -> str:
    """Have the next verification start from genesis."""
    path = mark_path(repository)
    path.unlink(missing_ok=True)
    return f"removed '{path}': the next 'git esaa verify' starts from the first event"


def rebuild_journal(repository: Repository) -> str:
    """Replace a journal that cannot be read by what the log says of its last effect.

    Every command finishes what the one before has left, so only the last effect of the log can
    still be on its way. Bringing checkouts after a branch that has it already changes nothing.
    """
    path = journal_path(repository)
    path.unlink(missing_ok=True)
    followup = _last_effect(repository)
    if followup is None:
        return f"removed '{path}', which could not be read; the log names no effect"
    journal = FileJournal(repository)
    journal.write(followup)
    journal.pause()
    return f"wrote '{path}' anew from the log: the effect of {followup.task_id}"


def _last_effect(repository: Repository) -> Followup | None:
    oid = tip = repository.ref_target(repository.events_ref)
    for _ in range(_LAST_EVENTS):
        if tip is None or oid is None:
            break
        found = read_event_commit(repository.read, oid)
        payload = found.event.payload
        if found.event.action == "task.update" and "effect_commit" in payload:
            effect, run = str(payload["effect_commit"]), load_tip(repository, tip).state.run
            parent = decode_commit(repository.read(effect)[1]).parents[0]
            options = ("-r", "-z", "--name-only", "--no-renames")
            said = run_git(repository.git_dir, "diff-tree", *options, parent, effect)
            paths = os.fsdecode(said).split("\0")[:-1]
            move = BranchMove(str(run.branch), parent, effect)
            return Followup(tip, move, str(payload["task_id"]), paths)
        oid = found.parent
    return None


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
        named = _TEMPORARY.fullmatch(path.name)
        if named and not _is_alive(int(named["pid"])) and _age(path, now) > _WRITING_SECONDS:
            yield path
    for git_dir in (common, *common.glob("worktrees/*")):
        if not (git_dir / "index.lock").exists():
            for name in (COPY, f"{COPY}.lock"):
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
