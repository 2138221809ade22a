"""Deciding again what was reviewed: requests, decisions of people, verdicts of agents."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esaa_git.core import events
from esaa_git.core.event import StoredEvent
from esaa_git.core.events.base import replace
from esaa_git.core.events.dispatch import Review
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.state import State
from esaa_git.engine.calls import AgentVerdict, CallResult
from esaa_git.engine.effect import Grant, apply_effect
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission
from esaa_git.engine.intentions import DenyApproval, Intention, Repeat, RequestChanges
from esaa_git.engine.tail import AGAIN, CHANGED, Ids, LeftOut
from esaa_git.engine.transaction import transact


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
        payload = replace(payload, attempt_id=self._ids.attempt(payload.attempt_id))
        again = Repeat(actor=ORCHESTRATOR, payload=payload)
        (stored,) = transact(self._engine, lambda tx: tx.ask(again))
        if isinstance(stored.event.payload, events.ApprovalRequest):
            self._ids.put_approval(payload.approval_id, stored.event.payload.approval_id)
        return AGAIN, ""

    def grant(self, actor: str, payload: events.ApprovalGrant) -> tuple[str, str]:
        approval_id = self._ids.approval(payload.approval_id, self._state())
        return self._agreed(approval_id, Grant(actor, payload.reason))

    def deny(self, actor: str, payload: events.ApprovalDeny) -> tuple[str, str]:
        return self._record(
            DenyApproval(
                approval_id=self._ids.approval(payload.approval_id, self._state()),
                by=actor,
                reason=payload.reason,
            )
        )

    def dispatch(self, actor: str, payload: events.Dispatch, review: Review) -> tuple[str, str]:
        """Lend the decision again, under the number that it has now."""
        approval_id = self._ids.approval(review.approval_id, self._state())
        attempt_id = self._ids.attempt(payload.attempt_id)
        lent = replace(review, approval_id=approval_id)
        again = replace(payload, attempt_id=attempt_id, review=lent)
        return self._record(Repeat(actor=actor, payload=again))

    def result(self, payload: events.ReviewResult) -> tuple[str, str]:
        approval_id = self._ids.approval(payload.approval_id, self._state())
        said = AgentVerdict(
            reviewer=payload.reviewer, reason=payload.reason, call=CallResult.of(payload)
        )
        if payload.verdict == "approve":
            return self._agreed(approval_id, said)
        return self._record(RequestChanges(approval_id=approval_id, verdict=said))

    def _agreed(self, approval_id: str, grant: Grant | AgentVerdict) -> tuple[str, str]:
        state = self._state()
        task = state.tasks[state.approvals[approval_id].task_id]
        if task.pending_approval != approval_id:
            raise LeftOut(f"'{task.task_id}' does not wait for it any more")
        for stored in self._tail:
            closed = stored.event.payload
            if isinstance(closed, events.TaskUpdate) and closed.task_id == task.task_id:
                announce(closed, self._before_effect)
        return admitted(apply_effect(self._engine, task.task_id, grant=grant))

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
