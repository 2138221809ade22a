"""`issue.report`: an agent or a person reports a defect or a blocker."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Line, Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, AttemptId, Exchange, IssueId, Severity, TaskId
from esaa_git.core.events.spec import AGENT, ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Issue

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class IssueReport(Payload, action="issue.report", by={AGENT, PERSON, ORCHESTRATOR}):
    """Something is wrong; `reported_as` is the severity it had before policy raised it."""

    issue_id: IssueId
    severity: Severity
    title: Annotated[str, Line()]
    description: Annotated[str, Text(20_000)] | None = None
    task_id: TaskId | None = None
    attempt_id: AttemptId | None = None
    reported_as: Severity | None = None
    exchange: Exchange | None = None
    agent: Actor | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        issue_id = f"ISS-{draft.run.issues + 1:04d}"
        if self.issue_id != issue_id:
            raise Violation("INV-005", f"the next issue is {issue_id}, not {self.issue_id}")
        draft.put_issue(
            Issue(
                issue_id,
                self.severity,
                self.title,
                event.actor,
                self.description or "",
                self.task_id,
                self.attempt_id,
                self.reported_as,
            )
        )
        if self.task_id is not None:
            task = draft.task(self.task_id)
            if not task.is_done and "medium" in (self.severity, self.reported_as):
                draft.put_task(replace(task, medium_issues=task.medium_issues + 1))

    def subject(self) -> str:
        about = f" on {self.task_id}" if self.task_id is not None else ""
        return f"{self.issue_id} {self.severity}{about}: {self.title}"
