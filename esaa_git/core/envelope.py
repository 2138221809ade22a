"""The envelope: what an agent's raw output must be, byte for byte, before anyone reads it.

`decode` is the one way in for bytes from an agent. It returns an `Envelope` or a `Rejected`,
whatever the bytes are, and never raises (tests/properties/test_boundary.py holds it to that).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice
from typing import Any, Final, cast, get_args

from esaa_git.core.answer import (
    AnyAnswer,
    FileUpdate,
    Heartbeat,
    Issue,
    Lesson,
    Question,
    Result,
    Review,
)
from esaa_git.core.canonical import MAX_INTEGER, nests_deeper
from esaa_git.core.events import base as records
from esaa_git.core.events.base import schema_of
from esaa_git.core.events.spec import ATTEMPT_ID, TASK_ID, Schema, array, choice, line, record
from esaa_git.core.packing import Packing, Seen, contained, unpack, without_remarks
from esaa_git.core.rejection import MAX_NAMED, RejectCode, Rejected, excerpt, of_policy
from esaa_git.core.state import SCHEMA_VERSION

MAX_DEPTH = 32
"""How deep an envelope may nest. The schema needs six levels; the rest is kindness."""

INTENTIONS: Mapping[str, type[AnyAnswer]] = {
    "agent.result": Result,
    "issue.report": Issue,
    "agent.heartbeat": Heartbeat,
    "lesson.record": Lesson,
    "question.ask": Question,
}
"""The intentions of the vocabulary, and what an agent says with each."""

REVIEW = "agent.review"
"""What an agent answers that was asked to review; the log holds it as a grant or a denial."""

ENVELOPE: Schema = record(
    {
        "action": {"type": "string"},
        "task_id": TASK_ID,
        "attempt_id": ATTEMPT_ID,
        "payload": {"type": "object"},
    },
    {"schema_version": choice(SCHEMA_VERSION), "idempotency_key": line(100)},
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A well-formed intention: who means what is for the orchestrator to check."""

    action: str
    task_id: str
    attempt_id: str
    payload: AnyAnswer
    idempotency_key: str | None = None
    unwrapped: tuple[Packing, ...] = ()
    """What was taken off around it."""

    @property
    def lessons(self) -> int:
        """How many lessons it brings."""
        if isinstance(self.payload, Result):
            return len(self.payload.lessons or ())
        return int(isinstance(self.payload, Lesson))

    @property
    def actions(self) -> frozenset[str]:
        """The intentions in it: its own, and that of the lessons which come with a result."""
        return frozenset({self.action, *(["lesson.record"] if self.lessons else ())})


@cache
def update_schemas() -> Mapping[str, Schema]:
    """Return the operations on files that a proposal may hold, each with its schema."""
    return {form.__defaults__["op"]: schema_of(form) for form in get_args(FileUpdate)}


@cache
def payload_schemas() -> Mapping[str, Schema]:
    """Return the intentions, and the schema of what an agent says with each.

    The schema of a result says of an operation on a file only which it is: the schema of that
    operation alone tells an agent better what is wrong with it.
    """
    found = {name: schema_of(answer) for name, answer in INTENTIONS.items()}
    operation = {
        "type": "object",
        "required": ["op"],
        "properties": {"op": choice(*update_schemas())},
    }
    found["agent.result"] = _with_updates(found["agent.result"], operation)
    return found


def _with_updates(result: Schema, operation: Schema) -> Schema:
    properties = {**result["properties"], "file_updates": array(operation)}
    return {**result, "properties": properties}


def published_schema() -> Schema:
    """Return one JSON Schema for the whole envelope, as agents' authors are given it."""
    payloads = dict(payload_schemas())
    operations = {"oneOf": list(update_schemas().values())}
    payloads["agent.result"] = _with_updates(payloads["agent.result"], operations)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "git-esaa agent envelope",
        "oneOf": [
            {
                **ENVELOPE,
                "properties": {
                    **ENVELOPE["properties"],
                    "action": choice(action),
                    "payload": payload,
                },
            }
            for action, payload in payloads.items()
        ],
    }


def decode(output: bytes, *, max_bytes: int, review: bool = False) -> Envelope | Rejected:
    """Return the envelope in an agent's raw output, or the rejection it amounts to.

    Args:
        review: the agent was asked to decide on somebody's work: `agent.review` is the one answer.
    """
    if len(output) > max_bytes:
        return Rejected(
            RejectCode.OUTPUT_TOO_LARGE,
            f"the output has {len(output)} bytes, {max_bytes} are allowed "
            + of_policy("max_output_bytes"),
            {"bytes": len(output), "allowed": max_bytes},
        )
    parsed = _parse(output)
    if isinstance(parsed, Rejected):
        return parsed
    value, how = parsed
    bare = without_remarks_of(value)
    if bare != value:
        how = (*how, "remarks")
    fault = _unfit(bare)
    if fault is not None:
        return fault
    found = _typed(bare, (REVIEW,) if review else tuple(INTENTIONS))
    return found if isinstance(found, Rejected) else replace(found, unwrapped=how)


