"""What people decide about tasks: to add, free or correct one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from esaa_git.core.contract_rules import not_pinned
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent
from esaa_git.core.events import EffectRelinked, EmergencyOverride, TaskCreate
from esaa_git.core.events.base import replace
from esaa_git.core.events.fields import Check, TaskChanges
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.events.view_mutate import BesideEffects, How
from esaa_git.core.judges import unpinned
from esaa_git.core.machine import Cause, TaskState
from esaa_git.core.state import OVERRIDDEN, State
from esaa_git.core.task import Task
from esaa_git.core.undo import definition
from esaa_git.core.undone import builders, undo_fault
from esaa_git.engine.decide.events import Events, by_actor, by_us, update
from esaa_git.engine.intentions import AddTask, BeginUndo, Hotfix, Override, Relink, Unblock
from esaa_git.engine.schedule import dependents, find_task, is_spent, require_run
from esaa_git.errors import RefusedError, UsageError


def add_task(state: State, contracts: Contracts, wanted: AddTask) -> Events:
    """Create a task whose kind and dependencies are there."""
    require_run(state)
    task = wanted.task
    if task.task_id in state.tasks:
        raise UsageError(f"task '{task.task_id}' exists already", hint="choose another id")
    contracts.agent.kind(task.kind)
    require_pinned(task.task_id, task.checks, contracts)
    for dependency in task.depends_on or ():
        find_task(state, dependency)
    return (by_us(TaskCreate(task=task, by=wanted.by)),)


def require_pinned(task_id: str, checks: Iterable[Check] | None, contracts: Contracts) -> None:
    """Refuse checks that run a program of the tree which no run.init has pinned."""
    for check in checks or ():
        for path in unpinned(check.run, contracts):
            raise RefusedError(
                not_pinned(f"'{task_id}': check '{check.name}'", path),
                hint="put the program there, and have an admin pin it: with the task in "
                ".roadmap/plan.yaml by 'git esaa plan apply', with --restart where a run is open",
            )


def hotfix(state: State, contracts: Contracts, wanted: Hotfix) -> Events:
    """Create the successor of a done task."""
    require_run(state)
    _require_done(state, wanted.superseded)
    task = wanted.task
    if not task.task_id:
        task = replace(task, task_id=_next_hotfix(state, wanted.superseded))
    contracts.agent.kind(task.kind)
    require_pinned(task.task_id, task.checks, contracts)
    created = TaskCreate(
        task=task,
        by=wanted.by,
        reason=wanted.reason,
        supersedes=wanted.superseded,
        issue_id=wanted.issue_id,
    )
    return (by_us(created),)


def _next_hotfix(state: State, superseded: str) -> str:
    number = 1
    while f"{superseded}-HF{number}" in state.tasks:
        number += 1
    return f"{superseded}-HF{number}"


def begin_undo(state: State, wanted: BeginUndo) -> NewEvent:
    """Create the task that undoes a done one, on which nothing builds any more.

    Raises:
        RefusedError: saying what keeps it from being undone.
    """
    task_id = find_task(state, wanted.task_id).task_id
    require_undoable(state, [task_id])
    task = definition(state, task_id)
    return by_us(TaskCreate(task=task, by=wanted.by, undoes=task_id))


def require_undoable(state: State, task_ids: Sequence[str]) -> None:
    """Refuse to undo tasks that cannot be undone in this order.

    Raises:
        RefusedError: saying why.
    """
    known = builders(state)
    for place, task_id in enumerate(task_ids):
        fault = undo_fault(state, task_id, task_ids[:place], known)
        if fault is not None:
            hint = _way_out(state, task_id)
            raise RefusedError(f"'{task_id}' cannot be undone", cause=fault, hint=hint)


def _way_out(state: State, task_id: str) -> str:
    task, by = state.tasks[task_id], state.undone.by(task_id)
    open_ = state.undone.under_way(task_id)
    if by is not None:
        return f"run 'git esaa undo {by.task_id}' to have '{task_id}' back"
    if open_ is not None and state.tasks[open_.task_id].state == TaskState.BLOCKED:
        return f"run 'git esaa task unblock {open_.task_id} --reason TEXT', then 'git esaa undo'"
    if open_ is not None:
        return "run 'git esaa undo' to go on with what is being undone"
    if not task.is_done:
        return f"run 'git esaa show {task_id}' to see where it stands"
    return f"run 'git esaa undo {task_id} --dry-run' once that is done, released or denied"


def override(state: State, wanted: Override) -> Events:
    """Set a done task aside, once."""
    _require_done(state, wanted.task_id)
    if state.supersessions.successor_of(wanted.task_id) is not None:
        raise RefusedError(
            f"'{wanted.task_id}' was overridden already",
            hint=f"run 'git esaa hotfix {wanted.task_id} --title TEXT --reason TEXT' to create its "
            "successor",
        )
    overridden = EmergencyOverride(task_id=wanted.task_id, reason=wanted.reason, by=wanted.by)
    return (by_us(overridden),)


def _require_done(state: State, task_id: str) -> None:
    task = find_task(state, task_id)
    if not task.is_done:
        raise RefusedError(
            f"only a done task can be superseded; '{task_id}' is {task.state}",
            hint=f"change it in the plan, or run 'git esaa task unblock {task_id}'",
        )
    successor = state.supersessions.successor_of(task_id)
    if successor not in (None, OVERRIDDEN):
        raise RefusedError(
            f"'{task_id}' is superseded by '{successor}'", hint=f"work on '{successor}' instead"
        )


def unblock(state: State, contracts: Contracts, wanted: Unblock) -> Events:
    """Free a task, and grant attempts where they are spent."""
    task = find_task(state, wanted.task_id)
    by, reason = wanted.by, wanted.reason
    more = contracts.policy.max_attempts
    if task.state == TaskState.TODO and is_spent(task, contracts):
        changes = TaskChanges(attempts_allowed=task.attempts_used + (wanted.attempts or more))
        return (update(task, Cause.AMENDED, changes=changes, reason=reason, by=by),)
    if task.state != TaskState.BLOCKED:
        raise RefusedError(
            f"'{task.task_id}' is not blocked, it is {task.state}",
            hint=f"run 'git esaa show {task.task_id}'",
        )
    events = []
    for other in (task, *_blocked_because_of(state, task.task_id)):
        granted = wanted.attempts if other is task else None
        allowed = None
        if granted is not None or is_spent(other, contracts):
            allowed = other.attempts_used + (granted or more)
        events.append(update(other, Cause.OPERATOR, reason=reason, by=by, attempts_allowed=allowed))
    return tuple(events)


def _blocked_because_of(state: State, task_id: str) -> list[Task]:
    return [
        task
        for task in dependents(state, task_id)
        if task.state == TaskState.BLOCKED
        and task.blocked is not None
        and task.blocked.cause == Cause.DEPENDENCY
        and task.blocked.task_id == task_id
    ]


def relinked(wanted: Relink) -> NewEvent:
    """Return the new link between an effect and the branch."""
    carrier = wanted.carrier
    beside = tuple(BesideEffects(**one.to_json()) for one in carrier.beside)
    return by_actor(
        carrier.accepted_by or ORCHESTRATOR,
        EffectRelinked(
            task_id=wanted.task_id,
            effect_commit=wanted.effect_commit,
            reached_by=carrier.commit,
            text=wanted.text,
            how=cast(How, carrier.how),
            beside=beside or None,
            merged=carrier.merged,
            people=carrier.people or None,
            accepted_by=carrier.accepted_by,
        ),
    )
