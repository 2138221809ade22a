"""What the contracts in force say of an event, on every append and again in `verify`.

`evolve` holds an event against the protocol, which never changes; `check_lawful` holds it
against the contracts, which people edit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from esaa_git.core.contracts import Check, Contracts, make_check
from esaa_git.core.event import Event, after
from esaa_git.core.globs import GlobSet
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
            _lease(event, contracts, event.payload["deadline"])
        case "orchestrator.dispatch":
            _reviewer(state, event, contracts)
        case "approval.grant" | "approval.deny":
            _decision(state, event, contracts)
        case "orchestrator.file.write":
            _effect(state, event, contracts)
        case "task.update":
            _update(state, event, contracts)
        case "run.init":
            _definitions(event.payload["tasks"], contracts)
            if event.payload["contracts"] != contracts.pins:
                raise Violation("INV-002", "run.init pins other contracts than those beside it")
        case "task.create":
            _definitions([event.payload["task"]], contracts)
        case "run.end":
            _run_end(state, event, contracts)
        case _:
            pass
    if event.actor != "orchestrator" and "attempt_id" in event.payload:
        _intention(event, contracts)


def attempts_allowed(task: Task, contracts: Contracts) -> int:
    """Return how many attempts a task may use: its own limit, or the policy's."""
    return task.attempts_allowed or contracts.policy.max_attempts


def needs_review(task: Task, contracts: Contracts) -> bool:
    """Answer whether a result of this task waits for somebody to agree."""
    kind = contracts.agent.kinds.get(task.kind)
    return task.review or task.reviewer is not None or (kind is not None and kind.review != "none")


def reviewer_of(task: Task, contracts: Contracts) -> str | None:
    """Return the agent that may decide on a result of this task, or None where a person has to.

    Nobody approves their own work: where the reviewer made the attempt, a person has to as well.
    """
    kind = contracts.agent.kinds.get(task.kind)
    if kind is None or task.review or kind.review == "required":
        return None
    name = task.reviewer or contracts.swarm.reviewers.get(task.kind)
    if task.attempt is not None and task.attempt.agent == name:
        return None
    return name


def required_checks(task: Task, contracts: Contracts) -> tuple[Check, ...]:
    """Return what a proposal for the task has to pass: its kind's checks, then its own.

    Raises:
        ConfigurationError: if two have one name, or a timeout is no time.
    """
    own = tuple(
        make_check(check.name, check.run, check.timeout, f"task {task.task_id}: checks")
        for check in task.checks
    )
    kind = contracts.agent.kinds.get(task.kind)
    found = (*(kind.checks if kind is not None else ()), *own)
    names = [check.name for check in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"task '{task.task_id}' has two checks called '{name}'",
                hint="give one of them another name, in the plan or under 'checks' of its kind",
            )
    return found


def _attempt(state: State, event: Event, contracts: Contracts) -> None:
    task = state.tasks.get(event.payload["task_id"])
    if task is not None and task.attempts_used >= attempts_allowed(task, contracts):
        raise Violation("INV-002", f"the attempts of '{task.task_id}' are spent")
    _lease(event, contracts, event.payload["deadline"])


def _lease(event: Event, contracts: Contracts, deadline: str) -> None:
    if deadline > after(event.ts, contracts.policy.ttl_ms):
        raise Violation("INV-002", "the lease is longer than the policy's ttl")


def _reviewer(state: State, event: Event, contracts: Contracts) -> None:
    """Refuse to ask an agent for a decision that is not its own to make."""
    payload = event.payload
    task = state.tasks.get(payload["task_id"])
    if task is None or "review" not in payload:
        return
    if payload["agent"] != reviewer_of(task, contracts):
        raise Violation("INV-002", f"{payload['agent']} is no reviewer of '{task.task_id}'")
    approval = state.approvals.get(payload["review"]["approval_id"])
    if approval is not None and approval.tries >= contracts.policy.max_attempts:
        raise Violation("INV-002", f"the reviewer of '{task.task_id}' has had its tries")
    _lease(event, contracts, payload["review"]["deadline"])


