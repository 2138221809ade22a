"""`task.create`: a task appears; a hotfix names what it supersedes, an undo what it undoes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.entries import Undo
from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, IssueId, TaskDefinition, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.state import OVERRIDDEN
from esaa_git.core.task import Task
from esaa_git.core.undone import undo_fault

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class TaskCreate(Payload, action="task.create", by={ORCHESTRATOR}):
    """A task is added to a run that is open; one that undoes another needs no open run."""

    task: TaskDefinition
    by: Actor | None = None
    reason: Annotated[str, Text(2000)] | None = None
    supersedes: TaskId | None = None
    issue_id: IssueId | None = None
    undoes: TaskId | None = None

    @property
    def task_id(self) -> str:
        return self.task.task_id

    def evolve(self, draft: Draft, event: Stamp) -> None:
        if self.undoes is None:
            draft.require_open_run()
        for dependency in self.task.depends_on or ():
            draft.task(dependency)
        task = draft.create_task(self.task.task(), "task.create")
        if self.undoes is not None:
            self._undo(draft, task, self.undoes)
            return
        superseded = self.supersedes
        if superseded is not None:
            if not draft.task(superseded).is_done:
                raise Violation("INV-002", f"only a done task is superseded, not '{superseded}'")
            successor = draft.supersessions.successor_of(superseded)
            if successor not in (None, OVERRIDDEN):
                raise Violation("INV-002", f"'{superseded}' is superseded by '{successor}' already")
            draft.supersede(superseded, task.task_id)
        if superseded is not None or self.issue_id is not None:
            draft.put_task(replace(task, supersedes=superseded, issue_id=self.issue_id))

    def _undo(self, draft: Draft, task: Task, undone: str) -> None:
        """Begin to take a done task back, on which nothing builds that is not taken back first."""
        if self.supersedes is not None or self.issue_id is not None or self.by is None:
            raise Violation("INV-003", f"'{task.task_id}' undoes a task at a person's word alone")
        fault = undo_fault(draft, undone)
        if fault is not None:
            raise Violation("INV-002", fault)
        draft.begin_undo(undone, Undo(task.task_id, self.by))
        draft.put_task(replace(task, undoes=undone))

    def subject(self) -> str:
        what = ""
        if self.supersedes is not None:
            what = f" (supersedes {self.supersedes})"
        elif self.undoes is not None:
            what = f" (undoes {self.undoes})"
        return f"{self.task.task_id}: {self.task.title}{what}"
