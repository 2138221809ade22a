"""`run.halt` and `run.resume`: people stop everything that a log would let begin, and let it go on.

Both name the stop epoch, a counter of the log, for which alone they count (rule 16): a halt that
was signed before a resumption stops nothing after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.entries import Stop
from esaa_git.core.events.base import Range, Stamp
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.events.fields import Decided, Said
from esaa_git.core.events.spec import PERSON
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

Epoch = Annotated[int, Range(0, MAX_INTEGER)]


class RunHalt(DecisionPayload, action="run.halt", by={PERSON}):
    """Nothing new begins from here on; what began may end."""

    epoch: Epoch
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        stop = draft.stop
        _check_epoch(self.epoch, stop)
        if stop.by is not None:
            raise Violation("INV-002", f"the log is stopped already, by {stop.by}")
        draft.change_stop(
            Stop(
                self.epoch,
                by=event.actor,
                since=event.ts,
                event_id=f"EV-{event.seq:08d}",
                text=self.said.text,
            )
        )

    def subject(self) -> str:
        return f"stop {self.epoch}"


class RunResume(DecisionPayload, action="run.resume", by={PERSON}):
    """Work may go on."""

    epoch: Epoch
    decision: Decided
    said: Said

    def evolve(self, draft: Draft, event: Stamp) -> None:
        stop = draft.stop
        _check_epoch(self.epoch, stop)
        if stop.by is None:
            raise Violation("INV-002", "the log is not stopped")
        draft.change_stop(Stop(stop.epoch + 1))

    def subject(self) -> str:
        return f"stop {self.epoch}"


def _check_epoch(epoch: int, stop: Stop) -> None:
    if epoch != stop.epoch:
        raise Violation("INV-002", f"it is about stop {epoch}, and the next one is {stop.epoch}")
