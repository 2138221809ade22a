"""The task that undoes another one: all of it follows from what it undoes."""

from __future__ import annotations

from esaa_git.core.entries import Request
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.state import State
from esaa_git.core.undone import dependants

KIND = "undo"
"""What an `operator.request` of this kind asks for."""

_LONGEST = 64


def definition(state: State, task_id: str) -> TaskDefinition:
    """Return the task that undoes a done one, on a state in which it may begin.

    It is of the same kind, waits for what undoes that which builds on the task, and for a person
    where the plan has the task reviewed.
    """
    task = state.tasks[task_id]
    undos = (state.undone.under_way(one.task_id) for one in dependants(state, task_id))
    waits_for = tuple(sorted(undo.task_id for undo in undos if undo is not None))
    is_reviewed = task.review or task.reviewer is not None
    return TaskDefinition(
        task_id=_next_id(state, task_id),
        kind=task.kind,
        title=f"Undo {task_id}",
        depends_on=waits_for or None,
        review=True if is_reviewed else None,
    )


def _next_id(state: State, task_id: str) -> str:
    number = 1
    while (name := f"{task_id[: _LONGEST - len(f'-UN{number}')]}-UN{number}") in state.tasks:
        number += 1
    return name


def next_task(state: State, request: Request) -> str | None:
    """Return which task an undo that was asked for takes back next; None where it has begun on all.

    What carries the request out is one unbroken block, so none of its tasks was being undone
    before that.
    """
    wanted: list[str] = request.arguments["tasks"]
    return next((name for name in wanted if state.undone.under_way(name) is None), None)
