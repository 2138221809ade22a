"""Results: accepted, reviewed, applied, and closed with their effect."""

from __future__ import annotations

from esaa_git.core.contract_rules import needs_review
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent
from esaa_git.core.events import (
    ApprovalDeny,
    ApprovalGrant,
    ApprovalRequest,
    PolicyDecision,
    ReviewResult,
    ReviewReturned,
)
from esaa_git.core.events.review_result import Verdict
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.machine import Cause
from esaa_git.core.state import Approval, State, Task
from esaa_git.engine.calls import AgentVerdict
from esaa_git.engine.decide.events import (
    REASON,
    Events,
    by_actor,
    by_us,
    given_back,
    lesson_recorded,
    next_approval,
    update,
)
from esaa_git.engine.decide.policy import judged_effect, judged_result
from esaa_git.engine.intentions import (
    AcceptResult,
    ApplyResult,
    DenyApproval,
    RequestChanges,
    ReturnDenied,
    ReturnReview,
)
from esaa_git.engine.schedule import find_task


def accept_result(state: State, contracts: Contracts, wanted: AcceptResult) -> Events:
    """Record a result, and ask for a review or close the task where nothing else is needed."""
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
    if needs_review(task, contracts):
        events.append(approval_request(state, task))
    elif wanted.write is None:
        events.append(closed(task, None))
    return tuple(events)


def apply_result(state: State, contracts: Contracts, wanted: ApplyResult) -> Events:
    """Record the effect anew and the consent, and close a task without an effect."""
    task = find_task(state, wanted.task_id)
    written = wanted.write
    events = [] if written is None else [*judged_effect(task, contracts, written)]
    if task.pending_approval is not None:
        if wanted.by is not None:
            granted = ApprovalGrant(approval_id=task.pending_approval, reason=wanted.reason)
            events.append(by_actor(wanted.by, granted))
        if wanted.verdict is not None:
            approval = state.approvals[task.pending_approval]
            events.append(_reviewed(approval, wanted.verdict, "approve"))
    if task.effect is None:
        events.append(closed(task, None))
    return tuple(events)


def closed(task: Task, effect_commit: str | None) -> NewEvent:
    """Return the update that closes a task, with the commit of its effect."""
    cause = Cause.ACCEPTED if task.pending_approval is None else Cause.APPROVED
    return update(task, cause, effect_commit=effect_commit)


def approval_request(state: State, task: Task) -> NewEvent:
    """Return the request for a consent to the result of a task."""
    assert task.attempt is not None
    asking = () if task.judged is None else task.judged.required
    by_policy = "the policy asks for it by " + ", ".join(f"'{rule}'" for rule in asking)
    return by_us(
        ApprovalRequest(
            approval_id=next_approval(state),
            task_id=task.task_id,
            attempt_id=task.attempt.attempt_id,
            reason=by_policy[:REASON]
            if asking
            else "the plan requires a review of this task"
            if task.review
            else "the contract requires a review of this kind of task",
        )
    )


def deny_approval(state: State, contracts: Contracts, wanted: DenyApproval, at: str) -> Events:
    """Record a denial; a person's gives the task back."""
    denied = ApprovalDeny(approval_id=wanted.approval_id, reason=wanted.reason)
    if wanted.by == ORCHESTRATOR:
        return (by_us(denied),)
    task = state.tasks[state.approvals[wanted.approval_id].task_id]
    back = given_back(task, contracts, Cause.CHANGES_REQUESTED, wanted.reason, at)
    return (by_actor(wanted.by, denied), back)


def return_denied(state: State, contracts: Contracts, wanted: ReturnDenied, at: str) -> Events:
    """Give a task back that still waits for an approval which was denied."""
    approval = state.approvals[wanted.approval_id]
    task = state.tasks[approval.task_id]
    if approval.state != "denied" or task.pending_approval != approval.approval_id:
        return ()
    return (given_back(task, contracts, Cause.CHANGES_REQUESTED, approval.reason, at),)


def request_changes(state: State, contracts: Contracts, wanted: RequestChanges, at: str) -> Events:
    """Record what an agent finds wrong that was asked, and give the task back."""
    approval = state.approvals[wanted.approval_id]
    task = state.tasks[approval.task_id]
    said = _reviewed(approval, wanted.verdict, "request_changes")
    reason = wanted.verdict.reason
    return (said, given_back(task, contracts, Cause.CHANGES_REQUESTED, reason, at))


def _reviewed(approval: Approval, given: AgentVerdict, verdict: Verdict) -> NewEvent:
    call = given.call
    return by_us(
        ReviewResult(
            approval_id=approval.approval_id,
            task_id=approval.task_id,
            attempt_id=approval.attempt_id,
            reviewer=given.reviewer,
            verdict=verdict,
            reason=given.reason,
            exchange=call.exchange,
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
