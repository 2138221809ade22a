"""What a run is going to use: agents, reviewers and checks of the tasks that are ahead of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from esaa_git.app.roadmap import check_usable
from esaa_git.core.agent_contract import Check, make_check
from esaa_git.core.machine import TaskState
from esaa_git.errors import AgentError, NotAllowed

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan
    from esaa_git.core.state import State
    from esaa_git.core.task import Task


@dataclass(frozen=True, slots=True)
class Ahead:
    """A task that a run may come to: who works on it, who judges it, and the checks of its own."""

    task_id: str
    kind: str
    agent: str | None
    reviewer: str | None
    checks: tuple[Check, ...]


def ahead(plan: Plan, state: State, task_id: str | None = None) -> list[Ahead]:
    """Return the tasks of plan and log that agents may still be asked for.

    Args:
        task_id: this one alone.
    """
    found = {
        task["task_id"]: Ahead(
            task["task_id"],
            task["kind"],
            task.get("agent"),
            task.get("reviewer"),
            tuple(
                make_check(one["name"], one["run"], one.get("timeout"), task["task_id"])
                for one in task.get("checks", ())
            ),
        )
        for task in plan.tasks
    }
    for known in state.tasks.values():
        if known.is_done or known.state == TaskState.BLOCKED:
            found.pop(known.task_id, None)
        elif known.task_id not in found:
            found[known.task_id] = of_log(known)
    return [one for one in found.values() if task_id in (None, one.task_id)]


def of_log(task: Task) -> Ahead:
    """Return a task of the log as one that may be worked on."""
    own = tuple(make_check(one.name, one.run, one.timeout, task.task_id) for one in task.checks)
    return Ahead(task.task_id, task.kind, task.agent, task.reviewer, own)


def require_programs(
    project: Project, contracts: Contracts, tasks: Sequence[Ahead], agent: str | None = None
) -> None:
    """Refuse to go on where an agent of these tasks cannot be asked, or its answer not be checked.

    Args:
        contracts: those that the run goes by.
        agent: who is asked, whatever the kind of task.

    Raises:
        AgentError: naming what is missing.
        NotAllowed: if the user of this machine has not agreed to it.
    """
    from esaa_git.engine.laying import require_pinned, require_setup

    check_usable(contracts)
    kinds, swarm = contracts.agent.kinds, contracts.swarm
    known = [task for task in tasks if task.kind in kinds]
    at_work: set[tuple[str, str]] = set()
    for task in known:
        named = agent or task.agent
        names = (named,) if named else swarm.line_up(task.kind)
        at_work.update((name, task.kind) for name in names)
        reviewer = task.reviewer or swarm.reviewers.get(task.kind)
        if reviewer is not None and kinds[task.kind].review == "agent":
            at_work.add((reviewer, task.kind))
    for name, kind in sorted(at_work):
        entry = contracts.at_work(name, kind)
        require_setup(entry.setups, contracts)
        project.make_agent(entry, contracts).ready()
    for task in known:
        checks = contracts.checks(task.kind, task.checks)
        try:
            require_pinned(checks, contracts)
            project.engine.checker.ready(checks)
        except NotAllowed:
            raise
        except AgentError as error:
            raise AgentError(
                f"'{task.task_id}' cannot be checked here: {error.message}",
                cause=error.cause,
                hint=error.hint,
            ) from error
