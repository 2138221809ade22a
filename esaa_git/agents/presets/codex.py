"""Codex, as `codex exec`: events, one a line."""

from __future__ import annotations

import re
from typing import Final

from esaa_git.agents.presets.preset import (
    Preset,
    Report,
    ToolOutput,
    ToolSession,
    count,
    events,
    http_status,
    part,
    tokens,
    words_of,
)
from esaa_git.core.rejection import RejectCode


def _read(said: ToolOutput) -> Report:
    words = failure = trouble = None
    completed = False
    taken = given = cached = 0
    for event in events(said.output):
        match event.get("type"):
            case "item.completed" if part(event, "item", "type") == "agent_message":
                words = words_of(part(event, "item", "text"))
            case "turn.completed":
                completed = True
                taken += count(part(event, "usage", "input_tokens"))
                given += count(part(event, "usage", "output_tokens"))
                cached += count(part(event, "usage", "cached_input_tokens"))
            case "error":
                trouble = words_of(event.get("message"))
            case "turn.failed":
                failure = words_of(part(event, "error", "message")) or "a failed turn"
    usage = tokens(taken, given, cached)
    if failure is not None:
        code, told = _fault(failure)
        named = re.search(r"status:? (\d{3})\b", failure)
        status = None if named is None else http_status(named[1])
        return Report(words, told, code, status in (401, 403), usage=usage, status=status)
    # A message alone is no end: there is one before every tool that it runs, too.
    return Report(words if completed else None, usage=usage, trouble=trouble)


def _fault(message: str) -> tuple[RejectCode, str]:
    if "max_output_tokens" in message:
        return RejectCode.OUTPUT_TRUNCATED, "was cut off at its limit of output tokens"
    if "content_filter" in message:
        return RejectCode.AGENT_REFUSED, "was stopped by a content filter"
    return RejectCode.AGENT_FAILED, f"ended with an error: {message}"


def _session(output: bytes) -> str | None:
    for event in events(output):
        if event.get("type") == "thread.started":
            return words_of(event.get("thread_id"))
    return None


PRESET: Final = Preset(
    name="codex",
    provider="openai",
    program="codex",
    flags=(
        "exec",
        "--json",
        "--color",
        "never",
        "--skip-git-repo-check",
        # Its own sandbox does not work inside of ours, and nobody could grant an approval.
        "--dangerously-bypass-approvals-and-sandbox",
        "--config",
        "analytics.enabled=false",
        "--config",
        "check_for_update_on_startup=false",
        "--config",
        "feedback.enabled=false",
    ),
    read=_read,
    last=("-",),
    keys=("CODEX_API_KEY",),
    hosts=("api.openai.com:443",),
    install="npm install -g @openai/codex",
    session=ToolSession(_session, ("resume", "{session}"), (".codex/sessions",), counts_on=True),
)
