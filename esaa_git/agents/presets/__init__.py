"""Coding agents that are known by name: their flags, their variables, and how they report."""

from __future__ import annotations

from typing import Final

from esaa_git.agents.presets.preset import Preset
from esaa_git.plugins import Door

PRESETS: Final = Door(
    "esaa_git.presets",
    "preset",
    Preset,
    {
        "claude-code": "esaa_git.agents.presets.claude_code:PRESET",
        "codex": "esaa_git.agents.presets.codex:PRESET",
        "gemini": "esaa_git.agents.presets.gemini:PRESET",
        "opencode": "esaa_git.agents.presets.opencode:PRESET",
        "copilot": "esaa_git.agents.presets.copilot:PRESET",
        "aider": "esaa_git.agents.presets.aider:PRESET",
    },
)
"""Every preset by the name that a swarm entry gives it."""
