"""The wire form: what a service may be told of a contract, and the way back to an envelope."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esaa_git.agents.http.dialects import DIALECTS, read_body
from esaa_git.agents.http.wire import (
    LONGEST_BOUND,
    MAX_NAMED_PATHS,
    NOT_FINAL,
    NOT_OFFERED,
    OMITTED,
    WRAPPER,
    Bounds,
    decode,
    wire_schema,
)
from esaa_git.core import canonical
from esaa_git.core import envelope as envelopes
from esaa_git.core.envelope import Envelope, payload_schemas, update_schemas
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import ConfigurationError
from esaa_git.testing.contracts import Place
from tests.agents.views import CONTRACT, story, view
from tests.support.thoroughness import examples
from tests.support.wire_form import encode_wire

VIEW = view()
WIRE = wire_schema(VIEW)

ENDING = ["agent.result", "issue.report", "question.ask"]
"""The actions of the default contract that end an attempt."""
OPERATIONS: Place = (CONTRACT, "prohibitions", "operations")
ACTIONS: Place = (CONTRACT, "actions")
WRITE: Place = (CONTRACT, "kinds", "spec", "write")


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a schema, itself included."""
    yield schema
    for part in schema.get("properties", {}).values():
        yield from parts_of(part)
    for part in schema.get("anyOf", ()):
        yield from parts_of(part)
    if "items" in schema:
        yield from parts_of(schema["items"])


def depth_of(schema: Any) -> int:
    inner = [*schema.get("properties", {}).values(), *schema.get("anyOf", ())]
    inner += [schema["items"]] if "items" in schema else []
    own = 1 if schema.get("type") in ("object", "array") else 0
    return own + max((depth_of(part) for part in inner), default=0)


def operations_of(schema: Any) -> dict[str, dict[str, Any]]:
    """The operations on files that a schema offers."""
    return {
        part["properties"]["op"]["enum"][0]: part
        for part in parts_of(schema)
        if "op" in part.get("properties", {})
    }


def actions_of(schema: Any) -> list[str]:
    return [
        part["properties"]["action"]["enum"][0]
        for part in parts_of(schema)
        if "action" in part.get("properties", {})
    ]


