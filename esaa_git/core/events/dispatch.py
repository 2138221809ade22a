"""`orchestrator.dispatch`: the agent is invoked, with the digest of the exact request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    ATTEMPT_ID,
    SHA256,
    TASK_ID,
    ActionSpec,
    choice,
    line,
    record,
)
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event

SANDBOXES = ("none", "scratch-directory", "landlock", "bubblewrap", "in-process")
"""Confinement in force: `none` has the user's rights, `in-process` starts no program at all.

`scratch-directory` is what versions before 0.4 wrote of a program that nothing but its folder
kept apart.
"""


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    _, attempt = draft.active_attempt(payload["task_id"], payload["attempt_id"])
    if payload["agent"] != attempt.agent or attempt.mode != "dispatch":
        raise Violation("INV-002", f"'{attempt.attempt_id}' was opened for {attempt.agent}")


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['attempt_id']}: {payload['agent']} by {payload['adapter']}"


SPEC = ActionSpec(
    "orchestrator.dispatch",
    frozenset({"orchestrator"}),
    record(
        {
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "agent": ACTOR,
            "adapter": line(50),
            "request_sha256": SHA256,
            "sandbox": choice(*SANDBOXES),
        },
        {"model": line(), "template": line()},
    ),
    evolve,
    subject,
)
