"""`agent.heartbeat`: the holder of an attempt is alive; its lease is extended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ATTEMPT_ID,
    TASK_ID,
    TIMESTAMP,
    ActionSpec,
    record,
    text,
)
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    task, attempt = draft.active_attempt(payload["task_id"], payload["attempt_id"])
    if event.actor != attempt.agent:
        raise Violation("INV-002", f"'{attempt.attempt_id}' belongs to {attempt.agent}")
    if event.ts >= attempt.deadline:
        raise Violation("INV-002", f"the lease of '{attempt.attempt_id}' ran out")
    if payload["deadline"] < attempt.deadline:
        raise Violation("INV-002", "a heartbeat never shortens a lease")
    draft.put_task(replace(task, attempt=replace(attempt, deadline=payload["deadline"])))


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['attempt_id']}: until {payload['deadline']}"


SPEC = ActionSpec(
    "agent.heartbeat",
    frozenset({"agent"}),
    record(
        {"task_id": TASK_ID, "attempt_id": ATTEMPT_ID, "deadline": TIMESTAMP},
        {"note": text(500)},
    ),
    evolve,
    subject,
)
