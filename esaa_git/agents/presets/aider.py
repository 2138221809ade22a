"""aider, with one message: prose on its output, and what it measured in a log of its own."""

from __future__ import annotations

import re
from typing import Final

from esaa_git.agents.presets.preset import (
    Preset,
    Report,
    ToolOutput,
    count,
    events,
    microdollars,
    part,
    tokens,
    words_of,
)
from esaa_git.core.rejection import RejectCode

_DENIED: Final = (b"AuthenticationError", b"PermissionDeniedError")
_CUT_OFF: Final = b"has hit a token limit"


def _read(said: ToolOutput) -> Report:
    taken = given = cost = 0
    answered = False
    model = None
    for event in events(said.file):
        if event.get("event") == "message_send":
            properties = event.get("properties")
            answered = True
            taken += count(part(properties, "prompt_tokens"))
            given += count(part(properties, "completion_tokens"))
            cost += microdollars(part(properties, "cost"))
            model = words_of(part(properties, "main_model"))
    usage = tokens(taken, given, 0, cost)
    if _CUT_OFF in said.output:
        limit = "was cut off at a limit of tokens"
        return Report(None, limit, RejectCode.OUTPUT_TRUNCATED, usage=usage)
    if not answered:
        denied = any(name in said.output for name in _DENIED)
        failure = "was refused by its service" if denied else None
        return Report(None, failure, denied=denied, trouble=_trouble(said.output))
    # It writes 'REDACTED' for models that it does not know.
    known = None if model is None or "REDACTED" in model else model
    return Report(_words(said.output), model=known, usage=usage)


def _trouble(output: bytes) -> str | None:
    """Return the last exception of its library for models, which stands alone on a line."""
    found = re.findall(rb"^litellm\.\w+(?:Error|Timeout)\b.*", output, re.MULTILINE)
    return found[-1].decode("utf-8", "replace") if found else None


def _words(output: bytes) -> str:
    """Return what it printed since it said hello, without its notes on tokens."""
    text = output.decode("utf-8", "replace")
    _, _, answer = text.partition("\nRepo-map:")
    lines = answer.partition("\n")[2].splitlines() if answer else text.splitlines()
    return "\n".join(line for line in lines if not line.startswith("Tokens: ")).strip()


PRESET: Final = Preset(
    name="aider",
    program="aider",
    flags=(
        "--message-file",
        "{home}/prompt.md",
        # Nobody could answer its questions; the operating system confines the process.
        "--yes-always",
        "--no-auto-commits",
        "--no-dirty-commits",
        "--no-gitignore",
        "--no-check-update",
        "--no-show-release-notes",
        "--no-show-model-warnings",
        "--no-suggest-shell-commands",
        "--no-detect-urls",
        "--no-pretty",
        "--no-stream",
        "--no-analytics",
        "--analytics-log",
        "{home}/measured.jsonl",
        "--chat-history-file",
        "{home}/chat.md",
        "--input-history-file",
        "{home}/input",
    ),
    read=_read,
    takes_stdin=False,
    # Prices come with its installation instead of from the network.
    variables={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    report="measured.jsonl",
    residue=(".aider.tags.cache.",),
    keys=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"),
    # Which service it asks is for its model to say.
    needs_key=False,
    hosts=("api.anthropic.com:443",),
    install="pipx install aider-chat",
)
