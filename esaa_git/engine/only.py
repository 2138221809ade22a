"""What a run is asked for, where that is less than the plan: one task, or so many attempts."""

from __future__ import annotations

from esaa_git.core.contracts import Contracts
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State
from esaa_git.engine.engine import Engine
from esaa_git.engine.options import Options
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


def is_enough(
    engine: Engine, options: Options, state: State, contracts: Contracts, made: int
) -> bool:
    """Answer whether what was asked for is done, although the run may go on.

    Args:
        made: how many attempts were made.

    Raises:
        RunHalted: if it is a task that is blocked, so that only a person can go on.
    """
    if options.task_id is not None:
        task = state.tasks[options.task_id]
        found = blocker(state, contracts, task, engine.moment(state))
        if task.state == TaskState.BLOCKED and found is not None:
            raise RunHalted(found.message, hint=found.hint)
        if task.is_done:
            return True
    return options.steps is not None and made >= options.steps
