"""What a superseded history has cost: facts of the world, which no other decision takes back.

A dispatch that is not said again leaves a `settle`, with what its answer reported there, or with
all that it had reserved.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from esaa_git.core.event import StoredEvent
from esaa_git.core.events import BudgetCorrect, Dispatch, Settle
from esaa_git.core.events.fields import Reserves
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.state import State
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import Repeat
from esaa_git.engine.tail import AGAIN, ALREADY, LeftOut, Outcome
from esaa_git.engine.transaction import transact


class CostReplay:
    """The dispatches of one tail that are not said again, and what corrects them."""

    def __init__(self, engine: Engine, tail: Sequence[StoredEvent]) -> None:
        self._engine = engine
        self._tail = tail

    @cached_property
    def _superseded(self) -> State:
        return self._engine.log.state_at(self._tail[-1].commit)

    def is_owed(self, stored: StoredEvent) -> bool:
        """Answer whether an event may have cost something that a budget counted."""
        payload = stored.event.payload
        return isinstance(payload, Dispatch) and payload.reserves is not None

    def settle(self, stored: StoredEvent) -> str:
        """Record what a dispatch has cost that was left out; return how that is said."""
        event = stored.event
        booked = self._superseded.reservations[event.event_id]
        spent = booked.spent or booked.reserved
        unknown = booked.unknown or (booked.spent is None and bool(booked.microdollars))
        held = Reserves(microdollars=booked.microdollars, tokens=booked.tokens, ms=booked.ms)
        said = Settle(
            source_sha256=event.sha256,
            agent=booked.agent,
            ts=booked.ts,
            kind=booked.kind,
            task_id=booked.task_id,
            microdollars=spent.microdollars,
            tokens=spent.tokens or None,
            ms=spent.ms or None,
            unknown=True if unknown else None,
            reserves=held,
        )
        transact(self._engine, lambda tx: tx.ask(Repeat(actor=ORCHESTRATOR, payload=said)))
        return "what it has cost stays on record"

    def again(self, payload: Settle) -> tuple[str, str]:
        """Say again what was settled of a history before this one."""
        state, _ = self._engine.log.load()
        if payload.source_sha256 in state.settled_elsewhere:
            return ALREADY, "the same dispatch was settled there"
        transact(self._engine, lambda tx: tx.ask(Repeat(actor=ORCHESTRATOR, payload=payload)))
        return AGAIN, ""

    def correct(
        self, actor: str, payload: BudgetCorrect, outcomes: Sequence[Outcome]
    ) -> tuple[str, str]:
        """Correct again what a dispatch has cost; the document names the event by its id."""
        became = next(
            (one.became for one in outcomes if one.old.event.event_id == payload.event_id), None
        )
        if became is not None and payload.event_id not in became:
            raise LeftOut(f"{payload.event_id}, which it is about, is another event there")
        transact(self._engine, lambda tx: tx.ask(Repeat(actor=actor, payload=payload)))
        return AGAIN, ""
