"""The request: what the holder of an attempt is told, and the commit that it is told about."""

from __future__ import annotations

from esaa_git.core import canonical
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import after, timestamp
from esaa_git.core.machine import AttemptState
from esaa_git.core.state import Attempt, State, Task
from esaa_git.core.view import purified_view
from esaa_git.engine.context import context_files
from esaa_git.engine.engine import Engine
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import RepositoryError
from esaa_git.ports.agent import Request


def branch_tip(engine: Engine, tx: Transaction) -> str:
    """Return the tip of the run's working branch."""
    return _tip(engine, tx.state)


def _tip(engine: Engine, state: State) -> str:
    branch = str(state.run.branch)
    tip = engine.branch.tip(branch)
    if tip is None:
        raise RepositoryError(
            f"the working branch '{branch}' is gone",
            hint=f"restore it with 'git branch {branch} {state.run.base}'",
        )
    return tip


def build_request(
    engine: Engine, tx: Transaction, task_id: str, agent: str, *, has_checkout: bool
) -> Request:
    """Return the request for the task's current attempt: exactly what will be sent."""
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    return request_for(
        engine, tx.state, tx.contracts, task, task.attempt, agent, has_checkout=has_checkout
    )


def request_for(
    engine: Engine,
    state: State,
    contracts: Contracts,
    task: Task,
    attempt: Attempt,
    agent: str,
    *,
    has_checkout: bool,
) -> Request:
    """Return the request for an attempt on the task, whether it is open or only thought of.

    Args:
        has_checkout: the agent sees the files of the base by itself; otherwise those that the
            task may need travel in the view, as far as the policy's budget goes.
    """
    view = purified_view(state, contracts, task, attempt, agent)
    if not has_checkout:
        view["files"] = context_files(engine, state, contracts, task, attempt.base)
    body = canonical.encode(view)
    return Request(
        task.task_id,
        attempt.attempt_id,
        attempt.base,
        body,
        contracts.agent.kind(task.kind).read_patterns,
        attempt.deadline,
        body,
    )


def next_attempt(
    engine: Engine, state: State, contracts: Contracts, task: Task, agent: str, mode: str
) -> Attempt:
    """Return the attempt that would be opened on the task at this moment; nothing is recorded."""
    now = max(timestamp(engine.clock.now()), state.ts)
    number = task.attempts_total + 1
    return Attempt(
        attempt_id=f"{task.task_id}-A{number}",
        number=number,
        agent=agent,
        state=AttemptState.ACTIVE,
        opened=now,
        deadline=after(now, contracts.policy.ttl_ms),
        base=_tip(engine, state),
        mode=mode,
    )
