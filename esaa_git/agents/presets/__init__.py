"""Coding agents that are known by name: their flags, their variables, and how they report."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from esaa_git.agents.presets import aider, claude_code, codex, copilot, gemini, opencode
from esaa_git.agents.presets.preset import Preset

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        module.PRESET.name: module.PRESET
        for module in (claude_code, codex, gemini, opencode, copilot, aider)
    }
)
"""Every preset by the name that a swarm entry gives it."""
