"""`orchestrator.health`: the engine is alive, or says what it repaired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import ActionSpec, choice, line, record, text

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    """Change nothing: the event is the record."""


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['status']}: {str(payload['message'])[:60]}"


SPEC = ActionSpec(
    "orchestrator.health",
    frozenset({"orchestrator"}),
    record(
        {"status": choice("ok", "degraded", "repaired"), "message": text(2000, 1)},
        {"version": line(50)},
    ),
    evolve,
    subject,
)
