"""The request: what the holder of an attempt is told, and the commit that it is told about."""

from __future__ import annotations

from esaa_git.core import canonical
from esaa_git.core.view import purified_view
from esaa_git.errors import RepositoryError
from esaa_git.orchestrator.context import context_files
from esaa_git.orchestrator.engine import Engine
from esaa_git.orchestrator.transaction import Transaction
from esaa_git.ports import Request


def branch_tip(engine: Engine, tx: Transaction) -> str:
    """Return the tip of the run's working branch."""
    branch = str(tx.state.run.branch)
    tip = engine.branch.tip(branch)
    if tip is None:
        raise RepositoryError(
            f"the working branch '{branch}' is gone",
            hint=f"restore it with 'git branch {branch} {tx.state.run.base}'",
        )
    return tip


def build_request(
    engine: Engine, tx: Transaction, task_id: str, agent: str, *, has_checkout: bool
) -> Request:
    """Return the request for the task's current attempt: exactly what will be sent.

    Args:
        has_checkout: the agent sees the files of the base by itself; otherwise those that the
            task may need travel in the view, as far as the policy's budget goes.
    """
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    view = purified_view(tx.state, tx.contracts, task, task.attempt, agent)
    if not has_checkout:
        view["files"] = context_files(engine, tx, task, task.attempt.base)
    body = canonical.encode(view)
    return Request(
        task_id,
        task.attempt.attempt_id,
        task.attempt.base,
        body,
        tx.contracts.agent.kind(task.kind).read_patterns,
        task.attempt.deadline,
        body,
    )
