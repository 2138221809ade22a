"""The three dialects in which services are asked: what is sent, and what an answer says.

Each holds the model to a JSON Schema by the means that its service has for that: `response_format`
in chat completions, `text.format` in Responses, `output_config.format` in Anthropic's Messages. No
answer is streamed: an envelope is of use only when it is complete.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from esaa_git.agents.prompts import Prompt
from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.packing import Packing
from esaa_git.core.rejection import RejectCode, excerpt

MESSAGES_MAX_TOKENS: Final = 16_000
"""What Messages is asked for where the entry names no `max_output_tokens`: it demands a number."""

_NAME: Final = "envelope"
_MOST_SAID: Final = 300

Body = dict[str, Any]


class NotInDialect(Exception):
    """A body that is no answer of the dialect; the message says what it is instead.

    Attributes:
        error: what it reports, in whatever form the service has for that; None where it is no
            report of an error.
    """

    def __init__(self, message: str, error: Any = None) -> None:
        super().__init__(message)
        self.error = error


@dataclass(frozen=True, slots=True)
class Reading:
    """What a service's answer says.

    `text` is what the model wrote, as its answer or, where it has none, as what it calls its one
    tool with: then `is_call`. Where that is no answer, `failure` says why and `code` is what
    it amounts to. `usage` has those of `input_tokens` (all of them), `cached_input_tokens` (those
    among them that came from a cache) and `output_tokens` that the service counted.
    """

    text: str
    failure: str | None = None
    code: str | None = None
    model: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    is_call: bool = False

    @property
    def unwrapped(self) -> tuple[Packing, ...]:
        """What the answer came in, as `core.packing` has it."""
        return ("tool-call",) if self.is_call else ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one kind of service is spoken to.

    Attributes:
        title: its name in messages.
        path: what follows the base URL.
        headers: the headers that carry a key, or that are sent without one.
        body: the request for a model, a prompt, a schema and the most tokens of the answer.
        read: the meaning of the body of an answer with status 200; raises NotInDialect.
    """

    title: str
    path: str
    headers: Callable[[str | None], dict[str, str]]
    body: Callable[[str, Prompt, Mapping[str, Any], int | None], Body]
    read: Callable[[Any], Reading]


def read_body(dialect: Dialect, body: bytes) -> Reading:
    """Return what the body of an answer says.

    Raises:
        NotInDialect: if it is not JSON, or not what the dialect promises.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        for value in _streamed(body):
            _look_for_error(value)
        text = body[:2000].decode(errors="replace")
        shown = excerpt(text[:200], 100) or "it is empty"
        # What stands in the way of a service, a proxy say, speaks in pages of its own.
        raise NotInDialect(f"its body is not JSON: {shown}", text) from error
    if isinstance(value, list) and len(value) == 1:
        _look_for_error(value[0])
    _look_for_error(value)
    return dialect.read(value)


def _look_for_error(value: Any) -> None:
    """Raise NotInDialect if an error is reported in the place of an answer."""
    if not isinstance(value, dict):
        return
    choices = value.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    for reports in (value, choice):
        if isinstance(reports, dict) and reports.get("error"):
            raise NotInDialect(f"it reports an error: {_error_of(reports)[1]}", reports["error"])


def _streamed(body: bytes) -> Iterator[Any]:
    """Yield what the events of a stream say that nobody asked for."""
    for line in body.splitlines():
        if line.startswith(b"data:"):
            try:
                yield json.loads(line[5:])
            except (ValueError, RecursionError):
                continue


def service_error(body: bytes) -> tuple[str, str]:
    """Return the code and the message that a service put into the body of an error.

    Every service has its own form; what is not understood is shown as it is, shortened.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "", excerpt(body[:2000].decode(errors="replace").strip(), _MOST_SAID)
    return _error_of(value)


def reported_status(error: Any) -> int | None:
    """Return the HTTP status that an error names, which came with another one."""
    if not isinstance(error, dict):
        return None
    for name in ("code", "status", "status_code", "statusCode"):
        number = str(error.get(name))
        if re.fullmatch("[45][0-9]{2}", number):
            return int(number)
    kinds = {error.get(name) for name in ("code", "type") if isinstance(error.get(name), str)}
    return next((status for kind, status in _STATUS_OF.items() if kind in kinds), None)


_STATUS_OF: Final = {
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "model_not_found": 404,
}


