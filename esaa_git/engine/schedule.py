"""Selection: what can be worked on, and which task is taken up next beside those under way."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from esaa_git.core.contract_rules import attempts_allowed, is_success
from esaa_git.core.contracts import Contracts
from esaa_git.core.events.run_end import RunResult
from esaa_git.core.globs import GlobSet, overlaps
from esaa_git.core.machine import RunState, TaskState
from esaa_git.core.state import OVERRIDDEN, State
from esaa_git.core.task import Task
from esaa_git.core.undone import satisfies
from esaa_git.errors import RefusedError, RunHalted, UsageError


def find_task(state: State, task_id: str) -> Task:
    """Return a task by id, or raise a UsageError that helps to find the right one."""
    task = state.tasks.get(task_id)
    asked = state.approvals.get(task_id)
    if task is None and (asked is not None or task_id.startswith("APR-")):
        what = f"no request '{task_id}'"
        if asked is not None:
            whose = "more of a budget" if asked.raises is not None else f"'{asked.task_id}'"
            what = f"'{task_id}' is no task: it is a request for {whose}, and {asked.state}"
        raise UsageError(what, hint="run 'git esaa review' to see what waits for a decision")
    if task is None:
        raise UsageError(
            f"no task '{task_id}'",
            hint="run 'git esaa task list' to see the tasks there are; one that stands in "
            ".roadmap/plan.yaml alone is created by 'git esaa plan apply'",
        )
    return task


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


_STEPS = 4
"""How many of the steps to a task that waits are named."""

# -- eligibility ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blocker:
    """Why no attempt can be opened on a task now."""

    message: str
    hint: str | None = None


def blocker(state: State, contracts: Contracts, task: Task, now: str) -> Blocker | None:
    """Return why no attempt can be opened on the task at this moment, or None."""
    name = task.task_id
    if task.is_done:
        by = state.undone.by(name)
        if by is not None:
            again = f"run 'git esaa undo {by.task_id}' to have it back"
            return Blocker(f"'{name}' was undone by '{by.task_id}'", again)
        hotfix = f"run 'git esaa hotfix {name} --title TEXT --reason TEXT' for a task after it"
        successor = state.supersessions.successor_of(name)
        if successor is None:
            return Blocker(f"'{name}' is done, and done is final", hotfix)
        if successor == OVERRIDDEN:
            return Blocker(f"'{name}' was overridden", hotfix)
        return Blocker(f"'{name}' is superseded by '{successor}'", f"work on '{successor}' instead")
    if task.undoes is not None and task.state == TaskState.TODO:
        return Blocker(
            f"'{name}' undoes '{task.undoes}', and no agent is asked for that",
            "run 'git esaa undo' to go on with it",
        )
    if state.stop.by is not None:
        return Blocker(
            f"everything is stopped by {state.stop.by} since {state.stop.since}",
            "an admin lets it go on with 'git esaa resume'",
        )
    if not state.run.is_open:
        return Blocker(
            f"no run is open (the run is {state.run.state})",
            "run 'git esaa run' or 'git esaa plan apply' to start one",
        )
    if task.state == TaskState.IN_PROGRESS:
        holder = task.attempt.agent if task.attempt else "somebody"
        if task.pending_approval is not None:
            approval = state.approvals[task.pending_approval]
            if approval.state != "pending":
                return Blocker(
                    f"the review of '{name}' is {approval.state} by {approval.decided_by}, and "
                    "waits for the orchestrator",
                    "run 'git esaa run' where its key is",
                )
            return Blocker(
                f"'{name}' waits for a review of {holder}'s work",
                f"run 'git esaa review {name}'",
            )
        until = task.attempt.deadline if task.attempt else now
        return Blocker(f"'{name}' is in progress: {holder} holds it until {until}")
    if task.state == TaskState.BLOCKED:
        why = task.blocked.reason or task.blocked.cause if task.blocked else "no reason given"
        return Blocker(f"'{name}' is blocked: {why}", f"run {_way_on(task)}")
    missing = [other for other in task.depends_on if not satisfies(state, other)]
    if missing:
        named = (f"{one} (undone)" if state.undone.by(one) is not None else one for one in missing)
        return Blocker(f"'{name}' waits for {', '.join(named)}", _way_to(state, task))
    if task.not_before is not None and now < task.not_before:
        return Blocker(f"'{name}' cools down until {task.not_before}")
    if is_spent(task, contracts):
        return Blocker(
            f"the attempts of '{name}' are spent",
            f"run 'git esaa task unblock {name} --attempts N --reason TEXT'",
        )
    return None


def _way_to(state: State, task: Task) -> str:
    """Return in words how what a task waits for is done, each after what it waits for itself."""
    undone: dict[str, Task] = {}
    stack = [task]
    while stack:
        missing = [
            other
            for other in map(state.tasks.__getitem__, stack[-1].depends_on)
            if not satisfies(state, other.task_id) and other.task_id not in undone
        ]
        if missing:
            stack.append(missing[0])
        else:
            last = stack.pop()
            undone[last.task_id] = last
    steps = [_step(state, one) for one in undone.values()]
    shown = steps[:_STEPS] + (["so on"] if len(steps) > _STEPS else [])
    return f"run {', then '.join(shown)}; or 'git esaa run' for the whole plan"


def _step(state: State, task: Task) -> str:
    name = task.task_id
    by = state.undone.by(name)
    if by is not None:
        return f"'git esaa undo {by.task_id}' (it has undone '{name}')"
    if task.is_done or task.undoes is not None:
        return "'git esaa undo' for what is being undone"
    if task.state == TaskState.BLOCKED:
        return f"{_way_on(task)} and 'git esaa run --task {name}'"
    if task.pending_approval is not None:
        return f"'git esaa review {name}'"
    if task.active_attempt is not None:
        return f"'git esaa status' until {task.active_attempt.agent} has done '{name}'"
    return f"'git esaa run --task {name}'"


def _way_on(task: Task) -> str:
    """Return the command by which a person has a blocked task go on."""
    if task.asks:
        return f"'git esaa answer {task.task_id} TEXT'"
    return f"'git esaa task unblock {task.task_id} --reason TEXT'"


def is_spent(task: Task, contracts: Contracts) -> bool:
    """Answer whether the task has no attempt left."""
    return task.attempts_used >= attempts_allowed(task, contracts)


class PlanOrder:
    """Which of two tasks goes first: the one of higher priority, else the first in the plan.

    Tasks that the plan does not name go after those that it names, by their ids, in which digits
    count as numbers: T-2 before T-10.

    Args:
        names: the ids of the plan's tasks in the order of the file.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._places = {name: place for place, name in enumerate(names)}

    def place(self, task_id: str, priority: int) -> tuple[int, int, list[str | int]]:
        """Return what sorts before the place of every task that goes later."""
        parts = re.split("([0-9]+)", task_id)
        natural = [int(part) if index % 2 else part for index, part in enumerate(parts)]
        return -priority, self._places.get(task_id, len(self._places)), natural


