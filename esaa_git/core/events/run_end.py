"""`run.end`: the run is over: success, failed or halted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    ISSUE_ID,
    RUN_ID,
    ActionSpec,
    array,
    choice,
    line,
    record,
    text,
)
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    if payload["run_id"] != draft.run.run_id:
        raise Violation("INV-002", f"{payload['run_id']} is not the current run")
    if payload["result"] == "success" and draft.run.verified_seq <= draft.run.first_seq:
        raise Violation("INV-006", "a run succeeds only after a verify.ok of its own")
    target = draft.step("run", draft.run.state, "run.end", payload["result"])
    draft.change_run(state=target, reason=payload["reason"])


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['run_id']}: {payload['result']}"


SPEC = ActionSpec(
    "run.end",
    frozenset({"orchestrator"}),
    record(
        {
            "run_id": RUN_ID,
            "result": choice("success", "failed", "halted"),
            "reason": text(2000),
        },
        {
            "by": ACTOR,
            "issue_id": ISSUE_ID,
            "snapshots": array(line(300), most=20),
            "recovery": line(500),
        },
    ),
    evolve,
    subject,
)
