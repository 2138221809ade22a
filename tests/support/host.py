"""The host of an interactive agent: the MCP SDK's own client, with a real `git esaa mcp`."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.types import Implementation, Tool

import esaa_git.mcp.server  # noqa: F401 - before a server is forked
from tests.support import forked
from tests.support.patience import patience

PATIENCE = patience(60)
"""Seconds that one call may take on a machine that is busy with other things."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a tool answered: an object, or an error in words."""

    failed: bool
    text: str
    value: dict[str, Any]


class Host:
    """One client and its server; calls are made from ordinary code."""

    def __init__(self, portal: BlockingPortal, client: Client, pid: int) -> None:
        self._portal = portal
        self._client = client
        self.pid = pid

    def reply(self, tool: str, /, **arguments: Any) -> Reply:
        result = self._portal.call(self._client.call_tool, tool, arguments)
        text = "\n".join(getattr(part, "text", "") for part in result.content)
        return Reply(bool(result.is_error), text, dict(result.structured_content or {}))

    def ok(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """Make a call that has to succeed, and return what it answered."""
        reply = self.reply(tool, **arguments)
        assert not reply.failed, reply.text
        return reply.value

    def fails(self, tool: str, /, **arguments: Any) -> str:
        """Make a call that has to fail, and return what it said."""
        reply = self.reply(tool, **arguments)
        assert reply.failed, reply.text
        assert "Traceback" not in reply.text, reply.text
        assert "a fault in git-esaa itself" not in reply.text, reply.text
        return reply.text

    def tools(self) -> list[Tool]:
        return list(self._portal.call(self._client.list_tools).tools)

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.pid, number)


@contextmanager
def host(
    folder: Path, *arguments: str, name: str = "test-host", mode: str = "legacy"
) -> Iterator[Host]:
    """Start `git esaa mcp` in a folder, and connect to it as the client of this name.

    Args:
        mode: how the protocol's version is found, as `mcp.client.Client` takes it.
    """
    with tempfile.TemporaryDirectory() as own:
        told, answers, errors = (Path(own) / one for one in ("told", "answers", "errors"))
        for place in (told, answers):
            os.mkfifo(place)

        def through_pipes() -> None:
            for number, place in enumerate((told, answers)):
                os.dup2(os.open(place, os.O_WRONLY if number else os.O_RDONLY), number)

        # The client starts what passes lines on to and from a server that is there already.
        passing = 'cat "$1" & exec cat > "$0"'
        parameters = StdioServerParameters(
            command="/bin/sh", args=["-c", passing, str(told), str(answers)]
        )
        with errors.open("w") as noted:
            server = forked.start(
                *("-C", folder, "mcp", *arguments), before=through_pipes, cwd=folder, stderr=noted
            )
            with start_blocking_portal() as portal:
                client = Client(
                    stdio_client(parameters, noted),
                    client_info=Implementation(name=name, version="1"),
                    read_timeout_seconds=PATIENCE,
                    mode=mode,
                )
                with portal.wrap_async_context_manager(client):
                    yield Host(portal, client, server.pid)
            server.wait(PATIENCE)
        assert "Traceback" not in errors.read_text(), errors.read_text()
