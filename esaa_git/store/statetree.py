"""The state tree: one small file a record, fanned out (docs/FORMAT.md, "The state tree").

`StateTree` mirrors `roadmap/` as far as it was touched. Applying a state rewrites the documents
that its last event changed and the trees above them, through an `ObjectSink`; what was not
touched keeps its id. `load` gives the state back, reading a record when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, TypeVar

from esaa_git.core import canonical, limits
from esaa_git.core.accounts import Account, OpenReservations, Reservation, SettledElsewhere
from esaa_git.core.entries import (
    NOT_STOPPED,
    NOTHING_UNDONE,
    AcceptedLessons,
    Approval,
    Decision,
    Lesson,
    Notes,
    Request,
    Stop,
    Undone,
)
from esaa_git.core.state import Carrier, Issue, PinnedPrograms, Project, Run, State, Supersessions
from esaa_git.core.table import Table
from esaa_git.core.task import Task
from esaa_git.store.objects import (
    BLOB,
    MODE_FILE,
    TREE,
    MalformedObject,
    ObjectSink,
    Reader,
    TreeEntry,
    read_tree,
)

R = TypeVar("R")

TABLES: Mapping[str, tuple[str, ...]] = {
    "tasks": (),
    "issues": ("issues",),
    "lessons": ("lessons",),
    "approvals": ("approvals",),
    "notes": ("notes",),
    "carriers": ("carriers",),
    "decisions": ("decisions",),
    "requests": ("requests",),
    "accounts": ("budget", "accounts"),
    "reservations": ("budget", "reservations"),
    "settled_elsewhere": ("budget", "elsewhere"),
}
"""Where each table's fan-out begins below `roadmap/`: tasks at the top, the others in a folder."""

SINGLES: Mapping[str, tuple[str, ...]] = {"open_reservations": ("budget", "open.json")}
"""Where a single document stands that is not at the top under its own name."""

_FAN = frozenset("0123456789abcdef")


def document_path(table: str, key: str) -> tuple[str, ...]:
    """Return the path of a record's document below `roadmap/`, by components.

    A record stands under the first two hexadecimal digits of the SHA-256 of its id, one level
    each: `3/f/T-1000.json`. The single documents stand at the top.
    """
    if table == "":
        return SINGLES.get(key, (f"{key}.json",))
    digits = sha256(key.encode()).hexdigest()
    return (*TABLES[table], digits[0], digits[1], f"{key}.json")


class _Node:
    """A tree as far as it was loaded.

    `lines` maps git's sort key (a name, with `/` behind it for a tree) to the raw entry, so that
    storing the tree again is one sort and one join.
    """

    __slots__ = ("below", "lines")

    def __init__(self, lines: dict[bytes, bytes]) -> None:
        self.lines = lines
        self.below: dict[str, _Node] = {}


class StateTree:
    """A mirror of one `roadmap/` tree that can be changed document by document."""

    def __init__(self, reader: Reader, oid: str | None) -> None:
        self._reader = reader
        self.oid = oid
        self._root = _Node({} if oid is None else _read_lines(reader, oid))

    def apply(self, state: State, sink: ObjectSink) -> str:
        """Store the documents that the state's last event touched; return the new tree id."""
        dirty: dict[str, Any] = {}
        for table, key in sorted(state.touched):
            data = canonical.encode(state.document(table, key).to_json())
            path = document_path(table, key)
            level = dirty
            for part in path[:-1]:
                level = level.setdefault(part, {})
            level[path[-1]] = sink.put(BLOB, data)
        if dirty or self.oid is None:
            self.oid = self._store(self._root, dirty, sink)
        return self.oid

    def _store(self, node: _Node, dirty: dict[str, Any], sink: ObjectSink) -> str:
        lines = node.lines
        for name, change in dirty.items():
            key = name.encode()
            if isinstance(change, str):
                lines[key] = b"100644 %s\0%s" % (key, bytes.fromhex(change))
            else:
                oid = self._store(self._open(node, name), change, sink)
                lines[key + b"/"] = b"40000 %s\0%s" % (key, bytes.fromhex(oid))
        return sink.put(TREE, b"".join([lines[key] for key in sorted(lines)]))

    def _open(self, node: _Node, name: str) -> _Node:
        child = node.below.get(name)
        if child is None:
            line = node.lines.get(name.encode() + b"/")
            child = _Node({} if line is None else _read_lines(self._reader, line[-20:].hex()))
            node.below[name] = child
        return child


def _read_lines(reader: Reader, oid: str) -> dict[bytes, bytes]:
    kind, data = reader(oid, limits.TREE)
    if kind != TREE:
        raise MalformedObject(f"{oid} is not a tree")
    lines: dict[bytes, bytes] = {}
    position = 0
    while position < len(data):
        space, end = data.find(b" ", position), data.find(b"\0", position)
        if not position < space < end or end + 21 > len(data):
            raise MalformedObject("a tree entry is cut off")
        name = data[space + 1 : end]
        is_tree = data[position:space] == b"40000"
        lines[name + b"/" if is_tree else name] = data[position : end + 21]
        position = end + 21
    return lines


