"""`orchestrator.dispatch`: the agent is invoked, with the digest of the exact request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    APPROVAL_ID,
    ATTEMPT_ID,
    SHA256,
    TASK_ID,
    TIMESTAMP,
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

`scratch-directory` stands in logs from before programs were confined: nothing but a folder of its
own kept one apart.
"""


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    if "review" in payload:
        _ask_reviewer(draft, event)
        return
    _, attempt = draft.active_attempt(payload["task_id"], payload["attempt_id"])
    if payload["agent"] != attempt.agent or attempt.mode != "dispatch":
        raise Violation("INV-002", f"'{attempt.attempt_id}' was opened for {attempt.agent}")


def _ask_reviewer(draft: Draft, event: Event) -> None:
    """Lend the decision on a completed attempt to an agent that did not make it."""
    payload = event.payload
    task, attempt = draft.attempt(payload["task_id"], payload["attempt_id"])
    approval = draft.pending_approval(payload["review"]["approval_id"])
    if approval.attempt_id != attempt.attempt_id or (task.pending_approval != approval.approval_id):
        raise Violation("INV-002", f"'{approval.approval_id}' is about another attempt")
    if payload["agent"] == attempt.agent:
        raise Violation("INV-002", "nobody approves their own work")
    if approval.is_with_reviewer(event.ts):
        raise Violation("INV-002", f"{approval.reviewer} has until {approval.deadline}")
    if payload["review"]["deadline"] <= event.ts:
        raise Violation("INV-002", "the deadline of a review is not after its start")
    deadline = payload["review"]["deadline"]
    draft.put_approval(replace(approval, reviewer=payload["agent"], deadline=deadline))


def subject(payload: Mapping[str, Any]) -> str:
    if "review" in payload:
        approval_id = payload["review"]["approval_id"]
        return f"{approval_id} of {payload['attempt_id']}: {payload['agent']} reviews"
    return f"{payload['attempt_id']}: {payload['agent']} by {payload['adapter']}"


REVIEW = record({"approval_id": APPROVAL_ID, "deadline": TIMESTAMP})
"""The agent is asked to decide on a completed attempt, and not to make one: on what, until when."""

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
        {"model": line(), "template": line(), "review": REVIEW},
    ),
    evolve,
    subject,
)
