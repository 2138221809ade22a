"""Maintenance that happens by itself, in the processes that append."""

from __future__ import annotations

import os
from collections.abc import Callable
from threading import Thread

from esaa_git.errors import EsaaError
from esaa_git.store.maintenance import maintain
from esaa_git.store.maintenance_notes import Notes
from esaa_git.store.repository import Repository, open_repository

EVERY = 500
"""So many events after the last packing the next one is due: some 4,500 loose objects. At 6,700
a person's own `git commit` would start a gc (gc.auto, git-config(1))."""


MANY_IN_A_FOLDER = 8
"""Loose objects in one folder of 256: half of what `EVERY` events leave on the average."""


class Housekeeper:
    """Packs now and then in a thread, for a process that appends; to be called outside of locks.

    Between two packings a call is one comparison. A packing that fails is told, stops nobody, and
    is tried again `EVERY` events later. `close` waits for one that is under way.
    """

    def __init__(self, repository: Repository, say: Callable[[str], None]) -> None:
        self._repository = repository
        self._say = say
        self._next = 0
        self._thread: Thread | None = None
        self._failure: str | None = None

    def __call__(self, seq: int) -> None:
        """Take note that the log has so many events by now."""
        if seq < self._next:
            return
        self.close()
        if self._next:
            self._let_go()
        due = Notes.read(self._repository).seq + EVERY
        if seq < due:
            self._next = due
            return
        self._next = seq + EVERY
        if not self._has_many_loose():
            return  # it was cloned, and came in a pack
        self._thread = Thread(target=self._work, name="git-esaa-maintain")
        self._thread.start()

    def _has_many_loose(self) -> bool:
        """Answer from one of the 256 folders, as git does (gc.auto in git-config(1))."""
        sample = self._repository.common_dir / "objects" / "17"
        try:
            return len(os.listdir(sample)) >= MANY_IN_A_FOLDER  # noqa: PTH208 (a count alone)
        except OSError:
            return False

    def close(self) -> None:
        """Wait until nothing is being packed, and say what failed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._failure is not None:
            self._say(f"note: the log's objects were not packed: {self._failure}")
            self._failure = None

    def _let_go(self) -> None:
        """Have libgit2 close its packs: by itself it keeps those open that are gone, for ever."""
        repository = self._repository
        repository.raw.free()
        repository.odb = repository.raw.odb

    def _work(self) -> None:
        try:
            maintain(open_repository(self._repository.git_dir))
        except EsaaError as error:
            self._failure = f"{error.message} ({error.cause})" if error.cause else error.message
        except OSError as error:
            self._failure = str(error)
