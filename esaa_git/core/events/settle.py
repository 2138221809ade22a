"""`settle`: what a dispatch has cost that stands in a superseded history.

Where two histories are reconciled, what was decided may be left out; what was paid may not. The
record names the superseded event by its digest, and no current attempt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from esaa_git.core.accounts import Amount, Reservation
from esaa_git.core.events.base import Payload, Stamp
from esaa_git.core.events.fields import Actor, Name, Reserves, Sha256, TaskId, Timestamp
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class Settle(Payload, action="settle", by={ORCHESTRATOR}):
    """The superseded event, whom it asked, when, for which kind of task, and what that cost.

    `unknown` says that nobody reported the cost, and that the whole reservation counts.
    """

    source_sha256: Sha256
    agent: Actor
    ts: Timestamp
    kind: Name
    task_id: TaskId
    microdollars: int
    tokens: int | None = None
    ms: int | None = None
    unknown: bool | None = None
    reserves: Reserves | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        if self.ts > event.ts:
            raise Violation("INV-005", f"{self.ts} is after the event that tells of it")
        held = self.reserves or Reserves()
        draft.ledger.enter_elsewhere(
            self.source_sha256,
            Reservation(
                event.event_id,
                self.ts,
                str(draft.run.run_id),
                self.task_id,
                self.kind,
                self.agent,
                0,
                held.microdollars,
                held.tokens,
                held.ms,
                Amount(self.microdollars, self.tokens or 0, 1, 0, self.ms or 0),
                bool(self.unknown),
            ),
        )

    def subject(self) -> str:
        return f"{self.agent} of {self.ts[:10]}: {self.microdollars} micro-dollars"
