"""What two trees differ in, file by file, at a cost that follows the difference."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from operator import add

from esaa_git.store.objects import (
    MalformedObject,
    Reader,
    bytes_of,
    decode_tree,
    name_of,
    tree_of_commit,
)

Image = tuple[str, str] | None
"""Mode and blob of a file, or None where there is none."""

_RawTree = dict[bytes, bytes]
"""Names to mode and raw id, one after the other: as little as comparing two trees takes."""

REMEMBERED_TREES = 64
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The tree without entries, which a repository need not hold."""

_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)


class TreeChanges:
    """Compares trees of one repository; consecutive ones share most of theirs, so some are kept."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._trees: dict[str, _RawTree] = {}

    def between(
        self, before: str | None, after: str | None, prefix: str = ""
    ) -> Iterator[tuple[str, Image]]:
        """Yield every path that differs with what stands there after, None where it is gone.

        Subtrees with the same id are not opened.
        """
        old = {} if before is None else self._tree(before)
        new = {} if after is None else self._tree(after)
        for raw in sorted({name for name, _ in old.items() ^ new.items()}):
            name = name_of(raw)
            left, right = old.get(raw), new.get(raw)
            left_tree, right_tree = _subtree(left), _subtree(right)
            if left is not None and left_tree is None and (right is None or right_tree is not None):
                yield prefix + name, None
            if left_tree is not None or right_tree is not None:
                yield from self.between(left_tree, right_tree, f"{prefix}{name}/")
            if right is not None and right_tree is None:
                yield prefix + name, (right[:-20].decode("ascii", "replace"), right[-20:].hex())

    def changed(self, before: str, after: str, paths: Iterable[str]) -> dict[str, Image]:
        """Return those of these paths at which two trees differ, with what stands there after."""
        if before == after:
            return {}
        found: dict[str, Image] = {}
        below: dict[bytes, dict[str, str]] = {}
        for path in paths:
            below.setdefault(bytes_of(path.partition("/")[0]), {})[path] = path.partition("/")[2]
        old, new = self._tree(before), self._tree(after)
        for name, whole in below.items():
            left, right = old.get(name), new.get(name)
            if left == right:
                continue
            rests = {rest: path for path, rest in whole.items() if rest}
            if rests:
                one, other = _subtree(left) or EMPTY_TREE, _subtree(right) or EMPTY_TREE
                inside = self.changed(one, other, rests)
                found.update((rests[rest], image) for rest, image in inside.items())
            for path in (path for path, rest in whole.items() if not rest):
                if (image := _file(right)) != _file(left):
                    found[path] = image
        return found

    def image(self, tree: str, path: str) -> Image:
        """Return the file at the path of a tree, or None where there is none."""
        return self.changed(EMPTY_TREE, tree, [path]).get(path)

    def tree_of(self, commit: str) -> str:
        """Return the tree of a commit."""
        return tree_of_commit(self._reader(commit)[1])

    def _tree(self, oid: str) -> _RawTree:
        if oid == EMPTY_TREE:
            return {}
        tree = self._trees.get(oid)
        if tree is None:
            if len(self._trees) >= REMEMBERED_TREES:
                self._trees.clear()
            tree = self._trees[oid] = _split_tree(self._reader(oid)[1])
        return tree


def image_at(reader: Reader, tree: str, path: str) -> Image:
    """Return the file at the path of a tree, or None where there is none."""
    *folders, name = path.split("/")
    for folder in folders:
        below = decode_tree(reader(tree)[1], any_names=True).get(folder)
        if below is None or not below.is_tree:
            return None
        tree = below.oid
    found = decode_tree(reader(tree)[1], any_names=True).get(name)
    return None if found is None or found.is_tree else (found.mode, found.oid)


def _split_tree(data: bytes) -> _RawTree:
    found = _ENTRY.findall(data)
    modes, names, oids = zip(*found, strict=True) if found else ((), (), ())
    if 22 * len(found) + sum(map(len, modes)) + sum(map(len, names)) != len(data):
        raise MalformedObject("a tree entry is cut off")
    return dict(zip(names, map(add, modes, oids), strict=True))


def _file(entry: bytes | None) -> Image:
    if entry is None or _subtree(entry) is not None:
        return None
    return entry[:-20].decode("ascii", "replace"), entry[-20:].hex()


def _subtree(entry: bytes | None) -> str | None:
    return entry[-20:].hex() if entry is not None and entry[:-20] == b"40000" else None
