"""`agent.result`: the holder of an attempt proposes a result, and the proposal was valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ATTEMPT_ID,
    EXCHANGE,
    PATH,
    SHA256,
    TASK_ID,
    TRIES,
    USAGE,
    ActionSpec,
    array,
    integer,
    line,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Result

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    task, attempt = draft.active_attempt(payload["task_id"], payload["attempt_id"])
    if event.actor != attempt.agent:
        raise Violation("INV-002", f"'{attempt.attempt_id}' belongs to {attempt.agent}")
    paths = tuple(payload["paths"])
    key = payload.get("idempotency_key", payload["output_sha256"])
    draft.put_task(
        replace(
            task,
            attempt=replace(attempt, state=draft.step("attempt", attempt.state, "agent.result")),
            result=Result(attempt.attempt_id, attempt.agent, payload["summary"], key, paths),
            effect="pending" if paths else None,
        )
    )


def subject(payload: Mapping[str, Any]) -> str:
    summary = str(payload["summary"]).split("\n", 1)[0]
    return f"{payload['attempt_id']}: {summary[:60]}{'…' if len(summary) > 60 else ''}"


SPEC = ActionSpec(
    "agent.result",
    frozenset({"agent"}),
    record(
        {
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "summary": text(4000, 1),
            "paths": array(PATH),
            "output_sha256": SHA256,
        },
        {
            "checks": array(text(500, 1), most=100),
            "idempotency_key": line(100),
            "model": line(),
            "usage": USAGE,
            "latency_ms": integer(),
            "tries": TRIES,
            "exchange": EXCHANGE,
        },
    ),
    evolve,
    subject,
)
