"""Whose turn it is: which tasks a caller may take, holds, or may not touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from esaa_git.app.project import Project
from esaa_git.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.state import Attempt, State, Task

CLAIMED = "claim"
"""The mode of attempts that are opened and answered here. A dispatched one has its own agent."""


def find_task(state: State, task_id: str) -> Task:
    """Return a task by id, or raise a UsageError that names the tool to find it with."""
    task = state.tasks.get(task_id)
    if task is None:
        raise UsageError(
            f"no task '{task_id}'", hint="call next_task without arguments for the tasks there are"
        )
    return task


def held_by(state: State, by: str) -> list[tuple[Task, Attempt]]:
    """Return the tasks that the caller has claimed and not finished."""
    found = []
    for name in state.run.in_progress:
        task = state.tasks[name]
        attempt = task.active_attempt
        if attempt is not None and attempt.agent == by and attempt.mode == CLAIMED:
            found.append((task, attempt))
    return found


def own_attempt(state: State, task_id: str, by: str) -> tuple[Task, Attempt]:
    """Return the task with its last attempt, which has to be one that the caller claimed.

    Raises:
        RefusedError: if it is somebody else's, or was dispatched to an agent of the swarm.
    """
    task = find_task(state, task_id)
    attempt = task.attempt
    hint = f"call next_task with task_id '{task_id}' and claim true first"
    if attempt is None:
        raise RefusedError(f"nobody has claimed '{task_id}'", hint=hint)
    if attempt.agent != by or attempt.mode != CLAIMED:
        holds = "holds" if attempt.is_active else "worked last on"
        how = "" if attempt.mode == CLAIMED else " (it was dispatched by 'git esaa run')"
        raise RefusedError(
            f"you are '{by}', and '{attempt.agent}' {holds} '{task_id}'{how}",
            hint="work on another task: call next_task" if attempt.is_active else hint,
        )
    return task, attempt


def over(task_id: str, attempt: Attempt) -> RefusedError:
    """Return the error for an answer to an attempt that has ended."""
    return RefusedError(
        f"attempt '{attempt.attempt_id}' is over: it was {attempt.state.replace('_', ' ')}",
        hint=f"call next_task with task_id '{task_id}' and claim true for another attempt",
    )


def eligible_for(project: Project, state: State, contracts: Contracts, by: str) -> list[Task]:
    """Return what the caller may take, most urgent first.

    Tasks whose agent the plan names are left to that agent; those whose lease ran out count.
    """
    from esaa_git.engine import decide

    moment = now(project, state)
    found = decide.eligible(state, contracts, moment)
    for name in state.run.in_progress:
        attempt = state.tasks[name].active_attempt
        if (
            attempt is not None
            and attempt.deadline <= moment
            and not _spent(state, contracts, name)
        ):
            found.append(state.tasks[name])
    return [task for task in found if task.agent in (None, by)]


def _spent(state: State, contracts: Contracts, name: str) -> bool:
    """Answer whether the attempt that ran out was the last that the task had."""
    from esaa_git.core.contract_rules import attempts_allowed

    task = state.tasks[name]
    return task.attempts_used + 1 > attempts_allowed(task, contracts)


def standing(state: State) -> str:
    """Say in a line where the run and its tasks stand."""
    counts = ", ".join(f"{count} {name}" for name, count in state.run.by_state if count)
    return f"the run is {state.run.state}; tasks: {counts or 'none'}"


def now(project: Project, state: State) -> str:
    """Return the time that a decision taken at this moment would have."""
    from esaa_git.core.event import timestamp

    return max(timestamp(project.engine.clock.now()), state.ts)


def progress(task: Task) -> dict[str, Any]:
    """Say who works on a task that is in progress, or what it waits for."""
    attempt = task.active_attempt
    if attempt is not None:
        return {"task_id": task.task_id, "by": attempt.agent, "until": attempt.deadline}
    waits = "a review" if task.pending_approval is not None else "'git esaa run' to apply it"
    return {"task_id": task.task_id, "waits_for": waits}
