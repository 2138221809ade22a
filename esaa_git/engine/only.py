"""The one task that a run is asked for: whether there is work on it, and when it is over."""

from __future__ import annotations

from esaa_git.core.contracts import Contracts
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State
from esaa_git.engine.engine import Engine
from esaa_git.engine.schedule import blocker, find_task
from esaa_git.errors import RefusedError, RunHalted


def require_undone(engine: Engine, task_id: str | None) -> None:
    """Refuse a task that is done already; beside other machines that is said, and no failure.

    Raises:
        RefusedError: saying what can follow it.
        UsageError: if there is no such task.
    """
    if task_id is None:
        return
    state, contracts = engine.log.load()
    task = find_task(state, task_id)
    found = blocker(state, contracts, task, engine.moment(state)) if task.is_done else None
    if found is None:
        return
    if engine.sharing is None:
        raise RefusedError(found.message, hint=found.hint)
    engine.say(found.message)


def is_over(engine: Engine, state: State, contracts: Contracts, task_id: str | None) -> bool:
    """Answer whether the task is done.

    Raises:
        RunHalted: if it is blocked, so that only a person can go on.
    """
    if task_id is None:
        return False
    task = state.tasks[task_id]
    found = blocker(state, contracts, task, engine.moment(state))
    if task.state == TaskState.BLOCKED and found is not None:
        raise RunHalted(found.message, hint=found.hint)
    return task.is_done
