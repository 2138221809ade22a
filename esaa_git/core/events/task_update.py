"""`task.update`: a task changes state, or its definition is amended before it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    ATTEMPT_ID,
    ISSUE_ID,
    NAME,
    OID,
    TASK_DEFINITION_OPTIONAL,
    TASK_ID,
    TIMESTAMP,
    ActionSpec,
    choice,
    integer,
    line,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import Cause, TaskState
from esaa_git.core.state import Blocked, Rejection, Task

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event

ACTION = "task.update"
_LOSES_ATTEMPT = frozenset({Cause.RELEASED, Cause.ISSUE, Cause.DEPENDENCY})


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    task = draft.task(payload["task_id"])
    cause = payload["cause"]
    if payload["from"] != task.state:
        raise Violation("INV-002", f"'{task.task_id}' is {task.state}, not {payload['from']}")
    target = draft.step("task", task.state, ACTION, cause)
    if payload["to"] != target:
        raise Violation("INV-002", f"{cause} leads to {target}, not {payload['to']}")
    if "attempt_id" in payload:
        draft.attempt(task.task_id, payload["attempt_id"])
    if target == TaskState.DONE:
        draft.put_task(_closed(draft, task, payload))
        draft.change_run(accepted=draft.run.accepted + 1)
        return
    draft.put_task(_changed(draft, replace(task, state=target), payload))


def _closed(draft: Draft, task: Task, payload: Mapping[str, Any]) -> Task:
    """Return the done task: its effect, if it has one, is written and named."""
    if task.result is None or payload.get("attempt_id") != task.result.attempt_id:
        raise Violation("INV-003", f"'{task.task_id}' has no accepted result of this attempt")
    if (task.effect == "written") != ("effect_commit" in payload) or task.effect == "pending":
        raise Violation("INV-003", f"the effect of '{task.task_id}' is {task.effect or 'none'}")
    granted = False
    if task.pending_approval is not None:
        granted = draft.approvals[task.pending_approval].state == "granted"
    if granted != (payload["cause"] == Cause.APPROVED) or (task.pending_approval and not granted):
        raise Violation("INV-003", f"'{task.task_id}' is not approved")
    return replace(
        task,
        state=TaskState.DONE,
        effect=None,
        result=replace(task.result, effect_commit=payload.get("effect_commit")),
        rejection=None,
        not_before=None,
        pending_approval=None,
    )


def _changed(draft: Draft, task: Task, payload: Mapping[str, Any]) -> Task:
    cause = payload["cause"]
    if cause == Cause.AMENDED:
        return _amended(draft, task, payload.get("changes", {}))
    if cause in _LOSES_ATTEMPT and task.active_attempt is not None:
        state = draft.step("attempt", task.active_attempt.state, ACTION, cause)
        task = replace(task, attempt=replace(task.active_attempt, state=state))
        if cause == Cause.RELEASED:
            task = replace(task, attempts_used=task.attempts_used - 1)
    elif task.active_attempt is not None:
        raise Violation("INV-002", f"attempt '{task.active_attempt.attempt_id}' is still active")
    if cause == Cause.CHANGES_REQUESTED and task.attempt is not None:
        signal = Rejection(
            task.attempt.attempt_id, "REVIEW_CHANGES_REQUESTED", payload.get("reason", "")
        )
        task = replace(task, rejection=signal)
    blocked = None
    if task.state == TaskState.BLOCKED:
        blocked = Blocked(
            cause, payload.get("reason", ""), payload.get("issue_id"), payload.get("blocked_by")
        )
    if "attempts_allowed" in payload:
        task = replace(task, attempts_allowed=payload["attempts_allowed"])
    return replace(
        task,
        blocked=blocked,
        effect=None,
        result=None,
        pending_approval=None,
        not_before=payload.get("not_before"),
    )


def _amended(draft: Draft, task: Task, changes: Mapping[str, Any]) -> Task:
    for dependency in changes.get("depends_on", ()):
        draft.task(dependency)
    return replace(task, **Task.values(changes))


def subject(payload: Mapping[str, Any]) -> str:
    change = f"{payload['task_id']}: {payload['from']} → {payload['to']}"
    if payload["cause"] in (Cause.ACCEPTED, Cause.REJECTED):
        return change
    return f"{change} ({payload['cause']})"


_STATE = choice(*TaskState)

SPEC = ActionSpec(
    ACTION,
    frozenset({"orchestrator"}),
    record(
        {"task_id": TASK_ID, "from": _STATE, "to": _STATE, "cause": choice(*Cause)},
        {
            "attempt_id": ATTEMPT_ID,
            "effect_commit": OID,
            "reason": text(2000),
            "by": ACTOR,
            "not_before": TIMESTAMP,
            "attempts_allowed": integer(1, 1000),
            "issue_id": ISSUE_ID,
            "blocked_by": TASK_ID,
            "changes": record({}, {"kind": NAME, "title": line(), **TASK_DEFINITION_OPTIONAL}),
        },
    ),
    evolve,
    subject,
)
