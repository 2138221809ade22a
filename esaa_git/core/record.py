"""Records that are stored as JSON documents, of which defaults are left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from operator import attrgetter
from typing import Any


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, JsonRecord):
        return value.to_json()
    return value


class JsonRecord:
    """A record whose document holds its fields, with those left at their default omitted."""

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        names, defaults, values_of = _shape(type(self))
        document: dict[str, Any] = {}
        for name, default, value in zip(names, defaults, values_of(self), strict=True):
            if value is not default and value != default:
                document[name] = value if isinstance(value, str | int) else _plain(value)
        return document


_MISSING = object()
_Shape = tuple[tuple[str, ...], tuple[Any, ...], Callable[[Any], tuple[Any, ...]]]
_SHAPES: dict[type, _Shape] = {}


def _shape(cls: type) -> _Shape:
    """Return a record's field names, their defaults, and what gets all values at once."""
    found = _SHAPES.get(cls)
    if found is None:
        names = tuple(item.name for item in fields(cls))
        defaults = tuple(
            _MISSING if item.default is MISSING else item.default for item in fields(cls)
        )
        # A getter of one name gives the value and no tuple of it.
        getter = attrgetter(*names) if len(names) > 1 else _only(names[0])
        found = _SHAPES[cls] = (names, defaults, getter)
    return found


def _only(name: str) -> Callable[[Any], tuple[Any, ...]]:
    return lambda record: (getattr(record, name),)
