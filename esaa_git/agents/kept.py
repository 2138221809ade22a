"""What setups provide, kept on this machine: read-only, under a digest, and bounded.

It lies in the git directory, where nothing that is confined can write. An entry says which commit
it was made on, and counts for those alone whose history holds that one. It is written whole or not
at all, is locked while it is made and copied from, and goes when it is the one that was not used
for longest and all of them together are too large, or when nobody used it for a month.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from secrets import token_hex
from typing import Final

from esaa_git.agents.transplant import Moved
from esaa_git.folders import remove_folder, throwaway_folder

MOST_KEPT_BYTES: Final = 8 << 30
KEPT_SECONDS: Final = 30 * 24 * 3600
"""How much is kept of all setups together, and how long what nobody uses."""

_FILES: Final = "files"
_ABOUT: Final = "about.json"
_UNFINISHED: Final = "unfinished-"
_WAIT_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Entry:
    """What one setup provided.

    Attributes:
        folder: the top of the files.
        place: where they were made, as their content has it.
        placed: the paths of those that name it.
        commit: that they were made on; None where nobody else is to have them.
    """

    folder: Path
    place: bytes
    placed: frozenset[str]
    commit: str | None = None


Make = Callable[[Path], tuple[bytes, Moved]]
"""Puts files into a new folder; returns where they were made, and what was copied."""


class Kept:
    """The setups that are kept in one folder.

    Args:
        folder: made when it is first needed; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @contextmanager
    def entry(
        self,
        key: str,
        commit: str | None,
        counts: Callable[[str], bool],
        make: Make,
        pause: Callable[[], None],
    ) -> Iterator[Entry]:
        """Give the entry of a key, which is made where there is none; nobody else has it meanwhile.

        Args:
            commit: that it is made on, if it has to be made; with None what is made is not kept.
            counts: answers whether one that was made on a commit may be given; another is replaced.

        Raises:
            OSError: if it cannot be kept.
        """
        if self._folder is None:
            with once(make) as made:
                yield made
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(self._folder / f"{key}.lock", pause):
            place = self._folder / key
            found = _read(place)
            is_new = found is None or found.commit is None or not counts(found.commit)
            if is_new and commit is not None:
                self._make(place, commit, make)
            if not is_new or commit is not None:
                found = _read(place)
                assert found is not None
                os.utime(place / _ABOUT)
                yield found
        if is_new and commit is None:
            with once(make) as made:
                yield made
        elif is_new:
            self.tidy()

    def _make(self, place: Path, commit: str, make: Make) -> None:
        remove_folder(place)
        unfinished = place.with_name(f"{_UNFINISHED}{place.name}-{token_hex(4)}")
        unfinished.mkdir(mode=0o700)
        try:
            (unfinished / _FILES).mkdir(mode=0o700)
            made_at, moved = make(unfinished / _FILES)
            about = {
                "commit": commit,
                "place": os.fsdecode(made_at),
                "placed": sorted(moved.placed),
                "bytes": moved.bytes,
            }
            (unfinished / _ABOUT).write_text(json.dumps(about), encoding="utf-8")
            unfinished.rename(place)
        finally:
            remove_folder(unfinished)

    def tidy(self) -> list[str]:
        """Remove what nobody used for a month, then the oldest until the rest is small enough.

        What is in use stays. Return what was removed, in words.
        """
        removed = []
        now, total = time.time(), self._size()
        for place, size, used in sorted(self._entries(), key=lambda one: one[2]):
            if now - used <= KEPT_SECONDS and total <= MOST_KEPT_BYTES:
                break
            with _free(place.with_name(f"{place.name}.lock")) as is_free:
                if is_free:
                    remove_folder(place)
                    total -= size
                    removed.append(f"removed a kept setup of {size:,} bytes")
        for path in self._folder.glob(f"{_UNFINISHED}*") if self._folder is not None else ():
            with _free(path.with_name(f"{path.name.split('-')[1]}.lock")) as is_free:
                if is_free:
                    remove_folder(path)
                    removed.append("removed a setup that was never finished")
        return removed

    def _entries(self) -> Iterator[tuple[Path, int, float]]:
        for path in self._folder.glob(f"*/{_ABOUT}") if self._folder is not None else ():
            with suppress(OSError, ValueError, KeyError, TypeError):
                if not path.parent.name.startswith(_UNFINISHED):
                    size = int(json.loads(path.read_bytes())["bytes"])
                    yield path.parent, size, path.stat().st_mtime

    def _size(self) -> int:
        return sum(size for _, size, _ in self._entries())


@contextmanager
def once(make: Make) -> Iterator[Entry]:
    """Give an entry that is kept nowhere.

    Raises:
        AgentError: if there is no room for it.
    """
    with throwaway_folder("setup") as folder:
        place, moved = make(folder)
        yield Entry(folder, place, frozenset(moved.placed))


def _read(place: Path) -> Entry | None:
    try:
        about = json.loads((place / _ABOUT).read_bytes())
        return Entry(
            place / _FILES,
            os.fsencode(about["place"]),
            frozenset(about["placed"]),
            str(about["commit"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


@contextmanager
def _locked(path: Path, pause: Callable[[], None]) -> Iterator[None]:
    """Hold a lock, for which others may have to be waited."""
    while True:
        with _free(path) as is_free:
            if is_free:
                yield
                return
        pause()
        time.sleep(_WAIT_SECONDS)


@contextmanager
def _free(path: Path) -> Iterator[bool]:
    """Hold a lock if it is free, and say whether it is (flock(2)); its file goes with its entry."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            yield False
            return
        if not _is_named(lock, path):
            yield False  # its entry was removed in this moment
            return
        yield True
        if not path.with_name(path.name.removesuffix(".lock")).exists():
            path.unlink(missing_ok=True)
    finally:
        os.close(lock)


def _is_named(lock: int, path: Path) -> bool:
    try:
        return os.fstat(lock).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