BY_ID = PlanOrder()
"""The order where no plan is at hand."""


def eligible(state: State, contracts: Contracts, now: str, order: PlanOrder = BY_ID) -> list[Task]:
    """Return the tasks that can be worked on, in the order in which they are taken up."""
    found = [
        task
        for task in state.tasks.values()
        if task.state == TaskState.TODO and blocker(state, contracts, task, now) is None
    ]
    return sorted(found, key=lambda task: order.place(task.task_id, task.priority))


def at_work(state: State) -> list[Task]:
    """Return the tasks that an agent is at work on, set to it by a run of any process."""
    held = (state.tasks[name] for name in state.run.in_progress)
    return [task for task in held if is_dispatched(task)]


def is_dispatched(task: Task) -> bool:
    """Answer whether an agent that a run has set to work holds the task."""
    return task.active_attempt is not None and task.active_attempt.mode == "dispatch"


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


# -- the end of a run -------------------------------------------------------------------------


def outcome(state: State, contracts: Contracts) -> tuple[RunResult, str] | None:
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
    """Answer whether a claim, a review, a question or a cooldown still keeps the run going."""
    return bool(state.run.in_progress or asking(state)) or any(
        task.not_before is not None and task.state == TaskState.TODO
        for task in state.tasks.values()
    )


def asking(state: State) -> list[str]:
    """Return the tasks that wait for an answer to a question."""
    return [name for name in state.run.blocked if state.tasks[name].asks]


# -- which one is next ------------------------------------------------------------------------


