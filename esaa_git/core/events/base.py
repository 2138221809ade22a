"""What every event type is made of: a frozen class from which schema, decoder and encoder follow.

A `Record` is declared by its fields. Each field is a key of the JSON object, and its annotation is
the form that the schema asks for (`fields` has the forms that several records share):

    class AttemptTimeout(Payload, action="attempt.timeout", by={ORCHESTRATOR}):
        task_id: TaskId
        note: Annotated[str, Text(500)] | None = None

A field with the default None is optional: None means that the key is absent, so what is decoded
and encoded again is the same bytes, and an empty list that somebody wrote stays one. A field with
another default is a constant, which tells one form of a record from another. A name that ends in
an underscore is a key that Python keeps for itself (`from_`). A subclass has its own fields first.

Nothing is worked out before it is asked for: a command pays for the records that it meets
(decision 0040). `decode` looks at nothing that the schema has accepted already.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    Protocol,
    TypeAlias,
    TypeVar,
    Union,
    cast,
    dataclass_transform,
    get_args,
    get_origin,
)

from esaa_git.core.events.spec import (
    BOOLEAN,
    Schema,
    array,
    choice,
    integer,
    line,
    record,
    text,
)

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


Json: TypeAlias = bool | int | str | list["Json"] | dict[str, "Json"] | None
JsonObject: TypeAlias = Mapping[str, Json]


class Form:
    """The schema of a field, beside its type in `Annotated`."""

    __slots__ = ("schema",)

    def __init__(self, schema: Schema) -> None:
        self.schema = schema


class Count:
    """How many items a field of several may have; the schema of each is its own."""

    __slots__ = ("least", "most")

    def __init__(self, least: int = 0, most: int = 10_000) -> None:
        self.least = least
        self.most = most


def Line(most: int = 200, least: int = 1) -> Form:
    """Return the form of text on one line."""
    return Form(line(most, least))


def Text(most: int = 4000, least: int = 0) -> Form:
    """Return the form of text that may have several lines."""
    return Form(text(most, least))


def Range(least: int, most: int) -> Form:
    """Return the form of an integer between two, which belong to it."""
    return Form(integer(least, most))


# -- records ----------------------------------------------------------------------------------


@dataclass_transform(kw_only_default=True, frozen_default=True)
class RecordType(type):
    """The type of records: makes slots of their fields, and keeps the defaults."""

    __fields__: tuple[str, ...]
    __defaults__: dict[str, Any]

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any
    ) -> RecordType:
        own = [
            field
            for field, hint in namespace.get("__annotations__", {}).items()
            if not hint.startswith("ClassVar")
        ]
        defaults = {field: namespace.pop(field) for field in own if field in namespace}
        inherited = bases[0] if bases and isinstance(bases[0], RecordType) else None
        namespace["__slots__"] = tuple(own)
        namespace["__fields__"] = (*own, *(inherited.__fields__ if inherited else ()))
        namespace["__defaults__"] = {**defaults, **(inherited.__defaults__ if inherited else {})}
        return super().__new__(mcs, name, bases, namespace, **options)


class Record(metaclass=RecordType):
    """A JSON object with exactly these keys, as a frozen value."""

    def __init__(self, **values: Any) -> None:
        cls = type(self)
        defaults = cls.__defaults__
        for name in cls.__fields__:
            if name in values:
                item = values.pop(name)
            elif name in defaults:
                item = defaults[name]
            else:
                raise TypeError(f"{cls.__name__} lacks '{name}'")
            object.__setattr__(self, name, item)
        if values:
            raise TypeError(f"{cls.__name__} has no field {', '.join(map(repr, values))}")

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return values(self) == values(other)

    def __hash__(self) -> int:
        return hash((type(self), *values(self).values()))

    def __repr__(self) -> str:
        given = ", ".join(f"{k}={v!r}" for k, v in values(self).items() if v is not None)
        return f"{type(self).__name__}({given})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), values(self))


R = TypeVar("R", bound=Record)


def _rebuilt(cls: type[R], fields: dict[str, Any]) -> R:
    return cls(**fields)


def values(item: Record) -> dict[str, Any]:
    """Return a record's fields by name."""
    return {name: getattr(item, name) for name in type(item).__fields__}


