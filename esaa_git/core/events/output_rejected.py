"""`output.rejected`: the typed reject signal for an output that broke a rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.entries import Rejection
from esaa_git.core.events.base import Count, Line, Payload, Record, Stamp
from esaa_git.core.events.facts import Facts
from esaa_git.core.events.fields import (
    ApprovalId,
    AttemptId,
    CheckResults,
    LeftOut,
    NotKept,
    Proposed,
    RefusedExchange,
    Sha256,
    TaskId,
    Tries,
    Unwrapped,
    Usage,
)
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import TaskState
from esaa_git.core.rejection import Filter, RejectCode

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class Output(Record):
    """What was refused: its size, and its salted digest."""

    bytes: int
    sha256: Sha256 | None = None


class OutputRejected(Payload, action="output.rejected", by={ORCHESTRATOR}):
    """An agent's answer broke a rule; with `approval_id`, a reviewer's.

    Why, in words, lies in `exchange`. `filter` says of a path that git stores through one whether
    that is so in the base, or by the proposal itself.

    `proposal` is what was kept of its files, and `not_kept` names those that no rule lets be kept.
    `facts` is what policy sees of a proposal that was made for the branch's tip.
    """

    task_id: TaskId
    attempt_id: AttemptId
    code: RejectCode
    output: Output
    exchange: RefusedExchange
    filter: Filter | None = None
    approval_id: ApprovalId | None = None
    check_results: CheckResults | None = None
    model: Annotated[str, Line()] | None = None
    usage: Usage | None = None
    latency_ms: int | None = None
    tries: Tries | None = None
    left_out: LeftOut | None = None
    proposal: Proposed | None = None
    not_kept: Annotated[tuple[NotKept, ...], Count(most=1000)] | None = None
    unwrapped: Unwrapped | None = None
    facts: Facts | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task = draft.task(self.task_id)
        attempt = task.attempt
        draft.change_run(rejected=draft.run.rejected + 1)
        if self.approval_id is not None:
            self._of_reviewer(draft, self.approval_id)
            return
        if attempt is None or attempt.attempt_id != self.attempt_id:
            return  # An answer to an attempt that is over is put on record and changes nothing.
        if task.state != TaskState.IN_PROGRESS:
            return
        if attempt.is_active:
            state = draft.step("attempt", attempt.state, "output.rejected")
            attempt = replace(attempt, state=state)
        signal = self._signal(attempt.attempt_id)
        draft.put_task(replace(task, attempt=attempt, rejection=signal))

    def _signal(self, attempt_id: str) -> Rejection:
        refusal = self.exchange.refusal.blob
        return Rejection(attempt_id, self.code, refusal=refusal, filter=self.filter)

    def _of_reviewer(self, draft: Draft, approval_id: str) -> None:
        """Take the decision back from a reviewer whose answer was none; the work stays."""
        approval = draft.approvals.get(approval_id)
        if approval is None:
            raise Violation("INV-002", f"there is no approval '{approval_id}'")
        if approval.state != "pending":
            return  # Somebody decided meanwhile.
        signal = self._signal(approval.attempt_id)
        draft.put_approval(
            replace(
                approval, reviewer=None, deadline=None, tries=approval.tries + 1, rejection=signal
            )
        )

    def subject(self) -> str:
        return f"{self.attempt_id}: {self.code}"
