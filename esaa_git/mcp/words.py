"""How things are worded for a caller that can only read them and try again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from esaa_git.app.work import CLAIMED, is_claim_of
from esaa_git.errors import EsaaError, RefusedError, UsageError

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.rejection import Rejected
    from esaa_git.core.state import State
    from esaa_git.core.task import Attempt, Task

MAX_DETAIL = 6000
"""How many characters of a rejection's particulars are shown; conflicts carry whole hunks."""


def refusal(rejected: Rejected, task: Task, contracts: Contracts) -> RefusedError:
    """Return a recorded rejection as an error: what was wrong, where, and what to do next."""
    from esaa_git.core.rejection import EXPLANATIONS

    detail = json.dumps(dict(rejected.detail), ensure_ascii=False) if rejected.detail else None
    if detail is not None and len(detail) > MAX_DETAIL:
        detail = detail[:MAX_DETAIL] + " …"
    return RefusedError(
        f"rejected, {rejected.code}: {rejected.message}",
        cause=detail,
        hint=f"{EXPLANATIONS[rejected.code]} {_then(task, contracts)}",
    )


def _then(task: Task, contracts: Contracts) -> str:
    from esaa_git.core.contract_rules import attempts_allowed

    name = task.task_id
    if task.active_attempt is not None:
        return "Your attempt is still open: correct it and submit again."
    if task.state == "blocked":
        return (
            f"No attempt is left and '{name}' is blocked; a person can grant more with "
            f"'git esaa task unblock {name} --attempts 1 --reason TEXT'."
        )
    allowed = attempts_allowed(task, contracts)
    wait = f" from {task.not_before} on" if task.not_before is not None else ""
    return (
        f"This attempt is over, {allowed - task.attempts_used} of {allowed} are left: call "
        f"next_task with task_id '{name}' and claim true{wait}, correct it, and submit again."
    )


def told(error: EsaaError) -> str:
    """Return an error as text: the message, then the cause and the hint on lines of their own."""
    lines = [error.message]
    if error.cause:
        lines.append(f"caused by: {error.cause}")
    if error.hint:
        lines.append(f"hint: {error.hint}")
    return "\n".join(lines)


def find_task(state: State, task_id: str) -> Task:
    """Return a task by id, or raise a UsageError that names the tool to find it with."""
    task = state.tasks.get(task_id)
    if task is None:
        raise UsageError(
            f"no task '{task_id}'", hint="call next_task without arguments for the tasks there are"
        )
    return task


def own_attempt(state: State, task_id: str, by: str) -> tuple[Task, Attempt]:
    """Return the task with its last attempt, which has to be one that the caller claimed.

    Raises:
        RefusedError: if it is another actor's, or was dispatched to an agent of the swarm.
    """
    task = find_task(state, task_id)
    attempt = task.attempt
    hint = f"call next_task with task_id '{task_id}' and claim true first"
    if attempt is None:
        raise RefusedError(f"nobody has claimed '{task_id}'", hint=hint)
    if not is_claim_of(attempt, by):
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


def standing(state: State) -> str:
    """Say in a line where the run and its tasks stand."""
    counts = ", ".join(f"{count} {name}" for name, count in state.run.by_state if count)
    return f"the run is {state.run.state}; tasks: {counts or 'none'}"


def progress(task: Task) -> dict[str, Any]:
    """Say who works on a task that is in progress, or what it waits for."""
    attempt = task.active_attempt
    if attempt is not None:
        return {"task_id": task.task_id, "by": attempt.agent, "until": attempt.deadline}
    waits = "a review" if task.pending_approval is not None else "'git esaa run' to apply it"
    return {"task_id": task.task_id, "waits_for": waits}
