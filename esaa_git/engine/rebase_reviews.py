"""Deciding again what was reviewed: requests, decisions of people, verdicts of agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esaa_git.core import events
from esaa_git.core.event import StoredEvent
from esaa_git.core.events.base import replace
from esaa_git.core.events.dispatch import Review
from esaa_git.core.state import State
from esaa_git.engine.calls import AgentVerdict, CallResult
from esaa_git.engine.effect import apply_effect
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission
from esaa_git.engine.intentions import (
    AskForBudget,
    AskForReview,
    ExpireApproval,
    Intention,
    Repeat,
    RequestChanges,
)
from esaa_git.engine.tail import AGAIN, CHANGED, Ids, LeftOut
from esaa_git.engine.transaction import Transaction, transact


class ReviewReplay:
    """The reviews of one tail, under the ids that are given out now."""

    def __init__(
        self,
        engine: Engine,
        tail: Sequence[StoredEvent],
        ids: Ids,
        before_effect: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._tail = tail
        self._ids = ids
        self._before_effect = before_effect

    def request(self, payload: events.ApprovalRequest) -> tuple[str, str]:
        """Ask again for what became of the result, under the nonce that decisions may name."""
        if payload.attempt_id is not None:
            self._ids.attempt(payload.attempt_id)

        def step(tx: Transaction) -> str:
            again: Intention = AskForReview(
                task_id=payload.task_id,
                log_id=tx.log_id,
                nonce=payload.nonce,
                started_by=payload.started_by,
            )
            if payload.budget is not None:
                again = AskForBudget(
                    task_id=payload.task_id,
                    log_id=tx.log_id,
                    nonce=payload.nonce,
                    raised=payload.budget,
                )
            (stored,) = tx.ask(again)
            return str(stored.event.approval_id)

        self._ids.put_approval(payload.approval_id, transact(self._engine, step))
        return AGAIN, ""

    def grant(self, actor: str, payload: events.ApprovalGrant) -> tuple[str, str]:
        return self._answer(actor, payload)

    def deny(self, actor: str, payload: events.ApprovalDeny) -> tuple[str, str]:
        return self._answer(actor, payload)

    def dispatch(self, actor: str, payload: events.Dispatch, review: Review) -> tuple[str, str]:
        """Lend the decision again, under the number that it has now."""
        approval_id = self._ids.approval(review.approval_id, self._state())
        attempt_id = self._ids.attempt(payload.attempt_id)
        lent = replace(review, approval_id=approval_id)
        again = replace(payload, attempt_id=attempt_id, review=lent)
        said = self._record(Repeat(actor=actor, payload=again))
        transact(self._engine, lambda _: None)  # begins with what follows from a denial
        return said

    def result(self, payload: events.ReviewResult) -> tuple[str, str]:
        approval_id = self._ids.approval(payload.approval_id, self._state())
        said = AgentVerdict(
            reviewer=payload.reviewer, exchange=payload.exchange, call=CallResult.of(payload)
        )
        if payload.verdict == "approve":
            return self._agreed(approval_id, said)
        return self._record(RequestChanges(approval_id=approval_id, verdict=said))

    def _answer(
        self, actor: str, payload: events.ApprovalGrant | events.ApprovalDeny
    ) -> tuple[str, str]:
        """Record again what a person decided, as it was signed, if it is the same there."""
        state = self._state()
        approval_id = self._ids.approval(payload.approval_id, state)
        asked = state.approvals[approval_id]
        if (asked.subject_sha256, asked.nonce) != (payload.subject_sha256, payload.nonce):
            raise LeftOut(f"'{approval_id}' is about something else there")
        again = replace(payload, approval_id=approval_id)
        said = self._record(Repeat(actor=actor, payload=again))
        transact(self._engine, lambda _: None)  # begins with what follows from a denial
        return said

    def expire(self, payload: events.ApprovalExpire) -> tuple[str, str]:
        approval_id = self._ids.approval(payload.approval_id, self._state())
        return self._record(ExpireApproval(approval_id=approval_id))

    def _agreed(self, approval_id: str, verdict: AgentVerdict) -> tuple[str, str]:
        state = self._state()
        task = state.tasks[state.approvals[approval_id].task_id]
        if task.pending_approval != approval_id:
            raise LeftOut(f"'{task.task_id}' does not wait for it any more")
        for stored in self._tail:
            closed = stored.event.payload
            if isinstance(closed, events.TaskUpdate) and closed.task_id == task.task_id:
                announce(closed, self._before_effect)
        return admitted(apply_effect(self._engine, task.task_id, verdict=verdict))

    def _state(self) -> State:
        return self._engine.log.load()[0]

    def _record(self, intention: Intention) -> tuple[str, str]:
        transact(self._engine, lambda tx: tx.ask(intention))
        return AGAIN, ""


def admitted(admission: Admission) -> tuple[str, str]:
    """Return what became of an event that finished a task."""
    return (AGAIN, "") if admission.kind == "done" else (CHANGED, admission.message)


def announce(closed: events.TaskUpdate, before_effect: Callable[[str], None]) -> None:
    """Say which effect comes next, where a task is closed with one."""
    if closed.effect_commit is not None:
        before_effect(closed.effect_commit)
