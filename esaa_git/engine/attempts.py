"""Attempts: opened for one lease, and closed when the lease runs out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from esaa_git.engine.intentions import ExpireAttempt, OpenAttempt
from esaa_git.engine.lease import Lease
from esaa_git.engine.schedule import find_task
from esaa_git.engine.transaction import Transaction


def open_attempt(
    tx: Transaction, task_id: str, agent: str, *, mode: Literal["dispatch", "claim"], base: str
) -> str:
    """Open an attempt with a lease by the policy's ttl, and return its id.

    Raises:
        RefusedError: saying what hinders it and what to do about it.
    """
    expire(tx, [find_task(tx.state, task_id).task_id])
    tx.ask(OpenAttempt(task_id=task_id, agent=agent, mode=mode, base=base))
    attempt = tx.state.tasks[task_id].attempt
    assert attempt is not None
    tx.leases.begin(Lease.of(attempt, tx.contracts))
    return attempt.attempt_id


def expire(tx: Transaction, task_ids: Iterable[str]) -> int:
    """Close the attempts on these tasks whose lease ran out; return how many there were."""
    count = 0
    for task_id in task_ids:
        attempt = tx.state.tasks[task_id].active_attempt
        if attempt is not None and tx.is_over(Lease.of(attempt, tx.contracts)):
            tx.wait_for(attempt.deadline)
            tx.ask(ExpireAttempt(task_id=task_id))
            count += 1
    return count
