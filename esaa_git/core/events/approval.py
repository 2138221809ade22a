"""`approval.request`, `approval.grant` and `approval.deny`: a decision that somebody else owes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    APPROVAL_ID,
    ATTEMPT_ID,
    EXCHANGE,
    TASK_ID,
    TRIES,
    USAGE,
    ActionSpec,
    integer,
    line,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import AttemptState
from esaa_git.core.rejection import RejectCode
from esaa_git.core.state import Approval, Rejection

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve_request(draft: Draft, event: Event) -> None:
    payload = event.payload
    approval_id = f"APR-{draft.run.approvals + 1:04d}"
    if payload["approval_id"] != approval_id:
        raise Violation("INV-005", f"the next approval is {approval_id}")
    task, attempt = draft.attempt(payload["task_id"], payload["attempt_id"])
    if attempt.state != AttemptState.COMPLETED or task.is_done or task.pending_approval:
        raise Violation("INV-002", f"'{attempt.attempt_id}' has nothing to approve")
    draft.put_approval(
        Approval(approval_id, task.task_id, attempt.attempt_id, "pending", payload["reason"])
    )
    draft.put_task(replace(task, pending_approval=approval_id))


def _decide(draft: Draft, event: Event, decision: str) -> None:
    payload = event.payload
    approval = draft.pending_approval(payload["approval_id"])
    _, attempt = draft.attempt(approval.task_id, approval.attempt_id)
    if event.actor == attempt.agent:
        raise Violation("INV-002", "nobody approves their own work")
    draft.put_approval(
        replace(
            approval,
            state=decision,
            reason=payload["reason"],
            decided_by=event.actor,
            reviewer=None,
            deadline=None,
        )
    )


def evolve_grant(draft: Draft, event: Event) -> None:
    _decide(draft, event, "granted")


def evolve_deny(draft: Draft, event: Event) -> None:
    """Leave the reviewer's words for the next attempt, whatever becomes of the task meanwhile."""
    _decide(draft, event, "denied")
    approval = draft.approvals[event.payload["approval_id"]]
    task = draft.task(approval.task_id)
    if task.pending_approval == approval.approval_id:
        signal = Rejection(
            approval.attempt_id, RejectCode.REVIEW_CHANGES_REQUESTED, event.payload["reason"]
        )
        draft.put_task(replace(task, rejection=signal))


def subject_request(payload: Mapping[str, Any]) -> str:
    return f"{payload['approval_id']} for {payload['attempt_id']}"


def subject_decision(payload: Mapping[str, Any]) -> str:
    return str(payload["approval_id"])


_DECISION = record(
    {"approval_id": APPROVAL_ID, "reason": text(2000)},
    {
        "exchange": EXCHANGE,
        "model": line(),
        "usage": USAGE,
        "latency_ms": integer(),
        "tries": TRIES,
    },
)
"""A person's decision has a reason; an agent's also what was said to it, and what it took."""

REQUEST = ActionSpec(
    "approval.request",
    frozenset({"orchestrator"}),
    record(
        {
            "approval_id": APPROVAL_ID,
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "reason": text(2000),
        }
    ),
    evolve_request,
    subject_request,
)
GRANT = ActionSpec(
    "approval.grant",
    frozenset({"person", "agent"}),
    _DECISION,
    evolve_grant,
    subject_decision,
)
DENY = ActionSpec(
    "approval.deny",
    frozenset({"person", "agent", "orchestrator"}),
    _DECISION,
    evolve_deny,
    subject_decision,
)
