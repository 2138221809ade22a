"""Files in trees without an index: what it costs follows the paths, not the repository."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final

import pygit2

from esaa_git.errors import CorruptedError
from esaa_git.ports.files import Conversion, FileEntry, NotAFile
from esaa_git.store.conversion import attribute_files, conversions
from esaa_git.store.objects import (
    BLOB,
    FILE_MODES,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    MODE_TREE,
    TREE,
    MalformedObject,
    ObjectSink,
    TreeEntry,
    decode_commit,
    decode_tree,
    encode_tree,
)
from esaa_git.store.position import contains
from esaa_git.store.repository import Repository

MOST_FOLDERS: Final = 100_000
MOST_DEPTH: Final = 200
"""So many folders, and so deep ones, are opened to see what somebody else's tree changes."""


def store_files(sink: ObjectSink, files: Mapping[str, FileEntry]) -> str:
    """Store a tree that holds exactly these files and return its id."""
    return _store(sink, _nested(files))


def _store(sink: ObjectSink, level: Mapping[str, Any]) -> str:
    return sink.put(
        TREE,
        encode_tree(
            {
                name: below
                if isinstance(below, TreeEntry)
                else TreeEntry(MODE_TREE, _store(sink, below))
                for name, below in level.items()
            }
        ),
    )