def load_state(reader: Reader, oid: str, *, seq: int, ts: str) -> State:
    """Return the state stored in a `roadmap/` tree; records are read when they are asked for.

    Raises (then, and when a record is read):
        MalformedObject: for a tree or document that no honest writer stored.
    """
    root = _read_tree(reader, oid)

    def single(name: str, build: Callable[[Mapping[str, Any]], R], default: R) -> R:
        *folders, last = document_path("", name)
        tree: Mapping[str, TreeEntry] = root
        for folder in folders:
            above = tree.get(folder)
            tree = {} if above is None else _read_tree(reader, above.oid)
        entry = tree.get(last)
        return default if entry is None else _document(reader, entry, build)

    def table(name: str, build: Callable[[Mapping[str, Any]], R]) -> Table[R]:
        return Table(_Source(reader, root, TABLES[name], build))

    return State(
        seq=seq,
        ts=ts,
        project=single("project", Project.from_json, Project()),
        run=single("run", Run.from_json, Run()),
        supersessions=single("supersessions", Supersessions.from_json, Supersessions()),
        undone=single("undone", Undone.from_json, NOTHING_UNDONE),
        accepted_lessons=single("accepted_lessons", AcceptedLessons.from_json, AcceptedLessons()),
        programs=single("programs", PinnedPrograms.from_json, PinnedPrograms()),
        stop=single("stop", Stop.from_json, NOT_STOPPED),
        tasks=table("tasks", Task.from_json),
        issues=table("issues", Issue.from_json),
        lessons=table("lessons", Lesson.from_json),
        approvals=table("approvals", Approval.from_json),
        notes=table("notes", Notes.from_json),
        carriers=table("carriers", Carrier.from_json),
        decisions=table("decisions", Decision.from_json),
        requests=table("requests", Request.from_json),
        open_reservations=single(
            "open_reservations", OpenReservations.from_json, OpenReservations()
        ),
        accounts=table("accounts", Account.from_json),
        reservations=table("reservations", Reservation.from_json),
        settled_elsewhere=table("settled_elsewhere", SettledElsewhere.from_json),
    )


class _Source(Mapping[str, R]):
    """One table of a stored state, read on demand and remembered."""

    def __init__(
        self,
        reader: Reader,
        root: Mapping[str, TreeEntry],
        top: tuple[str, ...],
        build: Callable[[Mapping[str, Any]], R],
    ) -> None:
        self._reader = reader
        self._root = root
        self._top = top
        self._build = build
        self._trees: dict[tuple[str, ...], Mapping[str, TreeEntry]] = {(): root}
        self._records: dict[str, R] = {}
        self._keys: list[str] | None = None

    def __getitem__(self, key: str) -> R:
        record = self._records.get(key)
        if record is None:
            digits = sha256(key.encode()).hexdigest()
            folder = self._tree((*self._top, digits[0], digits[1]))
            entry = folder.get(f"{key}.json")
            if entry is None:
                raise KeyError(key)
            record = self._records[key] = _document(self._reader, entry, self._build)
        return record

    def __contains__(self, key: object) -> bool:
        try:
            self[str(key)]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        if self._keys is None:
            self._keys = sorted(self._walk())
        return iter(self._keys)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _walk(self) -> Iterator[str]:
        for first in sorted(_FAN & self._tree(self._top).keys()):
            for second in sorted(_FAN & self._tree((*self._top, first)).keys()):
                for name in self._tree((*self._top, first, second)):
                    yield name.removesuffix(".json")

    def _tree(self, path: tuple[str, ...]) -> Mapping[str, TreeEntry]:
        tree = self._trees.get(path)
        if tree is None:
            entry = self._tree(path[:-1]).get(path[-1])
            tree = {} if entry is None else _read_tree(self._reader, entry.oid)
            self._trees[path] = tree
        return tree


def pinned_programs(reader: Reader, roadmap: str) -> PinnedPrograms:
    """Return what a `roadmap/` tree says of the pinned programs, without the rest of the state."""
    entry = _read_tree(reader, roadmap).get("programs.json")
    none = PinnedPrograms()
    return none if entry is None else _document(reader, entry, PinnedPrograms.from_json)


def _read_tree(reader: Reader, oid: str) -> dict[str, TreeEntry]:
    return read_tree(reader, oid)


def _document(reader: Reader, entry: TreeEntry, build: Callable[[Mapping[str, Any]], R]) -> R:
    kind, data = reader(entry.oid, limits.DOCUMENT)
    if kind != BLOB or entry.mode != MODE_FILE:
        raise MalformedObject(f"{entry.oid} is not a state document")
    try:
        return build(canonical.decode(data))
    except (canonical.NotCanonical, TypeError, AttributeError) as error:
        raise MalformedObject(f"state document {entry.oid}: {error}") from error
