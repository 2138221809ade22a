"""`attempt.timeout`: the lease of an attempt expired."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import ATTEMPT_ID, TASK_ID, TIMESTAMP, ActionSpec, record
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Rejection

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    task, attempt = draft.active_attempt(payload["task_id"], payload["attempt_id"])
    if payload["deadline"] != attempt.deadline or event.ts < attempt.deadline:
        raise Violation("INV-002", f"'{attempt.attempt_id}' has until {attempt.deadline}")
    state = draft.step("attempt", attempt.state, "attempt.timeout")
    signal = Rejection(
        attempt.attempt_id, "AGENT_TIMEOUT", f"no answer before the deadline {attempt.deadline}"
    )
    draft.put_task(replace(task, attempt=replace(attempt, state=state), rejection=signal))


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['attempt_id']}: deadline {payload['deadline']}"


SPEC = ActionSpec(
    "attempt.timeout",
    frozenset({"orchestrator"}),
    record({"task_id": TASK_ID, "attempt_id": ATTEMPT_ID, "deadline": TIMESTAMP}),
    evolve,
    subject,
)
