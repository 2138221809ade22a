"""A tail that is decided again: what became of its events, and of the ids given out in it.

Attempts, approvals, issues and runs get new numbers where others were faster, and a task of the
tail may be another one than the task that has its id by now.
"""

from __future__ import annotations

from dataclasses import dataclass

from esaa_git.core.event import StoredEvent
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.state import State
from esaa_git.core.task import DEFINITION_FIELDS, Task

AGAIN = "recorded again"
ALREADY = "there already"
CONCLUDED = "concluded anew"
CHANGED = "decided otherwise"
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event of the tail.

    `kind` is one of the words above; `became` names the new events. What a transaction recorded
    is named by the event that led to it, and its `CONCLUDED` events name none.
    """

    old: StoredEvent
    kind: str
    reason: str = ""
    became: tuple[str, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Answer whether the new log does not say what this event said."""
        return self.kind == LEFT_OUT


class LeftOut(Exception):
    """An event does not apply any more; the message is the reason."""


class Ids:
    """The ids of one tail, by what they were; an id that was not given out in it stays."""

    def __init__(self) -> None:
        self._attempts: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        self._approvals: dict[str, str] = {}
        self._issues: dict[str, str] = {}
        self._questions: dict[str, str] = {}
        self._lessons: dict[str, str] = {}
        self._requests: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._strangers: set[str] = set()

    # -- attempts ---------------------------------------------------------------------------

    def end_attempt(self, old: str, reason: str) -> None:
        """Leave out whatever else the tail says of an attempt."""
        self._ended[old] = reason

    def put_attempt(self, old: str, new: str) -> None:
        self._attempts[old] = new
        self._ended.pop(old, None)

    def has_ended(self, old: str) -> bool:
        return old in self._ended

    def attempt(self, old: str) -> str:
        """Return what an attempt is called now.

        Raises:
            LeftOut: if it was left out, or its result was rejected.
        """
        if old in self._ended:
            raise LeftOut(self._ended[old])
        return self._attempts.get(old, old)

    # -- approvals, issues, lessons, runs ---------------------------------------------------

    def put_approval(self, old: str, new: str) -> None:
        self._approvals[old] = new

    def approval(self, old: str, state: State) -> str:
        """Return the approval that is still pending under its number of today."""
        found = self._approvals.get(old, old)
        approval = state.approvals.get(found)
        if approval is None:
            raise LeftOut(f"nobody asks for '{old}' there")
        if approval.state != "pending":
            raise LeftOut(f"'{found}' was {approval.state} by {approval.decided_by} meanwhile")
        return found

    def put_issue(self, old: str, new: str) -> None:
        self._issues[old] = new

    def issue(self, old: str) -> str:
        return self._issues.get(old, old)

    def put_question(self, old: str, new: str) -> None:
        self._questions[old] = new

    def question(self, old: str) -> str:
        return self._questions.get(old, old)

    def put_lesson(self, old: str, new: str) -> None:
        self._lessons[old] = new

    def lesson(self, old: str) -> str:
        return self._lessons.get(old, old)

    def put_request(self, old: str, new: str) -> None:
        self._requests[old] = new

    def request(self, old: str) -> str | None:
        """Return the id of a request that was recorded again; None for one that was not."""
        return self._requests.get(old)

    def put_run(self, old: str, new: str) -> None:
        self._runs[old] = new

    def run(self, old: str) -> str:
        return self._runs.get(old, old)

    # -- tasks ------------------------------------------------------------------------------

    def is_new(self, definition: TaskDefinition, state: State) -> bool:
        """Answer whether there is no task of this id; note where there is, and it is another."""
        task = state.tasks.get(definition.task_id)
        if task is not None and not _is_same(task, definition):
            self._strangers.add(task.task_id)
        return task is None

    def make_stranger(self, task_id: str) -> None:
        """Note that the task of this id is not the one that the tail speaks of."""
        self._strangers.add(task_id)

    def is_stranger(self, task_id: str | None) -> bool:
        return task_id in self._strangers


def _is_same(task: Task, definition: TaskDefinition) -> bool:
    wanted = definition.task()
    return all(getattr(task, name) == getattr(wanted, name) for name in DEFINITION_FIELDS)