def replace(item: R, **changes: Any) -> R:
    """Return a record with some fields changed; None takes an optional one away."""
    return type(item)(**{**values(item), **changes})


class Stamp(Protocol):
    """What evolving asks of an event besides its payload: its place, its time and its actor."""

    @property
    def seq(self) -> int: ...

    @property
    def event_id(self) -> str: ...

    @property
    def ts(self) -> str: ...

    @property
    def actor(self) -> str: ...


class Payload(Record):
    """What one action says.

    Args:
        action: the action as it stands in the event.
        by: who may be its actor: `ORCHESTRATOR`, `AGENT` (the holder of the attempt, machine or
            person), `PERSON`, or `GUARD` (the policy guard).
    """

    action: ClassVar[str]
    actors: ClassVar[frozenset[str]]
    of_action: ClassVar[type[Payload]]
    """The class that names the action; its subclasses are the forms that it has."""

    def __init_subclass__(cls, *, action: str = "", by: Collection[str] = ()) -> None:
        if action:
            cls.action = action
            cls.actors = frozenset(by)
            cls.of_action = cls

    def evolve(self, draft: Draft, event: Stamp) -> None:
        """Apply the event to a draft of the state.

        Raises:
            Violation: if an invariant or the state machine forbids it.
        """
        raise NotImplementedError

    def subject(self) -> str:
        """Return the commit subject after the action's name, for a person who reads the log."""
        raise NotImplementedError


# -- schema, decoder, encoder -----------------------------------------------------------------

_Convert = Callable[[Any], Any]


class _Kind(NamedTuple):
    """The form of one annotation; what needs no conversion has none."""

    schema: Schema
    read: _Convert | None = None
    write: _Convert | None = None


class _Shape(NamedTuple):
    """How a record is read and written; `forms` of one that has several, by their `tag`."""

    schema: Schema
    required: tuple[tuple[Callable[[Any, Any], None], str, _Convert | None], ...]
    optional: tuple[tuple[Callable[[Any, Any], None], str, _Convert | None], ...]
    written: tuple[tuple[_Convert, str, _Convert | None], ...]
    forms: Mapping[str, type[Record]] | None = None
    tag: str = ""


def schema_of(cls: type[Record]) -> Schema:
    """Return the JSON Schema of a record."""
    return _shape(cls).schema


def decode(cls: type[R], value: JsonObject) -> R:
    """Return the record in a JSON object that meets `schema_of(cls)`."""
    shape = _shape(cls)
    if shape.forms is not None:
        cls = cast("type[R]", shape.forms[str(value[shape.tag])])
        shape = _shape(cls)
    item = object.__new__(cls)
    for put, key, read in shape.required:
        put(item, value[key] if read is None else read(value[key]))
    for put, key, read in shape.optional:
        found = value.get(key)
        put(item, found if read is None or found is None else read(found))
    return item


def encode(item: Record) -> dict[str, Any]:
    """Return the JSON object of a record, its keys in the order of canonical JSON."""
    document = {}
    for get, key, write in _shape(type(item)).written:
        found = get(item)
        if found is not None:
            document[key] = found if write is None else write(found)
    return document


