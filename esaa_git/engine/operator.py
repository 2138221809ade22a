"""What people do by hand: claim, unblock, note, relink, review, resolve, hotfix, override.

Each is a decision with a reason, recorded under the name of whoever made it, and each ends in
the same admission as an agent's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from esaa_git.core.machine import Cause, TaskState
from esaa_git.core.state import OVERRIDDEN, Task
from esaa_git.engine import decide
from esaa_git.engine.engine import Engine
from esaa_git.engine.request import branch_tip, build_request
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import RefusedError, UsageError
from esaa_git.ports.agent import Request

if TYPE_CHECKING:
    from esaa_git.engine.exchange import Admission


def claim(engine: Engine, task_id: str, by: str) -> Request:
    """Open an attempt for a person (or for whoever `by` names) and return its request."""

    def decided(tx: Transaction) -> Request:
        decide.open_attempt(tx, task_id, by, mode="claim", base=branch_tip(engine, tx))
        return build_request(engine, tx, task_id, by, has_checkout=True)

    return transact(engine, decided)


def unclaim(engine: Engine, task_id: str, by: str, reason: str) -> None:
    """Give a claimed task back; the attempt does not count."""

    def decided(tx: Transaction) -> None:
        task = decide.find_task(tx.state, task_id)
        if task.active_attempt is None:
            raise RefusedError(f"nobody holds '{task_id}'")
        decide.update_task(tx, task, Cause.RELEASED, reason=reason, by=by)

    transact(engine, decided)


def unblock(
    engine: Engine, task_id: str, by: str, reason: str, attempts: int | None = None
) -> list[str]:
    """Return a blocked task, and those blocked only because of it, to `todo`; name them.

    A task whose attempts are spent gets as many more as `attempts` says, or as the policy
    grants a new task; also one in `todo`, where a limit was lowered after they were used.
    """

    def decided(tx: Transaction) -> list[str]:
        task = decide.find_task(tx.state, task_id)
        if task.state == TaskState.TODO and decide.is_spent(task, tx.contracts):
            allowed = task.attempts_used + (attempts or tx.contracts.policy.max_attempts)
            changes = {"attempts_allowed": allowed}
            decide.update_task(tx, task, Cause.AMENDED, changes=changes, reason=reason, by=by)
            return [task_id]
        if task.state != TaskState.BLOCKED:
            raise RefusedError(
                f"'{task_id}' is not blocked, it is {task.state}",
                hint=f"run 'git esaa show {task_id}'",
            )
        freed = [task, *_blocked_because_of(tx, task_id)]
        for other in freed:
            extra: dict[str, Any] = {}
            granted = attempts if other is task else None
            if granted is not None or decide.is_spent(other, tx.contracts):
                more = granted or tx.contracts.policy.max_attempts
                extra["attempts_allowed"] = other.attempts_used + more
            decide.update_task(
                tx, tx.state.tasks[other.task_id], Cause.OPERATOR, reason=reason, by=by, **extra
            )
        return [other.task_id for other in freed]

    return transact(engine, decided)


def _blocked_because_of(tx: Transaction, task_id: str) -> list[Task]:
    return [
        task
        for task in decide.dependents(tx.state, task_id)
        if task.state == TaskState.BLOCKED
        and task.blocked is not None
        and task.blocked.cause == Cause.DEPENDENCY
        and task.blocked.task_id == task_id
    ]


def note(engine: Engine, task_id: str, by: str, text: str) -> None:
    """Leave a remark on a task; its next request carries it."""

    def decided(tx: Transaction) -> None:
        task = decide.find_task(tx.state, task_id)
        if task.is_done:
            raise RefusedError(
                f"'{task_id}' is done, and its record is final",
                hint=f"run 'git esaa issue report --task {task_id} --severity low --title TEXT'",
            )
        tx.emit(
            "orchestrator.view.mutate",
            decide.ORCHESTRATOR,
            {"view": "note", "task_id": task_id, "by": by, "text": text},
        )

    transact(engine, decided)


def relink(engine: Engine, links: Sequence[tuple[str, str, str, str]]) -> int:
    """Record which commits of the branch carry effects now; return how many links were recorded.

    Args:
        links: task, effect commit, the commit that carries it, and how that is known.
    """

    def decided(tx: Transaction) -> int:
        for task_id, effect_commit, reached_by, how in links:
            tx.emit(
                "orchestrator.view.mutate",
                decide.ORCHESTRATOR,
                {
                    "view": "effect",
                    "task_id": task_id,
                    "effect_commit": effect_commit,
                    "reached_by": reached_by,
                    "text": f"relinked: {how}",
                },
            )
        return len(links)

    return transact(engine, decided)


def add_task(engine: Engine, definition: dict[str, Any], by: str) -> None:
    """Create one task outside of the plan."""

    def decided(tx: Transaction) -> None:
        decide.require_run(tx.state)
        task_id = definition["task_id"]
        if task_id in tx.state.tasks:
            raise UsageError(f"task '{task_id}' exists already", hint="choose another id")
        tx.contracts.agent.kind(definition["kind"])
        for dependency in definition.get("depends_on", ()):
            decide.find_task(tx.state, dependency)
        tx.emit("task.create", decide.ORCHESTRATOR, {"task": definition, "by": by})

    transact(engine, decided)


def report_issue(engine: Engine, by: str, payload: dict[str, Any]) -> str:
    """Report an issue and return its id; the policy's consequence follows at once."""
    return transact(engine, lambda tx: decide.report_issue(tx, by, payload))


