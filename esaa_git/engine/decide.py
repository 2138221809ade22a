"""Decisions: what a state and the contracts allow, and the events that follow from it.

Every function is deterministic in the transaction's state, contracts and time. The state machine
itself is `esaa_git.core.machine`; here is what policy adds to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from esaa_git.core.contract_rules import attempts_allowed, is_success
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import after
from esaa_git.core.machine import Cause, RunState, TaskState
from esaa_git.core.rejection import Rejected
from esaa_git.core.state import OVERRIDDEN, State, Task
from esaa_git.engine.lease import Lease
from esaa_git.engine.transaction import NOTHING, Transaction
from esaa_git.errors import RefusedError, RunHalted, UsageError
from esaa_git.ports.log import Attachments

ORCHESTRATOR = "orchestrator"


def find_task(state: State, task_id: str) -> Task:
    """Return a task by id, or raise a UsageError that helps to find the right one."""
    task = state.tasks.get(task_id)
    if task is None:
        raise UsageError(
            f"no task '{task_id}'",
            hint="run 'git esaa task list' to see the tasks there are; one that stands in "
            ".roadmap/plan.yaml alone is created by 'git esaa plan apply'",
        )
    return task


# -- eligibility ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hindrance:
    """Why no attempt can be opened on a task now."""

    message: str
    hint: str | None = None


def hindrance(state: State, contracts: Contracts, task: Task, now: str) -> Hindrance | None:
    """Return why no attempt can be opened on the task at this moment, or None."""
    name = task.task_id
    if task.is_done:
        successor = state.supersessions.successor_of(name)
        if successor is None:
            return Hindrance(
                f"'{name}' is done, and done is final", f"use 'git esaa hotfix {name}'"
            )
        if successor == OVERRIDDEN:
            return Hindrance(f"'{name}' was overridden", f"use 'git esaa hotfix {name}'")
        return Hindrance(
            f"'{name}' is superseded by '{successor}'", f"work on '{successor}' instead"
        )
    if not state.run.is_open:
        return Hindrance(
            f"no run is open (the run is {state.run.state})",
            "run 'git esaa run' or 'git esaa plan apply' to start one",
        )
    if task.state == TaskState.IN_PROGRESS:
        holder = task.attempt.agent if task.attempt else "somebody"
        if task.pending_approval is not None:
            return Hindrance(
                f"'{name}' waits for a review of {holder}'s work",
                f"run 'git esaa review {name}'",
            )
        until = task.attempt.deadline if task.attempt else now
        return Hindrance(f"'{name}' is in progress: {holder} holds it until {until}")
    if task.state == TaskState.BLOCKED:
        why = task.blocked.reason or task.blocked.cause if task.blocked else "no reason given"
        return Hindrance(
            f"'{name}' is blocked: {why}", f"run 'git esaa task unblock {name} --reason TEXT'"
        )
    missing = [other for other in task.depends_on if not state.tasks[other].is_done]
    if missing:
        return Hindrance(f"'{name}' waits for {', '.join(missing)}")
    if task.not_before is not None and now < task.not_before:
        return Hindrance(f"'{name}' cools down until {task.not_before}")
    if is_spent(task, contracts):
        return Hindrance(
            f"the attempts of '{name}' are spent",
            f"run 'git esaa task unblock {name} --attempts N --reason TEXT'",
        )
    return None


def is_spent(task: Task, contracts: Contracts) -> bool:
    """Answer whether the task has no attempt left."""
    return task.attempts_used >= attempts_allowed(task, contracts)


def eligible(state: State, contracts: Contracts, now: str) -> list[Task]:
    """Return the tasks that can be worked on, most urgent first: by priority, then by id."""
    found = [
        task
        for task in state.tasks.values()
        if task.state == TaskState.TODO and hindrance(state, contracts, task, now) is None
    ]
    return sorted(found, key=lambda task: (-task.priority, task.task_id))


# -- attempts ---------------------------------------------------------------------------------


def open_attempt(tx: Transaction, task_id: str, agent: str, *, mode: str, base: str) -> str:
    """Open an attempt with a lease by the policy's ttl, and return its id.

    Raises:
        RefusedError: saying what hinders it and what to do about it.
    """
    task = find_task(tx.state, task_id)
    expire(tx, [task])
    task = tx.state.tasks[task_id]
    found = hindrance(tx.state, tx.contracts, task, max(tx.now, tx.state.ts))
    if found is not None:
        raise RefusedError(found.message, hint=found.hint)
    number = task.attempts_total + 1
    lease = Lease.begin(f"{task_id}-A{number}", max(tx.now, tx.state.ts), tx.contracts)
    tx.leases.begin(lease)
    tx.emit(
        "attempt.create",
        ORCHESTRATOR,
        {
            "task_id": task_id,
            "attempt_id": lease.name,
            "number": number,
            "agent": agent,
            "mode": mode,
            "base": base,
            "deadline": lease.deadline,
        },
    )
    return lease.name


def expire(tx: Transaction, tasks: Iterable[Task]) -> int:
    """Close the attempts of these tasks whose lease ran out; return how many there were."""
    count = 0
    for task in tasks:
        attempt = task.active_attempt
        if attempt is None or not tx.is_over(Lease.of(attempt, tx.contracts)):
            continue
        # A worker may know that the time is up before any clock says so.
        tx.now = max(tx.now, attempt.deadline)
        tx.emit(
            "attempt.timeout",
            ORCHESTRATOR,
            {
                "task_id": task.task_id,
                "attempt_id": attempt.attempt_id,
                "deadline": attempt.deadline,
            },
        )
        give_back(tx, task.task_id, Cause.TIMED_OUT, f"{attempt.agent} did not answer in time")
        count += 1
    return count


def give_back(tx: Transaction, task_id: str, cause: Cause, reason: str) -> None:
    """Return a task to `todo` after an attempt that failed, or block it where none is left."""
    task = tx.state.tasks[task_id]
    spent = is_spent(task, tx.contracts)
    payload: dict[str, Any] = {}
    if spent:
        cause = Cause.ATTEMPTS_SPENT
        reason = f"all {task.attempts_used} attempts failed; the last: {reason}"
    elif tx.contracts.policy.cooldown_ms:
        start = max(tx.now, tx.state.ts)
        payload["not_before"] = after(start, tx.contracts.policy.cooldown_ms)
    update_task(tx, task, cause, reason=reason, **payload)


def update_task(tx: Transaction, task: Task, cause: Cause, **payload: Any) -> None:
    """Emit the `task.update` of one row of the table."""
    target = {
        Cause.ACCEPTED: TaskState.DONE,
        Cause.APPROVED: TaskState.DONE,
        Cause.ATTEMPTS_SPENT: TaskState.BLOCKED,
        Cause.ISSUE: TaskState.BLOCKED,
        Cause.DEPENDENCY: TaskState.BLOCKED,
        Cause.AMENDED: task.state,
    }.get(cause, TaskState.TODO)
    ends_attempt = task.state == TaskState.IN_PROGRESS and cause != Cause.AMENDED
    if task.attempt is not None and ends_attempt:
        payload["attempt_id"] = task.attempt.attempt_id
    reason = payload.get("reason")
    if reason is not None:
        payload["reason"] = str(reason)[:2000]
    tx.emit(
        "task.update",
        ORCHESTRATOR,
        {"task_id": task.task_id, "from": task.state, "to": target, "cause": cause, **payload},
    )


def reject(
    tx: Transaction,
    task_id: str,
    attempt_id: str,
    rejected: Rejected,
    output: dict[str, Any],
    attachments: Attachments = NOTHING,
    more: Mapping[str, Any] | None = None,
    *,
    closing: bool = False,
) -> None:
    """Record the reject signal; where it ends the current attempt, the task goes on by policy.

    `more` is what else the event holds: the exchange, what the answer took, how checks ended.
    A result that was admitted already is given up only where it cannot be applied any more
    (`closing`), never for what its agent says after it.
    """
    payload: dict[str, Any] = {
        "task_id": task_id,
        "attempt_id": attempt_id,
        "code": rejected.code,
        "message": rejected.message[:2000],
        "detail": dict(rejected.detail),
        "output": output,
    }
    payload.update(more or {})
    before = tx.state.tasks[task_id]
    tx.emit("output.rejected", ORCHESTRATOR, payload, attachments=attachments)
    attempt = before.attempt
    if "approval_id" in payload:
        return  # the reviewer's answer was refused, not the work
    if attempt is None or attempt.attempt_id != attempt_id:
        return
    if attempt.is_active or (closing and before.state == TaskState.IN_PROGRESS):
        give_back(tx, task_id, Cause.REJECTED, f"{rejected.code}: {rejected.message}")


# -- issues -----------------------------------------------------------------------------------


def report_issue(
    tx: Transaction,
    actor: str,
    payload: dict[str, Any],
    attachments: Attachments = NOTHING,
) -> str:
    """Record an issue and do what the policy says of its severity; return its id.

    `log` records it, `flag` shows it to people and agents as well, `block` blocks the task and
    its dependents, `halt` ends the run. The third medium issue on one task (or whichever the
    policy counts to) is a high one.
    """
    policy = tx.contracts.policy
    task_id = payload.get("task_id")
    severity = payload["severity"]
    if task_id is not None:
        task = find_task(tx.state, task_id)
        if severity == "medium" and 0 < policy.repeat_medium <= task.medium_issues + 1:
            payload = {**payload, "severity": "high", "reported_as": "medium"}
            severity = "high"
    issue_id = f"ISS-{tx.state.run.issues + 1:04d}"
    tx.emit("issue.report", actor, {"issue_id": issue_id, **payload}, attachments=attachments)
    consequence = policy.escalation[severity]
    if consequence in ("block", "halt") and task_id is not None and tx.state.run.is_open:
        block(tx, task_id, issue_id, f"{issue_id}: {payload['title']}")
    if consequence == "halt" and tx.state.run.is_open:
        end_run(tx, RunState.HALTED, f"{issue_id}: {payload['title']}", issue_id=issue_id)
    return issue_id


def block(tx: Transaction, task_id: str, issue_id: str, reason: str) -> None:
    """Block a task and everything that waits for it, as far as it is not done."""
    task = tx.state.tasks[task_id]
    if task.state in (TaskState.TODO, TaskState.IN_PROGRESS):
        update_task(tx, task, Cause.ISSUE, reason=reason, issue_id=issue_id)
    for dependent in dependents(tx.state, task_id):
        if dependent.state in (TaskState.TODO, TaskState.IN_PROGRESS):
            update_task(
                tx,
                dependent,
                Cause.DEPENDENCY,
                reason=f"waits for {task_id}, see {issue_id}",
                issue_id=issue_id,
                blocked_by=task_id,
            )


def dependents(state: State, task_id: str) -> Iterator[Task]:
    """Yield the tasks that wait for this one, directly or not, each once."""
    waiting: dict[str, list[Task]] = {}
    for task in state.tasks.values():
        for dependency in task.depends_on:
            waiting.setdefault(dependency, []).append(task)
    seen = {task_id}
    queue = [task_id]
    while queue:
        for task in waiting.get(queue.pop(0), ()):
            if task.task_id not in seen:
                seen.add(task.task_id)
                queue.append(task.task_id)
                yield task


# -- the run ----------------------------------------------------------------------------------


def end_run(tx: Transaction, result: RunState, reason: str, **payload: Any) -> None:
    """End the run."""
    tx.emit(
        "run.end",
        ORCHESTRATOR,
        {"run_id": tx.state.run.run_id, "result": result, "reason": reason[:2000], **payload},
    )


def outcome(state: State, contracts: Contracts) -> tuple[RunState, str] | None:
    """Return how the run ends by the policy's criteria, or None while it has to go on.

    Asked when no task is eligible and no attempt is active.
    """
    counts = dict(state.run.by_state)
    if is_success(state, contracts):
        return RunState.SUCCESS, f"{counts.get(TaskState.DONE, 0)} tasks done"
    blocked = len(state.run.blocked)
    if blocked and contracts.policy.on_blocked == "failed" and not _waits_for_somebody(state):
        return RunState.FAILED, f"{blocked} tasks blocked, nothing else can be done"
    return None


def _waits_for_somebody(state: State) -> bool:
    """Answer whether a claim, a review or a cooldown still keeps the run going."""
    return bool(state.run.in_progress) or any(
        task.not_before is not None and task.state == TaskState.TODO
        for task in state.tasks.values()
    )


def require_run(state: State) -> None:
    """Refuse what needs an open run, saying how it ended and how another one starts."""
    if state.run.is_open:
        return
    if state.run.state == RunState.IDLE:
        raise RunHalted("no run has started", hint="run 'git esaa run' to start one")
    raise RunHalted(
        f"{state.run.run_id} is over: {state.run.state}",
        cause=state.run.reason or None,
        hint="run 'git esaa plan apply' to start the next run",
    )
