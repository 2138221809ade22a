"""What the contracts in force say of an event, on every append and again in `verify`.

`evolve` holds an event against the protocol, which never changes; `check_lawful` holds it
against the contracts, which people edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event, after
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import Cause, TaskState
from esaa_git.core.proposal import Boundary
from esaa_git.core.state import State, Task
from esaa_git.errors import ConfigurationError


def check_lawful(state: State, event: Event, contracts: Contracts) -> None:
    """Refuse an event that breaks the contracts, in the state before it.

    Raises:
        Violation: INV-002 for authority, attempts and time; INV-004 for boundaries.
    """
    match event.action:
        case "attempt.create":
            _attempt(state, event, contracts)
        case "agent.heartbeat":
            _lease(event, contracts)
        case "orchestrator.file.write":
            _effect(state, event, contracts)
        case "task.update":
            _update(state, event, contracts)
        case "run.init":
            _kinds((task["kind"] for task in event.payload["tasks"]), contracts)
            if event.payload["contracts"] != contracts.pins:
                raise Violation("INV-002", "run.init pins other contracts than those beside it")
        case "task.create":
            _kinds([event.payload["task"]["kind"]], contracts)
        case "run.end":
            _run_end(state, event, contracts)
        case _:
            pass
    if event.actor != "orchestrator" and "attempt_id" in event.payload:
        _intention(event, contracts)


def attempts_allowed(task: Task, contracts: Contracts) -> int:
    """Return how many attempts a task may use: its own limit, or the policy's."""
    return task.attempts_allowed or contracts.policy.max_attempts


def _attempt(state: State, event: Event, contracts: Contracts) -> None:
    task = state.tasks.get(event.payload["task_id"])
    if task is not None and task.attempts_used >= attempts_allowed(task, contracts):
        raise Violation("INV-002", f"the attempts of '{task.task_id}' are spent")
    _lease(event, contracts)


def _lease(event: Event, contracts: Contracts) -> None:
    if event.payload["deadline"] > after(event.ts, contracts.policy.ttl_ms):
        raise Violation("INV-002", "the lease is longer than the policy's ttl")


def _effect(state: State, event: Event, contracts: Contracts) -> None:
    payload = event.payload
    task = state.tasks.get(payload["task_id"])
    if task is None:
        raise Violation("INV-002", f"there is no task '{payload['task_id']}'")
    policy = contracts.policy
    if len(payload["files"]) > policy.max_files or payload["changed_lines"] > (
        policy.max_patch_lines
    ):
        raise Violation("INV-004", "the effect is larger than the policy allows")
    boundary = Boundary.of(task, contracts)
    for file in payload["files"]:
        for key in ("from", "path"):
            fault = boundary.check(file[key]) if key in file else None
            if fault is not None:
                raise Violation("INV-004", fault.message)
        if file.get("bytes", 0) > policy.max_file_bytes:
            raise Violation("INV-004", f"'{file['path']}' is larger than the policy allows")


def _update(state: State, event: Event, contracts: Contracts) -> None:
    payload = event.payload
    task = state.tasks.get(payload["task_id"])
    if task is None:
        raise Violation("INV-002", f"there is no task '{payload['task_id']}'")
    cause = payload["cause"]
    if cause == Cause.AMENDED:
        _kinds([payload.get("changes", {}).get("kind", task.kind)], contracts)
    spent = task.attempts_used >= attempts_allowed(task, contracts)
    if cause in (Cause.REJECTED, Cause.TIMED_OUT) and spent:
        raise Violation("INV-002", f"the attempts of '{task.task_id}' are spent")
    if cause == Cause.ATTEMPTS_SPENT and not spent:
        raise Violation("INV-002", f"'{task.task_id}' has attempts left")
    cooldown = contracts.policy.cooldown_ms
    if cooldown and cause in (Cause.REJECTED, Cause.TIMED_OUT):
        if payload.get("not_before", "") < after(event.ts, cooldown):
            raise Violation("INV-002", f"'{task.task_id}' cools down longer than that")


def _run_end(state: State, event: Event, contracts: Contracts) -> None:
    if event.payload["result"] == "success" and not is_success(state, contracts):
        raise Violation("INV-002", "the criteria of success are not met")


def is_success(state: State, contracts: Contracts) -> bool:
    """Answer whether the run may end in success by the policy's criteria."""
    counts = dict(state.run.by_state)
    open_tasks = counts.get(TaskState.TODO, 0) + counts.get(TaskState.IN_PROGRESS, 0)
    if contracts.policy.success_when == "all_done":
        open_tasks += counts.get(TaskState.BLOCKED, 0)
    return open_tasks == 0


def _kinds(kinds: Iterable[str], contracts: Contracts) -> None:
    for kind in set(kinds):
        try:
            contracts.agent.kind(kind)
        except ConfigurationError as error:
            raise Violation("INV-004", error.message) from error


def _intention(event: Event, contracts: Contracts) -> None:
    allowed = contracts.agent.actions
    if event.action.startswith(("agent.", "issue.", "lesson.")) and event.action not in allowed:
        raise Violation("INV-002", f"the contract does not allow agents {event.action}")


def check_attachments(
    event: Event, files: Mapping[str, Any], exchange: Mapping[str, Any]
) -> None:
    """Refuse attachments that are not exactly those that the event names (path to blob id).

    Raises:
        Violation: INV-003, if the event's tree carries more, less or something else.
    """
    wanted: dict[str, tuple[str, str]] = {}
    if event.action == "orchestrator.file.write":
        wanted = {
            file["path"]: (file["mode"], file["after"])
            for file in event.payload["files"]
            if "after" in file
        }
    if dict(files) != wanted:
        raise Violation("INV-003", "the after-images are not those that the event names")
    said = event.payload.get("exchange", {})
    names = {"request": "request.json", "response": "response"}
    blobs = {names[part]: kept["blob"] for part, kept in said.items() if "blob" in kept}
    if dict(exchange) != blobs:
        raise Violation("INV-003", "the exchange is not the one that the event names")
