"""`issue.report`: an agent or a person reports a defect or a blocker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ATTEMPT_ID,
    EXCHANGE,
    ISSUE_ID,
    SEVERITY,
    TASK_ID,
    ActionSpec,
    line,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Issue

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    issue_id = f"ISS-{draft.run.issues + 1:04d}"
    if payload["issue_id"] != issue_id:
        raise Violation("INV-005", f"the next issue is {issue_id}, not {payload['issue_id']}")
    task_id = payload.get("task_id")
    draft.put_issue(
        Issue(
            issue_id,
            payload["severity"],
            payload["title"],
            event.actor,
            payload.get("description", ""),
            task_id,
            payload.get("attempt_id"),
            payload.get("reported_as"),
        )
    )
    if task_id is not None:
        task = draft.task(task_id)
        if not task.is_done and "medium" in (payload["severity"], payload.get("reported_as")):
            draft.put_task(replace(task, medium_issues=task.medium_issues + 1))


def subject(payload: Mapping[str, Any]) -> str:
    about = f" on {payload['task_id']}" if "task_id" in payload else ""
    return f"{payload['issue_id']} {payload['severity']}{about}: {payload['title']}"


SPEC = ActionSpec(
    "issue.report",
    frozenset({"agent", "person", "orchestrator"}),
    record(
        {"issue_id": ISSUE_ID, "severity": SEVERITY, "title": line()},
        {
            "description": text(20_000),
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "reported_as": SEVERITY,
            "exchange": EXCHANGE,
        },
    ),
    evolve,
    subject,
)
