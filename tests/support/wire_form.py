"""Envelopes as a service writes them that holds a model to `esaa_git.agents.http.wire`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from esaa_git.agents.http.wire import WRAPPER


def encode_wire(envelope: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return an envelope in wire form: the inverse of `wire.decode`, as far as the schema goes."""
    wrapped = WRAPPER in schema["properties"]
    choices = schema["properties"][WRAPPER]["anyOf"] if wrapped else [schema]
    for choice in choices:
        if choice["properties"]["action"]["enum"] == [envelope["action"]]:
            value: dict[str, Any] = _filled(dict(envelope), choice)
            return {WRAPPER: value} if wrapped else value
    raise ValueError(f"the schema has no '{envelope['action']}'")


def _filled(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return the value with what its schema requires and it leaves out: null, or an empty list."""
    if "anyOf" in schema:
        choices = [choice for choice in schema["anyOf"] if choice["type"] == "object"]
        schema = next((choice for choice in choices if _is_of(value, choice)), schema)
    if isinstance(value, list):
        return [_filled(item, schema["items"]) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _filled(value[name], part)
        if name in value
        else ([] if part.get("type") == "array" else None)
        for name, part in schema["properties"].items()
    }


def _is_of(value: Any, choice: Mapping[str, Any]) -> bool:
    """Answer whether the value has the action or op by which the choices are told apart."""
    told_by = [name for name in ("action", "op") if name in choice["properties"]]
    return all(value.get(name) in choice["properties"][name]["enum"] for name in told_by)