@cache
def _shape(cls: type[Record]) -> _Shape:
    forms = cls.__subclasses__()
    if forms and not cls.__fields__:
        tag, tagged = _by_tag(forms)
        shapes = [schema_of(form) for form in forms]
        return _Shape(
            {"type": "object", "required": [tag], "oneOf": shapes}, (), (), (), tagged, tag
        )
    hints = _hints(cls)
    required: dict[str, _Kind] = {}
    optional: dict[str, _Kind] = {}
    names: dict[str, str] = {}
    for name in cls.__fields__:
        key = name.removesuffix("_")
        names[key] = name
        is_optional = cls.__defaults__.get(name, ...) is None
        (optional if is_optional else required)[key] = _kind(hints[name])
    puts = {key: getattr(cls, name).__set__ for key, name in names.items()}
    kinds = {**required, **optional}
    return _Shape(
        record(
            {key: kind.schema for key, kind in required.items()},
            {key: kind.schema for key, kind in optional.items()},
        ),
        tuple((puts[key], key, kind.read) for key, kind in required.items()),
        tuple((puts[key], key, kind.read) for key, kind in optional.items()),
        tuple((attrgetter(names[key]), key, kinds[key].write) for key in sorted(kinds)),
    )


def _hints(cls: type[Record]) -> dict[str, Any]:
    """Return the annotations of a record's fields, as the modules that declare them mean them.

    `typing.get_type_hints` takes several times as long, for forms that no record has.
    """
    return {
        name: _meaning(owner.__annotations__[name], vars(sys.modules[owner.__module__]))
        for owner in cls.__mro__
        if isinstance(owner, RecordType)
        for name in vars(owner)["__slots__"]
    }


def _meaning(annotation: str, names: dict[str, Any]) -> Any:
    """Return what an annotation of our own source means; a default of None says what may lack."""
    annotation = annotation.removesuffix(" | None")
    if annotation in names:
        return names[annotation]
    return eval(annotation, names)  # noqa: S307  (our own source, kept as text by `annotations`)


def _by_tag(forms: Collection[type[Record]]) -> tuple[str, dict[str, type[Record]]]:
    """Return the field that tells these records apart, and which is which."""
    first = next(iter(forms))
    tag = next(name for name in first.__fields__ if first.__defaults__.get(name) is not None)
    return tag, {form.__defaults__[tag]: form for form in forms}


def _kind(hint: Any) -> _Kind:
    """Return the form of an annotation; TypeError if it is none that a record may have."""
    origin = get_origin(hint)
    if origin is Annotated:
        return _annotated(*get_args(hint))
    if origin is Literal:
        return _of_choices(get_args(hint))
    if origin is tuple:
        return _several(hint, Count())
    if origin is Union or origin is UnionType:
        members = [one for one in get_args(hint) if one is not NoneType]
        return _kind(members[0]) if len(members) == 1 else _one_of(members)
    if isinstance(hint, RecordType):
        found = cast("type[Record]", hint)
        return _Kind(schema_of(found), lambda value: decode(found, value), encode)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _of_choices(tuple(hint))
    if hint is bool:
        return _Kind(BOOLEAN)
    if hint is int:
        return _Kind(integer())
    raise TypeError(f"a record cannot have a field of {hint}")


def _annotated(hint: Any, form: Form | Count) -> _Kind:
    return _several(hint, form) if isinstance(form, Count) else _Kind(form.schema)


def _of_choices(choices: tuple[Any, ...]) -> _Kind:
    read = {str(one): one for one in choices}.__getitem__
    return _Kind(choice(*choices), read if isinstance(choices[0], StrEnum) else None)


def _several(hint: Any, count: Count) -> _Kind:
    each = _kind(get_args(hint)[0])
    schema = array(each.schema, least=count.least, most=count.most)
    read, write = each.read, each.write
    return _Kind(
        schema,
        tuple if read is None else lambda found: tuple(map(read, found)),
        list if write is None else lambda found: list(map(write, found)),
    )


def _one_of(members: list[type[Record]]) -> _Kind:
    tag, tagged = _by_tag(members)
    schema: Schema = {
        "type": "object",
        "required": [tag],
        "properties": {tag: choice(*tagged)},
        "oneOf": [schema_of(member) for member in members],
    }
    return _Kind(schema, lambda value: decode(tagged[value[tag]], value), encode)
