"""The plan: what people want done, held against what the log says (`plan.yaml`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esaa_git.core import limits
from esaa_git.core.accounts import Budget
from esaa_git.core.contract_rules import required_checks
from esaa_git.core.contracts import Contracts
from esaa_git.core.documents import decode_yaml
from esaa_git.core.events.base import decode
from esaa_git.core.events.fields import TaskChanges, TaskDefinition
from esaa_git.core.globs import GlobSet
from esaa_git.core.machine import TaskState
from esaa_git.core.schema_faults import checked
from esaa_git.core.state import State
from esaa_git.core.task import DEFINITION_FIELDS, CheckCommand, Task
from esaa_git.errors import ConfigurationError

PLAN = "plan.yaml"


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan: the project's name, and the definitions of its tasks in the order of the file."""

    project: str
    tasks: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Amendment:
    """How the plan changes a task that is not done: field by field, before and after."""

    task: Task
    changes: Mapping[str, tuple[Any, Any]]

    @property
    def after(self) -> TaskChanges:
        """Return what the definition is to say, as the log records it."""
        return decode(TaskChanges, {name: new for name, (_, new) in self.changes.items()})


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """What applying a plan would do, and what it cannot.

    `final` are differences on done tasks and those in progress, which an apply leaves alone;
    `unplanned` are tasks of the log that the plan does not name (hotfixes, subtasks).
    """

    new: tuple[Mapping[str, Any], ...]
    amended: tuple[Amendment, ...]
    final: tuple[Amendment, ...]
    unplanned: tuple[Task, ...]
    unchanged: int

    @property
    def is_empty(self) -> bool:
        return not self.new and not self.amended


def load_plan(data: bytes, name: str = f".roadmap/{PLAN}") -> Plan:
    """Return the plan in these bytes.

    Raises:
        ConfigurationError: for YAML that is wrong (with line and column), a document of another
            form, a task id that stands twice, an unknown dependency or a cycle of them.
    """
    document = decode_yaml(data, name, most_bytes=limits.PLAN, most_nodes=limits.PLAN_NODES)
    if document is None:
        raise ConfigurationError(
            f"'{name}' is empty", hint="give it a 'project' and a list of 'tasks'"
        )
    checked(document, "PLAN", name)
    tasks = tuple(_without_defaults(task) for task in document["tasks"])
    for task in tasks:
        for entry in ("writes", "context"):
            try:
                GlobSet(task.get(entry, ()))
            except ValueError as error:
                raise ConfigurationError(
                    f"'{name}': {task['task_id']}: {entry}: {error}",
                    hint=f"correct the glob in '{name}', then repeat the command",
                ) from error
    return Plan(document["project"], tasks)


def check_plan(plan: Plan, state: State, contracts: Contracts) -> None:
    """Refuse a plan that could not be carried out.

    Raises:
        ConfigurationError: naming the tasks at fault.
    """
    seen: set[str] = set()
    for task in plan.tasks:
        task_id = task["task_id"]
        if task_id in seen:
            raise ConfigurationError(
                f"task '{task_id}' stands twice in the plan",
                hint=f"give one of them another id in .roadmap/{PLAN}",
            )
        seen.add(task_id)
        contracts.agent.kind(task["kind"], task["task_id"])
        required_checks(Task.from_json(task), contracts)
        if "reviewer" in task:
            contracts.swarm.agent(task["reviewer"])
    for task in plan.tasks:
        for dependency in task.get("depends_on", ()):
            if dependency not in seen and dependency not in state.tasks:
                raise ConfigurationError(
                    f"task '{task['task_id']}' depends on '{dependency}', which does not exist",
                    hint=f"add it to .roadmap/{PLAN}, or correct 'depends_on'",
                )
    edges = {name: state.tasks[name].depends_on for name in state.tasks}
    edges.update({task["task_id"]: tuple(task.get("depends_on", ())) for task in plan.tasks})
    cycle = find_cycle(edges)
    if cycle is not None:
        raise ConfigurationError(
            f"the dependencies form a cycle: {' → '.join(cycle)}",
            hint=f"remove one of these dependencies in .roadmap/{PLAN}",
        )


def find_cycle(edges: Mapping[str, Sequence[str]]) -> list[str] | None:
    """Return one cycle as the names along it, the first repeated at the end, or None."""
    finished: set[str] = set()
    for start in edges:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, int]] = [(start, 0)]
        while stack:
            name, index = stack.pop()
            if index == 0:
                if name in finished:
                    continue
                if name in on_path:
                    return [*path[path.index(name) :], name]
                path.append(name)
                on_path.add(name)
            following = edges.get(name, ())
            if index < len(following):
                stack.append((name, index + 1))
                stack.append((following[index], 0))
            else:
                finished.add(name)
                on_path.discard(name)
                path.pop()
    return None


def diff_plan(plan: Plan, state: State) -> PlanDiff:
    """Return what the plan says that the log does not."""
    new, amended, final = [], [], []
    unchanged = 0
    for definition in plan.tasks:
        task = state.tasks.get(definition["task_id"])
        if task is None:
            new.append(definition)
            continue
        changes = _changes(task, definition)
        if not changes:
            unchanged += 1
        elif task.state in (TaskState.TODO, TaskState.BLOCKED):
            amended.append(Amendment(task, changes))
        else:
            final.append(Amendment(task, changes))
    planned = {definition["task_id"] for definition in plan.tasks}
    unplanned = tuple(state.tasks[name] for name in state.tasks if name not in planned)
    return PlanDiff(tuple(new), tuple(amended), tuple(final), unplanned, unchanged)


def in_order(tasks: Sequence[Mapping[str, Any]]) -> list[TaskDefinition]:
    """Return new tasks, as the log records them, each after those of them it depends on."""
    by_id = {task["task_id"]: task for task in tasks}
    placed: dict[str, Mapping[str, Any]] = {}
    for task in tasks:
        stack = [task]
        while stack:
            top = stack[-1]
            missing = [
                by_id[name]
                for name in top.get("depends_on", ())
                if name in by_id and name not in placed
            ]
            if missing:
                stack.extend(missing)
            else:
                placed.setdefault(top["task_id"], top)
                stack.pop()
    return [decode(TaskDefinition, task) for task in placed.values()]


_DEFAULTS = {"description": "", "priority": 0, "review": False}


def _without_defaults(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in definition.items()
        if value != [] and (name not in _DEFAULTS or value != _DEFAULTS[name])
    }


def _changes(task: Task, definition: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    changes = {}
    for name in DEFINITION_FIELDS:
        before = getattr(task, name)
        if isinstance(before, tuple):
            before = [item.to_json() if isinstance(item, CheckCommand) else item for item in before]
            after: Any = definition.get(name, [])
        elif name in _DEFAULTS:
            after = definition.get(name, _DEFAULTS[name])
        else:
            # An absent agent or limit is not a wish to remove what an operator set.
            before = before.to_json() if isinstance(before, Budget) else before
            after = definition.get(name, before)
        if before != after:
            changes[name] = (before, after)
    return changes
