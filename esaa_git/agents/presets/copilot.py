"""GitHub Copilot CLI, without a terminal: events, one a line, and its measurements in a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from esaa_git.agents.presets.preset import (
    Preset,
    Report,
    ToolOutput,
    count,
    events,
    http_status,
    part,
    tokens,
    words_of,
)
from esaa_git.core.rejection import RejectCode

_STOPPED: Final[Mapping[str, tuple[str, RejectCode]]] = {
    "length": ("was cut off at its limit of output tokens", RejectCode.OUTPUT_TRUNCATED),
    "content_filter": ("was stopped by a content filter", RejectCode.AGENT_REFUSED),
    "refusal": ("refused to go on", RejectCode.AGENT_REFUSED),
}


_AWAY: Final = {"rate_limit": 429, "quota": 402}
"""Kinds of its errors, as the statuses that other services have for them."""


def _read(said: ToolOutput) -> Report:
    words = None
    error: Any = None
    ended = False
    for event in events(said.output):
        match event.get("type"):
            case "assistant.message":
                words = words_of(part(event, "data", "content"))
            case "session.error":
                error = event.get("data")
            case "result":
                ended = event.get("exitCode") == 0
    usage, model, reason = _measured(said.file)
    if reason in _STOPPED:
        failure, code = _STOPPED[reason]
        return Report(words, failure, code, model=model, usage=usage)
    if error is not None:
        told = words_of(part(error, "message")) or "no word"
        status, kind = http_status(part(error, "statusCode")), part(error, "errorType")
        denied = status in (401, 403) or kind == "authentication"
        if status is None and kind in _AWAY:
            status = _AWAY[kind]
        failure = f"ended with an error: {told}"
        return Report(words, failure, denied=denied, model=model, usage=usage, status=status)
    return Report(words if ended else None, model=model, usage=usage)


def _measured(file: bytes) -> tuple[dict[str, int], str | None, str]:
    """Return the usage, the last model and why it stopped, from the spans of its model calls.

    What it prints has neither tokens nor reasons. A cost is not in it at all: `github.copilot.cost`
    counts requests of a subscription.
    """
    taken = given = cached = 0
    model, reason = None, ""
    for span in events(file):
        attributes = span.get("attributes")
        if span.get("type") != "span" or part(attributes, "gen_ai.operation.name") != "chat":
            continue
        taken += count(part(attributes, "gen_ai.usage.input_tokens"))
        given += count(part(attributes, "gen_ai.usage.output_tokens"))
        cached += count(part(attributes, "gen_ai.usage.cache_read.input_tokens"))
        model = words_of(part(attributes, "gen_ai.response.model")) or model
        reasons = part(attributes, "gen_ai.response.finish_reasons")
        reason = str(reasons[-1]) if isinstance(reasons, list) and reasons else ""
    return tokens(taken, given, cached), model, reason


PRESET: Final = Preset(
    name="copilot",
    provider="github.copilot",
    program="copilot",
    flags=(
        "--output-format",
        "json",
        # Nobody could answer its questions; the operating system confines the process.
        "--allow-all",
        "--no-ask-user",
        "--no-auto-update",
        "--no-color",
        "--no-remote-export",
        "--disable-builtin-mcps",
        "--disable-client-telemetry",
    ),
    read=_read,
    variables={
        "COPILOT_OTEL_EXPORTER_TYPE": "file",
        "COPILOT_OTEL_FILE_EXPORTER_PATH": "{home}/measured.jsonl",
    },
    report="measured.jsonl",
    keys=("COPILOT_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "COPILOT_PROVIDER_API_KEY"),
    hosts=(
        "api.github.com:443",
        "api.githubcopilot.com:443",
        "api.individual.githubcopilot.com:443",
    ),
    install="npm install -g @github/copilot",
)
