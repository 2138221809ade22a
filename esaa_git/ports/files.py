"""Contents and trees, and three-way merges of one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file in a tree: mode `100644` or `100755`, and the blob with its content."""

    mode: str
    oid: str


class NotAFile:
    """Stands in a tree where a file was asked for: a symlink, a submodule or a directory."""

    def __init__(self, what: str) -> None:
        self.what = what


class BlobStore(Protocol):
    """Contents by id."""

    def read(self, oid: str) -> bytes:
        """Return the content of a blob."""
        ...

    def size(self, oid: str) -> int:
        """Return how many bytes a blob has, without reading it."""
        ...

    def write(self, content: bytes) -> str:
        """Store a content and return its id."""
        ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """How git stores a file otherwise than it is: the name of its filter, and its encoding."""

    filter: str | None = None
    encoding: str | None = None


class Trees(Protocol):
    """Files of commits, without a checkout."""

    def entry(self, commit: str, path: str) -> FileEntry | NotAFile | None:
        """Return what stands at the path, or None where nothing does."""
        ...

    def folder(self, commit: str, path: str) -> Mapping[str, FileEntry | NotAFile]:
        """Return what stands in a folder, by name; `""` is the root, and no folder is empty."""
        ...

    def paths(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[tuple[str, FileEntry]]:
        """Yield every regular file of the commit that is, or lies below, one of these paths.

        In the order in which git sorts a tree; `""` is the root.
        """
        ...

    def changes(self, before: str, after: str) -> Iterator[tuple[str, FileEntry | NotAFile | None]]:
        """Yield every path at which two commits differ, with what stands there after.

        None where it is gone. What is the same on both sides costs nothing.
        """
        ...

    def names(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[str]:
        """Yield every path of the commit that is, or lies below, one of these: links too."""
        ...

    def holds(self, commit: str, earlier: str) -> bool:
        """Answer whether a commit is this one or in its history; one that is not here is not."""
        ...

    def conversions(
        self, commit: str, changes: Mapping[str, FileEntry | None], paths: Sequence[str]
    ) -> Mapping[str, Conversion]:
        """Return those of the paths that git would not store as they are, in the changed tree."""
        ...


@dataclass(frozen=True, slots=True)
class Conflict:
    """A three-way merge that failed, with the conflicting hunks as git marks them."""

    path: str
    reason: str
    hunks: str


class Merger(Protocol):
    """Three-way merges in memory."""

    def merge_file(
        self, path: str, base: FileEntry, ours: FileEntry, theirs: FileEntry
    ) -> FileEntry | Conflict:
        """Merge two changes of one file and return the entry of the merge."""
        ...

    def renamed_to(self, base: str, tip: str, path: str) -> str | None:
        """Return where the path of `base` went by a rename on the way to `tip`, if it did."""
        ...
