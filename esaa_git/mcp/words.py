"""How a failure is worded for a caller that can only read it and try again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from esaa_git.errors import EsaaError, RefusedError

if TYPE_CHECKING:
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.rejection import Rejected
    from esaa_git.core.state import Task

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
