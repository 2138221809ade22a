"""Effects on record: a validated proposal as an event with its after-images, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esaa_git.core.state import Task
from esaa_git.engine import decide
from esaa_git.engine.engine import Engine
from esaa_git.engine.proof import result_document
from esaa_git.engine.transaction import Transaction
from esaa_git.engine.verifier import FileChange, Proposal
from esaa_git.errors import RunHalted
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.files import FileEntry
from esaa_git.ports.log import Attachments


def write_effect(
    tx: Transaction, task: Task, proposal: Proposal, base: str, results: Sequence[CheckResult] = ()
) -> str:
    """Emit the effect with its after-images and return the commit that carries it.

    Args:
        base: the commit that the proposal was made for, before it was merged onto another.
        results: how the checks of the merged tree ended.
    """
    assert task.attempt is not None
    payload: dict[str, Any] = {
        "task_id": task.task_id,
        "attempt_id": task.attempt.attempt_id,
        "base": base,
        "files": [file.to_json() for file in proposal.files],
        "changed_lines": proposal.changed_lines,
    }
    if proposal.onto != base:
        payload["merged_onto"] = proposal.onto
    if results:
        payload["check_results"] = [result_document(result) for result in results]
    images = {file.path: file.after for file in proposal.files if file.after is not None}
    stored = tx.emit(
        "orchestrator.file.write",
        decide.ORCHESTRATOR,
        payload,
        attachments=Attachments(files=images),
    )
    return stored.commit


@dataclass(frozen=True, slots=True)
class RecordedEffect:
    """An effect in the log: the proposal, the commit of its event, and the checks it passed."""

    proposal: Proposal
    commit: str
    passed: frozenset[str]


def recorded_effect(engine: Engine, attempt_id: str) -> RecordedEffect:
    """Return the attempt's effect as it was recorded last."""
    for stored in engine.log.events(newest_first=True):
        event = stored.event
        if event.action == "orchestrator.file.write" and event.attempt_id == attempt_id:
            payload = event.payload
            files = tuple(file_change(file) for file in payload["files"])
            onto = payload.get("merged_onto", payload["base"])
            passed = {one["name"] for one in payload.get("check_results", ()) if one["passed"]}
            proposal = Proposal(files, onto, payload["changed_lines"])
            return RecordedEffect(proposal, stored.commit, frozenset(passed))
    raise RunHalted(f"the effect of '{attempt_id}' is not in the log")


def file_change(file: Mapping[str, Any]) -> FileChange:
    after_entry = FileEntry(file["mode"], file["after"]) if "after" in file else None
    mode = file.get("before_mode", file.get("mode", "100644"))
    before = FileEntry(mode, file["before"]) if "before" in file else None
    return FileChange(
        file["path"],
        before,
        after_entry,
        file.get("from"),
        file.get("bytes", 0),
        file.get("sha256", ""),
    )
