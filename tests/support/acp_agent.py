"""An agent that speaks the Agent Client Protocol, written with the SDK's side of an agent.

A program for tests: `python acp_agent.py SCRIPT`, where SCRIPT is a JSON object that says what it
does in a turn, or `@` and the file that holds one. It edits the files of the folder that its
session names, as any agent would.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import acp
from acp import schema
from acp.agent import connection
from acp.router import MessageRouter, Route

MODELS = {"small": "Small Model", "large": "Large Model"}


class OlderSession(schema.NewSessionResponse):
    """How models were offered before there were configuration options."""

    models: dict[str, Any]


class ScriptedAgent(acp.Agent):
    """Does what its script says, and writes down what it was asked (`trace`)."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.client: acp.Client
        self.folder = Path()
        self.model = "small"
        self.logged_in = "login" not in script
        self.cancelled = asyncio.Event()

    def on_connect(self, conn: acp.Client) -> None:
        self.client = conn

    def trace(self, **facts: Any) -> None:
        """Append to the file that the script names; it lies in the checkout or the home."""
        if "trace" in self.script:
            with Path(os.path.expandvars(self.script["trace"])).open("a", encoding="utf-8") as file:
                file.write(json.dumps(facts) + "\n")

    async def initialize(
        self,
        protocol_version: int,
        client_capabilities: schema.ClientCapabilities | None = None,
        client_info: schema.Implementation | None = None,
        **kwargs: Any,
    ) -> schema.InitializeResponse:
        if self.script.get("hang") == "initialize":
            await asyncio.sleep(3600)
        return schema.InitializeResponse(
            protocol_version=self.script.get("version", protocol_version),
            agent_info=schema.Implementation(name="scripted", title="Scripted Agent", version="1"),
            agent_capabilities=schema.AgentCapabilities(load_session="loads" in self.script),
            auth_methods=[
                schema.AuthMethodAgent(id="browser", name="Browser", description="Log in by hand"),
                schema.EnvVarAuthMethod(
                    type="env_var",
                    id="key",
                    name="Key",
                    vars=[schema.AuthEnvVar(name=self.script.get("login", "NO_KEY"))],
                ),
            ],
        )

    async def authenticate(self, method_id: str, **kwargs: Any) -> schema.AuthenticateResponse:
        self.logged_in = method_id == "key" and self.script["login"] in os.environ
        return schema.AuthenticateResponse()

    async def new_session(
        self, cwd: str, mcp_servers: Any = None, **kwargs: Any
    ) -> schema.NewSessionResponse:
        if not self.logged_in:
            raise acp.RequestError.auth_required()
        self.folder = Path(cwd)
        if "loads" in self.script:
            Path(os.environ["HOME"], "session-s-1").touch()
        match self.script.get("models"):
            case "options" | "groups":
                return schema.NewSessionResponse(session_id="s-1", config_options=self.options())
            case "older":
                models = [{"modelId": value, "name": name} for value, name in MODELS.items()]
                state = {"availableModels": models, "currentModelId": self.model}
                return OlderSession(session_id="s-1", models=state)
        return schema.NewSessionResponse(session_id="s-1")

    async def load_session(
        self, cwd: str, session_id: str, mcp_servers: Any = None, **kwargs: Any
    ) -> schema.LoadSessionResponse:
        """Go on in the session that the script names, and tell again what was said in it."""
        if session_id != self.script["loads"]:
            raise acp.RequestError(-32602, f"no session '{session_id}'")
        self.folder = Path(cwd)
        self.trace(
            loaded=session_id, kept=[each.name for each in Path(os.environ["HOME"]).iterdir()]
        )
        await self.do_say(session_id, "What I said before. ")
        await self.do_cost(session_id, {"amount": 99, "currency": "USD"})
        return schema.LoadSessionResponse()

    def options(self) -> list[Any]:
        values: list[Any] = [
            schema.SessionConfigSelectOption(value=value, name=name)
            for value, name in MODELS.items()
        ]
        if self.script["models"] == "groups":
            values = [
                schema.SessionConfigSelectGroup(group=f"g-{number}", name="Group", options=[value])
                for number, value in enumerate(values)
            ]
        model = schema.SessionConfigOptionSelect(
            id="model",
            name="Model",
            category="model",
            type="select",
            current_value=self.model,
            options=values,
        )
        return [model]

    async def set_model(self, params: dict[str, Any]) -> dict[str, Any]:
        if params["modelId"] not in MODELS:
            raise acp.RequestError(-32602, f"no model '{params['modelId']}'")
        self.model = params["modelId"]
        return {}

    async def set_config_option(
        self, config_id: str, session_id: str, value: str | bool, **kwargs: Any
    ) -> schema.SetSessionConfigOptionResponse:
        if value not in MODELS:
            raise acp.RequestError(-32602, f"no model '{value}'")
        self.model = str(value)
        return schema.SetSessionConfigOptionResponse(config_options=self.options())

    async def prompt(self, session_id: str, prompt: list[Any], **kwargs: Any) -> Any:
        self.trace(prompt=prompt[0].text, model=self.model, cwd=str(self.folder))
        for step in self.script.get("steps", ()):
            (kind, argument) = next(iter(step.items()))
            stop = await getattr(self, f"do_{kind}")(session_id, argument)
            if stop is not None:
                return schema.PromptResponse(stop_reason=stop)
        usage = self.script.get("usage")
        return schema.PromptResponse(
            stop_reason=self.script.get("stop", "end_turn"),
            usage=schema.Usage(**usage) if usage else None,
        )

    async def cancel(self, session_id: str, **kwargs: Any) -> None:
        self.trace(cancelled=session_id)
        self.cancelled.set()

    # -- the steps of a script --------------------------------------------------------------------

    async def do_say(self, session_id: str, text: str) -> None:
        await self.client.session_update(session_id, acp.update_agent_message_text(text))

    async def do_tool(self, session_id: str, title: str) -> None:
        await self.client.session_update(session_id, acp.start_tool_call("t-1", title))

    async def do_write(self, session_id: str, files: dict[str, str]) -> None:
        for path, text in files.items():
            target = self.folder / os.path.expandvars(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")

    async def do_read(self, session_id: str, path: str) -> None:
        """Say what a file holds, or why it cannot be read."""
        try:
            text = (self.folder / path).read_text(encoding="utf-8")
        except OSError as error:
            text = type(error).__name__
        await self.do_say(session_id, text)

    async def do_environment(self, session_id: str, _: str) -> None:
        await self.do_say(session_id, " ".join(sorted(os.environ)))

    async def do_connect(self, session_id: str, port: int) -> None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5):
                outcome = "connected"
        except OSError as error:
            outcome = type(error).__name__
        await self.do_say(session_id, outcome)

    async def do_fill_memory(self, session_id: str, size: int) -> None:
        self.kept = bytearray(os.urandom(1 << 20) * (size >> 20))

    async def do_run(self, session_id: str, command: list[str]) -> None:
        """Run a program to its end."""
        subprocess.run(command, check=False)

    async def do_sleep(self, session_id: str, seconds: float) -> None:
        """Hear nothing for a while, also not that the turn was cancelled."""
        time.sleep(seconds)

    async def do_try_write(self, session_id: str, path: str) -> None:
        """Where nothing should let it; what came of it is said."""
        try:
            Path(path).write_text("mine", encoding="utf-8")
            outcome = "written"
        except OSError as error:
            outcome = type(error).__name__
        await self.do_say(session_id, f"{path}: {outcome}")

    async def do_ask(self, session_id: str, kinds: list[str]) -> None:
        """Ask for a permission, and say how it was answered."""
        answer = await self.client.request_permission(
            session_id=session_id,
            tool_call=schema.ToolCallUpdate(tool_call_id="t-1", title="edit"),
            options=[
                schema.PermissionOption(kind=kind, name=kind, option_id=f"{kind}-{number}")
                for number, kind in enumerate(kinds)
            ],
        )
        chosen = getattr(answer.outcome, "option_id", answer.outcome.outcome)
        await self.do_say(session_id, f"[{chosen}]")

    async def do_client_file(self, session_id: str, path: str) -> None:
        """Ask the client to write a file, although it does not offer that; say its answer."""
        try:
            await self.client.write_text_file(session_id=session_id, path=path, content="mine")
            said = "written"
        except acp.RequestError as error:
            said = str(error)
        await self.do_say(session_id, said)

    async def do_cost(self, session_id: str, cost: dict[str, Any]) -> None:
        update = schema.UsageUpdate(
            session_update="usage_update", used=1, size=2, cost=schema.Cost(**cost)
        )
        await self.client.session_update(session_id, update)

    async def do_raw(self, session_id: str, text: str) -> None:
        """Write something that is no message."""
        os.write(1, text.encode())

    async def do_stderr(self, session_id: str, text: str) -> None:
        os.write(2, text.encode())

    async def do_fail(self, session_id: str, message: str) -> None:
        raise acp.RequestError(-32603, message, {"details": "the service is down"})

    async def do_refuse_key(self, session_id: str, message: str) -> None:
        raise acp.RequestError(-32000, message)

    async def do_exit(self, session_id: str, status: int) -> None:
        os._exit(status)

    async def do_spawn(self, session_id: str, command: list[str]) -> None:
        """Start a program that outlives the turn; it holds our pipes."""
        child = subprocess.Popen(command, start_new_session=True)
        self.trace(child=child.pid)

    async def do_wait(self, session_id: str, seconds: float) -> str | None:
        """Wait; where the client cancels meanwhile, end the turn as the protocol wants it."""
        try:
            await asyncio.wait_for(self.cancelled.wait(), seconds)
        except TimeoutError:
            return None
        return "cancelled"


def main() -> None:
    script = sys.argv[1]
    if script.startswith("@"):
        script = Path(script[1:]).read_text(encoding="utf-8")
    agent = ScriptedAgent(json.loads(script))
    build = connection.build_agent_router

    def build_with_older(*args: Any, **kwargs: Any) -> MessageRouter:
        router = build(*args, **kwargs)
        router.add_route(Route("session/set_model", agent.set_model, "request"))
        return router

    connection.build_agent_router = build_with_older
    asyncio.run(acp.run_agent(agent))


if __name__ == "__main__":
    main()
