"""Why fewer agents are at work than `--parallel` allows, said once in a run for each cause."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from esaa_git.core.contracts import Contracts
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.options import Options
from esaa_git.engine.schedule import Selection

_NAMED: Final = 3
"""How many tasks that wait are named."""


def meeting_words(waiting: Sequence[tuple[Task, Task]]) -> str:
    """Return in words which tasks wait since they may write what others may, and the way out."""
    names = [f"'{task.task_id}'" for task, _ in waiting[:_NAMED]]
    more = len(waiting) - len(names)
    who = ", ".join(names) + (f" and {more} more" if more else "")
    others = {other.task_id: f"'{other.task_id}'" for _, other in waiting}
    verb = "waits" if len(waiting) == 1 else "wait"
    return (
        f"{who} {verb} for {', '.join(list(others.values())[:_NAMED])}: what they may write "
        "overlaps; narrow it by 'writes' in .roadmap/plan.yaml, or use --overlap"
    )


class Idleness:
    """What one run has said of agents that had nothing to do beside others at work."""

    def __init__(self, engine: Engine, options: Options, selection: Selection) -> None:
        self._engine = engine
        self._options = options
        self._selection = selection
        self._told: set[str] = set()
        self._seen: int | None = None
        self._was_parallel = False

    def tell(self, state: State, contracts: Contracts, busy: int) -> None:
        """Say why no other agent is set to work beside those that are, where that is new.

        Args:
            busy: how many agents of this run are at work.
        """
        self._was_parallel |= busy > 1
        if not 0 < busy < self._options.parallel or self._seen == state.seq:
            return
        self._seen = state.seq
        cause, why = self._cause(state, contracts)
        if cause in self._told or (cause != "overlap" and self._was_parallel):
            return
        if cause == "end" and self._told:
            return
        self._told.add(cause)
        self._engine.say(f"{busy} of {self._options.parallel} agents at work: {why}")

    def _cause(self, state: State, contracts: Contracts) -> tuple[str, str]:
        options = self._options
        if options.task_id is not None:
            return "task", f"--task asks for '{options.task_id}' alone"
        now = self._engine.moment(state)
        waiting = self._selection.waiting(state, contracts, now)
        if waiting:
            return "overlap", meeting_words(waiting)
        if dict(state.run.by_state).get(TaskState.TODO, 0):
            blocker = self._selection.blocked_first(state, contracts, now)
            if blocker is not None:
                return "blocked", blocker.message
            resting = self._selection.resting(state, contracts, now)
            if resting:
                first = f"'{resting[0].task_id}'"
                return "rest", f"{first} waits for an agent whose service is away"
            short = self._selection.short(state, contracts, now)
            if short:
                return "budget", f"'{short[0].task_id}' does not fit into a budget now"
            return "steps", "--steps allows no other attempt"
        return "end", "no other task is left"
