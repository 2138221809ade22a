"""`task.create`: a task appears; a hotfix names the done task it supersedes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, IssueId, TaskDefinition, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.state import OVERRIDDEN

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class TaskCreate(Payload, action="task.create", by={ORCHESTRATOR}):
    """A task is added to a run that is open."""

    task: TaskDefinition
    by: Actor | None = None
    reason: Annotated[str, Text(2000)] | None = None
    supersedes: TaskId | None = None
    issue_id: IssueId | None = None

    @property
    def task_id(self) -> str:
        return self.task.task_id

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.require_open_run()
        for dependency in self.task.depends_on or ():
            draft.task(dependency)
        task = draft.create_task(self.task.task(), "task.create")
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

    def subject(self) -> str:
        hotfix = f" (supersedes {self.supersedes})" if self.supersedes is not None else ""
        return f"{self.task.task_id}: {self.task.title}{hotfix}"
