"""`attempt.create`: an attempt opens: a lease with a deadline, against a base commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    ATTEMPT_ID,
    OID,
    TASK_ID,
    TIMESTAMP,
    ActionSpec,
    choice,
    integer,
    record,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Attempt

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    draft.require_open_run()
    task = draft.task(payload["task_id"])
    target = draft.step("task", task.state, "attempt.create")
    for dependency in task.depends_on:
        if not draft.task(dependency).is_done:
            raise Violation("INV-002", f"'{task.task_id}' waits for '{dependency}'")
    if task.not_before is not None and event.ts < task.not_before:
        raise Violation("INV-002", f"'{task.task_id}' cools down until {task.not_before}")
    number = task.attempts_total + 1
    attempt_id = f"{task.task_id}-A{number}"
    if payload["attempt_id"] != attempt_id or payload["number"] != number:
        raise Violation("INV-005", f"the next attempt is '{attempt_id}'")
    if payload["deadline"] <= event.ts:
        raise Violation("INV-002", f"the deadline of '{attempt_id}' is not after its start")
    attempt = Attempt(
        attempt_id,
        number,
        payload["agent"],
        draft.step("attempt", None, "attempt.create"),
        event.ts,
        payload["deadline"],
        payload["base"],
        payload["mode"],
    )
    draft.put_task(
        replace(
            task,
            state=target,
            attempt=attempt,
            attempts_used=task.attempts_used + 1,
            attempts_total=number,
            not_before=None,
        )
    )
    running = draft.step("run", draft.run.state, "attempt.create")
    if running != draft.run.state:
        draft.change_run(state=running)


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['attempt_id']}: {payload['agent']}"


SPEC = ActionSpec(
    "attempt.create",
    frozenset({"orchestrator"}),
    record(
        {
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "number": integer(1, 9_999_999),
            "agent": ACTOR,
            "mode": choice("dispatch", "claim"),
            "base": OID,
            "deadline": TIMESTAMP,
        }
    ),
    evolve,
    subject,
)
