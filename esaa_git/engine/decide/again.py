"""What was recorded on another log, said again on this one."""

from __future__ import annotations

from typing import assert_never

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent
from esaa_git.core.events import (
    AgentHeartbeat,
    AgentResult,
    ApprovalDeny,
    ApprovalGrant,
    BudgetCorrect,
    Dispatch,
    EffectRelinked,
    EmergencyOverride,
    EventNote,
    FileWrite,
    Health,
    IssueResolved,
    LessonRecord,
    LessonWithdraw,
    QuestionAnswer,
    ReviewReturned,
    RunHalt,
    RunInit,
    RunNote,
    RunResume,
    Settle,
    TaskCreate,
    TaskNote,
    TaskUpdate,
)
from esaa_git.core.events.base import replace
from esaa_git.core.events.operator_request import OperatorRequest
from esaa_git.core.state import State
from esaa_git.engine.decide.events import Events, by_actor, next_run, update
from esaa_git.engine.decide.policy import judged_effect, judged_result, noted_on_dispatch
from esaa_git.engine.intentions import Repeat
from esaa_git.engine.lease import Lease
from esaa_git.engine.schedule import find_task


def repeat(state: State, contracts: Contracts, wanted: Repeat, at: str) -> Events:
    """Return an event of another log with the ids and times of this one."""
    payload = wanted.payload
    match payload:
        case TaskUpdate():
            return (_update_again(state, contracts, payload, wanted.actor),)
        case Dispatch():
            task = find_task(state, payload.task_id)
            noted = None
            if payload.review is None:
                noted = noted_on_dispatch(task, contracts, payload.agent, payload.model)
            payload = replace(payload, policy=noted)
        case AgentResult():
            task = find_task(state, payload.task_id)
            return judged_result(task, contracts, wanted.actor, payload)
        case FileWrite():
            return judged_effect(find_task(state, payload.task_id), contracts, payload)
        case RunInit():
            payload = replace(payload, run_id=next_run(state))
        case LessonRecord():
            payload = replace(payload, lesson_id=f"LES-{state.run.lessons + 1:04d}")
        case AgentHeartbeat():
            lease = Lease.begin(payload.attempt_id, at, contracts)
            payload = replace(payload, deadline=lease.deadline)
        case (
            TaskCreate()
            | LessonWithdraw()
            | EventNote()
            | RunNote()
            | TaskNote()
            | IssueResolved()
            | ReviewReturned()
            | EffectRelinked()
            | EmergencyOverride()
            | Health()
            | ApprovalGrant()
            | ApprovalDeny()
            | OperatorRequest()
            | RunHalt()
            | RunResume()
            | QuestionAnswer()
            | Settle()
            | BudgetCorrect()
        ):
            pass
        case _:
            assert_never(payload)
    return (by_actor(wanted.actor, payload),)


def _update_again(state: State, contracts: Contracts, payload: TaskUpdate, actor: str) -> NewEvent:
    task = find_task(state, payload.task_id)
    allowed = payload.attempts_allowed
    if allowed is not None and allowed <= task.attempts_used:
        allowed = task.attempts_used + contracts.policy.max_attempts
    return update(
        task,
        payload.cause,
        reason=payload.reason,
        by=payload.by,
        changes=payload.changes,
        until=payload.until,
        usage=payload.usage,
        attempts_allowed=allowed,
        actor=actor,
    )
