"""Attempts: opened for one lease, and closed when the lease runs out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from esaa_git.core.entries import PENDING
from esaa_git.core.state import State
from esaa_git.engine.intentions import ExpireApproval, ExpireAttempt, OpenAttempt
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


def unanswered(state: State, now: str) -> list[str]:
    """Return the approvals that nobody decided on in time, and that still stand as open."""
    held = (state.tasks[name].pending_approval for name in state.run.in_progress)
    asked = (state.approvals[name] for name in held if name is not None)
    return [one.approval_id for one in asked if one.state == PENDING and one.has_expired(now)]


def expire_approvals(tx: Transaction) -> None:
    """Close the approvals that nobody decided on in time; their tasks are blocked."""
    for approval_id in unanswered(tx.state, tx.at):
        tx.ask(ExpireApproval(approval_id=approval_id))
