"""The command-line tools of coding agents, confined, against a model on loopback.

Each is asked to make a file. Its model calls the tool's own tool for that, once, and says a last
word. What is proposed is measured in the checkout, and the usage read from the tool's own report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.presets import PRESETS
from esaa_git.agents.worktree import WorktreeAgent
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.envelope import decode
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer
from esaa_git.sandbox import confinement
from esaa_git.store.repository import open_repository
from tests.agents.memory import no_pause, request
from tests.cli_tools.endpoint import LAST_WORD, OUTPUT_TOKENS, Endpoint, serve
from tests.support.adapters import in_checkout

pytestmark = [pytest.mark.cli, pytest.mark.timeout(900)]

KEY = "sk-loopback-only"
SHELL = {"cmd": "printf 'hello\\n' > hello.txt"}
CALLS: Mapping[str, Any] = {
    "Write": {"file_path": "hello.txt", "content": "hello\n"},
    "exec_command": SHELL,
    "write_file": {"file_path": "hello.txt", "content": "hello\n"},
    "write": {"filePath": "hello.txt", "content": "hello\n"},
    "create": {"path": "hello.txt", "file_text": "hello\n"},
}


@dataclass(frozen=True)
class Case:
    """A preset's tool, and how it is pointed at loopback.

    `variables` and `arguments` may hold `{url}`.
    """

    preset: str
    program: str
    model: str
    variables: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    text: str = LAST_WORD


OPENCODE = {
    "provider": {
        "loopback": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "loopback",
            "options": {"baseURL": "{url}/v1", "apiKey": KEY},
            "models": {"some-model": {"name": "some-model"}},
        }
    }
}
PROVIDER = (
    'model_providers.loopback={name="loopback",base_url="{url}/v1",env_key="CODEX_API_KEY",'
    'wire_api="responses"}'
)

CASES = (
    Case(
        "claude-code",
        "claude",
        "claude-sonnet-4-5",
        {"ANTHROPIC_BASE_URL": "{url}", "ANTHROPIC_API_KEY": KEY, "CLAUDE_CODE_MAX_RETRIES": "0"},
    ),
    Case(
        "codex",
        "codex",
        "gpt-5",
        {"CODEX_API_KEY": KEY},
        ("--config", PROVIDER, "--config", "model_provider=loopback"),
    ),
    Case(
        "gemini",
        "gemini",
        "gemini-2.5-pro",
        {"GEMINI_API_KEY": KEY, "GOOGLE_GEMINI_BASE_URL": "{url}"},
    ),
    Case(
        "opencode",
        "opencode",
        "loopback/some-model",
        {"OPENCODE_CONFIG_CONTENT": json.dumps(OPENCODE)},
    ),
    Case(
        "copilot",
        "copilot",
        "some-model",
        {
            "COPILOT_PROVIDER_BASE_URL": "{url}/v1",
            "COPILOT_PROVIDER_API_KEY": KEY,
            "COPILOT_MODEL": "some-model",
        },
    ),
    Case(
        "aider",
        "aider",
        "openai/some-model",
        {"OPENAI_API_BASE": "{url}/v1", "OPENAI_API_KEY": KEY},
        text=f"{LAST_WORD}\n\nhello.txt\n```\nhello\n```\n",
    ),
)
each_tool = pytest.mark.parametrize("case", CASES, ids=lambda case: case.preset)


@contextmanager
def asked(
    case: Case,
    program: Path,
    repo: Path,
    patch: pytest.MonkeyPatch,
    level: str = "auto",
    **scripted: Any,
) -> Iterator[tuple[Endpoint, Callable[[], Answer]]]:
    """Serve a scripted model, and give a function that has the tool work for it."""
    confined(level)
    repository = open_repository(repo)
    with serve(Endpoint(CALLS, **{"text": case.text, **scripted})) as endpoint:

        def filled(text: str) -> str:
            return text.replace("{url}", endpoint.url)

        for name, value in case.variables.items():
            patch.setenv(name, filled(value))
        agent = WorktreeAgent(
            AgentEntry(
                "coder",
                "worktree",
                case.model,
                {
                    "preset": case.preset,
                    "program": str(program),
                    "arguments": [filled(argument) for argument in case.arguments],
                    "env": [*case.variables],
                    "hosts": [endpoint.host],
                },
            ),
            in_checkout(repo, repository, sandbox=level),
        )
        body = b"Create the file hello.txt with the one line 'hello'.\n"
        asking = replace(
            request(body, left_ms=240_000), view=b"{}\n", base=str(repository.raw.head.target)
        )
        yield endpoint, lambda: agent.answer(asking, no_pause)


def confined(level: str) -> str:
    try:
        return confinement.choose(level)
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")


@each_tool
@pytest.mark.parametrize("level", confinement.LEVELS)
def test_a_tool_edits_its_checkout_and_reports_what_it_took(
    case: Case,
    level: str,
    tool: Callable[[str], Path],
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    preset = PRESETS.find(case.preset)
    levels = (preset and preset.levels) or confinement.LEVELS
    if level not in levels:
        pytest.skip(f"{case.preset} does not work under {level}, only under {', '.join(levels)}")
    with asked(case, tool(case.program), repo, monkeypatch, level) as (endpoint, answer):
        answered = answer()
    assert answered.failure is None, (answered.failure, answered.detail, answered.output[-2000:])
    envelope = decode(answered.output, max_bytes=1 << 20)
    assert not isinstance(envelope, Rejected), envelope
    updates = {update.path: update for update in envelope.payload.file_updates}
    assert {path: update.content for path, update in updates.items()} == {"hello.txt": "hello\n"}
    assert LAST_WORD in envelope.payload.summary
    assert answered.usage["output_tokens"] >= OUTPUT_TOKENS
    assert answered.usage["input_tokens"] > 0
    said = json.dumps([body for _, body in endpoint.asked])
    assert "Create the file hello.txt with the one line 'hello'." in said


@each_tool
def test_a_key_that_the_service_refuses_spends_no_attempt(
    case: Case,
    tool: Callable[[str], Path],
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = tool(case.program)
    with (
        asked(case, program, repo, monkeypatch, status=401) as (_, answer),
        pytest.raises(AgentError, match="refused its key") as caught,
    ):
        answer()
    assert "list it under 'env'" in str(caught.value.hint)


CUT_OFF = {
    "claude-code": "max_tokens",
    "codex": "max_output_tokens",
    "opencode": "length",
    "copilot": "length",
    "aider": "length",
}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.preset in CUT_OFF], ids=lambda case: case.preset
)
def test_an_answer_that_was_cut_off_is_said_so(
    case: Case,
    tool: Callable[[str], Path],
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = CUT_OFF[case.preset]
    with asked(case, tool(case.program), repo, monkeypatch, stop=stop) as (_, answer):
        answered = answer()
    assert answered.code == RejectCode.OUTPUT_TRUNCATED, (answered.failure, answered.output[-900:])


REFUSED = {"claude-code": "refusal", "opencode": "content_filter", "copilot": "content_filter"}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.preset in REFUSED], ids=lambda case: case.preset
)
def test_a_refusal_is_said_so(
    case: Case,
    tool: Callable[[str], Path],
    repo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop = REFUSED[case.preset]
    with asked(case, tool(case.program), repo, monkeypatch, stop=stop) as (_, answer):
        answered = answer()
    assert answered.code == RejectCode.AGENT_REFUSED, (answered.failure, answered.output[-900:])
