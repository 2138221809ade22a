"""Selection: which task is taken up next, beside those that agents are at work on."""

from __future__ import annotations

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import timestamp
from esaa_git.core.globs import GlobSet, overlaps
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State, Task
from esaa_git.engine import decide
from esaa_git.engine.engine import Engine
from esaa_git.errors import RefusedError


class Selection:
    """Chooses the next task: most urgent first, and none that may write what another one may.

    What a task may write is what it declares: its own `writes`, else its kind's. Whom an agent is
    at work for is read from the log, so that other processes' attempts count; a claim by a person
    keeps nobody waiting, since their changes are merged when they come.

    Args:
        overlap: take tasks up although what they may write overlaps.
    """

    def __init__(self, engine: Engine, overlap: bool) -> None:
        self._engine = engine
        self._overlap = overlap
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], bool] = {}

    def next(self, state: State, task_id: str | None) -> Task | None:
        """Return the task to take up now, or None where there is none.

        Raises:
            RefusedError: if `task_id` names a task that cannot be worked on, saying why.
        """
        _, contracts = self._engine.log.load()
        now = max(timestamp(self._engine.clock.now()), state.ts)
        running = [
            _declared(task, contracts)
            for task in (state.tasks[name] for name in state.run.in_progress)
            if task.active_attempt is not None and task.active_attempt.mode == "dispatch"
        ]
        if task_id is not None:
            task = self._named(state, contracts, task_id, now)
            return None if task is None or self._meets(task, contracts, running) else task
        for task in decide.eligible(state, contracts, now):
            if not self._meets(task, contracts, running):
                return task
        return None

    def _named(self, state: State, contracts: Contracts, task_id: str, now: str) -> Task | None:
        task = decide.find_task(state, task_id)
        found = decide.hindrance(state, contracts, task, now)
        if found is None:
            return task
        cools = task.not_before is not None and now < task.not_before
        if task.state in (TaskState.DONE, TaskState.BLOCKED) or (
            task.state == TaskState.TODO and cools
        ):
            return None
        if task.state == TaskState.IN_PROGRESS and self._engine.sharing is not None:
            return None  # another worker has it, and may yet fail
        raise RefusedError(found.message, hint=found.hint)

    def _meets(self, task: Task, contracts: Contracts, running: list[tuple[str, ...]]) -> bool:
        if self._overlap or not running:
            return False
        own = _declared(task, contracts)
        return any(self._overlaps(own, other) for other in running)

    def _overlaps(self, a: tuple[str, ...], b: tuple[str, ...]) -> bool:
        key = (a, b) if a <= b else (b, a)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = overlaps(GlobSet(a), GlobSet(b))
        return found


def _declared(task: Task, contracts: Contracts) -> tuple[str, ...]:
    return task.writes or contracts.agent.kind(task.kind).write_patterns