def _decision(state: State, event: Event, contracts: Contracts) -> None:
    """Refuse a decision by an agent that is not the reviewer; persons are judged by their keys."""
    approval = state.approvals.get(event.payload["approval_id"])
    if approval is None or event.actor not in contracts.swarm.agents:
        return
    task = state.tasks.get(approval.task_id)
    if task is None or event.actor != reviewer_of(task, contracts):
        raise Violation("INV-002", f"{event.actor} is no reviewer of '{approval.task_id}'")


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
    _definitions([{"kind": task.kind}], contracts)
    passed = {one["name"] for one in payload.get("check_results", ()) if one["passed"]}
    for check in required_checks(task, contracts):
        if check.name not in passed:
            raise Violation("INV-003", f"'{check.name}' was not passed by '{task.task_id}'")
    boundary = Boundary.of(task, contracts)
    for file in payload["files"]:
        prohibited = _operations(file) & boundary.operations
        if prohibited:
            raise Violation("INV-004", f"'{file['path']}': {min(prohibited)} is prohibited")
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
        _definitions([{"kind": task.kind, **payload.get("changes", {})}], contracts)
    if cause == Cause.ACCEPTED and needs_review(task, contracts):
        raise Violation("INV-002", f"'{task.task_id}' needs a review")
    spent = task.attempts_used >= attempts_allowed(task, contracts)
    if cause in (Cause.REJECTED, Cause.TIMED_OUT) and spent:
        raise Violation("INV-002", f"the attempts of '{task.task_id}' are spent")
    if cause == Cause.ATTEMPTS_SPENT and not spent:
        raise Violation("INV-002", f"'{task.task_id}' has attempts left")
    cooldown = contracts.policy.cooldown_ms
    cools = cooldown > 0 and cause in (Cause.REJECTED, Cause.TIMED_OUT)
    if cools and payload.get("not_before", "") < after(event.ts, cooldown):
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


def _operations(file: Mapping[str, Any]) -> set[str]:
    """Return what a contract may prohibit of the change of one file."""
    found = {file["change"]}
    before = "100644" if file["change"] == "add" else file.get("before_mode", file.get("mode"))
    if file.get("mode") == "100755" != before:
        found.add("executable")
    return found


def _definitions(tasks: Iterable[Mapping[str, Any]], contracts: Contracts) -> None:
    """Refuse tasks whose boundary could not be told: an unknown kind, a glob that is none."""
    known: set[str] = set()
    for task in tasks:
        try:
            if task["kind"] not in known:
                contracts.agent.kind(task["kind"])
                known.add(task["kind"])
            for entry in ("writes", "context"):
                if task.get(entry):
                    GlobSet(task[entry])
            if task.get("checks"):
                required_checks(Task.from_json({"task_id": "", "title": "", **task}), contracts)
        except ConfigurationError as error:
            raise Violation("INV-004", error.message) from error
        except ValueError as error:
            raise Violation("INV-004", f"a glob of a task: {error}") from error


def _intention(event: Event, contracts: Contracts) -> None:
    allowed = contracts.agent.actions
    if event.action.startswith(("agent.", "issue.", "lesson.")) and event.action not in allowed:
        raise Violation("INV-002", f"the contract does not allow agents {event.action}")


def attribution(task: Task, contracts: Contracts) -> str | None:
    """Return the `AGENT:MODEL` of a task's effect; None for a person's, or where it is off."""
    attempt = task.attempt
    if attempt is None or attempt.mode == "claim" or not contracts.orchestrator.assisted_by:
        return None
    entry = contracts.swarm.agents.get(attempt.agent)
    return f"{attempt.agent}:{(entry.model if entry is not None else None) or 'unspecified'}"


def check_attachments(event: Event, files: Mapping[str, Any], exchange: Mapping[str, Any]) -> None:
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