class Selection:
    """Chooses the next task: the first in the plan's order that writes nowhere another one may.

    What a task may write is what it declares: its own `writes`, else its kind's. Whom an agent is
    at work for is read from the log, so that other processes' attempts count; a claim by a person
    keeps no agent waiting, since their changes are merged when they come.

    Args:
        overlap: take tasks up although what they may write overlaps.
        shared: other machines work on the same log.
        order: which of two that can be worked on goes first.
        rests: answers whether all who could work on a task rest.
        held: answers whether a budget has no room for a task.
    """

    def __init__(
        self,
        *,
        overlap: bool,
        shared: bool,
        order: PlanOrder = BY_ID,
        rests: Callable[[Task, Contracts], bool] = lambda _task, _contracts: False,
        held: Callable[[Task], bool] = lambda _task: False,
    ) -> None:
        self._overlap = overlap
        self._shared = shared
        self._order = order
        self._rests = rests
        self._held = held
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], bool] = {}

    def next(
        self,
        state: State,
        contracts: Contracts,
        now: str,
        task_id: str | None,
        last: Collection[str] = (),
    ) -> Task | None:
        """Return the task to take up now, or None where there is none.

        Args:
            last: tasks that are taken up where there is no other.

        Raises:
            RefusedError: if `task_id` names a task that cannot be worked on, saying why.
        """
        if task_id is not None:
            named = self._named(state, contracts, task_id, now)
            candidates = [] if named is None else [named]
        else:
            candidates = self._awake(state, contracts, now)
        running = at_work(state)
        free = (task for task in candidates if not self.in_the_way(task, contracts, running))
        if not last:
            return next(free, None)
        return min(free, key=lambda task: task.task_id in last, default=None)

    def waiting(self, state: State, contracts: Contracts, now: str) -> list[tuple[Task, Task]]:
        """Return what could be worked on and is not, each with the one at work that it meets."""
        running = at_work(state)
        found = (
            (task, self.in_the_way(task, contracts, running))
            for task in self._awake(state, contracts, now)
        )
        return [(task, other) for task, other in found if other is not None]

    def resting(self, state: State, contracts: Contracts, now: str) -> list[Task]:
        """Return what could be worked on if those who could do it did not rest."""
        found = eligible(state, contracts, now, self._order)
        return [task for task in found if self._rests(task, contracts)]

    def _awake(self, state: State, contracts: Contracts, now: str) -> list[Task]:
        found = eligible(state, contracts, now, self._order)
        return [task for task in found if not self._rests(task, contracts) and not self._held(task)]

    def short(self, state: State, contracts: Contracts, now: str) -> list[Task]:
        """Return what could be worked on if a budget had room for it."""
        found = eligible(state, contracts, now, self._order)
        return [task for task in found if self._held(task)]

    def blocked_first(self, state: State, contracts: Contracts, now: str) -> Blocker | None:
        """Return what keeps the first of the tasks that are left from being worked on."""
        left = [task for task in state.tasks.values() if task.state == TaskState.TODO]
        first = min(left, key=lambda task: self._order.place(task.task_id, task.priority))
        return blocker(state, contracts, first, now)

    def _named(self, state: State, contracts: Contracts, task_id: str, now: str) -> Task | None:
        task = find_task(state, task_id)
        found = blocker(state, contracts, task, now)
        if found is None:
            return None if self._rests(task, contracts) or self._held(task) else task
        cools = task.not_before is not None and now < task.not_before
        if task.state in (TaskState.DONE, TaskState.BLOCKED) or (
            task.state == TaskState.TODO and cools
        ):
            return None
        if task.state == TaskState.IN_PROGRESS and self._shared:
            return None  # another worker has it, and may yet fail
        raise RefusedError(found.message, hint=found.hint)

    def in_the_way(self, task: Task, contracts: Contracts, running: Sequence[Task]) -> Task | None:
        """Return the first of those at work that may write what this task may; None if none."""
        if self._overlap or not running:
            return None
        own = _declared(task, contracts)
        meets = (other for other in running if self._overlaps(own, _declared(other, contracts)))
        return next(meets, None)

    def _overlaps(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        key = (a, b) if a <= b else (b, a)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = overlaps(GlobSet(a), GlobSet(b))
        return found


def _declared(task: Task, contracts: Contracts) -> tuple[str, ...]:
    return task.writes or contracts.agent.kind(task.kind).write_patterns
