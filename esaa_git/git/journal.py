"""The journal: one small file that remembers a follow-up across a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

from esaa_git.errors import RepositoryError
from esaa_git.git.repository import Repository
from esaa_git.ports import BranchMove, Followup


class FileJournal:
    """`.git/esaa/followup.json`, replaced atomically and synced before the log moves."""

    def __init__(self, repository: Repository) -> None:
        self._path = repository.esaa_dir / "followup.json"

    def write(self, followup: Followup) -> None:
        document = {
            "log_commit": followup.log_commit,
            "branch": followup.move.branch,
            "old": followup.move.old,
            "new": followup.move.new,
            "task_id": followup.task_id,
            "paths": list(followup.paths),
        }
        write_atomically(self._path, json.dumps(document).encode())

    def read(self) -> Followup | None:
        try:
            document = json.loads(self._path.read_bytes())
            return Followup(
                document["log_commit"],
                BranchMove(document["branch"], document["old"], document["new"]),
                document["task_id"],
                document["paths"],
            )
        except FileNotFoundError:
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


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old content or the new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    with temporary.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
