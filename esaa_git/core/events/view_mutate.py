"""`orchestrator.view.mutate`: an annotation of a read-model; no task changes its state by it.

The vocabulary has no action of its own for these, so they share this awkward one: the
resolution of an issue, a review that is given back, and a new link between an effect and the
branch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import Actor, ApprovalId, IssueId, Oid, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

_Words = Annotated[str, Text(4000, 1)]


class ViewMutate(Payload, action="orchestrator.view.mutate", by={ORCHESTRATOR}):
    """One of those below; `view` tells which."""


class IssueResolved(ViewMutate):
    """A person says how an issue was resolved."""

    view: Literal["issue"] = "issue"
    issue_id: IssueId
    by: Actor
    text: _Words

    def evolve(self, draft: Draft, event: Stamp) -> None:
        if self.issue_id not in draft.issues:
            raise Violation("INV-002", f"there is no issue '{self.issue_id}'")
        issue = draft.issues[self.issue_id]
        if not issue.is_open:
            raise Violation("INV-002", f"'{issue.issue_id}' is resolved already")
        draft.put_issue(replace(issue, resolution=self.text, resolved_by=self.by))

    def subject(self) -> str:
        return f"{self.issue_id}: resolved by {self.by}"


class ReviewReturned(ViewMutate):
    """An agent that was asked for a review will not decide."""

    view: Literal["review"] = "review"
    approval_id: ApprovalId
    text: _Words

    def evolve(self, draft: Draft, event: Stamp) -> None:
        approval = draft.pending_approval(self.approval_id)
        draft.put_approval(replace(approval, reviewer=None, deadline=None))

    def subject(self) -> str:
        return f"{self.approval_id}: given back"


class EffectRelinked(ViewMutate):
    """The branch was rewritten, and holds an effect as another commit."""

    view: Literal["effect"] = "effect"
    task_id: TaskId
    effect_commit: Oid
    reached_by: Oid
    text: _Words

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task = draft.task(self.task_id)
        if task.result is None or task.result.effect_commit != self.effect_commit:
            raise Violation("INV-002", f"'{task.task_id}' has another effect commit")

    def subject(self) -> str:
        return f"{self.task_id}: effect {self.effect_commit[:7]} relinked"
