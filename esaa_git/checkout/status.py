"""What git-status(1) says of paths, and what of it is a person's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from esaa_git.store.objects import TreeEntry, bytes_of

_ARGUMENTS_LIMIT = 128 * 1024

_UNMERGED = "has conflicts that are not resolved"
_STAGED = "has staged changes"
_UNTRACKED = "is a file that git does not track"
IGNORED = "is a file that git ignores"
_CHANGED = {
    "A": "is added, and not committed",
    "D": "is deleted, and that is not committed",
    "M": "has changes that are not committed",
    "T": "is no longer a file of the same kind",
}


@dataclass(frozen=True, slots=True)
class Status:
    """What git-status(1) says of a path: its index entry, and the letter for its file."""

    index: TreeEntry | None
    change: str = "."
    unmerged: bool = False
    loose: str | None = None

    def difference(self, expected: TreeEntry | None) -> str | None:
        """Return what of it is the person's own where this entry was expected."""
        if self.unmerged:
            return _UNMERGED
        if self.index != expected:
            return _STAGED
        return _CHANGED.get(self.change) or self.loose


def parse_status(record: str) -> tuple[str, Status]:
    """Decode one record of git-status(1), "Porcelain Format Version 2"."""
    kind = record[0]
    if kind in "?!":
        return record[2:], Status(None, loose=_UNTRACKED if kind == "?" else IGNORED)
    if kind == "u":
        return record.split(" ", 10)[10], Status(None, unmerged=True)
    _, letters, _, _, mode, _, _, oid, path = record.split(" ", 8)
    return path, Status(None if mode == "000000" else TreeEntry(mode, oid), change=letters[1])


def batches(paths: list[str]) -> Iterator[list[str]]:
    """Split paths into parts that fit on a command line; git-status(1) reads none from a file."""
    batch: list[str] = []
    size = 0
    for path in paths:
        size += len(bytes_of(path)) + 1
        if batch and size > _ARGUMENTS_LIMIT:
            yield batch
            batch, size = [], len(bytes_of(path)) + 1
        batch.append(path)
    if batch:
        yield batch
