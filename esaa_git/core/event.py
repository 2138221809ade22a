"""The event: its envelope, and the one decoder that fresh and stored events both pass.

`seal` gives a new event its place after its predecessor and runs the bytes through `decode`, so
nothing can be appended that could not be read back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final, cast

from esaa_git.core import canonical
from esaa_git.core.events import ACTIONS, AnyPayload
from esaa_git.core.events import base as records
from esaa_git.core.events.base import Payload
from esaa_git.core.events.spec import (
    ACTOR,
    AGENT,
    EVENT_ID,
    GUARD,
    ORCHESTRATOR,
    PERSON,
    TIMESTAMP,
    choice,
    integer,
    is_person,
    line,
    record,
)
from esaa_git.core.state import SCHEMA_VERSION

NO_PREDECESSOR = "0" * 64
"""Stands for the SHA-256 of the event before the first."""


class MalformedEvent(ValueError):
    """The bytes are not an event of this protocol version."""


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is decided and has no place in the log yet."""

    actor: str
    payload: AnyPayload
    correlation_id: str | None = None
    causation_id: str | None = None

    @property
    def action(self) -> str:
        return self.payload.action


@dataclass(frozen=True, slots=True)
class Event:
    """One event, with the canonical bytes it was decoded from and their SHA-256."""

    seq: int
    ts: str
    actor: str
    payload: AnyPayload
    data: bytes
    sha256: str
    correlation_id: str | None = None
    causation_id: str | None = None

    @property
    def event_id(self) -> str:
        return event_id(self.seq)

    @property
    def action(self) -> str:
        return self.payload.action

    @property
    def subject(self) -> str:
        """The commit subject: the action, then what it says, on one line."""
        return " ".join(f"{self.action} {self.payload.subject()}".split())

    @property
    def task_id(self) -> str | None:
        """The task that the event is about, where it is about one."""
        found: str | None = getattr(self.payload, "task_id", None)
        return found

    # What several payloads name, each where it is about it: one field, one name.

    @property
    def attempt_id(self) -> str | None:
        found: str | None = getattr(self.payload, "attempt_id", None)
        return found

    @property
    def approval_id(self) -> str | None:
        found: str | None = getattr(self.payload, "approval_id", None)
        return found


def event_id(seq: int) -> str:
    """Return the id of the event with this sequence number, as in `EV-00000042`."""
    return f"EV-{seq:08d}"


def schema(action: str) -> dict[str, Any]:
    """Return the JSON Schema of a whole event of this action."""
    return record(
        {
            "schema_version": choice(SCHEMA_VERSION),
            "event_id": EVENT_ID,
            "event_seq": integer(1),
            "ts": TIMESTAMP,
            "actor": ACTOR,
            "action": choice(action),
            "payload": records.schema_of(ACTIONS[action]),
        },
        {"correlation_id": line(100), "causation_id": line(100)},
    )


@cache
def _validator(action: str) -> Any:
    import jsonschema_rs  # 18 ms that a command without events need not pay

    return jsonschema_rs.Draft202012Validator(schema(action))


def decode(data: bytes) -> Event:
    """Return the event in these canonical bytes.

    Raises:
        MalformedEvent: if they are not canonical JSON, not of a known action, do not meet its
            schema, or the id does not belong to the sequence number.
    """
    try:
        value = canonical.decode(data)
    except canonical.NotCanonical as error:
        raise MalformedEvent(f"not canonical JSON: {error}") from error
    action = value.get("action") if isinstance(value, dict) else None
    if not isinstance(action, str) or action not in ACTIONS:
        raise MalformedEvent("the action is not in the vocabulary")
    validator = _validator(action)
    if not validator.is_valid(value):
        fault = next(validator.iter_errors(value))
        where = "/".join(str(part) for part in fault.instance_path) or "event"
        raise MalformedEvent(f"{where}: {fault.message[:500]}")
    seq = value["event_seq"]
    if value["event_id"] != event_id(seq):
        raise MalformedEvent(f"event_id {value['event_id']} is not that of event_seq {seq}")
    if not is_timestamp(value["ts"]):
        raise MalformedEvent(f"ts {value['ts']} is not a date")
    return Event(
        seq,
        value["ts"],
        value["actor"],
        cast(AnyPayload, records.decode(ACTIONS[action], value["payload"])),
        data,
        canonical.digest(data),
        value.get("correlation_id"),
        value.get("causation_id"),
    )


