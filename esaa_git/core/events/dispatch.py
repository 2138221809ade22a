"""`orchestrator.dispatch`: the agent is invoked, with the digest of the exact request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.accounts import Reservation
from esaa_git.core.events.base import Line, Payload, Record, Stamp
from esaa_git.core.events.facts import PolicyNotes
from esaa_git.core.events.fields import (
    Actor,
    ApprovalId,
    AttemptId,
    Oid,
    Reserves,
    Salted,
    Sha256,
    TaskId,
    Timestamp,
)
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

Sandbox = Literal[
    "none", "scratch-directory", "landlock", "landlock-pid", "bubblewrap", "in-process"
]
"""Confinement in force: `none` has the user's rights, `in-process` starts no program at all.

`scratch-directory` stands in logs from before programs were confined: nothing but a folder of its
own kept one apart.
"""


class Review(Record):
    """The agent is asked to decide on a completed attempt, and not to make one."""

    approval_id: ApprovalId
    deadline: Timestamp


class Continues(Record):
    """The rejected attempt that the agent goes on from: its checkout holds what `commit` kept."""

    attempt_id: AttemptId
    commit: Oid


class Dispatch(Payload, action="orchestrator.dispatch", by={ORCHESTRATOR}):
    """An agent is asked for an attempt, or for a review of one.

    `policy` is what rules say of it that are not enforced. `exchange` holds the salt of
    `request_sha256`, and of what the agent answers.
    """

    task_id: TaskId
    attempt_id: AttemptId
    agent: Actor
    adapter: Annotated[str, Line(50)]
    sandbox: Sandbox
    request_sha256: Sha256 | None = None
    model: Annotated[str, Line()] | None = None
    template: Annotated[str, Line()] | None = None
    review: Review | None = None
    program_sha256: Sha256 | None = None
    program_version: Annotated[str, Line()] | None = None
    provider: Annotated[str, Line(100)] | None = None
    continues: Continues | None = None
    reserves: Reserves | None = None
    policy: PolicyNotes | None = None
    exchange: Salted | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        if self.review is not None:
            self._ask_reviewer(draft, event, self.review)
        else:
            _, attempt = draft.active_attempt(self.task_id, self.attempt_id)
            if self.agent != attempt.agent or attempt.mode != "dispatch":
                raise Violation("INV-002", f"'{attempt.attempt_id}' was opened for {attempt.agent}")
        if self.reserves is not None:
            self._reserve(draft, event, self.reserves)

    def _reserve(self, draft: Draft, event: Stamp, reserves: Reserves) -> None:
        """Hold what this may cost; what was sent before for the same stays held beside it."""
        holder = self.attempt_id if self.review is None else self.review.approval_id
        is_first = self.review is None and not draft.open_reservations.of(holder)
        draft.ledger.reserve(
            holder,
            Reservation(
                event.event_id,
                event.ts,
                str(draft.run.run_id),
                self.task_id,
                draft.task(self.task_id).kind,
                self.agent,
                int(is_first),
                reserves.microdollars,
                reserves.tokens,
                reserves.ms,
            ),
        )

    def _ask_reviewer(self, draft: Draft, event: Stamp, review: Review) -> None:
        """Lend the decision on a completed attempt to an agent that did not make it."""
        task, attempt = draft.attempt(self.task_id, self.attempt_id)
        approval = draft.pending_approval(review.approval_id)
        if (
            approval.attempt_id != attempt.attempt_id
            or task.pending_approval != approval.approval_id
        ):
            raise Violation("INV-002", f"'{approval.approval_id}' is about another attempt")
        if self.agent == attempt.agent:
            raise Violation("INV-002", "nobody approves their own work")
        if approval.is_with_reviewer(event.ts):
            raise Violation("INV-002", f"{approval.reviewer} has until {approval.deadline}")
        if review.deadline <= event.ts:
            raise Violation("INV-002", "the deadline of a review is not after its start")
        draft.put_approval(replace(approval, reviewer=self.agent, deadline=review.deadline))

    def subject(self) -> str:
        if self.review is not None:
            return f"{self.review.approval_id} of {self.attempt_id}: {self.agent} reviews"
        return f"{self.attempt_id}: {self.agent} by {self.adapter}"
