"""`run.init`: a run starts. It pins the contracts in force and names the tasks in scope."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ACTOR,
    OID,
    PATH,
    RUN_ID,
    SHA256,
    TASK_DEFINITION,
    ActionSpec,
    array,
    line,
    record,
    text,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Project

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    number = draft.run.number + 1
    if payload["run_id"] != f"RUN-{number:04d}":
        raise Violation("INV-005", f"the next run is RUN-{number:04d}, not {payload['run_id']}")
    draft.change_project(Project(payload["project"]))
    draft.change_run(
        state=draft.step("run", draft.run.state, "run.init"),
        run_id=payload["run_id"],
        number=number,
        branch=payload["branch"],
        base=payload["base"],
        first_seq=event.seq,
        reason="",
        accepted=0,
        rejected=0,
        verified_seq=0,
    )
    for definition in payload["tasks"]:
        draft.create_task(definition, "run.init")
    for definition in payload["tasks"]:
        for dependency in definition.get("depends_on", ()):
            draft.task(dependency)


def subject(payload: Mapping[str, Any]) -> str:
    return f"{payload['run_id']} {payload['project']}: {len(payload['tasks'])} new tasks"


SPEC = ActionSpec(
    "run.init",
    frozenset({"orchestrator"}),
    record(
        {
            "run_id": RUN_ID,
            "project": line(100),
            "branch": line(250),
            "base": OID,
            "contracts": array(record({"path": PATH, "sha256": SHA256}), least=1, most=200),
            "tasks": array(TASK_DEFINITION, most=100_000),
        },
        {"by": ACTOR, "reason": text(2000)},
    ),
    evolve,
    subject,
)
