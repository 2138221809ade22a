"""Events by their JSON, for tests that speak of what a log holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from esaa_git.core import canonical
from esaa_git.core.event import Event, NewEvent
from esaa_git.core.events import ACTIONS, AnyPayload, EmergencyOverride, TaskCreate, TaskUpdate
from esaa_git.core.events.base import decode, encode
from esaa_git.core.machine import Cause


def new_event(
    action: str,
    actor: str,
    payload: Mapping[str, Any],
    correlation_id: str | None = None,
    causation_id: str | None = None,
) -> NewEvent:
    """Return a new event with this payload, which has to be one of the action."""
    record = decode(ACTIONS[action], payload)
    assert canonical.encode(encode(record)) == canonical.encode(payload), "an entry was not taken"
    return NewEvent(actor, cast(AnyPayload, record), correlation_id, causation_id)


def request_for(payload: AnyPayload, number: int) -> NewEvent | None:
    """Return the admin's request without which this may not be recorded; None where none is needed.

    Args:
        number: makes its document another one.
    """
    asked: dict[str, Any]
    if isinstance(payload, TaskUpdate) and payload.cause == Cause.OPERATOR:
        asked = {"kind": "unblock", "task_id": payload.task_id}
    elif isinstance(payload, EmergencyOverride):
        asked = {"kind": "override", "task_id": payload.task_id}
    elif isinstance(payload, TaskCreate) and payload.supersedes is not None:
        asked = {"kind": "hotfix", "supersedes": payload.supersedes, "task": encode(payload.task)}
        if payload.issue_id is not None:
            asked["issue_id"] = payload.issue_id
    elif isinstance(payload, TaskCreate) and payload.undoes is not None:
        asked = {"kind": "undo", "tasks": [payload.undoes]}
    else:
        return None
    return new_event("operator.request", str(payload.by), asked | signed_by_nobody(number))


def signed_by_nobody(number: int) -> dict[str, Any]:
    """Return the fields that name a decision document, for tests that look no further."""
    blob = "0" * 40
    return {
        "decision": {"sha256": f"{number:064x}", "document": blob, "signature": blob},
        "said": {"text": blob, "salt": blob},
    }


def payload_of(event: Event) -> dict[str, Any]:
    """Return an event's payload as JSON."""
    return encode(event.payload)
