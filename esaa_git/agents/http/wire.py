"""The wire form of an envelope: what a service is made to answer, and the way back.

Services that hold a model to a schema take a part of JSON Schema only: an object at the root, every
property required, no other allowed, `anyOf` below the root, no patterns, few or no lengths. The
limits of each are listed in docs/guides/model-endpoints.md. `wire_schema` derives such a schema
from the view, and so from the contract: it has the actions and the operations that are allowed and
no others. What is optional in the envelope may be null here, and where there is a choice of
actions the envelope stands under the key `envelope`, since no choice may be the root.

It is the smaller promise. `decode` turns an answer back, and the whole schema is held against the
envelope by the verifier, as for every agent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from esaa_git.core.canonical import NotCanonical, encode
from esaa_git.core.packing import Unpacked, unpack
from esaa_git.errors import ConfigurationError

WRAPPER: Final = "envelope"

NOT_FINAL: Final = ("agent.heartbeat", "lesson.record")
"""What ends no attempt, so that a service, which answers once, has no use for it."""

OMITTED: Final[Mapping[str, frozenset[str]]] = {
    "agent.result": frozenset({"model", "usage"}),
    "write": frozenset({"encoding"}),
    "edit": frozenset({"base_sha256"}),
    "rename": frozenset({"content", "encoding"}),
}
"""Properties that a model is not asked for: what the adapter measures itself, binary contents, and
digests that no model can compute."""

NOT_OFFERED: Final = ("patch",)
"""Operations that a model is not offered: edits say the same without line counts to get wrong."""

MAX_NAMED_PATHS: Final = 100
"""Where a task names each path that it may write, and they are so few, no other can be chosen."""

LONGEST_BOUND: Final = 1999
"""The longest text that llama.cpp can bound: it refuses a grammar with 2000 repetitions of one
thing, and takes more for no bound at all (its `MAX_REPETITION_THRESHOLD`)."""

# A model writes properties in the order of the schema: first what decides the rest.
_ORDER: Final = (
    "action",
    "task_id",
    "attempt_id",
    "payload",
    "op",
    "severity",
    "title",
    "summary",
    "from",
    "path",
    "old",
    "new",
)

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much a small model may write, so that it comes to an end.

    Attributes:
        text: the most characters of a summary, a title and the like.
        content: the most characters of a file's content, or of one side of an edit.
        items: the most entries of a list.
        operations: the operations offered, as far as the contract allows them; None for all.

    A text is never longer than `LONGEST_BOUND`.
    """

    text: int = 200
    content: int = 1000
    items: int = 2
    operations: Sequence[str] | None = None


def wire_schema(view: Mapping[str, Any], bounds: Bounds | None = None) -> Schema:
    """Return the schema that a service is to hold its model to.

    Args:
        view: the request (docs/FORMAT.md, "The request").
        bounds: with them there is one action (`agent.result`, if it is allowed), no optional list
            but that of the files, and a length to everything.

    Raises:
        ConfigurationError: if the contract allows no action that can end an attempt.
    """
    actions = sorted(name for name in view["answer"]["actions"] if name not in NOT_FINAL)
    if not actions:
        raise ConfigurationError(
            "the contract allows no action with which a model could end an attempt",
            cause=f"only {', '.join(view['answer']['actions']) or 'none at all'}",
            hint="allow 'agent.result' under 'actions' in .roadmap/AGENT_CONTRACT.yaml; it takes "
            "effect with the next run",
        )
    if bounds is not None:
        actions = ["agent.result"] if "agent.result" in actions else actions[:1]
    envelopes = [_envelope(action, view, bounds) for action in actions]
    return envelopes[0] if len(envelopes) == 1 else _object({WRAPPER: {"anyOf": envelopes}})


def decode(text: bytes) -> bytes:
    """Return an answer with its object of wire form as an envelope; any other as it is.

    The wrapper goes, and every null with it: no envelope holds one. What is around the object
    stays, for the verifier to take off (`core.packing`). An answer that holds no object, or one
    with a fault that rewriting would hide (a key that stands twice, half of a surrogate pair),
    stays untouched, so that the verifier names it.
    """
    try:
        source = text.decode()
        part = _object_of(source)
        value = json.loads(part, object_pairs_hook=_unique)
        if isinstance(value, dict) and value.keys() == {WRAPPER}:
            value = value[WRAPPER]
        if not isinstance(value, dict):
            return text
        return source.replace(part, _written(_without_nulls(value))).encode()
    except (ValueError, RecursionError):
        return text


