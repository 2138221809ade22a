"""Agents as they are published, each against a model on loopback that speaks its dialect.

`ESAA_TEST_TOOLS` names a folder in which `npm install` put them; none is installed from here:

    npm install --prefix FOLDER @zed-industries/codex-acp @agentclientprotocol/claude-agent-acp \\
        opencode-ai @google/gemini-cli
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.acp.agent import AcpAgent
from esaa_git.core.contracts import AgentEntry
from esaa_git.errors import AgentError
from esaa_git.sandbox.confinement import LEVELS, choose
from esaa_git.store.repository import open_repository
from tests.agents.memory import no_pause, request
from tests.support.adapters import in_checkout

pytestmark = pytest.mark.cli
pytest.importorskip("acp", reason="the extra 'acp' is not installed")

MADE = "made by an agent\n"
COMMAND = "echo made by an agent > made.txt"
WORDS = "I made made.txt."
Document = dict[str, Any]


@dataclass(frozen=True)
class Tool:
    """An agent as it is published.

    `environment` makes its variables of the model's address; `arguments` its arguments;
    `sandboxes` are those that it works in.
    """

    program: str
    model: str
    environment: Callable[[str], Mapping[str, str]]
    arguments: Callable[[str], list[str]] = lambda address: []
    sandboxes: tuple[str, ...] = LEVELS


TOOLS = {
    "claude": Tool(
        "claude-agent-acp",
        "sonnet",
        lambda address: {
            "ANTHROPIC_BASE_URL": address,
            "ANTHROPIC_API_KEY": "k-1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
    ),
    "codex": Tool(
        "codex-acp",
        "gpt-5.1-codex",
        lambda address: {"OPENAI_API_KEY": "k-1"},
        lambda address: [
            "-c",
            'model_provider="loop"',
            "-c",
            f'model_providers.loop.base_url="{address}/v1"',
            "-c",
            'model_providers.loop.name="loop"',
            "-c",
            'model_providers.loop.wire_api="responses"',
            "-c",
            'model_providers.loop.env_key="OPENAI_API_KEY"',
            "-c",
            'sandbox_mode="danger-full-access"',
        ],
    ),
    "opencode": Tool(
        "opencode",
        "loop/some",
        lambda address: {
            "OPENCODE_CONFIG_CONTENT": json.dumps(
                {
                    "provider": {
                        "loop": {
                            "npm": "@ai-sdk/openai-compatible",
                            "options": {"baseURL": f"{address}/v1", "apiKey": "k-1"},
                            "models": {"some": {"name": "Some"}},
                        }
                    },
                    "model": "loop/some",
                    "permission": {"bash": "ask"},
                }
            ),
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
        },
        lambda address: ["acp"],
        # It serves itself on a port of its own, and Landlock lets nobody listen.
        sandboxes=("bubblewrap",),
    ),
    "gemini": Tool(
        "gemini",
        "gemini-2.5-pro",
        lambda address: {"GOOGLE_GEMINI_BASE_URL": address, "GEMINI_API_KEY": "k-1"},
        lambda address: ["--acp"],
    ),
}


class Model(BaseHTTPRequestHandler):
    """Has the agent make a file, and when it did, say `WORDS`; to everything else, a 404."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        path = self.path.partition("?")[0]
        self.server.asked.append((path, body))  # type: ignore[attr-defined]
        for ending, speak in DIALECTS.items():
            if path.endswith(ending):
                return self.reply(200, b"".join(speak(body)))
        return self.reply(404, b"{}")

    def do_GET(self) -> None:
        self.server.asked.append((self.path, None))  # type: ignore[attr-defined]
        self.reply(404, b"{}")

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Print nothing."""


def event(data: Document, name: str | None = None) -> bytes:
    head = b"" if name is None else f"event: {name}\n".encode()
    return head + b"data: " + json.dumps(data).encode() + b"\n\n"


def shell_of(tools: list[str]) -> str | None:
    """The tool by which this agent runs commands."""
    known = ("Bash", "bash", "shell_command", "exec_command", "shell")
    return next((name for name in known if name in tools), None)


def messages(body: Document) -> Iterator[bytes]:
    shell = shell_of([tool["name"] for tool in body.get("tools", ())])
    done = "tool_result" in json.dumps(body["messages"][-1])
    start = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "loop"}
    usage = {"input_tokens": 10, "output_tokens": 5}
    yield event({"type": "message_start", "message": {**start, "usage": usage}}, "message_start")
    if shell and not done:
        block: Document = {"type": "tool_use", "id": "t1", "name": shell, "input": {}}
        text = json.dumps({"command": COMMAND, "description": "make a file"})
        delta = {"type": "input_json_delta", "partial_json": text}
    else:
        block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": WORDS}
    for name, data in (
        ("content_block_start", {"index": 0, "content_block": block}),
        ("content_block_delta", {"index": 0, "delta": delta}),
        ("content_block_stop", {"index": 0}),
        (
            "message_delta",
            {
                "delta": {"stop_reason": "tool_use" if shell and not done else "end_turn"},
                "usage": usage,
            },
        ),
        ("message_stop", {}),
    ):
        yield event({"type": name, **data}, name)


def responses(body: Document) -> Iterator[bytes]:
    shell = shell_of([tool.get("name", "") for tool in body.get("tools", ())])
    done = any(item.get("type") == "function_call_output" for item in body["input"])
    if shell and not done:
        arguments: Document = {
            "exec_command": {"cmd": COMMAND},
            "shell_command": {"command": COMMAND},
            "shell": {"command": ["sh", "-c", COMMAND]},
        }[shell]
        item = {
            "type": "function_call",
            "call_id": "c1",
            "name": shell,
            "arguments": json.dumps(arguments),
        }
    else:
        content = [{"type": "output_text", "text": WORDS, "annotations": []}]
        item = {"type": "message", "role": "assistant", "id": "m1", "content": content}
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    for name, data in (
        ("response.created", {"response": {"id": "r1"}}),
        ("response.output_item.done", {"output_index": 0, "item": item}),
        ("response.completed", {"response": {"id": "r1", "output": [item], "usage": usage}}),
    ):
        yield event({"type": name, **data}, name)


def chat(body: Document) -> Iterator[bytes]:
    shell = shell_of([tool["function"]["name"] for tool in body.get("tools", ())])
    done = body["messages"][-1]["role"] == "tool"
    if shell and not done:
        arguments = json.dumps({"command": COMMAND, "description": "make a file"})
        call = {"index": 0, "id": "c1", "type": "function"}
        delta: Document = {
            "tool_calls": [{**call, "function": {"name": shell, "arguments": arguments}}]
        }
    else:
        delta = {"content": WORDS}
    chunk = {"id": "x", "object": "chat.completion.chunk", "model": "some", "created": 0}
    reason = "tool_calls" if shell and not done else "stop"
    for choice in (
        {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None},
        {"index": 0, "delta": {}, "finish_reason": reason},
    ):
        yield event({**chunk, "choices": [choice]})
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    yield event({**chunk, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def generate(body: Document) -> Iterator[bytes]:
    declared = [
        function["name"]
        for tool in body.get("tools", ())
        for function in tool.get("functionDeclarations", ())
    ]
    done = "functionResponse" in json.dumps(body["contents"])
    if "write_file" in declared and not done:
        # Not its shell, which wants a terminal; there is none in confinement.
        arguments = {"file_path": "made.txt", "content": MADE}
        part: Document = {"functionCall": {"name": "write_file", "args": arguments}}
    else:
        part = {"text": WORDS}
    yield event(
        {
            "candidates": [
                {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
            ],
            "usageMetadata": {
                "promptTokenCount": 10,
                "candidatesTokenCount": 5,
                "totalTokenCount": 15,
            },
        }
    )


DIALECTS: Mapping[str, Callable[[Document], Iterator[bytes]]] = {
    "/messages": messages,
    "/responses": responses,
    "/chat/completions": chat,
    ":streamGenerateContent": generate,
}


@pytest.fixture
def model() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Model) as server:
        server.asked = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "sandbox"),
    [(name, sandbox) for name, tool in TOOLS.items() for sandbox in tool.sandboxes],
)
def test_a_published_agent_makes_a_proposal(
    repo: Path,
    model: ThreadingHTTPServer,
    outer_environ: Mapping[str, str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    sandbox: str,
) -> None:
    tool = TOOLS[name]
    folder = outer_environ.get("ESAA_TEST_TOOLS")
    if folder is None:
        pytest.skip("ESAA_TEST_TOOLS names no folder with agents in it")
    program = Path(folder, "node_modules", ".bin", tool.program)
    if not program.exists():
        pytest.skip(f"there is no '{program}'")
    try:
        choose(sandbox)
    except AgentError as error:
        pytest.skip(f"{error.message}: {error.cause}")
    address = f"http://127.0.0.1:{model.server_port}"
    variables = tool.environment(address)
    for variable, value in variables.items():
        monkeypatch.setenv(variable, value)
    repository = open_repository(repo)
    agent = AcpAgent(
        AgentEntry(
            "coder",
            "acp",
            tool.model,
            {
                "command": [str(program), *tool.arguments(address)],
                "env": list(variables),
                "hosts": [f"127.0.0.1:{model.server_port}"],
                "read": [folder],
                "timeout": 100_000,
            },
        ),
        in_checkout(repo, repository, sandbox=sandbox),
    )
    asked = replace(request(b"Make made.txt.\n"), base=str(repository.raw.head.target))
    answer = agent.answer(asked, no_pause)
    assert answer.failure is None, (answer, model.asked)  # type: ignore[attr-defined]
    payload = json.loads(answer.output)["payload"]
    assert payload["summary"] == WORDS
    assert [(update["path"], update["content"]) for update in payload["file_updates"]] == [
        ("made.txt", MADE)
    ]
    assert answer.model
