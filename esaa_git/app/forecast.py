"""What a run would begin with, found out without recording anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esaa_git.app.branches import working_place
from esaa_git.app.elsewhere import refuse_second_log
from esaa_git.app.project import has_log
from esaa_git.app.roadmap import read_plan
from esaa_git.app.run import to_be_in_force

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.state import State
    from esaa_git.core.task import Task


@dataclass(frozen=True, slots=True)
class WouldAsk:
    """A task that an agent would be asked for."""

    task_id: str
    title: str
    agent: str


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would begin with: whether it is a new one, with how many new tasks of the plan.

    Attributes:
        branch: the one that it works on.
        would_dispatch: what could be worked on, in the order in which it would be.
        waits: in words, what of it would wait although more agents are allowed; None for nothing.
        nothing: in words, why nothing could be dispatched; None where something could.
    """

    branch: str
    starts_run: bool
    new: int
    would_dispatch: Sequence[WouldAsk]
    waits: str | None = None
    nothing: str | None = None


def dry_run(
    project: Project,
    *,
    task_id: str | None = None,
    agent: str | None = None,
    parallel: int = 1,
    overlap: bool = False,
    branch: str | None = None,
) -> DryRun:
    """Return what a run would begin with, and record nothing.

    Args:
        task_id: only this task.
        agent: who would be asked, whatever the kind of task.
        parallel: how many agents could work at once.
        overlap: also where what they may write overlaps.
        branch: the working branch of a new run; in a bare repository, `.roadmap/` is read from it.
    """
    from esaa_git.agents.registry import check_swarm
    from esaa_git.core.plan import check_plan, diff_plan
    from esaa_git.core.state import EMPTY
    from esaa_git.core.task import Task
    from esaa_git.engine.proposer import agent_for
    from esaa_git.engine.schedule import PlanOrder, at_work, eligible, find_task

    state = EMPTY
    place = working_place(project, branch)
    if has_log(project):
        state, _ = project.log.load()
    else:
        refuse_second_log(project)
    plan = read_plan(project.repository, branch)
    contracts = to_be_in_force(project, branch, plan)
    check_swarm(contracts)
    check_plan(plan, state, contracts)
    found = diff_plan(plan, state)
    now = project.engine.moment(state)
    if task_id is not None and task_id not in {task["task_id"] for task in found.new}:
        find_task(state, task_id)
    ready = eligible(state, contracts, now) if state.run.is_open else []
    ready += [Task.from_json(new) for new in found.new if _is_ready(new, state)]
    order = PlanOrder(task["task_id"] for task in plan.tasks)
    ready.sort(key=lambda task: order.place(task.task_id, task.priority))
    if task_id is not None:
        ready = [one for one in ready if one.task_id == task_id]
    asked = [
        WouldAsk(task.task_id, task.title, agent_for(task, contracts, agent).name) for task in ready
    ]
    waits = None if overlap else _waits(at_work(state), ready, contracts, parallel)
    nothing = None
    if not asked:
        named = [task_id] if task_id is not None else [task["task_id"] for task in plan.tasks]
        nothing = _nothing(named, found.new, state, contracts, now)
    return DryRun(place.branch, not state.run.is_open, len(found.new), asked, waits, nothing)


def _is_ready(definition: Mapping[str, Any], state: State) -> bool:
    return not _missing(definition, state)


def _missing(definition: Mapping[str, Any], state: State) -> list[str]:
    """Return what a new task of the plan waits for."""
    named = definition.get("depends_on", ())
    return [one for one in named if (known := state.tasks.get(one)) is None or not known.is_done]


def _nothing(
    named: Sequence[str],
    new: Sequence[Mapping[str, Any]],
    state: State,
    contracts: Contracts,
    now: str,
) -> str:
    """Return in words what keeps the first of these tasks that is not done; of one, whatever it is.

    Args:
        named: tasks in their order; those that no run has taken up yet are among `new`.
    """
    from esaa_git.engine.schedule import blocker

    for one in new:
        if one["task_id"] in named:
            return f"'{one['task_id']}' waits for {', '.join(_missing(one, state))}"
    left = [state.tasks[name] for name in named if name in state.tasks]
    for task in left if len(left) == 1 else [task for task in left if not task.is_done]:
        found = blocker(state, contracts, task, now)
        if found is not None:
            return f"{found.message}; {found.hint}" if found.hint else found.message
    return "every task of the plan is done"


def _waits(
    running: list[Task], ready: Sequence[Task], contracts: Contracts, parallel: int
) -> str | None:
    """Set as many to work as are allowed, and say which wait for one that may write the same."""
    from esaa_git.engine.idle import meeting_words
    from esaa_git.engine.schedule import Selection

    selection = Selection(overlap=False, shared=False)
    waiting = []
    for task in ready:
        if len(running) >= parallel:
            break
        other = selection.in_the_way(task, contracts, running)
        if other is None:
            running.append(task)
        else:
            waiting.append((task, other))
    return meeting_words(waiting) if waiting else None