def error_words(error: Any) -> str:
    """Return code and message of a reported error, for who looks for words in them."""
    code, said = _error_of(error)
    return f"{code}: {said}" if code else said


def _error_of(value: Any) -> tuple[str, str]:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    error = value.get("error", value) if isinstance(value, dict) else value
    if isinstance(error, dict):
        codes = (error.get(name) for name in ("code", "type", "status"))
        code = next((code for code in codes if isinstance(code, str)), "")
        said = error.get("message") or error.get("detail")
        if isinstance(said, str):
            return code, excerpt(said, _MOST_SAID)
    if isinstance(error, str):
        return "", excerpt(error, _MOST_SAID)
    return "", excerpt(json.dumps(error, ensure_ascii=False), _MOST_SAID)


# --------------------------------------------------------------------------------------------- chat


def _bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def _turns(prompt: Prompt) -> list[Body]:
    system = [{"role": "system", "content": prompt.system}] if prompt.system else []
    return [*system, {"role": "user", "content": prompt.user}]


def _chat_body(
    model: str, prompt: Prompt, schema: Mapping[str, Any], max_tokens: int | None
) -> Body:
    body: Body = {
        "model": model,
        "messages": _turns(prompt),
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": _NAME, "strict": True, "schema": schema},
        },
    }
    if max_tokens is not None:
        body["max_completion_tokens"] = max_tokens
    return body


def _read_chat(value: Any) -> Reading:
    choice = _first(_need(value, "choices", list), "choices")
    message = _need(choice, "message", dict)
    said = message.get("content")
    if isinstance(said, list):  # some services answer in parts, as they are asked
        said = "".join(_text_of(part, "text") for part in said)
    calls = [
        _called(call.get("function") if isinstance(call, dict) else None)
        for call in _listed(message.get("tool_calls"))
    ]
    if message.get("function_call"):
        calls.append(_called(message["function_call"]))
    return _reading(
        said if isinstance(said, str) else "",
        calls,
        thought=bool(message.get("reasoning_content") or message.get("reasoning")),
        refusal=message.get("refusal"),
        reason=choice.get("finish_reason"),
        model=value.get("model"),
        usage=_usage(
            value.get("usage"), "prompt_tokens", "completion_tokens", "prompt_tokens_details"
        ),
    )


# ---------------------------------------------------------------------------------------- responses


def _responses_body(
    model: str, prompt: Prompt, schema: Mapping[str, Any], max_tokens: int | None
) -> Body:
    body: Body = {
        "model": model,
        "input": _turns(prompt),
        "text": {
            "format": {"type": "json_schema", "name": _NAME, "strict": True, "schema": schema}
        },
        # Else the service keeps prompt and answer for a month; our record is the log.
        "store": False,
    }
    if max_tokens is not None:
        body["max_output_tokens"] = max_tokens
    return body


def _read_responses(value: Any) -> Reading:
    items = _need(value, "output", list)
    parts = [
        part
        for item in items
        if isinstance(item, dict) and item.get("type") == "message"
        for part in _need(item, "content", list)
    ]
    refused = [part.get("refusal") for part in parts if _kind(part) == "refusal"]
    status = value.get("status")
    reason: Any = None
    if status == "incomplete":
        details = value.get("incomplete_details")
        reason = (details.get("reason") if isinstance(details, dict) else None) or status
    elif status not in ("completed", None):
        raise NotInDialect(f"its status is '{excerpt(str(status), 40)}'", value.get("error"))
    return _reading(
        "".join(_text_of(part, "output_text") for part in parts),
        [_called(item) for item in items if _kind(item) == "function_call"],
        thought=any(_kind(item) == "reasoning" for item in items),
        refusal=refused[0] if refused else None,
        reason=reason,
        model=value.get("model"),
        usage=_usage(value.get("usage"), "input_tokens", "output_tokens", "input_tokens_details"),
    )


# ----------------------------------------------------------------------------------------- messages


def _anthropic(key: str | None) -> dict[str, str]:
    version = {"anthropic-version": "2023-06-01"}
    return version if key is None else {**version, "x-api-key": key}


def _messages_body(
    model: str, prompt: Prompt, schema: Mapping[str, Any], max_tokens: int | None
) -> Body:
    return {
        "model": model,
        "max_tokens": max_tokens or MESSAGES_MAX_TOKENS,
        **({"system": prompt.system} if prompt.system else {}),
        "messages": [{"role": "user", "content": prompt.user}],
        "output_config": {"format": {"type": "json_schema", "schema": schema}},
    }


