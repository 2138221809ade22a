"""Attempts: opened, prolonged, given back, and ended by silence or by a refused answer."""

from __future__ import annotations

from dataclasses import replace

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent
from esaa_git.core.events import (
    AgentHeartbeat,
    AttemptCreate,
    AttemptTimeout,
    Dispatch,
    OutputRejected,
)
from esaa_git.core.events.dispatch import Review
from esaa_git.core.events.spec import ORCHESTRATOR, is_person
from esaa_git.core.machine import Cause, TaskState
from esaa_git.core.proposal import is_of_setup
from esaa_git.core.state import State
from esaa_git.core.stopped import attempts_used
from esaa_git.engine.decide.events import Events, by_actor, by_us, given_back, update
from esaa_git.engine.decide.policy import decisions, noted_on_dispatch
from esaa_git.engine.intentions import (
    AskAgent,
    ExpireAttempt,
    OpenAttempt,
    OpenUndo,
    Prolong,
    Reject,
    ReleaseAttempt,
)
from esaa_git.engine.lease import Lease
from esaa_git.engine.schedule import blocker, find_task
from esaa_git.errors import RefusedError


def open_attempt(state: State, contracts: Contracts, wanted: OpenAttempt, at: str) -> Events:
    """Open an attempt on a task that nothing blocks."""
    task = find_task(state, wanted.task_id)
    found = blocker(state, contracts, task, at)
    if found is not None:
        raise RefusedError(found.message, hint=found.hint)
    number = task.attempts_total + 1
    lease = Lease.begin(f"{task.task_id}-A{number}", at, contracts)
    created = AttemptCreate(
        task_id=task.task_id,
        attempt_id=lease.name,
        number=number,
        agent=wanted.agent,
        mode=wanted.mode,
        base=wanted.base,
        deadline=lease.deadline,
    )
    return (by_actor(wanted.agent if is_person(wanted.agent) else ORCHESTRATOR, created),)


def open_undo(state: State, contracts: Contracts, wanted: OpenUndo, at: str) -> NewEvent:
    """Open the attempt of a task that undoes another one; it is ours, and completed at once."""
    number = find_task(state, wanted.task_id).attempts_total + 1
    lease = Lease.begin(f"{wanted.task_id}-A{number}", at, contracts)
    return by_us(
        AttemptCreate(
            task_id=wanted.task_id,
            attempt_id=lease.name,
            number=number,
            agent=ORCHESTRATOR,
            mode="undo",
            base=wanted.base,
            deadline=lease.deadline,
        )
    )


def expire_attempt(state: State, contracts: Contracts, wanted: ExpireAttempt, at: str) -> Events:
    """Time an active attempt out, and return its task by policy."""
    task = find_task(state, wanted.task_id)
    attempt = task.active_attempt
    if attempt is None:
        return ()
    expired = AttemptTimeout(
        task_id=task.task_id, attempt_id=attempt.attempt_id, deadline=attempt.deadline
    )
    reason = f"{attempt.agent} did not answer in time"
    task = replace(task, attempts_used=attempts_used(state, task))
    return (by_us(expired), given_back(task, contracts, Cause.TIMED_OUT, reason, at))


def release_attempt(state: State, wanted: ReleaseAttempt) -> Events:
    """Return a task whose attempt does not count."""
    task = find_task(state, wanted.task_id)
    attempt = task.active_attempt
    if wanted.attempt_id is None and attempt is None:
        raise RefusedError(f"nobody holds '{task.task_id}'")
    if wanted.attempt_id is not None and (
        attempt is None or attempt.attempt_id != wanted.attempt_id
    ):
        return ()
    if wanted.unavailable:
        gone, usage = Cause.UNAVAILABLE, wanted.usage
        return (update(task, gone, reason=wanted.reason, until=wanted.until, usage=usage),)
    mine = attempt is not None and attempt.agent == wanted.by and is_person(attempt.agent)
    actor = attempt.agent if attempt is not None and mine else ORCHESTRATOR
    return (update(task, Cause.RELEASED, reason=wanted.reason, by=wanted.by, actor=actor),)


def dispatch(state: State, contracts: Contracts, wanted: AskAgent, at: str) -> NewEvent:
    """Return who is asked; a decision is lent for one lease."""
    review, noted = None, None
    if wanted.approval_id is None:
        task = find_task(state, wanted.task_id)
        noted = noted_on_dispatch(task, contracts, wanted.agent, wanted.model)
    if wanted.approval_id is not None:
        lease = Lease.begin(wanted.approval_id, at, contracts)
        review = Review(approval_id=lease.name, deadline=lease.deadline)
    return by_us(
        Dispatch(
            task_id=wanted.task_id,
            attempt_id=wanted.attempt_id,
            agent=wanted.agent,
            adapter=wanted.adapter,
            request_sha256=wanted.request_sha256,
            sandbox=wanted.sandbox,
            model=wanted.model,
            template=wanted.template,
            review=review,
            program_sha256=wanted.ran.program_sha256,
            program_version=wanted.ran.program_version,
            provider=wanted.ran.provider,
            continues=wanted.continues,
            reserves=wanted.reserves,
            policy=noted,
            exchange=wanted.exchange,
        )
    )


def heartbeat(contracts: Contracts, wanted: Prolong, at: str) -> NewEvent:
    """Return the sign of life that begins a lease anew."""
    return by_actor(
        wanted.actor,
        AgentHeartbeat(
            task_id=wanted.task_id,
            attempt_id=wanted.attempt_id,
            deadline=Lease.begin(wanted.attempt_id, at, contracts).deadline,
            note=wanted.note,
            agent=wanted.agent,
        ),
    )


def reject(state: State, contracts: Contracts, wanted: Reject, at: str) -> Events:
    """Record the reject signal; where it ends the current attempt, the task goes back."""
    task = find_task(state, wanted.task_id)
    call = wanted.call
    refused = OutputRejected(
        task_id=wanted.task_id,
        attempt_id=wanted.attempt_id,
        code=wanted.code,
        output=wanted.output,
        filter=wanted.filter,
        approval_id=wanted.approval_id,
        exchange=wanted.exchange,
        check_results=wanted.results or None,
        model=call.model,
        usage=call.usage,
        latency_ms=call.latency_ms,
        tries=call.tries,
        left_out=call.left_out,
        unwrapped=call.unwrapped,
        proposal=wanted.proposal,
        not_kept=wanted.not_kept or None,
        facts=wanted.facts,
    )
    denied: Events = ()
    if wanted.facts is not None:
        denied = decisions(task, contracts, wanted.facts, wanted.denied)
    attempt = task.attempt
    if wanted.approval_id is not None:
        return (by_us(refused),)  # the reviewer's answer was refused, not the work
    if attempt is None or attempt.attempt_id != wanted.attempt_id:
        return (by_us(refused),)
    if attempt.is_active or (wanted.closing and task.state == TaskState.IN_PROGRESS):
        reason = str(wanted.code)
        if attempt.is_active and is_of_setup(wanted.filter, task.rejection):
            return (*denied, by_us(refused), update(task, Cause.RELEASED, reason=reason))
        return (*denied, by_us(refused), given_back(task, contracts, Cause.REJECTED, reason, at))
    return (*denied, by_us(refused))
