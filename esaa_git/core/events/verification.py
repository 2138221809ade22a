"""`verify.start`, `verify.ok` and `verify.fail`: the audit of the log, on the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from esaa_git.core.events.spec import (
    EVENT_ID,
    SHA256,
    ActionSpec,
    choice,
    integer,
    record,
    text,
)
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


def evolve_start(draft: Draft, _event: Event) -> None:
    draft.require_open_run()


def evolve_ok(draft: Draft, event: Event) -> None:
    draft.require_open_run()
    if event.payload["checked_to"] >= event.seq:
        raise Violation("INV-006", "a verification covers events before it")
    draft.change_run(verified_seq=event.seq)


def evolve_fail(draft: Draft, _event: Event) -> None:
    draft.require_open_run()


def subject_start(payload: Mapping[str, Any]) -> str:
    return f"events {payload['checked_from']} to {payload['checked_to']}"


def subject_ok(payload: Mapping[str, Any]) -> str:
    return (
        f"events {payload['checked_from']} to {payload['checked_to']}, "
        f"projection {payload['projection_hash_sha256'][:12]}"
    )


def subject_fail(payload: Mapping[str, Any]) -> str:
    return f"check {payload['check']}: {payload['outcome']}"


_RANGE = {"checked_from": integer(1), "checked_to": integer(1)}

START = ActionSpec(
    "verify.start", frozenset({"orchestrator"}), record(_RANGE), evolve_start, subject_start
)
OK = ActionSpec(
    "verify.ok",
    frozenset({"orchestrator"}),
    record({**_RANGE, "projection_hash_sha256": SHA256}),
    evolve_ok,
    subject_ok,
)
FAIL = ActionSpec(
    "verify.fail",
    frozenset({"orchestrator"}),
    record(
        {
            "outcome": choice("mismatch", "corrupted"),
            "check": integer(1, 11),
            "message": text(2000, 1),
        },
        {"event_id": EVENT_ID},
    ),
    evolve_fail,
    subject_fail,
)
