"""Records: schema, decoder and encoder of a class follow from its fields."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Annotated, Any, Literal, get_args

import pytest

from esaa_git.core import canonical, events
from esaa_git.core.event import seal
from esaa_git.core.events import ACTIONS, AnyPayload, TaskUpdate
from esaa_git.core.events.base import (
    Count,
    Form,
    Line,
    Payload,
    Range,
    Record,
    decode,
    encode,
    replace,
    schema_of,
    values,
)
from esaa_git.core.machine import Cause, TaskState
from tests.support.examples import EXAMPLES, TS, objects


class Part(Record):
    name: Annotated[str, Line(20)]
    count: int | None = None


class Circle(Record):
    kind: Literal["circle"] = "circle"
    radius: int


class Square(Record):
    kind: Literal["square"] = "square"
    side: int


class Whole(Record):
    """One of each kind of field."""

    from_: Annotated[int, Range(1, 9)]
    is_good: bool
    cause: Cause
    part: Part
    parts: Annotated[tuple[Part, ...], Count(most=3)] | None = None
    shapes: tuple[Circle | Square, ...] | None = None
    words: tuple[Annotated[str, Form({"type": "string"})], ...] | None = None


class Wider(Part):
    own: int


FULL = {
    "from": 3,
    "is_good": True,
    "cause": "accepted",
    "part": {"name": "one"},
    "parts": [{"name": "two", "count": 2}],
    "shapes": [{"kind": "square", "side": 1}, {"kind": "circle", "radius": 2}],
    "words": ["a", "b"],
}


# ------------------------------------------------------------------------------------ one record


def test_a_schema_has_the_required_fields_first_and_the_optional_in_their_order() -> None:
    assert schema_of(Whole) == {
        "type": "object",
        "additionalProperties": False,
        "required": ["cause", "from", "is_good", "part"],
        "properties": schema_of(Whole)["properties"],
    }
    names = ["from", "is_good", "cause", "part", "parts", "shapes", "words"]
    assert list(schema_of(Whole)["properties"]) == names
    assert schema_of(Whole)["properties"]["from"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 9,
    }
    assert schema_of(Whole)["properties"]["parts"]["maxItems"] == 3
    assert schema_of(Whole)["properties"]["shapes"]["items"]["oneOf"] == [
        schema_of(Circle),
        schema_of(Square),
    ]


def test_what_is_decoded_is_typed_all_the_way_down() -> None:
    found = decode(Whole, FULL)
    assert found == Whole(
        from_=3,
        is_good=True,
        cause=Cause.ACCEPTED,
        part=Part(name="one"),
        parts=(Part(name="two", count=2),),
        shapes=(Square(side=1), Circle(radius=2)),
        words=("a", "b"),
    )
    assert found.cause is Cause.ACCEPTED
    assert encode(found) == FULL


def test_what_is_encoded_has_its_keys_in_the_order_of_canonical_json() -> None:
    assert list(encode(decode(Whole, FULL))) == sorted(FULL)


def test_an_entry_that_is_absent_is_none_and_one_that_is_empty_stays() -> None:
    least = {name: FULL[name] for name in schema_of(Whole)["required"]}
    assert decode(Whole, least).parts is None
    assert encode(decode(Whole, least)) == least
    assert encode(decode(Whole, {**least, "parts": []})) == {**least, "parts": []}


def test_a_subclass_has_its_own_fields_first() -> None:
    assert list(schema_of(Wider)["properties"]) == ["own", "name", "count"]
    assert decode(Wider, {"own": 1, "name": "x"}) == Wider(own=1, name="x")


def test_a_record_is_made_of_its_fields_alone() -> None:
    with pytest.raises(TypeError, match="Part lacks 'name'"):
        Part(count=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Part has no field 'nam'"):
        Part(name="x", nam="y")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Part has no field 'nam'"):
        replace(Part(name="x"), nam="y")


def test_a_record_is_a_value() -> None:
    one, same, other = Part(name="x", count=1), Part(name="x", count=1), Part(name="y")
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != {"name": "x", "count": 2}
    assert repr(one) == "Part(name='x', count=1)"
    assert replace(other, name="x", count=1) == one
    assert replace(one, name="y", count=None) == other
    assert pickle.loads(pickle.dumps(one)) == deepcopy(one) == one


def test_nothing_changes_a_record() -> None:
    part = Part(name="x")
    with pytest.raises(AttributeError):
        part.name = "y"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del part.name
    with pytest.raises(AttributeError):
        part.other = 1  # type: ignore[attr-defined]


class _Floating(Record):
    share: float


def test_a_field_that_no_schema_has_is_refused() -> None:
    with pytest.raises(TypeError, match="cannot have a field of"):
        schema_of(_Floating)


# ---------------------------------------------------------------------------------- the vocabulary


def _below(cls: type[Record]) -> Iterator[type[Record]]:
    for one in cls.__subclasses__():
        yield one
        yield from _below(one)


def test_the_union_holds_every_payload_that_a_module_declares() -> None:
    for module in pkgutil.iter_modules(events.__path__):
        importlib.import_module(f"{events.__name__}.{module.name}")
    ours = [one for one in _below(Payload) if one.__module__.startswith(events.__name__)]
    forms = {one for one in ours if not one.__subclasses__()}
    assert set(get_args(AnyPayload)) == forms


def test_the_table_has_each_action_of_the_union_once() -> None:
    assert list(ACTIONS) == list(dict.fromkeys(form.action for form in get_args(AnyPayload)))
    for action, payload in ACTIONS.items():
        assert payload.action == action
        assert {form for form in get_args(AnyPayload) if form.action == action} == {
            form for form in get_args(AnyPayload) if issubclass(form, payload)
        }
    actions = [form.of_action for form in get_args(AnyPayload)]
    assert len(set(actions)) == len(ACTIONS)


def test_every_payload_says_what_it_does_and_how_it_reads() -> None:
    for form in get_args(AnyPayload):
        assert form.evolve is not Payload.evolve
        assert form.subject is not Payload.subject
        assert form.__doc__


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_a_payload_without_any_one_optional_entry_comes_back_as_it_was(action: str) -> None:
    """Take away one entry after the other, wherever it may be absent."""
    whole = canonical.decode(seal(EXAMPLES[action], after_seq=1, after_ts=TS, now=TS).data)
    document = whole["payload"]
    cls = ACTIONS[action]
    assert encode(decode(cls, document)) == document
    for place in objects(document):
        if "detail" in place:
            continue
        for key in _at(document, place):
            less = deepcopy(document)
            del _at(less, place)[key]
            if _is_valid(cls, less):
                assert encode(decode(cls, less)) == less
                assert list(encode(decode(cls, less))) == sorted(less)


def _at(value: Any, place: tuple[Any, ...]) -> Any:
    for step in place:
        value = value[step]
    return value


def _is_valid(cls: type[Record], document: Mapping[str, Any]) -> bool:
    import jsonschema_rs

    return jsonschema_rs.is_valid(schema_of(cls), document)


def test_a_state_is_read_as_the_state_it_names() -> None:
    found = decode(TaskUpdate, encode(EXAMPLES["task.update"].payload))
    assert (found.from_, found.to) == (TaskState.IN_PROGRESS, TaskState.DONE)
    assert values(found)["from_"] is TaskState.IN_PROGRESS