def encode(event: Event) -> bytes:
    """Return the canonical bytes of an event, built from its fields."""
    return _encode(
        event.seq,
        event.ts,
        NewEvent(event.actor, event.payload, event.correlation_id, event.causation_id),
    )


def seal(new: NewEvent, *, after_seq: int, after_ts: str, now: str) -> Event:
    """Return the event that `new` becomes after the event `after_seq`.

    The timestamp is never before the predecessor's: a clock that jumps back is held.

    Raises:
        MalformedEvent: if it does not meet the schema of its action.
    """
    try:
        return decode(_encode(after_seq + 1, max(now, after_ts), new))
    except canonical.NotCanonical as error:
        raise MalformedEvent(str(error)) from error


def _encode(seq: int, ts: str, new: NewEvent) -> bytes:
    envelope: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "event_id": event_id(seq),
        "event_seq": seq,
        "ts": ts,
        "actor": new.actor,
        "action": new.action,
        "payload": records.encode(new.payload),
    }
    if new.correlation_id is not None:
        envelope["correlation_id"] = new.correlation_id
    if new.causation_id is not None:
        envelope["causation_id"] = new.causation_id
    return canonical.encode(envelope)


def actor_is_entitled(actor: str, payload: type[Payload] | Payload) -> bool:
    """Answer whether this actor may emit this action (design: vocabulary, column "by").

    Whether an agent is the holder of the attempt it names is a matter of state, and `evolve`
    looks at that.
    """
    if actor in (ORCHESTRATOR, GUARD):
        return actor in payload.actors
    return AGENT in payload.actors or (PERSON in payload.actors and is_person(actor))


# -- time -----------------------------------------------------------------------------------

MINUTES_AHEAD: Final = 5
"""How far an event's time may be ahead of the clock of a server, or of who appends after it."""


def timestamp(moment: datetime) -> str:
    """Return the moment as RFC 3339 in UTC with milliseconds, as in `2026-01-31T09:00:00.000Z`."""
    utc = moment.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def instant(ts: str) -> datetime:
    """Return the moment of a timestamp written by `timestamp`."""
    return datetime.fromisoformat(ts)


def is_ahead(ts: str, now: datetime) -> bool:
    """Answer whether a clock that says `now` cannot believe this time (FORMAT, "Times")."""
    return instant(ts) - now > timedelta(minutes=MINUTES_AHEAD)


def after(ts: str, milliseconds: int) -> str:
    """Return the timestamp this many milliseconds later."""
    return timestamp(instant(ts) + timedelta(milliseconds=milliseconds))


def is_timestamp(ts: str) -> bool:
    """Answer whether the text, which meets the schema's pattern, is a day we can reckon with.

    Git writes no time before 1970, and a lease or a cooldown after it has to be a time as well.
    """
    if not "1970" <= ts < "9000":
        return False
    if ts[8:10] <= "28":
        return True
    try:
        datetime.fromisoformat(ts)
    except ValueError:
        return False
    return True


def epoch_seconds(ts: str) -> int:
    """Return the whole seconds since 1970 of a timestamp, as git writes them in a commit."""
    return _day_epoch(ts[:10]) + int(ts[11:13]) * 3600 + int(ts[14:16]) * 60 + int(ts[17:19])


@cache
def _day_epoch(day: str) -> int:
    return int(datetime.fromisoformat(day + "T00:00:00+00:00").timestamp())


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with the id of the commit that carries it."""

    event: Event
    commit: str
