"""`operator.request`: an admin wants something done that the orchestrator then carries out.

What is asked for stands in a decision document that the admin has signed; it travels beside the
event under `decision/`, and its words under `exchange/`. The events that carry it out name this
one as their `causation_id`, and `esaa_git.core.requests` holds them against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

from esaa_git.core.entries import Request
from esaa_git.core.events.base import Count, Range, Record, Stamp
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.events.fields import (
    Decided,
    IssueId,
    Oid,
    Said,
    TaskDefinition,
    TaskId,
)
from esaa_git.core.events.spec import PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.undone import builders, undo_fault

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class OperatorRequest(DecisionPayload, action="operator.request", by={PERSON}):
    """One of those below; `kind` tells which, what stands before `decision` are its arguments."""


class UnblockRequest(OperatorRequest):
    """A blocked task is to go on, with so many attempts more."""

    kind: Literal["unblock"] = "unblock"
    task_id: TaskId
    attempts: Annotated[int, Range(1, 1000)] | None = None
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.task(self.task_id)
        _ask(draft, event, self, self.said)

    def subject(self) -> str:
        return f"unblock {self.task_id}"


class HotfixRequest(OperatorRequest):
    """A done task is to be corrected by another one."""

    kind: Literal["hotfix"] = "hotfix"
    supersedes: TaskId
    task: TaskDefinition
    issue_id: IssueId | None = None
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.task(self.supersedes)
        _ask(draft, event, self, self.said)

    def subject(self) -> str:
        return f"hotfix {self.supersedes} by {self.task.task_id}"


class OverrideRequest(OperatorRequest):
    """A done task is to be set aside."""

    kind: Literal["override"] = "override"
    task_id: TaskId
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.task(self.task_id)
        _ask(draft, event, self, self.said)

    def subject(self) -> str:
        return f"override {self.task_id}"


class RequestedLink(Record):
    """An effect, and the commit of the branch that carries it now."""

    task_id: TaskId
    effect_commit: Oid
    reached_by: Oid


class RelinkRequest(OperatorRequest):
    """Effects are to be found in other commits of the branch from now on."""

    kind: Literal["relink"] = "relink"
    links: Annotated[tuple[RequestedLink, ...], Count(least=1, most=10_000)]
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        for link in self.links:
            draft.task(link.task_id)
        _ask(draft, event, self, self.said)

    def subject(self) -> str:
        return f"relink {len(self.links)} effects"


class AcceptRequest(OperatorRequest):
    """A commit of the branch is to count as it is, whatever it changes beside its effects."""

    kind: Literal["accept"] = "accept"
    commit: Oid
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        _ask(draft, event, self, self.said)

    def subject(self) -> str:
        return f"accept {self.commit[:12]}"


MOST: Final = 1000
"""How many tasks are undone at one request."""


class UndoRequest(OperatorRequest):
    """Done tasks are to be taken back, in this order, each after all that builds on it."""

    kind: Literal["undo"] = "undo"
    tasks: Annotated[tuple[TaskId, ...], Count(least=1, most=MOST)]
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        known = builders(draft)
        for place, task_id in enumerate(self.tasks):
            fault = undo_fault(draft, task_id, self.tasks[:place], known)
            if fault is not None:
                raise Violation("INV-002", fault)
        _ask(draft, event, self, self.said)

    def subject(self) -> str:
        return f"undo {self.tasks[-1]}" if len(self.tasks) == 1 else f"undo {len(self.tasks)} tasks"


AnyRequest: TypeAlias = (
    UnblockRequest | HotfixRequest | OverrideRequest | RelinkRequest | AcceptRequest | UndoRequest
)


def _ask(draft: Draft, event: Stamp, request: OperatorRequest, said: Said) -> None:
    """Note the request with its arguments, open."""
    wanted = request.arguments()
    kind = wanted.pop("kind")
    draft.put_request(Request(f"EV-{event.seq:08d}", kind, event.actor, said.text, wanted))
