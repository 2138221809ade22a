"""`review.result`: an agent that was asked for its verdict on a result has given it.

It is the orchestrator that records it, since an agent holds no key; so it is no approval, and
counts nowhere where a person has to agree (`esaa_git.core.contract_rules`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from esaa_git.core.entries import RETURNED
from esaa_git.core.events.approval import settled
from esaa_git.core.events.base import Line, Payload, Stamp
from esaa_git.core.events.fields import (
    Actor,
    ApprovalId,
    AttemptId,
    SpokenExchange,
    TaskId,
    Tries,
    Usage,
)
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

Verdict: TypeAlias = Literal["approve", "request_changes"]


class ReviewResult(Payload, action="review.result", by={ORCHESTRATOR}):
    """Which agent judged which attempt, how, and what it took; why lies in `exchange`."""

    approval_id: ApprovalId
    task_id: TaskId
    attempt_id: AttemptId
    reviewer: Actor
    verdict: Verdict
    exchange: SpokenExchange
    model: Annotated[str, Line()] | None = None
    usage: Usage | None = None
    latency_ms: int | None = None
    tries: Tries | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Record the verdict; what becomes of the task, the orchestrator says next."""
        _, attempt = draft.attempt(self.task_id, self.attempt_id)
        approval = draft.pending_approval(self.approval_id)
        if (approval.task_id, approval.attempt_id) != (self.task_id, self.attempt_id):
            raise Violation("INV-002", f"'{self.approval_id}' is of '{approval.attempt_id}'")
        if self.reviewer == attempt.agent:
            raise Violation("INV-002", "nobody reviews their own work")
        if approval.reviewer != self.reviewer:
            raise Violation("INV-002", f"'{self.reviewer}' was not asked for '{self.approval_id}'")
        agrees = self.verdict == "approve"
        told = replace(
            approval,
            text=self.exchange.text.blob,
            decided_by=self.reviewer,
            reviewer=None,
            deadline=None,
        )
        if agrees:
            draft.put_approval(settled(replace(told, agreed_by=self.reviewer)))
        else:
            draft.put_approval(replace(told, state=RETURNED))

    def subject(self) -> str:
        return f"{self.attempt_id}: {self.verdict} by {self.reviewer}"
