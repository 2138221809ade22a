"""`orchestrator.view.mutate`: an annotation of a read-model; no task changes its state by it.

The vocabulary has no action of its own for these three, so they share this awkward one: a note
on a task, the resolution of an issue, and a new link between an effect and the branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    APPROVAL_ID,
    ISSUE_ID,
    OID,
    TASK_ID,
    ActionSpec,
    Schema,
    choice,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Note

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    match payload["view"]:
        case "note":
            task = draft.task(payload["task_id"])
            note = Note(event.ts, payload["by"], payload["text"])
            draft.put_task(replace(task, notes=(*task.notes, note)))
        case "issue":
            if payload["issue_id"] not in draft.issues:
                raise Violation("INV-002", f"there is no issue '{payload['issue_id']}'")
            issue = draft.issues[payload["issue_id"]]
            if not issue.is_open:
                raise Violation("INV-002", f"'{issue.issue_id}' is resolved already")
            draft.put_issue(replace(issue, resolution=payload["text"], resolved_by=payload["by"]))
        case "review":
            approval = draft.pending_approval(payload["approval_id"])
            draft.put_approval(replace(approval, reviewer=None, deadline=None))
        case "effect":
            task = draft.task(payload["task_id"])
            if task.result is None or task.result.effect_commit != payload["effect_commit"]:
                raise Violation("INV-002", f"'{task.task_id}' has another effect commit")


def subject(payload: Mapping[str, Any]) -> str:
    match payload["view"]:
        case "note":
            return f"{payload['task_id']}: note by {payload['by']}"
        case "issue":
            return f"{payload['issue_id']}: resolved by {payload['by']}"
        case "review":
            return f"{payload['approval_id']}: given back"
        case _:
            return f"{payload['task_id']}: effect {payload['effect_commit'][:7]} relinked"


_VIEWS: list[Schema] = [
    record(
        {"view": choice("note"), "task_id": TASK_ID, "by": ACTOR, "text": text(4000, 1)},
    ),
    record(
        {"view": choice("issue"), "issue_id": ISSUE_ID, "by": ACTOR, "text": text(4000, 1)},
    ),
    record(
        {"view": choice("review"), "approval_id": APPROVAL_ID, "text": text(4000, 1)},
    ),
    record(
        {
            "view": choice("effect"),
            "task_id": TASK_ID,
            "effect_commit": OID,
            "reached_by": OID,
            "text": text(4000, 1),
        },
    ),
]

SPEC = ActionSpec(
    "orchestrator.view.mutate",
    frozenset({"orchestrator"}),
    {"type": "object", "required": ["view"], "oneOf": _VIEWS},
    evolve,
    subject,
)
