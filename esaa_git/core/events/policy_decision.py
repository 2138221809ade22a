"""`policy.decision`: what executable policy said about a proposal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ATTEMPT_ID,
    TASK_ID,
    ActionSpec,
    choice,
    line,
    record,
    text,
)

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    """Name a task and attempt that exist; the decision itself changes no state."""
    draft.attempt(event.payload["task_id"], event.payload["attempt_id"])


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['attempt_id']}: {payload['effect']} by {payload['rule']}"


SPEC = ActionSpec(
    "policy.decision",
    frozenset({"guard"}),
    record(
        {
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "rule": line(100),
            "effect": choice("allow", "deny"),
            "reason": text(2000),
        }
    ),
    evolve,
    subject,
)
