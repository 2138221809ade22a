"""A host speaks to `git esaa mcp`, one message after the other."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import Any

from tests.snapshots.history import ONE, build
from tests.snapshots.world import Said, World


def record(world: World) -> None:
    """Record what the tools are and answer; how the SDK wraps that is the SDK's."""
    world.quietly(build)
    server = subprocess.Popen(
        [sys.executable, "-m", "esaa_git", "mcp", "--as", "by-hand"],
        cwd=world.path(ONE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with server:
        _talk(world, server)
        assert server.stdin is not None
        server.stdin.close()
        code = server.wait()
    world.record("the server, when its host is gone", Said(code, b"", b""))


def _talk(world: World, server: subprocess.Popen[bytes]) -> None:
    client = {"name": "by-hand", "version": "1"}
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    greeted = _ask(server, 1, "initialize", hello)
    _note(world, "initialize", greeted["instructions"])
    _send(server, {"method": "notifications/initialized"})
    for tool in _ask(server, 2, "tools/list", {})["tools"]:
        arguments = tool["inputSchema"]["properties"]
        told = {name: one.get("description") for name, one in arguments.items()}
        shown = {"description": tool["description"], "arguments": told}
        _note(world, f"the tool {tool['name']}", json.dumps(shown, indent=2, ensure_ascii=False))
    calls: list[tuple[str, dict[str, Any]]] = [
        ("get_status", {}),
        ("next_task", {}),
        ("get_task_context", {"task_id": "T-10"}),
        ("get_task_context", {"task_id": "T-99"}),
        ("next_task", {"task_id": "T-1", "claim": True}),
        ("submit_result", {"task_id": "T-10", "summary": "Nobody asked"}),
        ("report_issue", {"severity": "low", "title": "Said through a tool"}),
        ("heartbeat", {"task_id": "T-10"}),
    ]
    for number, (name, arguments) in enumerate(calls, start=3):
        answer = _ask(server, number, "tools/call", {"name": name, "arguments": arguments})
        failed = " fails" if answer.get("isError") else ""
        text = "\n".join(part["text"] for part in answer["content"])
        # The server is a process of its own, and its clock is the machine's.
        text = re.sub(r'("deadline": )"[^"]+"', r'\1"<now and half an hour>"', text)
        _note(world, f"{name} {json.dumps(arguments)}{failed}", text)


def _note(world: World, what: str, text: str) -> None:
    world.record(f"mcp: {what}", Said(0, text.encode() + b"\n", b""))


def _send(server: subprocess.Popen[bytes], message: dict[str, Any]) -> None:
    assert server.stdin is not None
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
    server.stdin.flush()


def _ask(
    server: subprocess.Popen[bytes], number: int, method: str, params: dict[str, Any]
) -> dict[str, Any]:
    _send(server, {"id": number, "method": method, "params": params})
    assert server.stdout is not None
    while line := server.stdout.readline():
        answer: dict[str, Any] = json.loads(line)
        if answer.get("id") == number:
            result: dict[str, Any] = answer["result"]
            return result
    assert server.stderr is not None
    raise RuntimeError(f"the server is gone: {server.stderr.read().decode()}")
