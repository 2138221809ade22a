"""`verify.start`, `verify.ok` and `verify.fail`: the audit of the log, on the log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.events.base import Payload, Range, Stamp, Text
from esaa_git.core.events.fields import EventId, Sha256
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class VerifyStart(Payload, action="verify.start", by={ORCHESTRATOR}):
    """The audit of these events begins."""

    checked_from: Annotated[int, Range(1, MAX_INTEGER)]
    checked_to: Annotated[int, Range(1, MAX_INTEGER)]

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.require_open_run()

    def subject(self) -> str:
        return f"events {self.checked_from} to {self.checked_to}"


class VerifyOk(Payload, action="verify.ok", by={ORCHESTRATOR}):
    """These events hold, and make a projection of this hash."""

    checked_from: Annotated[int, Range(1, MAX_INTEGER)]
    checked_to: Annotated[int, Range(1, MAX_INTEGER)]
    projection_hash_sha256: Sha256

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.require_open_run()
        if self.checked_to >= event.seq:
            raise Violation("INV-006", "a verification covers events before it")
        draft.change_run(verified_seq=event.seq)

    def subject(self) -> str:
        return (
            f"events {self.checked_from} to {self.checked_to}, "
            f"projection {self.projection_hash_sha256[:12]}"
        )


class VerifyFail(Payload, action="verify.fail", by={ORCHESTRATOR}):
    """A check failed, at the event that is named where there is one."""

    outcome: Literal["mismatch", "corrupted"]
    check: Annotated[int, Range(1, 11)]
    message: Annotated[str, Text(2000, 1)]
    event_id: EventId | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.require_open_run()

    def subject(self) -> str:
        return f"check {self.check}: {self.outcome}"
