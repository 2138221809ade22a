"""What a process was at work on that is gone, taken up again: no attempt is lost with it."""

from __future__ import annotations

from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.proposer import Dispatched, release, resume
from esaa_git.engine.review import release_review
from esaa_git.engine.schedule import is_dispatched


class LeftBehind:
    """The attempts and reviews that others have left, one after the other.

    Args:
        only: the one task that is worked on; None for all.
    """

    def __init__(self, engine: Engine, only: str | None) -> None:
        self._engine = engine
        self._only = only
        self._names: list[str] = []

    def resume(self, state: State) -> Dispatched | None:
        """Ask again for the next of them; None where there is none.

        Raises:
            AgentError: if its agent cannot be asked at all.
        """
        engine = self._engine
        self._names += engine.registry.left_behind()
        while self._names:
            name = self._names.pop(0)
            if name in state.approvals:
                release_review(engine, name, "the process that asked for it is gone")
                continue
            held = (state.tasks[task_id] for task_id in state.run.in_progress)
            task = next((one for one in held if _is_dispatched_as(one, name)), None)
            if task is None:
                continue
            if self._only not in (None, task.task_id):
                release(engine, task.task_id, name, "the process that was at work on it is gone")
                continue
            engine.say(f"{name}: its process is gone, and it is taken up again")
            return resume(engine, task)
        return None


def _is_dispatched_as(task: Task, attempt_id: str) -> bool:
    attempt = task.active_attempt
    return is_dispatched(task) and attempt is not None and attempt.attempt_id == attempt_id
