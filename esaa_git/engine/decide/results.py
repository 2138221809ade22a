"""Results: accepted, reviewed, applied, and closed with their effect."""

from __future__ import annotations

from esaa_git.core.approvals import budget_subject, kind_of, subject
from esaa_git.core.canonical import digest
from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import DENIED, PENDING, RETURNED, Approval
from esaa_git.core.event import NewEvent, after
from esaa_git.core.events import (
    ApprovalExpire,
    ApprovalRequest,
    PolicyDecision,
    ReviewResult,
    ReviewReturned,
)
from esaa_git.core.events.approval import required
from esaa_git.core.events.review_result import Verdict
from esaa_git.core.machine import Cause
from esaa_git.core.requirements import needs_review, of_budgets, requirements
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.calls import AgentVerdict
from esaa_git.engine.decide.events import (
    Events,
    by_us,
    given_back,
    lesson_recorded,
    next_approval,
    update,
)
from esaa_git.engine.decide.policy import judged_effect, judged_result
from esaa_git.engine.intentions import (
    AcceptResult,
    Agree,
    ApplyResult,
    AskAgain,
    AskForBudget,
    AskForReview,
    ExpireApproval,
    RequestChanges,
    ReturnDenied,
    ReturnReview,
)
from esaa_git.engine.schedule import find_task
from esaa_git.errors import RefusedError


def accept_result(state: State, contracts: Contracts, wanted: AcceptResult) -> Events:
    """Record a result, and close the task where nothing else is needed."""
    task = find_task(state, wanted.result.task_id)
    events = [*judged_result(task, contracts, wanted.actor, wanted.result, wanted.write)]
    for one in events:
        if isinstance(one.payload, PolicyDecision):
            task = one.payload.ruled(task)
    for nth, lesson in enumerate(wanted.lessons, start=1):
        by = wanted.actor, task, lesson, wanted.result.agent
        events.append(lesson_recorded(state, nth, *by))
    if wanted.write is not None:
        events.append(by_us(wanted.write))
    if wanted.write is None and not needs_review(task, contracts):
        events.append(closed(task, None))
    return tuple(events)


def apply_result(state: State, contracts: Contracts, wanted: ApplyResult) -> Events:
    """Record the effect anew, and close a task without an effect."""
    task = find_task(state, wanted.task_id)
    written = wanted.write
    events = [] if written is None else [*judged_effect(task, contracts, written)]
    if task.effect is None:
        events.append(closed(task, None))
    return tuple(events)


def closed(task: Task, effect_commit: str | None) -> NewEvent:
    """Return the update that closes a task, with the commit of its effect."""
    cause = Cause.ACCEPTED if task.pending_approval is None else Cause.APPROVED
    return update(task, cause, effect_commit=effect_commit)


def approval_request(state: State, contracts: Contracts, wanted: AskForReview, at: str) -> NewEvent:
    """Return the request for a consent to the result of a task, by all the rules that ask."""
    task = find_task(state, wanted.task_id)
    assert task.attempt is not None
    due, asked = contracts.policy.approval_ms, requirements(task, contracts)
    return by_us(
        ApprovalRequest(
            approval_id=next_approval(state),
            kind=kind_of(task),
            task_id=task.task_id,
            attempt_id=task.attempt.attempt_id,
            subject_sha256=digest(subject(wanted.log_id, state, task.task_id, asked)),
            requirements=tuple(map(required, asked)),
            nonce=wanted.nonce,
            expires=None if due is None else after(at, due),
            started_by=wanted.started_by,
        )
    )


def budget_request(state: State, wanted: AskForBudget) -> NewEvent:
    """Return the request for a consent to more of a budget; it has no end."""
    asked = of_budgets()
    return by_us(
        ApprovalRequest(
            approval_id=next_approval(state),
            kind="budget",
            task_id=find_task(state, wanted.task_id).task_id,
            subject_sha256=digest(budget_subject(wanted.log_id, state, wanted.raised, asked)),
            requirements=tuple(map(required, asked)),
            nonce=wanted.nonce,
            budget=wanted.raised,
        )
    )


def agreed(state: State, wanted: Agree) -> NewEvent:
    """Return the consent of an agent."""
    return _reviewed(state.approvals[wanted.approval_id], wanted.verdict, "approve")


def return_denied(state: State, contracts: Contracts, wanted: ReturnDenied, at: str) -> Events:
    """Block a task whose result was denied, or give it back for the changes that are wanted."""
    approval = state.approvals[wanted.approval_id]
    task = state.tasks[approval.task_id]
    if task.pending_approval != approval.approval_id:
        return ()
    if approval.state == DENIED:
        reason = f"denied by {approval.decided_by}"
        return (update(task, Cause.DENIED, reason=reason, by=approval.decided_by),)
    if approval.state == RETURNED:
        return (_for_changes(task, contracts, str(approval.decided_by), at),)
    return ()


def expire_approval(state: State, wanted: ExpireApproval, at: str) -> Events:
    """Close a request that has expired, and keep the result for when it is asked for again."""
    approval = state.approvals[wanted.approval_id]
    task = state.tasks[approval.task_id]
    if approval.state != PENDING or not approval.has_expired(at):
        return ()
    reason = f"nobody decided on {approval.approval_id} until {approval.expires}"
    expired = by_us(ApprovalExpire(approval_id=approval.approval_id))
    return (expired, update(task, Cause.UNANSWERED, reason=reason))


def ask_again(state: State, wanted: AskAgain) -> Events:
    """Take a task up again with the result that it has.

    Raises:
        RefusedError: if no decision on it was missed.
    """
    task = find_task(state, wanted.task_id)
    if task.blocked is None or task.blocked.cause != Cause.UNANSWERED:
        raise RefusedError(
            f"no decision on '{task.task_id}' was missed; it is {task.state}",
            hint="run 'git esaa review' to see what waits",
        )
    return (update(task, Cause.ASKED_AGAIN, by=wanted.by),)


def request_changes(state: State, contracts: Contracts, wanted: RequestChanges, at: str) -> Events:
    """Record what an agent finds wrong that was asked, and give the task back."""
    approval = state.approvals[wanted.approval_id]
    task = state.tasks[approval.task_id]
    said = _reviewed(approval, wanted.verdict, "request_changes")
    return (said, _for_changes(task, contracts, wanted.verdict.reviewer, at))


def _for_changes(task: Task, contracts: Contracts, by: str, at: str) -> NewEvent:
    reason = f"{by} requests changes"
    return given_back(task, contracts, Cause.CHANGES_REQUESTED, reason, at)


def _reviewed(approval: Approval, given: AgentVerdict, verdict: Verdict) -> NewEvent:
    call = given.call
    return by_us(
        ReviewResult(
            approval_id=approval.approval_id,
            task_id=approval.task_id,
            attempt_id=approval.attempt_id,
            reviewer=given.reviewer,
            verdict=verdict,
            exchange=given.exchange,
            model=call.model,
            usage=call.usage,
            latency_ms=call.latency_ms,
            tries=call.tries,
        )
    )


def return_review(state: State, wanted: ReturnReview) -> Events:
    """Return a decision that a reviewer has, and that is still open."""
    approval = state.approvals[wanted.approval_id]
    if approval.state != "pending" or approval.reviewer is None:
        return ()
    returned = ReviewReturned(approval_id=wanted.approval_id, text=wanted.reason[:4000])
    return (by_us(returned),)
