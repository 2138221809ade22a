"""`orchestrator.file.write`: an effect is applied; every path with its before and after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    ATTEMPT_ID,
    CHECK_RESULT,
    OID,
    PATH,
    SHA256,
    TASK_ID,
    ActionSpec,
    Schema,
    array,
    choice,
    integer,
    record,
)
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import AttemptState

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve(draft: Draft, event: Event) -> None:
    payload = event.payload
    task, attempt = draft.attempt(payload["task_id"], payload["attempt_id"])
    if attempt.state != AttemptState.COMPLETED or task.effect is None or task.is_done:
        raise Violation("INV-003", f"'{attempt.attempt_id}' has no validated proposal to write")
    paths = [file["path"] for file in payload["files"]]
    if len(set(paths)) != len(paths) or paths != sorted(paths):
        raise Violation("INV-005", "an effect names every path once, in order")
    draft.put_task(replace(task, effect="written"))


def subject(payload: Mapping[str, Any]) -> str:
    files = payload["files"]
    if len(files) == 1:
        return f"{payload['attempt_id']}: {files[0]['change']} {files[0]['path']}"
    return f"{payload['attempt_id']}: {len(files)} files"


_MODE = choice("100644", "100755")
_AFTER: Schema = {"mode": _MODE, "after": OID, "sha256": SHA256, "bytes": integer()}
_BEFORE_MODE: Schema = {"before_mode": _MODE}
"""Stands where the mode before is another than the one after (than 100644, for a deletion)."""


def _file(change: str, fields: Schema, optional: Schema | None = None) -> Schema:
    return record({"path": PATH, "change": choice(change), **fields}, optional)


FILE: Schema = {
    "type": "object",
    "required": ["change"],
    "properties": {"change": choice("add", "modify", "delete", "rename")},
    "oneOf": [
        _file("add", _AFTER),
        _file("modify", {"before": OID, **_AFTER}, _BEFORE_MODE),
        _file("delete", {"before": OID}, _BEFORE_MODE),
        _file("rename", {"from": PATH, "before": OID, **_AFTER}, _BEFORE_MODE),
    ],
}

SPEC = ActionSpec(
    "orchestrator.file.write",
    frozenset({"orchestrator"}),
    record(
        {
            "task_id": TASK_ID,
            "attempt_id": ATTEMPT_ID,
            "base": OID,
            "files": array(FILE, least=1),
            "changed_lines": integer(),
        },
        {"merged_onto": OID, "check_results": array(CHECK_RESULT, most=40)},
    ),
    evolve,
    subject,
)
