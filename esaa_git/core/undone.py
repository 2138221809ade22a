"""What was undone: which done tasks stand, what builds on them, and what undoing one may write.

A done task is never touched (INV-001). What undoes it is a task of its own, `Task.undoes`, and
`Undone` keeps both beside the tasks. Everything that asks whether a done task still counts asks
`stands` or `satisfies`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from esaa_git.core.entries import Undone
from esaa_git.core.machine import TaskState
from esaa_git.core.state import Supersessions
from esaa_git.core.table import Table
from esaa_git.core.task import Task

Image: TypeAlias = "tuple[str, str] | None"
"""What stands at a path: its mode and the id of its blob; None where nothing does."""

Change: TypeAlias = "tuple[Image, Image]"
"""What stood at a path before, and what stands there after."""


class View(Protocol):
    """What is asked of a state, or of one that is being changed."""

    @property
    def tasks(self) -> Table[Task]: ...

    @property
    def undone(self) -> Undone: ...

    @property
    def supersessions(self) -> Supersessions: ...


def stands(view: View, task_id: str) -> bool:
    """Answer whether a task is done, and was not undone since."""
    return view.tasks[task_id].is_done and view.undone.by(task_id) is None


def satisfies(view: View, task_id: str) -> bool:
    """Answer whether what depends on a task may begin.

    A task that is about to be undone holds nothing any more; for one that was undone, the task
    that superseded it may stand in.
    """
    seen: set[str] = set()
    at: str | None = task_id
    while at is not None and at in view.tasks and at not in seen:
        if stands(view, at):
            return not _is_under_way(view, at)
        if view.undone.by(at) is None:
            return False
        seen.add(at)
        at = view.supersessions.successor_of(at)
    return False


def builders(view: View) -> Mapping[str, Sequence[Task]]:
    """Return by each task those that depend on it or supersede it."""
    found: dict[str, list[Task]] = {}
    for task in view.tasks.values():
        for name in {*task.depends_on, task.supersedes} - {None}:
            found.setdefault(str(name), []).append(task)
    return found


def dependants(
    view: View, task_id: str, known: Mapping[str, Sequence[Task]] | None = None
) -> list[Task]:
    """Return the tasks that build on a done one directly: that depend on it, or supersede it.

    What depends on a task that was undone builds on the one that superseded that.

    Args:
        known: as `builders` has it, where that is asked for many tasks.
    """
    found = builders(view) if known is None else known
    names = [task_id]
    at = view.tasks[task_id].supersedes
    while at is not None and not stands(view, at):
        names.append(at)
        at = view.tasks[at].supersedes
    by_id = {one.task_id: one for name in names for one in found.get(name, ())}
    return [one for name, one in sorted(by_id.items()) if name not in names]


def undo_fault(
    view: View,
    task_id: str,
    planned: Collection[str] = (),
    known: Mapping[str, Sequence[Task]] | None = None,
) -> str | None:
    """Return why a task cannot be undone next, in words.

    Args:
        planned: those that are undone before it.
        known: as `dependants` takes it.
    """
    task = view.tasks.get(task_id)
    if task is None:
        return f"there is no task '{task_id}'"
    if not task.is_done:
        return f"only a done task is undone, and '{task_id}' is {task.state}"
    by = view.undone.by(task_id)
    if by is not None:
        return f"'{task_id}' was undone by '{by.task_id}' already"
    if task_id in planned:
        return f"'{task_id}' is named twice"
    under_way = view.undone.under_way(task_id)
    if under_way is not None:
        return f"'{under_way.task_id}' is to undo '{task_id}' already"
    return base_fault(view, task_id, planned, known)


def base_fault(
    view: View,
    task_id: str,
    planned: Collection[str] = (),
    known: Mapping[str, Sequence[Task]] | None = None,
) -> str | None:
    """Return what still builds on a task that is to be undone, in words."""
    for other in dependants(view, task_id, known):
        name = other.task_id
        is_begun = other.undoes is not None and other.state == TaskState.TODO
        if other.state == TaskState.IN_PROGRESS or is_begun:
            return f"'{name}' builds on '{task_id}', and is under way"
        if stands(view, name) and name not in planned and not _is_under_way(view, name):
            return f"'{name}' builds on '{task_id}', and has to be undone before it"
    return None


def _is_under_way(view: View, task_id: str) -> bool:
    """Answer whether an undo of a task is open; one that is blocked keeps nothing waiting."""
    undo = view.undone.under_way(task_id)
    return undo is not None and view.tasks[undo.task_id].state != TaskState.BLOCKED


# -- the effect of an undo --------------------------------------------------------------------


class Restored(NamedTuple):
    """What an undo does at a path; `source` is from where a file is moved back."""

    path: str
    before: Image
    after: Image
    source: str | None = None


def inverse_fault(
    undone: Mapping[str, Change], moved: Mapping[str, str], restored: Iterable[Restored]
) -> str | None:
    """Return in what an effect is not the inverse of the one that it undoes, in words.

    What stands as the undone effect left it becomes what it was before, to the byte. Where it was
    changed since, three are merged: what stands there now and what stood there before, by what the
    effect left. Where two of them agree, that is the result; else, for a file that is there in all
    three, the content is git's to say.

    Args:
        undone: each path of the effect that is undone, with what it changed there.
        moved: where each file that it moved came from, by its new path.
        restored: what is written.
    """
    seen: set[str] = set()
    for path, now, to, source in restored:
        stood = path if source is None else source
        if path not in undone or stood not in undone:
            return f"'{path}' is no path of what is undone"
        if source is not None and moved.get(source) != path:
            return f"'{source}' did not come from '{path}'"
        fault = _merge_fault(was=undone[path][0], left=undone[stood][1], now=now, to=to)
        if fault is not None:
            return f"'{path}': {fault}"
        seen.update((path, stood))
    missing = [path for path, (was, _) in undone.items() if was is not None and path not in seen]
    return f"'{missing[0]}' is not restored" if missing else None


def _merge_fault(*, was: Image, left: Image, now: Image, to: Image) -> str | None:
    if now in (left, was):
        return None if to == was else "it is not what it was before"
    if was is None or left is None or now is None or to is None:
        return "it was changed since, and cannot be taken back"
    mode = settle(left[0], now[0], was[0])
    content = settle(left[1], now[1], was[1])
    if mode != to[0] or content not in (None, to[1]):
        return "it is not what the change since and the undo come to"
    return None


def settle(base: str, ours: str, theirs: str) -> str | None:
    """Return what three values come to without looking into them, or None where they do not."""
    if ours in (theirs, base):
        return theirs
    return ours if theirs == base else None
