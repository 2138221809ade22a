"""Gemini CLI, without a terminal: one JSON object at the end, or an error on standard error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from esaa_git.agents.presets.preset import (
    Preset,
    Report,
    ToolOutput,
    count,
    document,
    http_status,
    part,
    tokens,
    words_of,
)
from esaa_git.core.rejection import RejectCode

_TURNS: Final = 53
"""Its exit status at the limit of turns."""

_DENIED: Final = (401, 403, 41)
"""HTTP's statuses, and its own for credentials that it cannot use."""


def _read(said: ToolOutput) -> Report:
    value = document(said.output)
    if not isinstance(value, dict):
        value = {}
    usage, model = _usage(part(value, "stats", "models"))
    words = words_of(value.get("response"))
    error = value.get("error") or _error(said.stderr)
    if said.status == _TURNS:
        limit = "stopped at its limit of turns"
        return Report(words, limit, RejectCode.OUTPUT_TRUNCATED, False, model, usage)
    if said.status or value.get("error"):
        told = words_of(part(error, "message"))
        failure = None if told is None else f"ended with an error: {told}"
        denied = part(error, "code") in _DENIED
        status = http_status(part(error, "code"))
        said_so = words if told else None
        return Report(said_so, failure, denied=denied, model=model, usage=usage, status=status)
    return Report(words, model=model, usage=usage)


def _error(stderr: bytes) -> Any:
    """Return the error object that ends the standard error, below notes and stack traces."""
    start = stderr.rfind(b"\n{\n")
    return part(document(stderr[start + 1 :]), "error")


def _usage(models: Any) -> tuple[dict[str, int], str | None]:
    used: Mapping[str, Any] = models if isinstance(models, dict) else {}
    taken = given = cached = 0
    for model in used.values():
        taken += count(part(model, "tokens", "prompt"))
        given += count(part(model, "tokens", "candidates")) + count(
            part(model, "tokens", "thoughts")
        )
        cached += count(part(model, "tokens", "cached"))
    most = max(used, key=lambda name: count(part(used[name], "tokens", "candidates")), default=None)
    return tokens(taken, given, cached), most


_SETTINGS: Final = {
    "general": {
        "enableAutoUpdate": False,
        "enableAutoUpdateNotification": False,
        # Ten by default, each after a longer wait.
        "maxAttempts": 3,
    },
    "privacy": {"usageStatisticsEnabled": False},
    # Otherwise it takes a base URL for a gateway that wants a login of its own.
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "telemetry": {"enabled": False},
}

PRESET: Final = Preset(
    name="gemini",
    provider="gcp.gemini",
    program="gemini",
    flags=(
        "--output-format",
        "json",
        # Nobody could answer its questions; the operating system confines the process.
        "--approval-mode",
        "yolo",
        "--skip-trust",
    ),
    read=_read,
    files={".gemini/settings.json": json.dumps(_SETTINGS)},
    keys=("GEMINI_API_KEY",),
    hosts=("generativelanguage.googleapis.com:443",),
    install="npm install -g @google/gemini-cli",
)
