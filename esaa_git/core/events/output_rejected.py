"""`output.rejected`: the typed reject signal for an output that broke a rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    APPROVAL_ID,
    ATTEMPT_ID,
    CHECK_RESULT,
    DETAIL,
    EXCHANGE,
    SHA256,
    TASK_ID,
    TRIES,
    USAGE,
    ActionSpec,
    array,
    choice,
    integer,
    line,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import TaskState
from esaa_git.core.rejection import RejectCode
from esaa_git.core.state import Rejection

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    task = draft.task(payload["task_id"])
    attempt = task.attempt
    draft.change_run(rejected=draft.run.rejected + 1)
    if "approval_id" in payload:
        _of_reviewer(draft, event)
        return
    if attempt is None or attempt.attempt_id != payload["attempt_id"]:
        return  # An answer to an attempt that is over is put on record and changes nothing.
    if task.state != TaskState.IN_PROGRESS:
        return
    if attempt.is_active:
        state = draft.step("attempt", attempt.state, "output.rejected")
        attempt = replace(attempt, state=state)
    signal = Rejection(
        attempt.attempt_id, payload["code"], payload["message"], payload["detail"] or None
    )
    draft.put_task(replace(task, attempt=attempt, rejection=signal))


def _of_reviewer(draft: Draft, event: Event) -> None:
    """Take the decision back from a reviewer whose answer was none; the work stays as it is."""
    payload = event.payload
    approval = draft.approvals.get(payload["approval_id"])
    if approval is None:
        raise Violation("INV-002", f"there is no approval '{payload['approval_id']}'")
    if approval.state != "pending":
        return  # Somebody decided meanwhile.
    signal = Rejection(
        approval.attempt_id, payload["code"], payload["message"], payload["detail"] or None
    )
    draft.put_approval(
        replace(approval, reviewer=None, deadline=None, tries=approval.tries + 1, rejection=signal)
    )


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['attempt_id']}: {payload['code']}"


SPEC = ActionSpec(
    "output.rejected",
    frozenset({"orchestrator"}),
    record(
        {
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "code": choice(*RejectCode),
            "message": text(2000, 1),
            "detail": DETAIL,
            "output": record(
                {"sha256": SHA256, "bytes": integer(), "preview": text(1000)},
            ),
        },
        {
            "approval_id": APPROVAL_ID,
            "exchange": EXCHANGE,
            "check_results": array(CHECK_RESULT, most=40),
            "model": line(),
            "usage": USAGE,
            "latency_ms": integer(),
            "tries": TRIES,
        },
    ),
    evolve,
    subject,
)
