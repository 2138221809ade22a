"""The journal: one small file that remembers a follow-up across a crash."""

from __future__ import annotations

import fcntl
import json
import os
import time
from pathlib import Path
from typing import IO

from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.git.repository import Repository
from esaa_git.ports import BranchMove, Followup

LOCK_SECONDS = 60
"""How long a process waits for another one to finish its follow-up: a checkout may be large."""


class FileJournal:
    """`.git/esaa/followup.json`, replaced atomically and synced before the log moves.

    From `write` (or `read`, where that finds something) to `clear`, this process holds
    `followup.lock`, so that two effects never race each other to the checkout, and what a living
    process is about to finish is not taken for what a dead one left.
    """

    def __init__(self, repository: Repository) -> None:
        self._path = repository.esaa_dir / "followup.json"
        self._lock: IO[bytes] | None = None

    def write(self, followup: Followup) -> None:
        document = {
            "log_commit": followup.log_commit,
            "branch": followup.move.branch,
            "old": followup.move.old,
            "new": followup.move.new,
            "task_id": followup.task_id,
            "paths": list(followup.paths),
        }
        self._acquire()
        write_atomically(self._path, json.dumps(document).encode())

    def read(self) -> Followup | None:
        if not self._path.exists():
            return None
        self._acquire()
        try:
            document = json.loads(self._path.read_bytes())
            return Followup(
                document["log_commit"],
                BranchMove(document["branch"], document["old"], document["new"]),
                document["task_id"],
                document["paths"],
            )
        except FileNotFoundError:  # its writer lived, and has finished meanwhile
            self._release()
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise RepositoryError(
                f"'{self._path}' cannot be read",
                cause=str(error),
                hint="it names an unfinished move of the working branch; run 'git esaa verify', "
                "and delete the file if that finds nothing",
            ) from error

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)
        self._release()

    def pause(self) -> None:
        self._release()

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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
