"""A model on this machine: llama.cpp, and weights that come in a package of their own.

Nothing is signed up for and nothing leaves the machine. The model that comes with the extra
`esaa-git[local]` has 135 million parameters: enough to go all the way from a task to an effect
commit, and not enough for work of any worth. So it is asked for as little as can be: one file, or
two, in an answer of a form and a length that it is held to (`prompts`, `http.wire`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from esaa_git.agents.adapter import Adapter, AdapterContext, agent_error
from esaa_git.agents.asking import ask_for_path
from esaa_git.agents.http import wire
from esaa_git.agents.http.dialects import DIALECTS, NotInDialect, read_body, service_error
from esaa_git.agents.local.server import ModelServer, NotServing, ServerSettings, serving
from esaa_git.agents.local.weights import SHIPPED, digest_of, find_weights
from esaa_git.agents.prompts import Prompt, render
from esaa_git.agents.providers import LOCAL
from esaa_git.agents.settings import DURATION, PROMPTED
from esaa_git.core import canonical
from esaa_git.core.asks import Ask
from esaa_git.core.contracts import SWARM, AgentEntry
from esaa_git.core.event import instant
from esaa_git.core.events.spec import integer, line, record
from esaa_git.core.rejection import RejectCode, excerpt
from esaa_git.errors import AgentError
from esaa_git.floor import path_fault
from esaa_git.ports.agent import Answer, Most, Ran, Request
from esaa_git.ports.consent import NamedFiles
from esaa_git.resources import resource_path

if TYPE_CHECKING:
    from esaa_git.agents.http.client import CallResult, Reply

TEMPLATE: Final = "small"
CONTEXT_TOKENS: Final = 4096
MAX_OUTPUT_TOKENS: Final = 1024

SUMMARY_CHARACTERS: Final = 120
LEAST_SUMMARY: Final = 10
LEAST_CHARACTERS: Final = 40
MOST_CHARACTERS: Final = 1999
"""Of a file's content. llama.cpp does not hold a text to a greater length, and does not say so."""

SAMPLING: Final[Mapping[str, Any]] = {
    # The likeliest word always, and nothing left over from the request before: the same file of
    # weights and the same request give the same answer, as far as the machine's arithmetic does.
    "temperature": 0,
    "seed": 1,
    "cache_prompt": False,
    # What was said is less likely to be said again: small models go round in circles.
    "presence_penalty": 0.5,
    "dry_multiplier": 0.8,
}

# Below the three or four of plain English, and about what program text comes to.
_BYTES_PER_TOKEN: Final = 2
_FENCES: Final = 40
# The keys, marks and white space of an envelope and of one update, at one token a character.
_ENVELOPE_TOKENS, _UPDATE_TOKENS = 180, 60