def without_remarks_of(value: Any) -> Any:
    """Return an envelope without keys that only say something about it, where there is a schema.

    A key that a schema knows, or that may mean a change of a file, stays.
    """
    if not isinstance(value, dict):
        return value
    bare = without_remarks(value, ENVELOPE["properties"].keys())
    payload, action = bare.get("payload"), bare.get("action")
    if not isinstance(payload, dict) or not isinstance(action, str):
        return bare
    if action != REVIEW and action not in INTENTIONS:
        return bare
    payload = without_remarks(payload, _schema(action)["properties"].keys())
    updates = payload.get("file_updates")
    if isinstance(updates, list):
        payload["file_updates"] = [_without_remarks_of_update(update) for update in updates]
    return {**bare, "payload": payload}


def _without_remarks_of_update(update: Any) -> Any:
    schema = update_schemas().get(str(update.get("op"))) if isinstance(update, dict) else None
    return update if schema is None else without_remarks(update, schema["properties"].keys())


def _typed(value: Any, actions: tuple[str, ...]) -> Envelope | Rejected:
    fault = _violation("envelope", value)
    if fault is not None:
        return fault
    action = value["action"]
    if action not in actions:
        known = ", ".join(actions)
        return Rejected(
            RejectCode.UNKNOWN_ACTION,
            f"'{excerpt(action, 60)}' is not an action that can be taken here; use one of: {known}",
            {"action": excerpt(action)},
        )
    payload = value["payload"]
    fault = _violation(action, payload, "payload")
    if fault is not None:
        return fault
    faults = [
        _violation(f"op {update['op']}", update, f"payload/file_updates/{index}")
        for index, update in enumerate(payload.get("file_updates", ()))
    ]
    if wrong := [one for one in faults if one is not None]:
        return _all(wrong)
    form = Review if action == REVIEW else INTENTIONS[action]
    return Envelope(
        action,
        value["task_id"],
        value["attempt_id"],
        cast(AnyAnswer, records.decode(form, payload)),
        value.get("idempotency_key"),
    )


def check_payload(action: str, payload: Mapping[str, Any]) -> Rejected | None:
    """Return what keeps a payload from being one of this action, or None."""
    return _violation(action, payload, "payload")


class _Found(Exception):
    """Carries a rejection out of the JSON parser's hooks."""

    def __init__(self, rejected: Rejected) -> None:
        super().__init__()
        self.rejected = rejected


def _parse(output: bytes) -> tuple[Any, tuple[Packing, ...]] | Rejected:
    """Return the JSON value in the output and what was around it, or a Rejected."""
    try:
        source = output.decode()
    except UnicodeDecodeError as error:
        return Rejected(
            RejectCode.NOT_UTF8,
            f"byte {error.start} of the output is not UTF-8",
            {"offset": error.start},
        )
    if nests_deeper(output, MAX_DEPTH):
        return _too_deep()
    try:
        return _value(source)
    except _Found as found:
        return found.rejected


def _value(source: str) -> tuple[Any, tuple[Packing, ...]] | Rejected:
    how: tuple[Packing, ...] = ()
    try:
        value = _decoder.decode(source)
        if isinstance(value, str) and value.lstrip().startswith("{") and not _is_deep(value):
            value, how = _decoder.decode(value), ("container",)
    except json.JSONDecodeError as error:
        found = unpack(source)
        if isinstance(found, Seen):
            return _not_json(found, error)
        if _is_deep(found.text):
            return _too_deep()
        value, how = _decoder.decode(found.text), found.how
        if found.is_among_words and _is_review(contained(value)):
            # The words may say the contrary, and the object be a quotation out of what is reviewed.
            return _not_json(Seen("it is a review among other words"), error)
    inner = contained(value)
    return inner, how if inner is value else (*how, "container")


def _is_review(value: Any) -> bool:
    return isinstance(value, dict) and value.get("action") == REVIEW


def _is_deep(text: str) -> bool:
    return nests_deeper(text.encode(errors="replace"), MAX_DEPTH)


def _too_deep() -> Rejected:
    return Rejected(
        RejectCode.NESTING_TOO_DEEP,
        f"the output nests deeper than {MAX_DEPTH} levels, which is the limit of every envelope",
        {"allowed": MAX_DEPTH},
    )


