"""A client's side of the Agent Client Protocol (version 1): one session, one question.

The messages, their numbering and their schemas are those of the package `agent-client-protocol`;
here is what a client decides: what it offers an agent, how it answers when one asks, and how much
of what one says it believes. https://agentclientprotocol.com/protocol describes the protocol.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Final

from acp import AGENT_METHODS, CLIENT_METHODS, PROTOCOL_VERSION, RequestError
from acp.connection import Connection
from acp.schema import (
    AgentMessageChunk,
    AllowedOutcome,
    DeniedOutcome,
    InitializeResponse,
    LoadSessionResponse,
    NewSessionResponse,
    PermissionOption,
    PromptResponse,
    RequestPermissionRequest,
    RequestPermissionResponse,
    SessionConfigOptionSelect,
    SessionConfigSelectGroup,
    SessionNotification,
    SetSessionConfigOptionResponse,
    TextContentBlock,
    ToolCallStart,
    UsageUpdate,
)
from pydantic import ValidationError

from esaa_git import __version__
from esaa_git.agents.acp.pipes import Pipes, Program
from esaa_git.agents.acp.turn import (
    Ask,
    ModelRefused,
    OutOfTime,
    ProtocolFault,
    Turn,
    Unanswered,
    ended,
    facts,
    login_required,
    said,
    variables,
)
from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.printable import printable
from esaa_git.core.rejection import excerpt

MAX_WORDS: Final = 16_000
"""How many characters of an agent's message are kept."""

_AUTH_REQUIRED: Final = -32000
# Of agents that are older than the protocol's configuration options; its schemas have dropped it.
_SET_MODEL: Final = "session/set_model"