class LocalAgent:
    """Asks a model that this process serves to itself (`model_server`).

    The server is a program of ours and does nothing but calculate; what it loads is a person's
    choice. No agent's program runs: `sandbox` is `in-process`.

    Attributes:
        model: after `ready`, the name with the first 12 hexadecimal digits of the SHA-256 of the
            weights, as in `SmolLM2-135M-Instruct.Q4_1@b179c9523d0e`.

    Args:
        entry: `settings` may hold `file` (weights as a GGUF file; a relative path starts at the
            top of the checkout), `context_tokens`, `max_output_tokens`, `timeout` (milliseconds
            for an answer, the loading of the model included) and `template`.
        context: of which the checkout's top, the clock, the size of an answer and the pinned
            prompts are used.
    """

    def __init__(self, entry: AgentEntry, context: AdapterContext) -> None:
        self.name = entry.name
        self.adapter = entry.adapter
        self._title = entry.model or Path(entry.settings.get("file", SHIPPED)).stem
        self.model: str | None = self._title
        self.sandbox = "in-process"
        self.has_checkout = False
        self._settings = entry.settings
        self._context_tokens: int = entry.settings.get("context_tokens", CONTEXT_TOKENS)
        self._max_tokens: int = entry.settings.get("max_output_tokens", MAX_OUTPUT_TOKENS)
        self._context = context

    def ready(self) -> None:
        """Raise AgentError if a package or the weights are missing, or leave no room to answer."""
        for package in ("httpx2", "xllamacpp"):
            if find_spec(package) is None:
                raise self._error(
                    f"the package '{package}' is missing, through which local models are asked",
                    None,
                    "run 'python -m pip install \"esaa-git[local]\"', then repeat the command",
                )
        if self._max_tokens >= self._context_tokens:
            raise self._error(
                "there is no room for a prompt",
                f"an answer may take {self._max_tokens} tokens of a context of "
                f"{self._context_tokens}",
                f"correct 'max_output_tokens' or 'context_tokens' in .roadmap/{SWARM}",
            )
        self.model = f"{self._title}@{digest_of(self._file())[:12]}"

    def ran(self) -> Ran:
        """Return what serves the model."""
        return Ran(provider=LOCAL)

    def prepare(self, request: Request) -> Request:
        """Return the request with the body that goes to the server, and the template's name.

        Of the view's files, those are shown whole that still fit into the model's context, in
        their order; the others are as good as not there.

        Raises:
            ConfigurationError: if the template cannot be rendered, or the contract leaves a model
                nothing to answer with.
        """
        view = canonical.decode(request.view)
        prompt = self._prompt(view)
        body = DIALECTS["chat"].body(
            self._title, prompt, answer_schema(view, self._max_tokens), self._max_tokens
        )
        # Not sorted: a model writes the properties of a schema in their order.
        text = json.dumps({**body, **SAMPLING}, ensure_ascii=False, separators=(",", ":"))
        return replace(request, sent=text.encode(), template=prompt.template)

    def most(self, request: Request) -> Most:
        """Return that a model on this machine costs nothing, and fills its context at most."""
        return Most(0, self._context_tokens)

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        """Send exactly `request.sent` and return what the model wrote.

        The first attempt of a process loads the model. The server answers one question at a time;
        `latency_ms` has the wait for another attempt's answer in it, and not the loading.

        Raises:
            AgentError: as `ready`; if the model cannot be loaded, or the prompt does not fit.
        """
        from esaa_git.agents.http.client import Call, ask

        self.ready()
        began = time.monotonic()
        now = self._context.clock.now()
        left_ms = (instant(request.deadline) - now) // timedelta(milliseconds=1)
        timeout_ms = min(left_ms, self._settings.get("timeout", left_ms))
        late = f"did not answer within {timeout_ms} ms"
        if timeout_ms <= 0:
            late = f"there was no time left before its deadline {request.deadline}"
            return Answer(b"", 0, late, RejectCode.AGENT_TIMEOUT)
        until = began + timeout_ms / 1000
        try:
            server = self._server(pause, until)
        except TimeoutError as error:
            return Answer(b"", 0, f"{late}: {error}", RejectCode.AGENT_TIMEOUT)
        started = time.monotonic()
        asked = ask(
            Call(
                url=f"{server.url}/v1/chat/completions",
                headers={
                    "Content-Type": "application/json",
                    "Authorization": f"Bearer {server.key}",
                },
                body=request.sent,
                until=until,
                try_seconds=None,
                # The same question to the same model fails the same way again.
                max_tries=1,
                max_body_bytes=2 * self._context.max_output_bytes + (1 << 16),
            ),
            pause,
            reason_of=lambda reply: excerpt(service_error(reply.body)[1], 400),
            is_hopeless=lambda _: True,
        )
        latency_ms = int((time.monotonic() - started) * 1000)
        return replace(self._read(asked, late), latency_ms=latency_ms)

    def _prompt(self, view: dict[str, Any]) -> Prompt:
        """Render the template with as many files as there is room for."""
        left = (self._context_tokens - self._max_tokens) * _BYTES_PER_TOKEN
        left -= _size(self._rendered({**view, "files": []}))
        shown = []
        for file in view.get("files", []):
            size = len(file.get("content", "").encode()) + len(file["path"].encode()) + _FENCES
            if "content" in file and size <= left:
                left -= size
                shown.append(file)
        return self._rendered({**view, "files": shown})

    def _rendered(self, view: Mapping[str, Any]) -> Prompt:
        name = self._settings.get("template", TEMPLATE)
        pinned = self._context.prompt(name)
        if pinned is None and name == TEMPLATE:
            pinned = resource_path("templates", "default", f"PROMPT.{name}.md").read_bytes()
        return render(name, pinned, canonical.encode(view))

    def _server(self, pause: Callable[[], None], until: float) -> ModelServer:
        file = self._file()
        try:
            return serving(
                ServerSettings(file, self._title, self._context_tokens), pause, until=until
            )
        except NotServing as error:
            raise self._error(
                f"llama.cpp cannot serve '{file.name}'",
                str(error),
                f"correct 'file' or 'context_tokens' in .roadmap/{SWARM}; it takes effect with "
                "the next run",
            ) from error

    def _read(self, asked: CallResult, late: str) -> Answer:
        """Return what it amounts to, the time it took aside."""
        reply = asked.reply
        if reply is None:
            last = asked.tries[-1] if asked.tries else None
            if asked.late or last is None or last.timed_out:
                return Answer(b"", 0, late, RejectCode.AGENT_TIMEOUT)
            return Answer(b"", 0, f"gave no answer: {last.reason}", RejectCode.AGENT_FAILED)
        if reply.status != 200:
            return self._refused(reply)
        if reply.truncated:
            return Answer(reply.body[: self._context.max_output_bytes + 1], 0, truncated=True)
        try:
            reading = read_body(DIALECTS["chat"], reply.body)
        except NotInDialect as error:
            said = f"llama.cpp answered in another form than it should: {error}"
            return Answer(reply.body, 0, said, RejectCode.AGENT_FAILED)
        written = reading.text.encode(errors="surrogatepass")
        return Answer(
            written if reading.failure else wire.decode(written),
            0,
            reading.failure,
            reading.code,
            model=self.model,
            usage=reading.usage,
            unwrapped=reading.unwrapped,
        )

    def _refused(self, reply: Reply) -> Answer:
        said = excerpt(service_error(reply.body)[1], 400)
        if b"exceed_context_size" in reply.body:
            raise self._error(
                "the prompt does not fit into the model's context",
                said,
                f"raise 'context_tokens' in .roadmap/{SWARM}, or shorten the template "
                "or the task's description",
            )
        failure = f"llama.cpp refused the request: {said}"
        return Answer(b"", 0, failure, RejectCode.AGENT_FAILED, {"status": reply.status})

    def _file(self) -> Path:
        file = find_weights(self.name, self._settings.get("file"), self._context.root)
        if "file" in self._settings and (fault := path_fault(file)) is not None:
            where = f"correct 'file' in .roadmap/{SWARM}"
            raise self._error(f"'{file}' is never read as weights", fault, where)
        return file

    def _error(self, message: str, cause: str | None, hint: str) -> AgentError:
        return agent_error(self.name, message, cause, hint)


