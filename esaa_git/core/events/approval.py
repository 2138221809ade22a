"""`approval.request`, `approval.grant` and `approval.deny`: a decision that somebody else owes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import ApprovalId, AttemptId, TaskId
from esaa_git.core.events.spec import ORCHESTRATOR, PERSON
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import AttemptState
from esaa_git.core.rejection import RejectCode
from esaa_git.core.state import Approval, Rejection

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class ApprovalRequest(Payload, action="approval.request", by={ORCHESTRATOR}):
    """Somebody has to agree to a result before its task is done."""

    approval_id: ApprovalId
    task_id: TaskId
    attempt_id: AttemptId
    reason: Annotated[str, Text(2000)]

    def evolve(self, draft: Draft, event: Stamp) -> None:
        approval_id = f"APR-{draft.run.approvals + 1:04d}"
        if self.approval_id != approval_id:
            raise Violation("INV-005", f"the next approval is {approval_id}")
        task, attempt = draft.attempt(self.task_id, self.attempt_id)
        if attempt.state != AttemptState.COMPLETED or task.is_done or task.pending_approval:
            raise Violation("INV-002", f"'{attempt.attempt_id}' has nothing to approve")
        draft.put_approval(
            Approval(approval_id, task.task_id, attempt.attempt_id, "pending", self.reason)
        )
        draft.put_task(replace(task, pending_approval=approval_id))

    def subject(self) -> str:
        return f"{self.approval_id} for {self.attempt_id}"


class _Decision(Payload):
    """What a person decides, and why."""

    approval_id: ApprovalId
    reason: Annotated[str, Text(2000)]

    def _decide(self, draft: Draft, event: Stamp, decision: str) -> Approval:
        approval = draft.pending_approval(self.approval_id)
        _, attempt = draft.attempt(approval.task_id, approval.attempt_id)
        if event.actor == attempt.agent:
            raise Violation("INV-002", "nobody approves their own work")
        decided = replace(
            approval,
            state=decision,
            reason=self.reason,
            decided_by=event.actor,
            reviewer=None,
            deadline=None,
        )
        draft.put_approval(decided)
        return decided

    def subject(self) -> str:
        return self.approval_id


class ApprovalGrant(_Decision, action="approval.grant", by={PERSON}):
    """The result may be applied."""

    def evolve(self, draft: Draft, event: Stamp) -> None:
        self._decide(draft, event, "granted")


class ApprovalDeny(_Decision, action="approval.deny", by={PERSON, ORCHESTRATOR}):
    """The result may not be applied."""

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Leave the words for the next attempt, whatever becomes of the task."""
        approval = self._decide(draft, event, "denied")
        task = draft.task(approval.task_id)
        if task.pending_approval == approval.approval_id:
            signal = Rejection(
                approval.attempt_id, RejectCode.REVIEW_CHANGES_REQUESTED, self.reason
            )
            draft.put_task(replace(task, rejection=signal))