def resolve_issue(engine: Engine, issue_id: str, by: str, reason: str) -> None:
    """Resolve an issue; tasks that it blocked stay blocked until somebody unblocks them."""

    def decided(tx: Transaction) -> None:
        if issue_id not in tx.state.issues:
            raise UsageError(f"no issue '{issue_id}'", hint="run 'git esaa issue list --all'")
        issue = tx.state.issues[issue_id]
        if not issue.is_open:
            raise RefusedError(f"'{issue_id}' is resolved already by {issue.resolved_by}")
        tx.emit(
            "orchestrator.view.mutate",
            decide.ORCHESTRATOR,
            {"view": "issue", "issue_id": issue_id, "by": by, "text": reason},
        )

    transact(engine, decided)


def override(engine: Engine, task_id: str, by: str, reason: str) -> None:
    """Set a done task aside without touching it."""

    def decided(tx: Transaction) -> None:
        _require_done(tx, task_id)
        if tx.state.supersessions.successor_of(task_id) is not None:
            raise RefusedError(
                f"'{task_id}' was overridden already",
                hint=f"run 'git esaa hotfix {task_id}' to create its successor",
            )
        tx.emit(
            "emergency.override",
            decide.ORCHESTRATOR,
            {"task_id": task_id, "reason": reason, "by": by},
        )

    transact(engine, decided)


def hotfix(
    engine: Engine,
    superseded: str,
    definition: dict[str, Any],
    by: str,
    reason: str,
    issue_id: str | None = None,
) -> str:
    """Create the task that corrects a done one, and return its id."""

    def decided(tx: Transaction) -> str:
        decide.require_run(tx.state)
        _require_done(tx, superseded)
        task = {**definition, "task_id": definition.get("task_id") or _hotfix_id(tx, superseded)}
        tx.contracts.agent.kind(task["kind"])
        payload: dict[str, Any] = {
            "task": task,
            "by": by,
            "reason": reason,
            "supersedes": superseded,
        }
        if issue_id is not None:
            payload["issue_id"] = issue_id
        tx.emit("task.create", decide.ORCHESTRATOR, payload)
        return str(task["task_id"])

    return transact(engine, decided)


def _hotfix_id(tx: Transaction, superseded: str) -> str:
    number = 1
    while f"{superseded}-HF{number}" in tx.state.tasks:
        number += 1
    return f"{superseded}-HF{number}"


def _require_done(tx: Transaction, task_id: str) -> None:
    task = decide.find_task(tx.state, task_id)
    if not task.is_done:
        raise RefusedError(
            f"only a done task can be superseded; '{task_id}' is {task.state}",
            hint=f"change it in the plan, or run 'git esaa task unblock {task_id}'",
        )
    found = decide.hindrance(tx.state, tx.contracts, task, tx.now)
    successor = tx.state.supersessions.successor_of(task_id)
    if successor not in (None, OVERRIDDEN) and found is not None:
        raise RefusedError(found.message, hint=found.hint)


def review(engine: Engine, task_id: str, by: str, *, approve: bool, reason: str) -> Admission:
    """Grant or deny what a task waits for. Nobody approves their own work."""
    from esaa_git.engine.effect import Grant, close
    from esaa_git.engine.exchange import Admission

    if approve:
        return close(engine, _reviewable(engine, task_id, by), grant=Grant(by, reason))

    def decided(tx: Transaction) -> Admission:
        task = decide.find_task(tx.state, task_id)
        attempt = task.attempt
        assert attempt is not None  # _reviewable looked at it
        tx.emit("approval.deny", by, {"approval_id": task.pending_approval, "reason": reason})
        decide.give_back(tx, task_id, Cause.CHANGES_REQUESTED, reason)
        return Admission("rejected", task_id, attempt.attempt_id, reason)

    _reviewable(engine, task_id, by)
    return transact(engine, decided)


def _reviewable(engine: Engine, task_id: str, by: str) -> str:
    state, _ = engine.log.load()
    task = decide.find_task(state, task_id)
    if task.pending_approval is None or task.attempt is None:
        raise RefusedError(
            f"'{task_id}' does not wait for a review; it is {task.state}",
            hint="run 'git esaa status' to see what does",
        )
    if task.attempt.agent == by:
        raise RefusedError(
            f"nobody approves their own work, and '{task.attempt.attempt_id}' is by {by}",
            hint="have somebody else run 'git esaa review'",
        )
    return task_id