class Session:
    """One question to an agent, in the loop that runs when this is made."""

    def __init__(self, pipes: Pipes, ask: Ask) -> None:
        self._pipes = pipes
        self._ask = ask
        self._connection = Connection(self._serve, pipes)
        self._agent = "the agent"
        self._id: str | None = None
        self._went_on = False
        self._is_stopped = False
        self._words = ""
        self._message_id: str | None = None
        self._message_ended = False
        self._usage: dict[str, Any] = {}

    @property
    def usage(self) -> Mapping[str, Any]:
        """What the turn took so far, by the agent's word."""
        return {
            key: min(value, MAX_INTEGER) if isinstance(value, int) else value
            for key, value in self._usage.items()
        }

    async def turn(self) -> Turn:
        """Introduce ourselves, open the session, ask, and return how it ended.

        Raises:
            ProtocolFault, LoginRequired, ModelRefused: as they say.
        """
        try:
            greeting = await self._initialize()
            model = await self._open(greeting)
            response = await self._prompt(greeting)
        except RequestError as error:
            raise ProtocolFault(f"answered with an error: {said(error)}", facts(error)) from error
        except ValidationError as error:
            raise ProtocolFault(f"sent a malformed {error.title}") from error
        except ConnectionError as error:
            raise await self._breakdown() from error
        self._count(response)
        words = printable(self._words).strip()
        kept = self._id if _can_load(greeting) else None
        named = excerpt(model or "") or None
        return Turn(response.stop_reason, words, named, self.usage, kept, self._went_on)

    async def stop(self) -> bool:
        """Tell the agent that its answer is not waited for any more; False where none is begun."""
        self._is_stopped = True
        if self._id is None:
            return False
        with suppress(ConnectionError):
            await self._connection.send_notification(
                AGENT_METHODS["session_cancel"], {"sessionId": self._id}
            )
        return True

    async def close(self) -> None:
        """Stop serving the agent."""
        await self._connection.close()

    # -- what is asked of the agent ---------------------------------------------------------------

    async def _request(self, name: str, params: dict[str, Any]) -> Any:
        return await self._connection.send_request(AGENT_METHODS[name], params)

    async def _initialize(self) -> InitializeResponse:
        # Neither files nor terminals: an agent has both where it is confined, and what we did in
        # its name would be done outside.
        offer = {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}
        greeting = InitializeResponse.model_validate(
            await self._request(
                "initialize",
                {
                    "protocolVersion": PROTOCOL_VERSION,
                    "clientCapabilities": offer,
                    "clientInfo": {"name": "git-esaa", "version": __version__},
                },
            )
        )
        if greeting.protocol_version != PROTOCOL_VERSION:
            raise ProtocolFault(
                f"speaks version {greeting.protocol_version} of the protocol, "
                f"not version {PROTOCOL_VERSION}"
            )
        if greeting.agent_info is not None:
            self._agent = greeting.agent_info.title or greeting.agent_info.name
        return greeting

    async def _open(self, greeting: InitializeResponse) -> str | None:
        """Open the session, choose the model, and return which one it is."""
        raw = await self._load(greeting)
        if raw is None:
            raw = await self._with_login(greeting, "session_new", self._place())
            self._id = NewSessionResponse.model_validate(raw).session_id
        session = LoadSessionResponse.model_validate(raw)
        for option in session.config_options or ():
            if isinstance(option, SessionConfigOptionSelect) and option.category == "model":
                return await self._configure(option)
        return await self._set_model(raw.get("models"))

    async def _load(self, greeting: InitializeResponse) -> dict[str, Any] | None:
        """Go on in the session that was asked for; None where the agent does not.

        It tells everything again that was said in it, which is no part of this turn.
        """
        if self._ask.session is None or not _can_load(greeting):
            return None
        wanted = {**self._place(), "sessionId": self._ask.session}
        try:
            raw = await self._with_login(greeting, "session_load", wanted)
        except RequestError:
            return None
        finally:
            self._words, self._message_ended, self._message_id = "", False, None
            self._usage.clear()
        self._id, self._went_on = self._ask.session, True
        return raw if isinstance(raw, dict) else {}

    def _place(self) -> dict[str, Any]:
        return {"cwd": str(self._ask.folder), "mcpServers": []}

    async def _with_login(
        self, greeting: InitializeResponse, name: str, params: dict[str, Any]
    ) -> Any:
        try:
            return await self._request(name, params)
        except RequestError as error:
            if error.code != _AUTH_REQUIRED:
                raise
            await self._log_in(greeting, error)
            return await self._request(name, params)

    async def _prompt(self, greeting: InitializeResponse) -> PromptResponse:
        asked = {"sessionId": self._id, "prompt": [{"type": "text", "text": self._ask.text}]}
        try:
            return PromptResponse.model_validate(await self._request("session_prompt", asked))
        except RequestError as error:
            # Only when it is used, many find out that a key is wrong.
            if error.code == _AUTH_REQUIRED:
                raise login_required(greeting, error) from error
            raise

    async def _log_in(self, greeting: InitializeResponse, refusal: RequestError) -> None:
        """Log in by a variable that the agent has; never by what takes a person or a browser."""
        for method in greeting.auth_methods or ():
            names = variables(method)
            if names and all(name in self._ask.variables for name in names):
                await self._request("authenticate", {"methodId": method.id})
                return
        raise login_required(greeting, refusal) from refusal

    async def _configure(self, option: SessionConfigOptionSelect) -> str:
        if self._ask.model is None:
            return option.current_value
        offered: dict[str, str] = {}
        for entry in option.options:
            group = entry.options if isinstance(entry, SessionConfigSelectGroup) else (entry,)
            offered |= {choice.value: choice.name for choice in group}
        chosen = _meant(self._ask.model, offered)
        params = {"sessionId": self._id, "configId": option.id, "value": chosen}
        try:
            raw = await self._request("session_set_config_option", params)
        except RequestError as error:
            raise ModelRefused(said(error), [*map(excerpt, offered)]) from error
        for now in SetSessionConfigOptionResponse.model_validate(raw).config_options:
            if now.id == option.id and isinstance(now, SessionConfigOptionSelect):
                chosen = now.current_value
        return chosen

    async def _set_model(self, models: Any) -> str | None:
        if not isinstance(models, dict):
            return None
        if self._ask.model is None:
            current = models.get("currentModelId")
            return current if isinstance(current, str) else None
        available = models.get("availableModels")
        offered = {
            str(model.get("modelId")): str(model.get("name"))
            for model in (available if isinstance(available, list) else ())
            if isinstance(model, dict)
        }
        chosen = _meant(self._ask.model, offered)
        try:
            await self._connection.send_request(
                _SET_MODEL, {"sessionId": self._id, "modelId": chosen}
            )
        except RequestError as error:
            raise ModelRefused(said(error), [*map(excerpt, offered)]) from error
        return chosen

    async def _breakdown(self) -> ProtocolFault:
        """Return why there are no more messages."""
        if self._pipes.fault is not None:
            return ProtocolFault(self._pipes.fault)
        status = await self._pipes.status()
        return ended(status, self._pipes.exceeded)

    # -- what the agent asks and tells ------------------------------------------------------------

    async def _serve(self, method: str, params: Any, is_notification: bool) -> Any:
        if method == CLIENT_METHODS["session_update"]:
            # Kinds of updates that came after our schemas are none that we need.
            with suppress(ValidationError):
                self._hear(SessionNotification.model_validate(params))
            return None
        if is_notification:
            return None
        if method == CLIENT_METHODS["session_request_permission"]:
            return self._permit(RequestPermissionRequest.model_validate(params))
        raise RequestError.method_not_found(method)

    def _hear(self, heard: SessionNotification) -> None:
        match heard.update:
            case AgentMessageChunk(content=TextContentBlock(text=text), message_id=message_id):
                if self._message_ended or message_id != self._message_id:
                    self._words, self._message_ended, self._message_id = "", False, message_id
                self._words += text[: MAX_WORDS - len(self._words)]
            case ToolCallStart():
                self._message_ended = True
            case UsageUpdate(cost=cost) if cost is not None and cost.currency == "USD":
                # What the session has cost so far.
                amount = Decimal(str(cost.amount))
                if amount.is_finite() and amount >= 0:
                    self._usage["cost_microdollars"] = round(amount * 1_000_000)
                    self._usage["price_source"] = excerpt(f"reported by {self._agent}")

    def _permit(self, asked: RequestPermissionRequest) -> RequestPermissionResponse:
        """Allow it, once where that is offered: what confines an agent is not its good manners."""
        options: dict[str, PermissionOption] = {}
        for option in asked.options:
            options.setdefault(option.kind, option)
        chosen = options.get("allow_once") or options.get("allow_always")
        if self._is_stopped or chosen is None:
            return RequestPermissionResponse(outcome=DeniedOutcome(outcome="cancelled"))
        return RequestPermissionResponse(
            outcome=AllowedOutcome(outcome="selected", option_id=chosen.option_id)
        )

    def _count(self, response: PromptResponse) -> None:
        used = response.usage
        if used is not None:
            # There, the kinds of tokens add up; here, the input includes what was cached.
            cached = used.cached_read_tokens or 0
            written = used.cached_write_tokens or 0
            self._usage["input_tokens"] = used.input_tokens + cached + written
            self._usage["cached_input_tokens"] = cached
            self._usage["output_tokens"] = used.output_tokens + (used.thought_tokens or 0)