def _nested(changes: Mapping[str, FileEntry | None]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for path, entry in changes.items():
        *folders, name = path.split("/")
        level = nested
        for folder in folders:
            level = level.setdefault(folder, {})
        level[name] = None if entry is None else TreeEntry(entry.mode, entry.oid)
    return nested


class GitTrees:
    """Reads and changes the trees of commits, path by path."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._trees: dict[str, dict[str, TreeEntry]] = {}

    def entry(self, commit: str, path: str) -> FileEntry | NotAFile | None:
        """Return what stands at the path of the commit; a folder in its way is not a file."""
        tree = self._tree(self.root(commit))
        *folders, name = path.split("/")
        for folder in folders:
            below = tree.get(folder)
            if below is None:
                return None
            if not below.is_tree:
                found = _what(below)
                return found if isinstance(found, NotAFile) else NotAFile("a file in its way")
            tree = self._tree(below.oid)
        last = tree.get(name)
        return None if last is None else _what(last)

    def folder(self, commit: str, path: str) -> Mapping[str, FileEntry | NotAFile]:
        """Return what stands in a folder of the commit, by name; nothing where there is none."""
        tree = self._tree(self.root(commit))
        for name in path.split("/") if path else ():
            below = tree.get(name)
            if below is None or not below.is_tree:
                return {}
            tree = self._tree(below.oid)
        return {name: _what(entry) for name, entry in tree.items()}

    def paths(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[tuple[str, FileEntry]]:
        """Yield every regular file of the commit that is, or lies below, one of these paths."""
        for path, entry in self._walk(self.root(commit), "", tuple(below)):
            if entry.mode in FILE_MODES:
                yield path, FileEntry(entry.mode, entry.oid)

    def names(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[str]:
        """Yield every path of the commit that is, or lies below, one of these: links too."""
        for path, _ in self._walk(self.root(commit), "", tuple(below)):
            yield path

    def holds(self, commit: str, earlier: str) -> bool:
        """Answer whether a commit is this one or in its history; one that is not here is not."""
        try:
            return contains(self._repository, commit, earlier)
        except (KeyError, ValueError, pygit2.GitError):
            return False

    def conversions(
        self, commit: str, changes: Mapping[str, FileEntry | None], paths: Sequence[str]
    ) -> Mapping[str, Conversion]:
        """Return those of the paths that git would not store as they are, in the changed tree."""
        said = {}
        for path in attribute_files(paths):
            entry = changes[path] if path in changes else self.entry(commit, path)
            if isinstance(entry, FileEntry):  # git reads none that is a link
                said[path] = self._repository.read(entry.oid)[1]
        return conversions(self._repository, said, paths)

    def changes(self, before: str, after: str) -> Iterator[tuple[str, FileEntry | NotAFile | None]]:
        """Yield every path at which two commits differ, with what stands there after.

        Raises:
            CorruptedError: if a folder cannot be read, or there are more than any work has.
        """
        try:
            yield from self._changes(self.root(before), self.root(after), "", count())
        except MalformedObject as error:
            raise CorruptedError("a tree cannot be read", cause=str(error)) from error

    def _changes(
        self, before: str | None, after: str | None, prefix: str, opened: Iterator[int]
    ) -> Iterator[tuple[str, FileEntry | NotAFile | None]]:
        if next(opened) > MOST_FOLDERS or prefix.count("/") > MOST_DEPTH:
            raise MalformedObject("there are more folders, or deeper ones, than are looked at")
        old = {} if before is None else self._tree(before)
        new = {} if after is None else self._tree(after)
        for name in sorted(old.keys() | new.keys()):
            left, right = old.get(name), new.get(name)
            if left == right:
                continue
            one, other = _folder(left), _folder(right)
            if left is not None and one is None and (right is None or other is not None):
                yield prefix + name, None
            if one is not None or other is not None:
                yield from self._changes(one, other, f"{prefix}{name}/", opened)
            if right is not None and other is None:
                yield prefix + name, _what(right)

    def root(self, commit: str) -> str:
        """Return the id of the commit's tree."""
        return decode_commit(self._repository.read(commit)[1]).tree

    def with_changes(self, tree: str, changes: Mapping[str, FileEntry | None]) -> str:
        """Store the tree with these paths set, or removed where None, and return its id.

        A folder that loses its last file disappears, as it does in git.
        """
        # What goes away goes first, so that a folder may take the place of a file.
        gone = {path: None for path, entry in changes.items() if entry is None}
        set_ = {path: entry for path, entry in changes.items() if entry is not None}
        current: str | None = tree
        for step in (gone, set_):
            if step:
                current = self._change(current, _nested(step))
        return current or self._repository.put(TREE, b"")

    def _change(self, tree: str | None, changes: Mapping[str, Any]) -> str | None:
        entries = {} if tree is None else dict(self._tree(tree))
        for name, change in changes.items():
            if change is None:
                entries.pop(name, None)
            elif isinstance(change, TreeEntry):
                entries[name] = change
            else:
                before = entries.get(name)
                oid = self._change(before.oid if before and before.is_tree else None, change)
                if oid is None:
                    entries.pop(name, None)
                else:
                    entries[name] = TreeEntry(MODE_TREE, oid)
        return self._repository.put(TREE, encode_tree(entries)) if entries else None

    def _walk(
        self, tree: str, prefix: str, below: tuple[str, ...]
    ) -> Iterator[tuple[str, TreeEntry]]:
        """Yield what is in a tree; `below` holds paths relative to it, '' for all of it."""
        whole = "" in below
        for name, entry in self._tree(tree).items():
            inside = ("",) if whole else _within(name, below)
            if not inside:
                continue
            if entry.is_tree:
                yield from self._walk(entry.oid, f"{prefix}{name}/", inside)
            elif "" in inside:
                yield prefix + name, entry

    def _tree(self, oid: str) -> dict[str, TreeEntry]:
        tree = self._trees.get(oid)
        if tree is None:
            if len(self._trees) > 4096:
                self._trees.clear()
            tree = self._trees[oid] = decode_tree(self._repository.read(oid)[1], any_names=True)
        return tree


def _folder(entry: TreeEntry | None) -> str | None:
    return entry.oid if entry is not None and entry.is_tree else None


def _within(name: str, below: Sequence[str]) -> tuple[str, ...]:
    """Return what is left of these paths inside of an entry of this name."""
    start = name + "/"
    return tuple(
        "" if path == name else path[len(start) :]
        for path in below
        if path == name or path.startswith(start)
    )


_NOT_FILES = {MODE_SYMLINK: "a symlink", MODE_SUBMODULE: "a submodule", MODE_TREE: "a directory"}


def _what(entry: TreeEntry) -> FileEntry | NotAFile:
    if entry.mode in FILE_MODES:
        return FileEntry(entry.mode, entry.oid)
    if entry.mode == "100664":  # written by old tools; git reads it as a regular file
        return FileEntry("100644", entry.oid)
    return NotAFile(_NOT_FILES.get(entry.mode, f"an entry of mode {entry.mode}"))


class GitBlobs:
    """Contents of the repository by id."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def read(self, oid: str) -> bytes:
        return self._repository.read(oid)[1]

    def size(self, oid: str) -> int:
        return int(self._repository.odb.read_header(oid)[1])

    def write(self, content: bytes) -> str:
        return self._repository.put(BLOB, content)
