"""opencode, as `opencode run`: events, one a line."""

from __future__ import annotations

from typing import Any, Final

from esaa_git.agents.presets.preset import (
    Preset,
    Report,
    ToolOutput,
    count,
    events,
    http_status,
    microdollars,
    part,
    tokens,
    words_of,
)
from esaa_git.core.rejection import RejectCode


def _read(said: ToolOutput) -> Report:
    reason = None
    texts: list[str] = []
    error: Any = None
    taken = given = cached = cost = 0
    for event in events(said.output):
        match event.get("type"):
            case "step_start":
                texts = []
            case "text":
                texts.append(words_of(part(event, "part", "text")) or "")
            case "step_finish":
                reason = part(event, "part", "reason")
                used = part(event, "part", "tokens")
                read = count(part(used, "cache", "read"))
                taken += count(part(used, "input")) + read + count(part(used, "cache", "write"))
                given += count(part(used, "output")) + count(part(used, "reasoning"))
                cached += read
                cost += microdollars(part(event, "part", "cost"))
            case "error":
                error = event.get("error")
    usage = tokens(taken, given, cached, cost)
    words = "".join(texts)
    if reason == "content-filter":
        failure = "was stopped by a content filter"
        return Report(words, failure, RejectCode.AGENT_REFUSED, usage=usage)
    if reason == "length":
        failure = "was cut off at its limit of output tokens"
        return Report(words, failure, RejectCode.OUTPUT_TRUNCATED, usage=usage)
    if error is not None:
        told = (
            words_of(part(error, "data", "message")) or words_of(part(error, "name")) or "no word"
        )
        status = http_status(part(error, "data", "statusCode"))
        after = words_of(part(error, "data", "responseHeaders", "retry-after")) or ""
        return Report(
            words,
            f"ended with an error: {told}",
            denied=status in (401, 403),
            usage=usage,
            status=status,
            seconds=float(after[:9]) if after.isascii() and after.isdigit() else None,
        )
    return Report(words if reason == "stop" else None, usage=usage)


PRESET: Final = Preset(
    name="opencode",
    program="opencode",
    flags=(
        "run",
        "--format",
        "json",
        # Nobody could answer its questions; the operating system confines the process.
        "--auto",
        "--pure",
    ),
    read=_read,
    variables={
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_SHARE": "1",
    },
    keys=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENCODE_API_KEY"),
    # Which service it asks is for its model, or the checkout's opencode.json, to say.
    needs_key=False,
    hosts=("api.anthropic.com:443",),
    install="npm install -g opencode-ai",
)
