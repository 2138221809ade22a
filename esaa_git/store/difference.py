"""What differs between two places in the log, by git's own objects: documents, and contents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

import pygit2

from esaa_git.core.state import EMPTY, State
from esaa_git.errors import CorruptedError, RepositoryError
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.objects import MalformedObject, decode_tree, object_id
from esaa_git.store.repository import Repository
from esaa_git.store.statetree import TABLES, StateTree

Image = tuple[str, str] | None
"""Mode and blob of a file, or None where there is none."""


def documents_between(repository: Repository, before: str, after: str) -> set[tuple[str, str]]:
    """Return the (table, id) of every state document that differs between two event commits.

    Subtrees with the same id are not opened, so the cost follows the difference.
    """
    old, new = (
        read_event_commit(repository.read, oid).tree["roadmap"].oid for oid in (before, after)
    )
    folders = {top: table for table, top in TABLES.items()}
    try:
        paths = set(_changed(repository, old, new, ()))
    except (KeyError, MalformedObject) as error:
        raise CorruptedError(
            "a recorded state cannot be read", cause=str(error), hint="run 'git esaa verify'"
        ) from error
    found = set()
    for path in paths:
        table = "" if len(path) == 1 else folders.get(path[:-3], "tasks")
        found.add((table, path[-1].removesuffix(".json")))
    return found


def _changed(
    repository: Repository, old: str | None, new: str | None, above: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    left = {} if old is None else decode_tree(repository.read(old)[1])
    right = {} if new is None else decode_tree(repository.read(new)[1])
    for name in left.keys() | right.keys():
        one, other = left.get(name), right.get(name)
        if one == other:
            continue
        trees = [
            entry.oid if entry is not None and entry.is_tree else None for entry in (one, other)
        ]
        if trees == [None, None]:
            yield (*above, name)
        else:
            yield from _changed(repository, trees[0], trees[1], (*above, name))


class _Ids:
    """An `ObjectSink` that stores nothing and only says under which id it would."""

    def put(self, kind: int, data: bytes) -> str:
        return object_id(kind, data)


def state_tree_id(state: State) -> str:
    """Return the id of the `roadmap/` tree that holds exactly this state."""
    documents = {("", "project"), ("", "run")}
    for name in ("supersessions", "undone", "accepted_lessons", "programs"):
        if getattr(state, name) != getattr(EMPTY, name):
            documents.add(("", name))
    for table in TABLES:
        documents.update((table, key) for key in getattr(state, table))
    whole = replace(state, touched=frozenset(documents))
    return StateTree(_nothing, None).apply(whole, _Ids())


def _nothing(oid: str, _most: int | None = None, /) -> tuple[int, bytes]:
    raise KeyError(oid)


def unified_diff(repository: Repository, path: str, before: Image, after: Image) -> bytes:
    """Return the change of one file as git writes it, to be read or applied.

    Raises:
        RepositoryError: if a content is not in this repository.
    """
    old, new = (
        None if image is None else _blob(repository, path, image) for image in (before, after)
    )
    if old is None and new is None:
        return b""
    patch = pygit2.Patch.create_from(old, new, old_as_path=path, new_as_path=path)
    return _with_modes(bytes(patch.data), path, before, after)


def _with_modes(data: bytes, path: str, before: Image, after: Image) -> bytes:
    """Write the modes into the header: of contents alone, libgit2 takes them for 100644."""
    if before is None or after is None:
        mode = (before or after or ("100644", ""))[0].encode()
        return data.replace(b"file mode 100644\n", b"file mode %s\n" % mode, 1)
    if before[0] == after[0]:
        return data.replace(b" 100644\n", b" %s\n" % after[0].encode(), 1)
    modes = f"old mode {before[0]}\nnew mode {after[0]}\n".encode()
    if not data:
        return f"diff --git a/{path} b/{path}\n".encode() + modes
    first, _, rest = data.partition(b"\n")
    index, _, body = rest.partition(b"\n")
    return first + b"\n" + modes + index.removesuffix(b" 100644") + b"\n" + body


def _blob(repository: Repository, path: str, image: tuple[str, str]) -> pygit2.Blob:
    try:
        return cast(pygit2.Blob, repository.raw[image[1]])
    except KeyError as error:
        raise RepositoryError(
            f"a content of '{path}' is not in this repository",
            cause=f"there is no blob {image[1]}",
            hint="fetch the working branch, whose history has it, or leave out --patch",
        ) from error
