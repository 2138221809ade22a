"""`task.create`: a task appears; a hotfix names the done task it supersedes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    ISSUE_ID,
    TASK_DEFINITION,
    TASK_ID,
    ActionSpec,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.state import OVERRIDDEN

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    draft.require_open_run()
    for dependency in payload["task"].get("depends_on", ()):
        draft.task(dependency)
    task = draft.create_task(payload["task"], "task.create")
    superseded = payload.get("supersedes")
    if superseded is not None:
        if not draft.task(superseded).is_done:
            raise Violation("INV-002", f"only a done task is superseded, not '{superseded}'")
        successor = draft.supersessions.successor_of(superseded)
        if successor not in (None, OVERRIDDEN):
            raise Violation("INV-002", f"'{superseded}' is superseded by '{successor}' already")
        draft.supersede(superseded, task.task_id)
    if superseded is not None or "issue_id" in payload:
        draft.put_task(replace(task, supersedes=superseded, issue_id=payload.get("issue_id")))


def subject(payload: Mapping[str, Any]) -> str:
    task = payload["task"]
    hotfix = f" (supersedes {payload['supersedes']})" if "supersedes" in payload else ""
    return f"{task['task_id']}: {task['title']}{hotfix}"


SPEC = ActionSpec(
    "task.create",
    frozenset({"orchestrator"}),
    record(
        {"task": TASK_DEFINITION},
        {"by": ACTOR, "reason": text(2000), "supersedes": TASK_ID, "issue_id": ISSUE_ID},
    ),
    evolve,
    subject,
)
