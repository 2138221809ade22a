"""`orchestrator.view.mutate`: an annotation of a read-model; no task changes its state by it.

The vocabulary has no action of its own for these, so they share this awkward one: the
resolution of an issue, a review that is given back, and a new link between an effect and the
branch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.events.base import Count, Payload, Record, Stamp, Text, encode
from esaa_git.core.events.fields import Actor, ApprovalId, IssueId, Oid, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.state import Beside, Carrier

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

_Words = Annotated[str, Text(4000, 1)]
_AnyMode = Literal["100644", "100664", "100755", "120000", "160000"]

How = Literal["same-tree-changes", "patch-id", "squashed", "merged", "accepted", "lost"]
"""How a commit carries an effect; `lost` says that it is a merge which an admin let lose it."""


class ViewMutate(Payload, action="orchestrator.view.mutate", by={ORCHESTRATOR, PERSON}):
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


class BesideEffects(Record):
    """A path that a carrier changes beside its effects; what is absent is left out."""

    path: Annotated[str, Text(4096, 1)]
    before_mode: _AnyMode | None = None
    before: Oid | None = None
    mode: _AnyMode | None = None
    after: Oid | None = None


class EffectRelinked(ViewMutate):
    """The branch holds an effect in another commit, or a merge has lost it.

    `how` and what follows say what the commit is, so that it can be judged from the record alone;
    a link without `how` names a commit and nothing else, and counts no more.
    """

    view: Literal["effect"] = "effect"
    task_id: TaskId
    effect_commit: Oid
    reached_by: Oid
    text: _Words
    how: How | None = None
    beside: Annotated[tuple[BesideEffects, ...], Count(most=100_000)] | None = None
    merged: Oid | None = None
    people: Annotated[tuple[Oid, ...], Count(most=100_000)] | None = None
    accepted_by: Actor | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task = draft.task(self.task_id)
        if task.result is None or task.result.effect_commit != self.effect_commit:
            raise Violation("INV-002", f"'{task.task_id}' has another effect commit")
        if self.how is None:
            return
        if (self.how in ("accepted", "lost")) != (self.accepted_by is not None):
            raise Violation("INV-002", f"it is open who answers for {self.reached_by}")
        if self.beside and self.how not in ("accepted", "squashed"):
            raise Violation("INV-002", f"a carrier that is {self.how} changes nothing beside")
        if self.beside and self.how == "squashed" and self.merged is None:
            raise Violation("INV-002", f"{self.reached_by} was made of no commit that is named")
        draft.put_carrier(self._carrier(draft.carriers.get(self.reached_by)))

    def _carrier(self, before: Carrier | None) -> Carrier:
        """Return what the log says of the commit now: the last record, of more tasks."""
        tasks = () if before is None else before.tasks
        if self.task_id not in tasks:
            tasks = (*tasks, self.task_id)
        return Carrier(
            self.reached_by,
            tasks,
            str(self.how),
            tuple(Beside(**encode(one)) for one in self.beside or ()),
            self.merged,
            self.people or (),
            self.accepted_by,
        )

    def subject(self) -> str:
        return f"{self.task_id}: effect {self.effect_commit[:7]} relinked"