def answer_schema(view: Mapping[str, Any], max_tokens: int) -> dict[str, Any]:
    """Return what a small model is held to: an envelope that it cannot but finish in this many.

    One action, one operation (`write`), a length to every text such that the whole fits even where
    every character takes a token. Where the task names one or two files
    outright, each of them is written, once; otherwise one file, where the boundary allows.
    """
    patterns = view["contract"]["write"]
    are_files = not any(set(pattern) & set("*?[") for pattern in patterns)
    number = 2 if are_files and len(patterns) == 2 else 1
    taken = _ENVELOPE_TOKENS + SUMMARY_CHARACTERS + len(view["task"]["task_id"])
    taken += len(view["attempt_id"]) + number * _UPDATE_TOKENS
    taken += sum(map(len, patterns)) if are_files else number * SUMMARY_CHARACTERS
    room = (max_tokens - taken) // number
    bounds = wire.Bounds(
        text=SUMMARY_CHARACTERS,
        content=max(LEAST_CHARACTERS, min(MOST_CHARACTERS, room)),
        items=number,
        operations=("write",),
    )
    schema = wire.wire_schema(view, bounds)
    payload = schema["properties"]["payload"]["properties"]
    if "summary" in payload:
        payload["summary"]["minLength"] = LEAST_SUMMARY
    updates = payload.get("file_updates")
    if updates is not None:
        updates["minItems"] = number
        if number == 2:
            updates["prefixItems"] = [_for_path(updates["items"], path) for path in patterns]
            del updates["items"]
    return schema


def _for_path(update: Mapping[str, Any], path: str) -> dict[str, Any]:
    only = {"path": {"type": "string", "enum": [path]}}
    return {**update, "properties": {**update["properties"], **only}}


def _size(prompt: Prompt) -> int:
    return len(prompt.system.encode()) + len(prompt.user.encode())


def _asks(entry: AgentEntry, files: NamedFiles) -> Iterator[Ask]:
    if "file" in entry.settings:
        yield ask_for_path("a local model", entry.settings["file"], files)


ADAPTER: Final = Adapter(
    settings_schema=record(
        {},
        {
            **PROMPTED,
            "model": line(),
            "file": line(1000),
            "timeout": DURATION,
            "max_output_tokens": integer(1, 1_000_000),
            "context_tokens": integer(64, 1_000_000),
        },
    ),
    sandboxes=("in-process",),
    make=LocalAgent,
    asks=_asks,
)
