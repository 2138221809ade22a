"""Claude Code, in print mode: one JSON object at the end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from esaa_git.agents.presets.preset import (
    Preset,
    Report,
    ToolOutput,
    ToolSession,
    count,
    document,
    http_status,
    microdollars,
    part,
    tokens,
    words_of,
)
from esaa_git.core.rejection import RejectCode

_LIMITS: Final = {
    "error_max_turns": "stopped at its limit of turns",
    "error_max_budget_usd": "stopped at its limit of cost",
}

# An answer that was cut off has no stop reason of its own here, only these words.
_CUT_OFF: Final = "output token maximum"


def _read(said: ToolOutput) -> Report:
    value = document(said.output)
    if part(value, "type") != "result":
        return Report()
    usage, model = _usage(value)
    words = words_of(value.get("result"))
    fault = _fault(value, words or "")
    if fault is None:
        return Report(words, model=model, usage=usage)
    failure, code = fault
    status = http_status(value.get("api_error_status"))
    return Report(words, failure, code, status in (401, 403), model, usage, status)


def _fault(value: Mapping[str, Any], words: str) -> tuple[str, RejectCode] | None:
    subtype = words_of(value.get("subtype"))
    if subtype in _LIMITS:
        return _LIMITS[subtype], RejectCode.OUTPUT_TRUNCATED
    if value.get("stop_reason") == "refusal":
        return "refused to go on", RejectCode.AGENT_REFUSED
    # `subtype` is 'success' also where the service failed; `is_error` tells.
    if subtype == "success" and value.get("is_error") is False:
        return None
    if _CUT_OFF in words:
        return "was cut off at its limit of output tokens", RejectCode.OUTPUT_TRUNCATED
    errors = value.get("errors")
    told = words or (str(errors[0]) if isinstance(errors, list) and errors else str(subtype))
    return f"ended with an error: {told}", RejectCode.AGENT_FAILED


def _usage(value: Mapping[str, Any]) -> tuple[dict[str, int], str | None]:
    """Return the usage of all models together, and the model that wrote the most.

    `usage` is that of the last turn and leaves out what the tool asks small models on the side;
    `total_cost_usd` has it.
    """
    used = value.get("modelUsage")
    used = used if isinstance(used, dict) else {}
    models = {name: one for name, one in used.items() if isinstance(one, dict)}
    taken = given = cached = 0
    for one in models.values():
        read = count(one.get("cacheReadInputTokens"))
        taken += count(one.get("inputTokens")) + read + count(one.get("cacheCreationInputTokens"))
        given += count(one.get("outputTokens"))
        cached += read
    most = max(models, key=lambda name: count(models[name].get("outputTokens")), default=None)
    return tokens(taken, given, cached, microdollars(value.get("total_cost_usd"))), most


def _session(output: bytes) -> str | None:
    return words_of(part(document(output), "session_id"))


PRESET: Final = Preset(
    name="claude-code",
    provider="anthropic",
    program="claude",
    flags=(
        "--print",
        "--output-format",
        "json",
        # The checkout is thrown away and the operating system confines the process; the tool's
        # questions would find nobody.
        "--dangerously-skip-permissions",
        # Servers that the checkout's .mcp.json names are not started.
        "--strict-mcp-config",
    ),
    read=_read,
    variables={
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        # Ten by default, each after a longer wait: an hour of retries.
        "CLAUDE_CODE_MAX_RETRIES": "3",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
        # It refuses to skip permissions as root unless it is told that it is confined.
        "IS_SANDBOX": "1",
    },
    keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
    hosts=("api.anthropic.com:443",),
    install="npm install -g @anthropic-ai/claude-code",
    # It writes through /proc/self/fd/N/NAME since some version after 2.1.197, for which sandlock
    # 0.9 has no answer but ELOOP: every edit fails.
    levels=("bubblewrap",),
    # It looks for sessions below the name of its working folder.
    # Looked at between its calls of the model, so that the last of them may be over it.
    cost_flag="--max-budget-usd",
    session=ToolSession(_session, ("--resume", "{session}"), (".claude/projects",)),
)
