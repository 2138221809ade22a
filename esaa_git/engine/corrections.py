"""Corrections: an admin says what a dispatch has cost that nobody reported, or reported wrongly."""

from __future__ import annotations

from functools import partial

from esaa_git.core.event import NewEvent
from esaa_git.core.events import BudgetCorrect
from esaa_git.engine.decider import Decider
from esaa_git.engine.engine import Engine
from esaa_git.engine.transaction import Transaction, transact


def correct_cost(engine: Engine, event_id: str, microdollars: int, by: str, evidence: str) -> None:
    """Record what a dispatch, or the `settle` of one, has cost.

    Args:
        by: the admin.
        evidence: their words: how it is known.

    Raises:
        RefusedError: if nothing was reserved or settled by this event, or it is not settled yet.
        KeyUnavailable: if the admin's key is not at hand, or is no SSH key.
    """
    decider = Decider(engine, by, evidence)
    made = partial(BudgetCorrect, event_id=event_id, microdollars=microdollars)

    def step(tx: Transaction) -> None:
        tx.record(NewEvent(by, decider.sign(tx, made)))

    transact(engine, step)