def _can_load(greeting: InitializeResponse) -> bool:
    offered = greeting.agent_capabilities
    return offered is not None and offered.load_session is True


def _meant(wanted: str, offered: Mapping[str, str]) -> str:
    """Return the id of the model that is meant; an agent may take more than it offers."""
    if wanted in offered:
        return wanted
    return next((value for value, name in offered.items() if name == wanted), wanted)


CANCEL_SECONDS: Final = 1.0
"""How long an agent that is told to stop may take for that."""

_TICK: Final = 0.03


def take_turn(program: Program, ask: Ask, until: float, pause: Callable[[], None]) -> Turn:
    """Open a session, ask once, and return how the turn ended.

    All of it happens in the calling thread, in an event loop that lives as long as the call. The
    program's pipes are closed in the end; the program itself is left to its starter. Where
    the turn is broken off, the agent is told so and has `CANCEL_SECONDS` to come to an end.

    Args:
        until: the deadline, on the clock of `time.monotonic`.
        pause: called at least every 50 ms; what it raises breaks the turn off and passes through.

    Raises:
        OutOfTime: at the deadline.
        ProtocolFault, LoginRequired, ModelRefused: as they say (`acp_turn`).
    """
    loop = asyncio.new_event_loop()
    try:
        pipes = loop.run_until_complete(Pipes.open(program))
        try:
            return _Drive(loop, pipes, ask).run(until, pause)
        finally:
            loop.run_until_complete(pipes.close())
    finally:
        loop.close()


class _Drive:
    """Runs the loop in short strokes, and what belongs to no coroutine between them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipes: Pipes, ask: Ask) -> None:
        self._loop = loop
        self._pipes = pipes
        self._session = loop.run_until_complete(_begin(pipes, ask))
        self._turn = loop.create_task(self._session.turn())

    def run(self, until: float, pause: Callable[[], None]) -> Turn:
        try:
            while not self._turn.done():
                # Outside of the loop: an interrupt that it raises would break a coroutine's state.
                pause()
                left = until - time.monotonic()
                if left <= 0:
                    raise OutOfTime("did not end its turn in time")
                self._pipes.look_after()
                self._stroke(min(_TICK, left))
            return self._turn.result()
        except Unanswered as error:
            error.stderr, error.stray = self._pipes.stderr, self._pipes.stray
            error.usage = self._session.usage
            raise
        finally:
            if not self._turn.done() and self._loop.run_until_complete(self._session.stop()):
                self._stroke(CANCEL_SECONDS)
            self._turn.cancel()
            self._loop.run_until_complete(self._end())

    def _stroke(self, seconds: float) -> None:
        self._loop.run_until_complete(asyncio.wait({self._turn}, timeout=seconds))

    async def _end(self) -> None:
        await asyncio.wait({self._turn})
        if not self._turn.cancelled():
            # Seen: a turn that failed after it was broken off is nothing to report.
            self._turn.exception()
        await self._session.close()


async def _begin(pipes: Pipes, ask: Ask) -> Session:
    return Session(pipes, ask)
