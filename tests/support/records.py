"""Events by their JSON, for tests that speak of what a log holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from esaa_git.core import canonical
from esaa_git.core.event import Event, NewEvent
from esaa_git.core.events import ACTIONS, AnyPayload
from esaa_git.core.events.base import decode, encode


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


def payload_of(event: Event) -> dict[str, Any]:
    """Return an event's payload as JSON."""
    return encode(event.payload)
