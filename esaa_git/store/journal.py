"""The journal: one small file that remembers what is to follow the log, across a crash."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.faults import Point, reach
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.local import Followup
from esaa_git.store.durability import FILES, sync_folders
from esaa_git.store.files import write_atomically
from esaa_git.store.repository import Repository

LOCK_SECONDS = 60
"""How long a process waits for another one to finish its follow-up: a checkout may be large."""


class FileJournal:
    """`.git/esaa/followup.json`, replaced atomically, and on the disk before the log moves.

    From `write` (or `read`, where that finds something) to `clear`, this process holds
    `followup.lock`, so that two effects never race each other to the checkout, and what a living
    process is about to finish is not taken for what a dead one left.

    The file is a stack: recovery may have to merge an effect, which is another follow-up, and a
    crash in there must not make it forget the first.
    """

    def __init__(self, repository: Repository) -> None:
        self._path = journal_path(repository)
        self._sync_mode = repository.sync_mode
        self._lock: IO[bytes] | None = None

    def write(self, followup: Followup) -> None:
        """Remember it before the log moves.

        Raises:
            ConflictError: if a process has died meanwhile and left one: that comes first.
        """
        is_ours = self._lock is not None
        self._acquire()
        try:
            waiting = self._stored()
            if waiting and not is_ours:
                raise ConflictError(
                    "another process died before the working branch had followed the log",
                    cause=f"'{self._path}' names what it left",
                    hint="nothing was changed; repeat the command, which finishes that first",
                )
            self._store([*waiting, followup])
        except BaseException:
            if not is_ours:
                self._release()
            raise
        reach(Point.JOURNAL_WRITTEN)

    def read(self) -> Followup | None:
        if not self._path.exists():
            return None
        is_ours = self._lock is not None
        self._acquire()
        stored: list[Followup] = []
        try:
            stored = self._stored()
        finally:
            if not stored and not is_ours:  # its writer lived, and has finished meanwhile
                self._release()
        return stored[-1] if stored else None

    def is_busy(self) -> bool:
        """Answer whether a living process is working on it; whoever asks does not wait."""
        try:
            with self._path.with_name("followup.lock").open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def clear(self) -> None:
        left = self._stored()[:-1]
        if left:
            self._store(left)
            return
        self._path.unlink(missing_ok=True)
        reach(Point.JOURNAL_CLEARED)
        self._release()

    def pause(self) -> None:
        self._release()

    def _stored(self) -> list[Followup]:
        try:
            documents = json.loads(self._path.read_bytes())
            return [
                Followup(
                    document["log_commit"],
                    BranchMove(document["branch"], document["old"], document["new"]),
                    document["task_id"],
                    document["paths"],
                )
                for document in (documents if isinstance(documents, list) else [documents])
            ]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryError(
                f"'{self._path}' cannot be read",
                cause=str(error),
                hint="it names an unfinished move of the working branch; run 'git esaa doctor "
                "--repair', which finds it in the log",
            ) from error

    def _store(self, followups: Sequence[Followup]) -> None:
        documents = [
            {
                "log_commit": followup.log_commit,
                "branch": followup.move.branch,
                "old": followup.move.old,
                "new": followup.move.new,
                "task_id": followup.task_id,
                "paths": list(followup.paths),
            }
            for followup in followups
        ]
        write_atomically(self._path, json.dumps(documents).encode())
        if self._sync_mode == FILES:  # else what syncs the objects syncs the folder too
            sync_folders(FILES, [self._path.parent])

    def _acquire(self) -> None:
        if self._lock is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        place = self._path.with_name("followup.lock")
        stream = place.open("wb")
        until = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    stream.close()
                    raise ConflictError(
                        "another git-esaa process is still bringing a checkout up to date",
                        cause=f"it has held '{place}' for {LOCK_SECONDS} seconds",
                        hint="wait for it, or end it, then repeat the command",
                    ) from None
                time.sleep(0.01)
            else:
                self._lock = stream
                return

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def journal_path(repository: Repository) -> Path:
    return repository.esaa_dir / "followup.json"
