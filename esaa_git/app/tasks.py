"""What people decide about a task: to add it, to free it, to correct what is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from esaa_git.errors import UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.events.fields import TaskDefinition
    from esaa_git.core.task import Task

_NOT_GIVEN = {"kind": "", "title": None}
"""A definition may lack what a task must have; the event's schema says so in words."""


def add(project: Project, definition: Mapping[str, Any], actor: str | None) -> None:
    """Create a task outside of the plan.

    Args:
        definition: as in the plan.
        actor: who decides it; by default whom git's configuration names. So in all of these.
    """
    from esaa_git.engine import operator

    task = _task(definition)
    operator.add_task(project.engine, task, project.actor(actor))


def unblock(
    project: Project, task_id: str, actor: str | None, reason: str, attempts: int | None = None
) -> list[str]:
    """Return a blocked task to `todo`, and those that were blocked because of it; name them all.

    None is named where the orchestrator's key is elsewhere: its next run carries it out.

    Args:
        attempts: how many more are granted.
    """
    from esaa_git.engine import operator

    return operator.unblock(project.engine, task_id, project.actor(actor), reason, attempts)


def unblock_many(
    project: Project,
    task_ids: Sequence[str],
    actor: str | None,
    reason: str,
    attempts: int | None = None,
    *,
    cause: str | None = None,
) -> list[str]:
    """Free several blocked tasks, each as `unblock` does, and name all that go on.

    One that is blocked because of another one of them goes with that.

    Args:
        task_ids: which; none for all that are blocked.
        cause: only those that are blocked by this cause.

    Raises:
        UsageError: if there is no such task, or none is blocked by this cause; nothing is recorded.
    """
    from esaa_git.engine.schedule import find_task

    state, _ = project.log.load()
    chosen = [find_task(state, name) for name in task_ids or state.run.blocked]
    causes = {task.task_id: task.blocked.cause for task in chosen if task.blocked is not None}
    if cause is not None:
        chosen = [task for task in chosen if causes.get(task.task_id) == cause]
        if not chosen:
            raise UsageError(
                f"no task is blocked by '{cause}'",
                cause="there are " + ", ".join(sorted(set(causes.values()))) if causes else None,
                hint="run 'git esaa task list --state blocked'",
            )
    names = {task.task_id for task in chosen}
    freed: list[str] = []
    for task in chosen:
        blocked = task.blocked
        follows = blocked is not None and blocked.task_id in names
        if not follows:
            freed += unblock(project, task.task_id, actor, reason, attempts)
    return freed


def release(project: Project, task_id: str, actor: str | None, reason: str) -> None:
    """Give back a task that an agent or a person holds; the attempt does not count."""
    from esaa_git.engine import operator

    operator.unclaim(project.engine, task_id, project.actor(actor), reason)


def find(project: Project, task_id: str) -> Task:
    """Return a task of the log.

    Raises:
        UsageError: if there is no such task.
    """
    from esaa_git.engine.schedule import find_task

    return find_task(project.log.load()[0], task_id)


def hotfix(
    project: Project,
    task_id: str,
    definition: Mapping[str, Any],
    actor: str | None,
    reason: str,
    issue_id: str | None = None,
) -> str:
    """Create the task that corrects a done one, and return its id.

    Where the orchestrator's key is elsewhere, it is asked for, and the next run there creates it.

    Args:
        definition: of the new task; without an id it gets one after the task that it corrects.
        issue_id: the issue that it answers.
    """
    from esaa_git.engine import operator

    task = _task({"task_id": "", **definition})
    by = project.actor(actor)
    return operator.hotfix(project.engine, task_id, task, by, reason, issue_id)


def override(project: Project, task_id: str, actor: str | None, reason: str) -> None:
    """Set a done task aside, without touching its record or its effect."""
    from esaa_git.engine import operator

    operator.override(project.engine, task_id, project.actor(actor), reason)


def _task(definition: Mapping[str, Any]) -> TaskDefinition:
    """Return the record of a definition; what it has that no task has is refused, not dropped."""
    from esaa_git.core.events.base import decode, schema_of
    from esaa_git.core.events.fields import TaskDefinition

    unknown = sorted(definition.keys() - schema_of(TaskDefinition)["properties"].keys())
    if unknown:
        raise UsageError(
            f"a task has no '{unknown[0]}'", hint='docs/FORMAT.md, "Vocabulary", lists what it has'
        )
    return decode(TaskDefinition, {**_NOT_GIVEN, **definition})