def _unfit(value: Any) -> Rejected | None:
    """Return what is wrong with numbers and strings wherever they are in it."""
    try:
        json.dumps(value, ensure_ascii=False, default=_refuse_inexact).encode()
    except _Found as found:
        return found.rejected
    except UnicodeEncodeError:
        return _invalid("a string holds half of a surrogate pair (\\ud800 to \\udfff)")
    return None


def _not_json(seen: Seen, error: json.JSONDecodeError) -> Rejected:
    return Rejected(
        RejectCode.INVALID_JSON,
        f"the output is not one JSON object: {seen.words}",
        {"offset": error.pos, "line": error.lineno, "column": error.colno},
    )


def _invalid(message: str) -> Rejected:
    return Rejected(RejectCode.INVALID_VALUE, message, {})


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                shown = excerpt(key, 60)
                raise _Found(
                    Rejected(
                        RejectCode.DUPLICATE_KEY,
                        f"the key '{shown}' stands twice in one object",
                        {"key": shown},
                    )
                )
            seen.add(key)
    return value


@dataclass(frozen=True, slots=True)
class _Inexact:
    """A number that is no integer, kept until it is known whether anything depends on it."""

    text: str


def _refuse_inexact(value: Any) -> Any:
    raise _Found(_invalid(f"'{value.text[:40]}' is not an integer; send integers only"))


def _bounded(number: str) -> int:
    if len(number) > 17 or abs(int(number)) > MAX_INTEGER:
        raise _Found(_invalid(f"'{number[:40]}' is beyond 2^53 - 1"))
    return int(number)


_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_Inexact, parse_constant=_Inexact, parse_int=_bounded
)


def _schema(name: str) -> Schema:
    if name == "envelope":
        return ENVELOPE
    if name == REVIEW:
        return schema_of(Review)
    return update_schemas()[name[3:]] if name.startswith("op ") else payload_schemas()[name]


@cache
def _validator(name: str) -> Any:
    import jsonschema_rs  # 18 ms that a command without agents need not pay

    return jsonschema_rs.Draft202012Validator(_schema(name))


def _violation(name: str, value: Any, where: str = "") -> Rejected | None:
    """Return what is wrong with the value, worded by jsonschema, or None.

    The compiled validator decides and jsonschema only explains; should they ever disagree, the
    decision stands and is explained in the compiled validator's words.
    """
    if _validator(name).is_valid(value):
        return None
    from jsonschema import Draft202012Validator  # 60 ms, and only to explain
    from jsonschema.exceptions import relevance

    found = sorted(
        islice(Draft202012Validator(_schema(name)).iter_errors(value), _MOST_LOOKED_AT),
        key=relevance,
        reverse=True,
    )
    if found:
        return _all([_fault(error, where) for error in found])
    first = next(_validator(name).iter_errors(value))
    return _at(RejectCode.SCHEMA_VIOLATION, where, list(first.instance_path), first.message)


def _fault(error: Any, where: str) -> Rejected:
    path, keyword = list(error.absolute_path), str(error.validator)
    if keyword == "pattern" and "\\x7f" in str(error.validator_value):
        words = "control characters and line separators do not belong in this text"
        return _at(RejectCode.CONTROL_CHARACTER, where, path, words)
    words = error.message
    if keyword in _MEASURED:
        what, bound = _MEASURED[keyword]
        size = len(error.instance)
        words = f"it has {size} {what}, {bound} {error.validator_value} are allowed by the format"
    return _at(RejectCode.SCHEMA_VIOLATION, where, path, words)


_MOST_LOOKED_AT: Final = 1000
_MEASURED: Final = {
    "maxLength": ("characters", "at most"),
    "minLength": ("characters", "no fewer than"),
    "maxItems": ("entries", "at most"),
    "minItems": ("entries", "no fewer than"),
}


def _at(code: RejectCode, where: str, path: Sequence[Any], words: str) -> Rejected:
    place = "/".join(part for part in (where, *(str(item) for item in path)) if part)
    return Rejected(code, f"{place or 'envelope'}: {_short(words)}", {"at": place})


def _all(faults: Sequence[Rejected]) -> Rejected:
    """Return the first of some faults of form, with the others of its code."""
    first = faults[0]
    alike = [fault for fault in faults if fault.code == first.code]
    if len(alike) == 1:
        return first
    others = "; ".join(fault.message for fault in alike[1:4])
    more = f"; and {len(alike) - 4} more" if len(alike) > 4 else ""
    return Rejected(
        first.code,
        f"{first.message}; {others}{more}",
        {
            **first.detail,
            "faults": [fault.message for fault in alike[:MAX_NAMED]],
            "count": len(alike),
        },
    )


def _short(words: str) -> str:
    shown = "".join(char if char.isprintable() else "\ufffd" for char in words)
    return shown if len(shown) <= 400 else f"{shown[:200]} … {shown[-200:]}"
