"""`budget.correct`: an admin says, with evidence, what a dispatch has cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esaa_git.core.events.base import Stamp
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.events.fields import Decided, EventId, Said
from esaa_git.core.events.spec import PERSON

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class BudgetCorrect(DecisionPayload, action="budget.correct", by={PERSON}):
    """A dispatch or a `settle`, what it has cost, and by its words how that is known."""

    event_id: EventId
    microdollars: int
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.ledger.correct(self.event_id, self.microdollars, event.event_id)

    def subject(self) -> str:
        return f"{self.event_id}: {self.microdollars} micro-dollars"
