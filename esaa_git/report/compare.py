"""The difference of two states, field by field, and of the files that events between them wrote."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from esaa_git.core.event import Event
from esaa_git.core.events import FileWrite
from esaa_git.core.events.file_write import images
from esaa_git.core.printable import visible
from esaa_git.core.record import JsonRecord
from esaa_git.core.state import State

TABLES = (
    "tasks",
    "issues",
    "lessons",
    "approvals",
    "notes",
    "carriers",
    "decisions",
    "requests",
    "accounts",
    "reservations",
    "settled_elsewhere",
)
SINGLES = (
    "project",
    "run",
    "supersessions",
    "undone",
    "accepted_lessons",
    "programs",
    "open_reservations",
)

Document = tuple[str, str]
"""A table and a record's id; the table is empty for the single documents, as in `State.touched`."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a record; None where the record does not have it."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class RecordChange:
    """One record that is not the same in both states: `created`, `changed` or `removed`."""

    table: str
    key: str
    kind: str
    fields: tuple[FieldChange, ...]

    def to_json(self) -> dict[str, Any]:
        fields = {one.name: {"from": one.before, "to": one.after} for one in self.fields}
        return {"id": self.key, "kind": self.kind, "fields": fields}


@dataclass(frozen=True, slots=True)
class FileChange:
    """What effects between two events did to one path, from the first before to the last after.

    `before` and `after` are (mode, blob), or None where the path did not or does not exist.
    `attempt_id` and `event_id` name the last effect; `is_pending` says that it waits to be
    closed, so the branch does not have it yet.
    """

    path: str
    before: tuple[str, str] | None
    after: tuple[str, str] | None
    attempt_id: str
    event_id: str
    is_pending: bool

    @property
    def kind(self) -> str:
        if self.before is None:
            return "add"
        return "delete" if self.after is None else "modify"

    def to_json(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "change": self.kind,
            "before": None if self.before is None else self.before[1],
            "after": None if self.after is None else self.after[1],
            "attempt_id": self.attempt_id,
            "event_id": self.event_id,
            "pending": self.is_pending,
        }


def every_document(*states: State) -> set[Document]:
    """Return the documents of the states."""
    found: set[Document] = {("", name) for name in SINGLES}
    for state in states:
        for table in TABLES:
            found.update((table, key) for key in getattr(state, table))
    return found


def compare(
    before: State, after: State, documents: Iterable[Document] | None = None
) -> list[RecordChange]:
    """Return the records that differ, single documents first, then by table and id.

    `documents` are those that may differ, where that is known; all of both states otherwise.
    """
    wanted = every_document(before, after) if documents is None else set(documents)
    order = {name: number for number, name in enumerate(("", *TABLES))}
    found = []
    for table, key in sorted(wanted, key=lambda one: (order[one[0]], one[1])):
        change = _compare(table, key, _document(before, table, key), _document(after, table, key))
        if change is not None:
            found.append(change)
    return found


def _document(state: State, table: str, key: str) -> dict[str, Any] | None:
    if table == "":
        single: JsonRecord = getattr(state, key)
        return single.to_json()
    record: JsonRecord | None = getattr(state, table).get(key)
    return None if record is None else record.to_json()


def _compare(
    table: str, key: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> RecordChange | None:
    if before == after:
        return None
    kind = "created" if before is None else "removed" if after is None else "changed"
    old, new = before or {}, after or {}
    names = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    fields = tuple(FieldChange(name, old.get(name), new.get(name)) for name in names)
    return RecordChange(table, key, kind, fields)


def written_between(events: Iterable[Event], after: State) -> list[FileChange]:
    """Return the paths that these events changed, as far as their effects stand in `after`.

    Args:
        events: the events between two positions, oldest first.
        after: the state after the last of them. An effect that was rejected later, sent back by
            a reviewer, or written anew on a branch that had moved, does not count.
    """
    standing: dict[str, tuple[str, FileWrite]] = {}
    for event in events:
        if isinstance(event.payload, FileWrite):
            standing.pop(event.payload.attempt_id, None)
            standing[event.payload.attempt_id] = (event.event_id, event.payload)
    net: dict[str, FileChange] = {}
    for attempt_id, (event_id, effect) in standing.items():
        task = after.tasks.get(effect.task_id)
        if task is None or task.result is None or task.result.attempt_id != attempt_id:
            continue
        for path, old, new in images(effect.files):
            known = net.get(path)
            first = old if known is None else known.before
            net[path] = FileChange(
                path, first, new, attempt_id, event_id, is_pending=not task.is_done
            )
    return [net[path] for path in sorted(net) if net[path].before != net[path].after]


def inverted(files: Iterable[FileChange]) -> list[FileChange]:
    """Return the same changes seen from the later event."""
    return [
        FileChange(one.path, one.after, one.before, one.attempt_id, one.event_id, one.is_pending)
        for one in files
    ]


# -- lines --------------------------------------------------------------------------------------

_SIGNS = {"created": "+", "changed": "~", "removed": "-", "add": "+", "modify": "~", "delete": "-"}


def change_lines(change: RecordChange) -> list[str]:
    """Return a changed record as lines: its sign and id, then every field that differs."""
    name = change.key if change.table in ("", "tasks") else f"{change.table}/{change.key}"
    lines = [f"{_SIGNS[change.kind]} {name}"]
    for one in change.fields:
        if change.kind == "created":
            lines.append(f"    {one.name}: {_short(one.after)}")
        elif change.kind == "changed":
            lines += [
                f"    {part.name}: {_short(part.before)} → {_short(part.after)}"
                for part in _parts(one)
            ]
    return lines


def _parts(change: FieldChange) -> list[FieldChange]:
    """Return a changed record within a record field by field, as in `attempt.state`."""
    old, new = change.before, change.after
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [change]
    return [
        FieldChange(f"{change.name}.{name}", old.get(name), new.get(name))
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def file_line(file: FileChange) -> str:
    """Return a changed path on one line, with the effect that changed it last."""
    pending = ", not on the branch yet" if file.is_pending else ""
    return visible(
        f"{_SIGNS[file.kind]} {file.path}  ({file.attempt_id}, {file.event_id}{pending})"
    )


def _short(value: Any, most: int = 100) -> str:
    if value is None:
        return "none"
    if isinstance(value, dict):
        value = ", ".join(f"{name} {_short(below, most)}" for name, below in value.items())
    elif isinstance(value, list):
        value = ", ".join(_short(below, most) for below in value) or "none"
    text = visible(" ".join(str(value).split()))
    return text if len(text) <= most else text[: most - 1] + "…"