def values_of(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Whatever a model that is held to this schema may write."""
    if "anyOf" in schema:
        return st.one_of([values_of(part) for part in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    match schema["type"]:
        case "object":
            return st.fixed_dictionaries(
                {name: values_of(part) for name, part in schema["properties"].items()}
            )
        case "array":
            return st.lists(values_of(schema["items"]), max_size=min(3, schema.get("maxItems", 3)))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case kind:
            assert kind == "string"
            letters = st.characters(codec="utf-8", categories=("L", "N"))
            return st.text(letters, min_size=1, max_size=min(20, schema.get("maxLength", 20)))


def judged(text: bytes) -> Envelope | Rejected:
    return envelopes.decode(decode(text), max_bytes=1 << 20)


# ------------------------------------------------------------------------ what services put up with


@pytest.mark.parametrize("schema", [WIRE, wire_schema(VIEW, Bounds())], ids=["whole", "bounded"])
def test_every_object_is_closed_and_demands_everything_and_the_root_is_one(schema: Any) -> None:
    assert schema["type"] == "object"
    for part in parts_of(schema):
        if part.get("type") == "object":
            assert part["additionalProperties"] is False
            assert part["required"] == list(part["properties"])


def test_the_schema_keeps_to_the_keywords_that_all_services_know() -> None:
    known = {"type", "properties", "required", "additionalProperties", "items", "enum", "anyOf"}
    for part in parts_of(WIRE):
        assert part.keys() <= known, part
        assert part.get("type", "object") in ("object", "array", "string", "boolean", "null")


def test_the_schema_keeps_well_below_the_limits_of_services() -> None:
    parts = list(parts_of(WIRE))
    assert depth_of(WIRE) <= 10  # OpenAI: ten levels
    assert sum(len(part.get("properties", ())) for part in parts) < 100  # OpenAI once: a hundred
    assert sum("anyOf" in part for part in parts) <= 16  # Anthropic: sixteen unions
    assert len(json.dumps(WIRE)) < 15_000


def test_a_model_writes_first_what_decides_the_rest() -> None:
    for part in parts_of(WIRE):
        names = list(part.get("properties", ()))
        if "action" in names:
            assert names == ["action", "task_id", "attempt_id", "payload"]
        if "op" in names:
            assert names[0] == "op"
        if "summary" in names:
            assert names[0] == "summary"


# ------------------------------------------------------------------------ what the contract allows


def test_task_and_attempt_are_the_only_ones_to_name() -> None:
    for part in parts_of(WIRE):
        if "task_id" in part.get("properties", {}):
            assert part["properties"]["task_id"]["enum"] == ["T-1"]
            assert part["properties"]["attempt_id"]["enum"] == ["T-1-A1"]


def test_the_actions_are_those_of_the_contract_that_can_end_an_attempt() -> None:
    assert actions_of(WIRE) == ENDING
    alone = wire_schema(view(changes={ACTIONS: ["issue.report", "lesson.record"]}))
    assert actions_of(alone) == ["issue.report"]
    assert WRAPPER not in alone["properties"]
    with pytest.raises(
        ConfigurationError, match="no action with which a model could end"
    ) as caught:
        wire_schema(view(changes={ACTIONS: ["agent.heartbeat"]}))
    assert caught.value.cause == "only agent.heartbeat"


def test_every_intention_is_either_offered_or_ends_no_attempt() -> None:
    assert {*actions_of(WIRE), *NOT_FINAL} == payload_schemas().keys()
    assert {*operations_of(WIRE), *NOT_OFFERED} == update_schemas().keys()


@pytest.mark.parametrize("prohibited", ["delete", "rename"])
def test_a_prohibited_operation_is_not_offered(prohibited: str) -> None:
    offered = operations_of(wire_schema(view(changes={OPERATIONS: [prohibited]})))
    assert offered.keys() == operations_of(WIRE).keys() - {prohibited}


def test_where_no_file_may_become_executable_no_word_is_said_of_it() -> None:
    schema = wire_schema(view(changes={OPERATIONS: ["executable"]}))
    assert "chmod" not in operations_of(schema)
    assert "executable" not in json.dumps(schema)


def test_who_may_write_nothing_is_offered_no_files() -> None:
    for bounds in (None, Bounds()):
        schema = wire_schema(view(changes={WRITE: []}), bounds)
        assert "file_updates" not in json.dumps(schema)


def test_paths_that_a_task_names_outright_are_the_only_ones_to_choose() -> None:
    named = ["docs/a.md", "docs/b.md"]
    told = story(writes=named)
    for op in operations_of(wire_schema(view(told))).values():
        assert op["properties"]["path"] == {"type": "string", "enum": named}
    many = [f"docs/{number}.md" for number in range(MAX_NAMED_PATHS + 1)]
    for op in operations_of(wire_schema(view(changes={WRITE: many}))).values():
        assert "enum" not in op["properties"]["path"]
    for writes in (["docs/*.md"], ["docs/a.md", "docs/[b].md"]):
        for op in operations_of(wire_schema(view(story(writes=writes)))).values():
            assert "enum" not in op["properties"]["path"]


# ----------------------------------------------------------------------------------- there and back


def envelope(**payload: Any) -> dict[str, Any]:
    ids = {"task_id": "T-1", "attempt_id": "T-1-A1"}
    return {"action": "agent.result", **ids, "payload": {"summary": "Done", **payload}}


def result(*updates: Any, **payload: Any) -> dict[str, Any]:
    empty: dict[str, Any] = {"checks": [], "lessons": []}
    return envelope(**empty, file_updates=list(updates), **payload)


ISSUE = {
    **envelope(),
    "action": "issue.report",
    "payload": {"severity": "high", "title": "It burns"},
}


@pytest.mark.parametrize(
    "value",
    [
        result(),
        result({"op": "write", "path": "docs/a.md", "content": ""}),
        result({"op": "write", "path": "docs/a.md", "content": "#!x\n", "executable": True}),
        result({"op": "edit", "path": "docs/a.md", "edits": [{"old": "a", "new": "b"}]}),
        result(
            {
                "op": "edit",
                "path": "docs/a.md",
                "edits": [{"old": "a", "new": "", "all": True}, {"old": "c", "new": "d"}],
                "executable": False,
            }
        ),
        result({"op": "delete", "path": "docs/a.md"}, {"op": "delete", "path": "docs/b.md"}),
        result({"op": "rename", "from": "docs/a.md", "path": "docs/b.md"}),
        result({"op": "chmod", "path": "docs/a.md", "executable": False}),
        {**result(), "payload": {**result()["payload"], "checks": ["one"]}},
        {
            **result(),
            "payload": {
                **result()["payload"],
                "lessons": [{"rule": "r", "mistake": "m", "kinds": ["spec"]}],
            },
        },
        ISSUE,
        {**ISSUE, "payload": {**ISSUE["payload"], "description": "Hot.\n"}},
        {**ISSUE, "action": "question.ask", "payload": {"text": "Which of the two?"}},
    ],
    ids=str,
)
def test_an_envelope_comes_back_from_the_wire_as_it_was(value: dict[str, Any]) -> None:
    sent = encode_wire(value, WIRE)
    assert jsonschema_rs.is_valid(WIRE, sent)
    back = decode(json.dumps(sent).encode())
    assert back == canonical.encode(value)
    assert isinstance(envelopes.decode(back, max_bytes=1 << 20), Envelope)


@settings(max_examples=examples(300), deadline=None)
@given(values_of(WIRE))
def test_whatever_the_wire_schema_lets_through_is_an_envelope_but_for_what_it_cannot_say(
    value: Any,
) -> None:
    assert jsonschema_rs.is_valid(WIRE, value)
    found = judged(json.dumps(value).encode())
    if isinstance(found, Rejected):
        # Names of kinds have a pattern, and an edit needs at least one replacement.
        assert found.code == RejectCode.SCHEMA_VIOLATION, found
        assert any(part in found.message for part in ("/kinds/", "/edits")), found
        return
    assert found.action in ENDING
    assert encode_wire(json.loads(decode(json.dumps(value).encode())), WIRE) == value


@settings(max_examples=examples(100), deadline=None)
@given(values_of(wire_schema(VIEW, Bounds(operations=["write"]))))
def test_whatever_the_bounded_schema_lets_through_is_an_envelope(value: Any) -> None:
    assert isinstance(judged(json.dumps(value).encode()), Envelope)


def test_what_a_model_is_not_asked_for_exists() -> None:
    schemas = {**payload_schemas(), **update_schemas()}
    for name, left_out in OMITTED.items():
        assert left_out <= schemas[name]["properties"].keys()
        assert not left_out & set(schemas[name]["required"])


def test_an_envelope_that_nobody_wrapped_is_taken_as_well() -> None:
    bare = json.dumps(ISSUE, indent=2).encode()
    assert decode(bare) == canonical.encode(ISSUE)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"I would rather not.", RejectCode.INVALID_JSON),
        (b"", RejectCode.INVALID_JSON),
        (b"```json\n{}\n```", RejectCode.SCHEMA_VIOLATION),
        (b"[]", RejectCode.SCHEMA_VIOLATION),
        (b"null", RejectCode.SCHEMA_VIOLATION),
        (b'{"envelope": []}', RejectCode.SCHEMA_VIOLATION),
        (b'{"action": "x", "action": "y"}', RejectCode.DUPLICATE_KEY),
        (b'{"action": "\\ud800"}', RejectCode.INVALID_VALUE),
        (b'{"action": 1.5}', RejectCode.INVALID_VALUE),
        (b'{"action": NaN}', RejectCode.INVALID_VALUE),
        (b'{"action": 1e999}', RejectCode.INVALID_VALUE),
        (b"\xff", RejectCode.NOT_UTF8),
        (b"[" * 100_000, RejectCode.NESTING_TOO_DEEP),
        (b'{"a":' * 40 + b"1" + b"}" * 40, RejectCode.NESTING_TOO_DEEP),
    ],
)
def test_a_fault_of_the_answer_is_left_for_the_verifier_to_name(
    text: bytes, code: RejectCode
) -> None:
    found = judged(text)
    assert isinstance(found, Rejected)
    assert found.code == code


@settings(max_examples=examples(300), deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_decode_takes_any_bytes(text: bytes) -> None:
    assert isinstance(decode(text), bytes)


def test_who_encodes_an_action_that_is_not_offered_is_told() -> None:
    with pytest.raises(ValueError, match=r"no 'agent\.heartbeat'"):
        encode_wire({**envelope(), "action": "agent.heartbeat"}, WIRE)


# ------------------------------------------------------------------------------------ small models


def test_with_bounds_there_is_an_end_to_everything_a_model_may_write() -> None:
    schema = wire_schema(VIEW, Bounds(text=80, content=300, items=3))
    assert actions_of(schema) == ["agent.result"]
    assert WRAPPER not in schema["properties"]
    for part in parts_of(schema):
        if part.get("type") == "string":
            assert "enum" in part or 0 < part["maxLength"] <= 300
        if part.get("type") == "array":
            assert part["maxItems"] == 3


def test_no_text_is_longer_than_llama_cpp_can_bound() -> None:
    for part in parts_of(wire_schema(VIEW, Bounds(text=9000, content=9000))):
        assert part.get("maxLength", 0) <= LONGEST_BOUND


def test_bounds_may_leave_one_operation() -> None:
    bounds = Bounds(operations=["write"])
    schema = wire_schema(VIEW, bounds)
    assert list(operations_of(schema)) == ["write"]
    items = schema["properties"]["payload"]["properties"]["file_updates"]["items"]
    assert list(items["properties"]) == ["op", "path", "content"]
    nothing = wire_schema(view(changes={OPERATIONS: ["delete"]}), Bounds(operations=["delete"]))
    assert "file_updates" not in json.dumps(nothing)


def test_with_bounds_an_agent_that_may_only_report_reports() -> None:
    schema = wire_schema(view(changes={ACTIONS: ["issue.report"]}), Bounds())
    assert actions_of(schema) == ["issue.report"]
    assert "description" not in json.dumps(schema)


# ------------------------------------------------------------------------ where an answer stands

CALLED = '{"action": "x"}'
INSTEAD: dict[str, dict[str, Any]] = {
    "chat": {
        "choices": [
            {
                "message": {"content": None, "tool_calls": [{"function": {"arguments": CALLED}}]},
                "finish_reason": "tool_calls",
            }
        ]
    },
    "responses": {"output": [{"type": "function_call", "arguments": CALLED}]},
    "messages": {
        "content": [{"type": "tool_use", "input": {"action": "x"}}],
        "stop_reason": "tool_use",
    },
}
THOUGHT: dict[str, dict[str, Any]] = {
    "chat": {"choices": [{"message": {"content": "", "reasoning_content": "Hm."}}]},
    "responses": {"output": [{"type": "reasoning", "summary": []}]},
    "messages": {"content": [{"type": "thinking", "thinking": "Hm."}]},
}


@pytest.mark.parametrize("dialect", list(INSTEAD))
def test_the_one_tool_that_a_model_calls_in_place_of_an_answer_is_its_answer(dialect: str) -> None:
    found = read_body(DIALECTS[dialect], json.dumps(INSTEAD[dialect]).encode())
    assert (found.text, found.failure) == (CALLED, None)
    assert found.unwrapped == ("tool-call",)


def test_two_calls_in_place_of_an_answer_are_called_so() -> None:
    body = json.loads(json.dumps(INSTEAD["messages"]))
    body["content"] *= 2
    found = read_body(DIALECTS["messages"], json.dumps(body).encode())
    assert found.code == RejectCode.OUTPUT_EMPTY
    assert "made 2 tool calls; one answer is wanted" in str(found.failure)


@pytest.mark.parametrize("dialect", list(THOUGHT))
def test_thinking_in_place_of_an_answer_is_called_so(dialect: str) -> None:
    found = read_body(DIALECTS[dialect], json.dumps(THOUGHT[dialect]).encode())
    assert found.code == RejectCode.OUTPUT_EMPTY
    assert "all that it wrote is its reasoning" in str(found.failure)


def test_what_is_around_an_answer_in_wire_form_stays_for_the_verifier() -> None:
    wired = json.dumps({"envelope": {**ISSUE, "idempotency_key": None, "confidence": 0.5}})
    found = envelopes.decode(decode(f"Sure:\n```json\n{wired}\n```".encode()), max_bytes=10_000)
    assert isinstance(found, Envelope)
    assert found.unwrapped == ("fence", "prose", "remarks")