def _read_messages(value: Any) -> Reading:
    blocks = _need(value, "content", list)
    counted = value.get("usage")
    usage = _usage(counted, "input_tokens", "output_tokens", "")
    if isinstance(counted, dict) and "input_tokens" in usage:
        # Here, and only here, what a cache holds is counted beside the input and not in it.
        read = _count(counted.get("cache_read_input_tokens")) or 0
        written = _count(counted.get("cache_creation_input_tokens")) or 0
        usage["input_tokens"] = min(usage["input_tokens"] + read + written, MAX_INTEGER)
        if read:
            usage["cached_input_tokens"] = read
    return _reading(
        "".join(_text_of(block, "text") for block in blocks),
        [_called(block) for block in blocks if _kind(block) == "tool_use"],
        thought=any(_kind(block) == "thinking" for block in blocks),
        refusal=None,
        reason=value.get("stop_reason"),
        model=value.get("model"),
        usage=usage,
    )


DIALECTS: Final[Mapping[str, Dialect]] = {
    "chat": Dialect("chat completions", "chat/completions", _bearer, _chat_body, _read_chat),
    "responses": Dialect("Responses", "responses", _bearer, _responses_body, _read_responses),
    "messages": Dialect("Messages", "messages", _anthropic, _messages_body, _read_messages),
}


# ------------------------------------------------------------------------------------ what they say

_TRUNCATED: Final = (
    "length",
    "max_tokens",
    "max_output_tokens",
    "model_context_window_exceeded",
    "incomplete",
)
_REFUSED: Final = ("content_filter", "refusal")


def _reading(
    text: str,
    calls: list[str],
    *,
    thought: bool,
    refusal: Any,
    reason: Any,
    model: Any,
    usage: Mapping[str, int],
) -> Reading:
    is_call = not text.strip() and len(calls) == 1
    if is_call:
        text = calls[0]
    name = excerpt(model) if isinstance(model, str) and model else None
    failure: str | None = None
    code: str | None = None
    if isinstance(refusal, str) and refusal:
        failure = f"the model declined: {excerpt(refusal, _MOST_SAID)}"
        code = RejectCode.AGENT_REFUSED
        text = text or refusal
    elif reason in _REFUSED:
        failure = f"the answer was withheld by the service ({reason})"
        code = RejectCode.AGENT_REFUSED
    elif reason in _TRUNCATED:
        after = f" after {usage['output_tokens']} tokens" if "output_tokens" in usage else ""
        failure = f"the answer was cut off{after}"
        code = RejectCode.OUTPUT_TRUNCATED
    elif not text.strip():
        failure, code = _nothing(len(calls), thought), RejectCode.OUTPUT_EMPTY
    return Reading(text, failure, code, name, usage, is_call)


def _nothing(calls: int, thought: bool) -> str:
    if calls:
        return f"the model answered nothing, but made {calls} tool calls; one answer is wanted"
    if thought:
        return "the model answered nothing: all that it wrote is its reasoning"
    return "the model answered nothing"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _called(call: Any) -> str:
    """Return what a tool is called with, as JSON."""
    given = None
    if isinstance(call, dict):
        given = call.get("arguments", call.get("input"))
    return given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)


def _need(value: Any, key: str, kind: type) -> Any:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, kind):
        raise NotInDialect(f"it has no '{key}'")
    return found


def _first(values: list[Any], key: str) -> dict[str, Any]:
    if not values or not isinstance(values[0], dict):
        raise NotInDialect(f"its '{key}' holds none")
    return values[0]


def _kind(part: Any) -> Any:
    return part.get("type") if isinstance(part, dict) else None


def _text_of(part: Any, kind: str) -> str:
    text = part.get("text") if _kind(part) == kind else None
    return text if isinstance(text, str) else ""


def _usage(counted: Any, taken: str, given: str, details: str) -> dict[str, int]:
    if not isinstance(counted, dict):
        return {}
    among = counted.get(details)
    found = {
        "input_tokens": _count(counted.get(taken)),
        "output_tokens": _count(counted.get(given)),
        "cached_input_tokens": _count(among.get("cached_tokens"))
        if isinstance(among, dict)
        else None,
    }
    return {name: number for name, number in found.items() if number is not None}


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_INTEGER
    return value if is_count else None
