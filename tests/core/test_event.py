"""The event: one decoder for fresh and stored bytes, a schema for every action, and time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from esaa_git.core import canonical
from esaa_git.core.event import (
    MalformedEvent,
    NewEvent,
    actor_is_entitled,
    after,
    decode,
    encode,
    epoch_seconds,
    event_id,
    instant,
    schema,
    seal,
    timestamp,
)
from esaa_git.core.events import ACTIONS, Health
from esaa_git.core.events import base as records
from esaa_git.core.events.base import schema_of
from tests.support.examples import EXAMPLES, LATER, TS, objects, with_key

ALL = sorted(ACTIONS)


def sealed(new: NewEvent, *, seq: int = 41, ts: str = TS, now: str = TS) -> bytes:
    return seal(new, after_seq=seq, after_ts=ts, now=now).data


def envelope(action: str = "orchestrator.health", /, **changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = canonical.decode(sealed(EXAMPLES[action]))
    return {**value, **changes}


def refused(value: Any) -> str:
    with pytest.raises(MalformedEvent) as caught:
        decode(canonical.encode(value))
    return str(caught.value)


# ------------------------------------------------------------------------------- the vocabulary


def test_the_vocabulary_has_these_actions() -> None:
    assert " ".join(ALL) == (
        "agent.heartbeat agent.result approval.deny approval.expire approval.grant "
        "approval.request attempt.create attempt.timeout budget.correct emergency.override "
        "issue.report "
        "lesson.record lesson.withdraw note.add operator.request orchestrator.dispatch "
        "orchestrator.file.write orchestrator.health orchestrator.view.mutate "
        "output.rejected policy.decision question.answer question.ask review.result "
        "run.end run.halt run.init run.resume "
        "settle task.create task.update verify.fail verify.ok verify.start"
    )


def test_every_action_has_an_example_and_every_example_an_action() -> None:
    assert set(EXAMPLES) == set(ACTIONS)


@pytest.mark.parametrize("action", ALL)
def test_an_action_is_filed_under_its_own_name(action: str) -> None:
    assert ACTIONS[action].action == action


def test_nobody_can_add_to_the_vocabulary() -> None:
    with pytest.raises(TypeError):
        ACTIONS["agent.write"] = ACTIONS["agent.result"]  # type: ignore[index]


# ---------------------------------------------------------------------------- seal, decode, encode


@pytest.mark.parametrize("action", ALL)
def test_what_is_sealed_is_decoded_to_the_same_and_encoded_to_the_same_bytes(action: str) -> None:
    new = EXAMPLES[action]
    event = seal(new, after_seq=41, after_ts=TS, now=LATER)
    assert (event.seq, event.event_id, event.ts) == (42, "EV-00000042", LATER)
    assert (event.action, event.actor, event.payload) == (action, new.actor, new.payload)
    assert (event.correlation_id, event.causation_id) == (new.correlation_id, new.causation_id)
    assert event.sha256 == canonical.digest(event.data)
    assert decode(event.data) == event
    assert encode(event) == event.data


@pytest.mark.parametrize("action", ALL)
def test_an_example_fills_in_everything_that_its_schema_offers(action: str) -> None:
    assert _unused(schema_of(ACTIONS[action]), records.encode(EXAMPLES[action].payload)) == []


def _unused(shape: dict[str, Any], value: Any) -> list[str]:
    """Name the entries of a schema that the value leaves out; one alternative is enough."""
    if "oneOf" in shape:
        fitting = [each for each in shape["oneOf"] if set(each["properties"]) >= set(value)]
        return _unused(min(fitting, key=lambda each: len(each["properties"])), value)
    if shape.get("type") == "array":
        return [name for item in value for name in _unused(shape["items"], item)]
    properties = shape.get("properties", {})
    missing = [name for name in properties if name not in value]
    below = (_unused(properties[name], value[name]) for name in properties if name in value)
    return [*missing, *(name for names in below for name in names)]


@pytest.mark.parametrize("action", ALL)
def test_a_subject_is_one_line_that_begins_with_the_action(action: str) -> None:
    subject = decode(sealed(EXAMPLES[action])).subject
    assert subject.startswith(f"{action} ")
    assert len(subject) > len(action) + 1
    assert subject.splitlines() == [subject]


def test_an_event_names_the_task_and_attempt_that_it_is_about() -> None:
    about = {
        action: (event.task_id, event.attempt_id)
        for action, event in ((a, decode(sealed(EXAMPLES[a]))) for a in ALL)
    }
    assert about["task.create"] == ("T-1", None)
    assert about["emergency.override"] == ("T-1", None)
    assert about["agent.result"] == ("T-1", "T-1-A1")
    assert about["run.init"] == (None, None)


# ------------------------------------------------------------------------------------ the schemas


@pytest.mark.parametrize("action", ALL)
def test_unknown_keys_are_refused_wherever_they_stand(action: str) -> None:
    value = envelope(action)
    places = list(objects(value))
    assert () in places
    assert ("payload",) in places
    for place in places:
        refused(with_key(value, place, "surprise", 1))


@pytest.mark.parametrize("action", ALL)
def test_every_required_key_is_missed(action: str) -> None:
    value = envelope(action)
    for name in schema(action)["required"]:
        refused({key: item for key, item in value.items() if key != name})
    payload = value["payload"]
    required = schema_of(ACTIONS[action])["required"]
    assert required
    for name in required:
        refused({**value, "payload": {k: v for k, v in payload.items() if k != name}})


@pytest.mark.parametrize("action", ALL)
def test_no_place_takes_a_float_or_null(action: str) -> None:
    value = envelope(action)
    for place in [place for place in objects(value) if "detail" not in place]:
        target = value
        for step in place:
            target = target[step]
        for key in target:
            refused(with_key(value, place, key, None))
            refused(with_key(value, place, key, 1.5))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"action": "agent.write"}, "the action is not in the vocabulary"),
        ({"action": None}, "the action is not in the vocabulary"),
        ({"action": ["run.init"]}, "the action is not in the vocabulary"),
        ({"schema_version": "0.4.0"}, "schema_version"),
        ({"event_seq": 43}, "event_id EV-00000042 is not that of event_seq 43"),
        ({"event_id": "EV-42"}, "event_id"),
        ({"event_seq": 0, "event_id": "EV-00000000"}, "event_seq"),
        ({"event_seq": 2**53, "event_id": f"EV-{2**53}"}, "event_seq"),
        ({"event_seq": True}, "event_seq"),
        ({"actor": "somebody else"}, "actor"),
        ({"actor": "a\n"}, "actor"),
        ({"actor": ""}, "actor"),
        ({"ts": "2026-01-31T09:00:00Z"}, "ts"),
        ({"ts": "2026-01-31T09:00:00.000+00:00"}, "ts"),
        ({"ts": "2026-01-31 09:00:00.000Z"}, "ts"),
        ({"ts": "2026-02-30T09:00:00.000Z"}, "is not a date"),
        ({"ts": "2025-02-29T09:00:00.000Z"}, "is not a date"),
        ({"ts": "2026-04-31T09:00:00.000Z"}, "is not a date"),
        ({"ts": "2026-01-31T24:00:00.000Z"}, "ts"),
        ({"ts": "2026-01-31T09:00:60.000Z"}, "ts"),
        ({"ts": "0000-01-01T00:00:00.000Z"}, "is not a date"),
        ({"ts": "1969-12-31T23:59:59.999Z"}, "is not a date"),
        ({"ts": "9999-12-31T23:59:59.999Z"}, "is not a date"),
        ({"correlation_id": "a\u2028b"}, "correlation_id"),
        ({"payload": []}, "payload"),
        ({"payload": {"status": "ok", "message": "a\x07b"}}, "payload/message"),
        ({"payload": {"status": "ok", "message": ""}}, "payload/message"),
        ({"payload": {"status": "fine", "message": "a"}}, "payload/status"),
    ],
)
def test_a_malformed_envelope_is_refused_where_it_is_wrong(
    changes: dict[str, Any], words: str
) -> None:
    assert decode(canonical.encode(envelope())).seq == 42
    assert words in refused(envelope(**changes))


@pytest.mark.parametrize("data", [b"", b"{}\n", b"[]\n", b'"run.init"\n', b"null\n", b"not JSON"])
def test_other_bytes_are_no_event(data: bytes) -> None:
    with pytest.raises(MalformedEvent):
        decode(data)


def test_bytes_that_are_not_canonical_are_no_event() -> None:
    data = sealed(EXAMPLES["orchestrator.health"])
    with pytest.raises(MalformedEvent, match="not canonical JSON"):
        decode(data.replace(b":", b": ", 1))


@pytest.mark.parametrize("day", ["2024-02-29", "2026-01-31", "1970-01-01", "8999-12-31"])
def test_a_day_of_the_calendar_is_taken(day: str) -> None:
    event = decode(canonical.encode(envelope(ts=f"{day}T23:59:59.999Z")))
    assert instant(event.ts).date().isoformat() == day
    assert epoch_seconds(event.ts) == int(instant(event.ts).timestamp())


def test_a_lone_surrogate_cannot_be_sealed() -> None:
    new = NewEvent("orchestrator", Health(status="ok", message="\ud800"))
    with pytest.raises(MalformedEvent):
        sealed(new)


def test_a_line_separator_may_stand_in_text_and_not_in_a_line() -> None:
    message = "one\u2028two"
    payload = {"status": "ok", "message": message}
    event = decode(sealed(NewEvent("orchestrator", Health(status="ok", message=message))))
    assert event.payload.message == message
    assert event.data.count(b"\n") == 1
    refused(envelope(payload={**payload, "version": message}))


# ------------------------------------------------------------------------------------------- time


def test_a_clock_that_jumps_back_is_held() -> None:
    new = EXAMPLES["orchestrator.health"]
    assert seal(new, after_seq=1, after_ts=LATER, now=TS).ts == LATER
    assert seal(new, after_seq=1, after_ts=TS, now=LATER).ts == LATER


def test_a_timestamp_is_utc_with_milliseconds_and_never_rounded_up() -> None:
    moment = datetime(2026, 1, 31, 23, 59, 59, 999_999, timezone(timedelta(hours=2)))
    assert timestamp(moment) == "2026-01-31T21:59:59.999Z"
    assert instant("2026-01-31T21:59:59.999Z") == datetime(2026, 1, 31, 21, 59, 59, 999_000, UTC)


@pytest.mark.parametrize(
    ("milliseconds", "later"),
    [
        (0, "2024-02-28T23:59:59.999Z"),
        (1, "2024-02-29T00:00:00.000Z"),
        (86_400_001, "2024-03-01T00:00:00.000Z"),
    ],
)
def test_a_timestamp_moves_by_milliseconds(milliseconds: int, later: str) -> None:
    assert after("2024-02-28T23:59:59.999Z", milliseconds) == later


def test_a_timestamp_has_its_seconds_since_1970() -> None:
    assert epoch_seconds("1970-01-01T00:00:00.000Z") == 0
    assert epoch_seconds("2026-01-31T09:00:00.999Z") == 1769850000


def test_an_id_has_eight_digits_or_more() -> None:
    assert event_id(1) == "EV-00000001"
    assert event_id(123_456_789) == "EV-123456789"


# --------------------------------------------------------------------------------------- authority


@pytest.mark.parametrize("action", ALL)
def test_an_action_is_emitted_by_those_whom_the_vocabulary_names(action: str) -> None:
    payload = ACTIONS[action]
    who = {
        actor
        for actor in ("orchestrator", "policy-guard", "agent-spec", "person@example.com")
        if actor_is_entitled(actor, payload)
    }
    person = {"person@example.com"}
    others = {"agent-spec", *person}
    expected = {
        "run.init": {"orchestrator"} | person,
        "run.end": {"orchestrator"} | person,
        "task.update": {"orchestrator"} | person,
        "attempt.create": {"orchestrator"} | person,
        "agent.result": others,
        "agent.heartbeat": others,
        "question.ask": others,
        "question.answer": person,
        "lesson.record": others,
        "lesson.withdraw": person,
        "note.add": person,
        "operator.request": person,
        "run.halt": person,
        "run.resume": person,
        "budget.correct": person,
        "approval.grant": person,
        "approval.deny": person,
        "issue.report": others | {"orchestrator"},
        "orchestrator.view.mutate": {"orchestrator"} | person,
        "policy.decision": {"policy-guard"},
    }
    assert who == expected.get(action, {"orchestrator"})