def _written(value: Any) -> str:
    try:
        return encode(value).decode()
    except NotCanonical:
        # A number that is no integer may stand in a remark, which goes.
        return json.dumps(value, ensure_ascii=False)


def _object_of(source: str) -> str:
    try:
        json.loads(source)
    except ValueError:
        found = unpack(source)
        return found.text if isinstance(found, Unpacked) else source
    return source


def _envelope(action: str, view: Mapping[str, Any], bounds: Bounds | None) -> Schema:
    payload = view["answer"]["actions"][action]
    left_out = set(OMITTED.get(action, ()))
    if bounds is not None:
        left_out |= set(payload["properties"]) - set(payload["required"]) - {"file_updates"}
    special = {}
    if "file_updates" in payload["properties"]:
        operations = _operations(view, bounds)
        if operations:
            special["file_updates"] = _array(
                operations[0] if len(operations) == 1 else {"anyOf": operations}, bounds
            )
        else:
            left_out.add("file_updates")
    return _object(
        {
            "action": _only(action),
            "task_id": _only(view["task"]["task_id"]),
            "attempt_id": _only(view["attempt_id"]),
            "payload": _strict(payload, bounds, left_out, special),
        }
    )


def _operations(view: Mapping[str, Any], bounds: Bounds | None) -> list[Schema]:
    """Return the schema of each operation that the contract allows."""
    prohibited = set(view["contract"]["prohibited_operations"])
    patterns = view["contract"]["write"]
    if not patterns:
        return []
    special = {}
    if len(patterns) <= MAX_NAMED_PATHS and not any(set(path) & set("*?[") for path in patterns):
        special["path"] = {"type": "string", "enum": list(patterns)}
    found = []
    for name, schema in sorted(view["answer"]["file_updates"].items()):
        if name in NOT_OFFERED or name in prohibited:
            continue
        if bounds is not None and bounds.operations is not None and name not in bounds.operations:
            continue
        left_out = set(OMITTED.get(name, ()))
        if "executable" in prohibited:
            if name == "chmod":
                continue
            left_out.add("executable")
        if bounds is not None:
            left_out |= set(schema["properties"]) - set(schema["required"])
        found.append(_strict(schema, bounds, left_out, special))
    return found


def _strict(
    schema: Mapping[str, Any],
    bounds: Bounds | None,
    left_out: set[str] | frozenset[str] = frozenset(),
    special: Mapping[str, Schema] | None = None,
) -> Schema:
    """Return a schema without what services refuse: nothing optional, no patterns, no ranges.

    `special` are properties that have a schema already.
    """
    if "enum" in schema:
        return {"type": "string", "enum": list(schema["enum"])}
    if schema["type"] == "array":
        return _array(_strict(schema["items"], bounds), bounds)
    if schema["type"] == "string":
        return _text(schema, bounds)
    if schema["type"] != "object":
        return {"type": schema["type"]}
    properties = {}
    for name, part in schema["properties"].items():
        if name in left_out:
            continue
        found = (special or {}).get(name) or _strict(part, bounds)
        # An empty list says as much as none.
        if name not in schema["required"] and found.get("type") != "array":
            found = {"anyOf": [found, {"type": "null"}]}
        properties[name] = found
    return _object(properties)


def _text(schema: Mapping[str, Any], bounds: Bounds | None) -> Schema:
    if bounds is None:
        return {"type": "string"}
    # A file's content is the one text without a limit of its own.
    own = schema.get("maxLength")
    most = min(LONGEST_BOUND, bounds.content if own is None else min(bounds.text, own))
    least = {"minLength": schema["minLength"]} if schema.get("minLength") else {}
    return {"type": "string", **least, "maxLength": most}


def _array(items: Schema, bounds: Bounds | None) -> Schema:
    most = {} if bounds is None else {"maxItems": bounds.items}
    return {"type": "array", "items": items, **most}


def _only(value: str) -> Schema:
    # `enum` and not `const`: every service knows it.
    return {"type": "string", "enum": [value]}


def _object(properties: Mapping[str, Schema]) -> Schema:
    names = sorted(properties, key=_place)
    return {
        "type": "object",
        "properties": {name: properties[name] for name in names},
        "required": names,
        "additionalProperties": False,
    }


def _place(name: str) -> tuple[int, str]:
    return (_ORDER.index(name) if name in _ORDER else len(_ORDER), name)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key stands twice")
    return value


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value
