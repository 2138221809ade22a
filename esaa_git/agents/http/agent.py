"""A model behind an HTTP interface: the request as a prompt, the answer held to a schema.

`dialects` knows how each kind of service is spoken to, `wire` what it may answer, `endpoint` where
it is, `client` how it is asked until it answers. Here is what makes one agent of them, and what
each way of ending amounts to.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from esaa_git.agents import outage
from esaa_git.agents.adapter import Adapter, AdapterContext
from esaa_git.agents.asking import plain
from esaa_git.agents.http import wire
from esaa_git.agents.http.dialects import (
    DIALECTS,
    NotInDialect,
    error_words,
    read_body,
    reported_status,
    service_error,
)
from esaa_git.agents.http.endpoint import Endpoint, redacted, redacted_body
from esaa_git.agents.http.prices import priced
from esaa_git.agents.prompts import render
from esaa_git.agents.providers import provider_of_host
from esaa_git.agents.settings import DURATION, PROMPTED
from esaa_git.core import canonical
from esaa_git.core.asks import Ask
from esaa_git.core.contracts import SWARM, AgentEntry
from esaa_git.core.event import instant
from esaa_git.core.events.spec import choice, integer, line, record
from esaa_git.core.rejection import RejectCode, excerpt
from esaa_git.errors import ConfigurationError
from esaa_git.ports.agent import Answer, Most, Ran, Request, Unavailable
from esaa_git.ports.consent import NamedFiles

if TYPE_CHECKING:
    from esaa_git.agents.http.client import Call, CallResult, Reply

DEFAULT_TRIES: Final = 5

_SAYS_HOW_MUCH: Final = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "n", "best_of", "model"}
)
"""Entries of a body that take the place of what an entry says; where `extra` has one, nobody can
say what a request takes."""

SLACK_BYTES: Final = 1 << 20
"""How much longer than twice the longest envelope the body of an answer may be: it holds the
envelope as a JSON string, and beside it what else a service has to say."""


class HttpAgent:
    """Asks a service for every request; `sandbox` is `in-process`, since nothing is started.

    The key is read from the environment when it is needed, travels in a header and is neither in
    what is recorded as sent nor in any message.

    Args:
        entry: `settings` hold `dialect` and `url`, and optionally `key_env`, `timeout` (how long
            one try may take, in milliseconds), `max_output_tokens`, `max_tries`, `extra` (a merge
            patch of the body, RFC 7396), `prices` and `template`.
        context: of which the clock, the size of an answer and the pinned prompts are used.
        bounds: how much a small model may write (`wire.Bounds`).
    """

    def __init__(
        self,
        entry: AgentEntry,
        context: AdapterContext,
        *,
        bounds: wire.Bounds | None = None,
    ) -> None:
        self.name = entry.name
        self.adapter = entry.adapter
        self.model = entry.model
        self.sandbox = "in-process"
        self.has_checkout = False
        self._settings = entry.settings
        self._dialect = DIALECTS[entry.settings["dialect"]]
        self._endpoint = Endpoint(entry.name, entry.settings, entry.model)
        self._context = context
        self._bounds = bounds

    def ready(self) -> None:
        """Raise AgentError if the package is missing, the URL is none, or the key is not there."""
        from esaa_git.agents.http import client  # noqa: F401  # it says itself what to install

        self._endpoint.url(self._dialect.path)
        self._endpoint.key()

    def ran(self) -> Ran:
        """Return who answers at the endpoint."""
        return Ran(provider=provider_of_host(self._endpoint.host))

    def prepare(self, request: Request) -> Request:
        """Return the request with the exact body of the HTTP request, and the template's name.

        Raises:
            ConfigurationError: if the template cannot be rendered, `extra` does not fit into JSON,
                or the contract leaves a model nothing to answer with.
        """
        name = self._settings.get("template", "model")
        prompt = render(name, self._context.prompt(name), request.view)
        schema = wire.wire_schema(canonical.decode(request.view), self._bounds)
        body = self._dialect.body(
            self.model or "", prompt, schema, self._settings.get("max_output_tokens")
        )
        merged = _merged(body, self._settings.get("extra", {}))
        try:
            # Not sorted: a model writes the properties of a schema in their order.
            text = json.dumps(merged, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return replace(request, sent=text.encode(), template=prompt.template)
        except (TypeError, ValueError) as error:
            raise ConfigurationError(
                f"agent '{self.name}': 'extra' does not fit into JSON",
                cause=excerpt(str(error)),
                hint=f"correct 'extra' in .roadmap/{SWARM}: quote dates, leave out .nan and .inf",
            ) from error

    def most(self, request: Request) -> Most:
        """Return what all tries of the request take at most, by the bytes that are sent."""
        written = self._settings.get("max_output_tokens")
        if written is None or _SAYS_HOW_MUCH & set(self._settings.get("extra", {})):
            return Most()
        tries = self._settings.get("max_tries", DEFAULT_TRIES)
        read = len(request.sent)  # a token is a byte at least
        cost = self._priced({"input_tokens": read, "output_tokens": written}).get(
            "cost_microdollars"
        )
        return Most(None if cost is None else cost * tries, (read + written) * tries)

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        """Send exactly `request.sent` and return what the model wrote, as an envelope.

        Raises:
            AgentError: as `ready`; if the service refuses the key, the address or the model; if it
                sends us elsewhere; if its certificate is none.
        """
        from esaa_git.agents.http.client import Hopeless, ask

        key = self._endpoint.key()
        began = time.monotonic()
        try:
            asked = ask(
                self._call(request, key, began),
                pause,
                reason_of=lambda reply: _reason(reply, key),
                is_hopeless=lambda reply: outage.is_unpaid(_words(reply)),
            )
        except Hopeless as error:
            host = self._endpoint.host
            raise self._endpoint.error(
                f"'{host}' cannot be asked", redacted(str(error), key)
            ) from error
        latency_ms = int((time.monotonic() - began) * 1000)
        tries = [failed.to_json() for failed in asked.tries]
        reply = asked.reply
        if reply is None:
            return replace(self._given_up(asked, request.deadline), latency_ms=latency_ms)
        is_answer = reply.status // 100 == 2
        reply = replace(reply, body=redacted_body(reply.body, key, is_answer=is_answer))
        if is_answer:
            return replace(self._read(reply, key), latency_ms=latency_ms, tries=tries)
        refused = self._away(_reason(reply, key), reply.status, words=_words(reply))
        if refused is None:
            location = redacted(reply.headers.get("location", ""), key)
            said = service_error(reply.body)
            self._endpoint.refuse(reply.status, *said, location)
            failure = f"the service refused the request: {_reason(reply, key)}"
            refused = _failed(failure, reply.status)
        return replace(refused, latency_ms=latency_ms, tries=tries)

    def _reported(self, error: Any, key: str | None) -> Answer | None:
        """Return what an error amounts to that came with a good status; None where it is ours.

        Raises:
            AgentError: if it refuses the key or the model.
        """
        status = reported_status(error)
        words = redacted(error_words(error), key)
        away = self._away(words, status)
        if away is None and status is not None:
            self._endpoint.refuse(status, "", words, "")
        return away

    def _call(self, request: Request, key: str | None, began: float) -> Call:
        from esaa_git.agents.http.client import Call

        now = self._context.clock.now()
        left_ms = (instant(request.deadline) - now) // timedelta(milliseconds=1)
        timeout_ms = self._settings.get("timeout")
        return Call(
            url=self._endpoint.url(self._dialect.path),
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json",
                "Accept-Encoding": "gzip",
                "User-Agent": "git-esaa",
                **self._dialect.headers(key),
            },
            body=request.sent,
            until=began + left_ms / 1000,
            try_seconds=None if timeout_ms is None else timeout_ms / 1000,
            max_tries=self._settings.get("max_tries", DEFAULT_TRIES),
            max_body_bytes=2 * self._context.max_output_bytes + SLACK_BYTES,
        )

    def _given_up(self, asked: CallResult, deadline: str) -> Answer:
        """Return what it amounts to that every try failed, or that there was no time for one."""
        last = asked.tries[-1] if asked.tries else None
        said = "" if last is None else f"{last.reason} ({_counted(len(asked.tries))})"
        found: Answer | None
        if last is None or asked.late:
            failure = f"did not answer before its deadline {deadline}"
            failure += f": {said}" if said else ""
            found = Answer(b"", 0, failure, RejectCode.AGENT_TIMEOUT)
        elif last.timed_out:
            found = Answer(b"", 0, f"gave no answer: {said}", RejectCode.AGENT_TIMEOUT)
        elif last.status == 0:
            away = Unavailable(f"'{self._endpoint.host}': {said}")
            if not last.connected:
                where = f"start the service, or correct 'url' in .roadmap/{SWARM}"
                reason = f"'{self._endpoint.host}' cannot be reached: {said}"
                away = Unavailable(reason, hint=f"{where} (it takes effect with the next run)")
            found = replace(_failed(away.reason), unavailable=away)
        else:
            found = self._away(said, last.status, asked.retry_after)
            assert found is not None, "what is tried again is said to be away"
        return replace(found, tries=[failed.to_json() for failed in asked.tries])

    def _away(
        self,
        said: str,
        status: int | None,
        seconds: float | None = None,
        words: str | None = None,
    ) -> Answer | None:
        """Return the answer that the service is away, None where it does not say so.

        Args:
            said: what people are told.
            seconds: after how long it wants to be asked again, by a header.
            words: all that it said, its code included.
        """
        away = outage.found_in(words or said, self._context.clock.now(), status)
        if away is None:
            return None
        after = away.seconds if seconds is None else seconds
        away = replace(away, reason=f"'{self._endpoint.host}': {said}", seconds=after)
        return replace(_failed(f"gave no answer: {said}", status), unavailable=away)

    def _read(self, reply: Reply, key: str | None) -> Answer:
        """Return what a reply with a good status says."""
        most = self._context.max_output_bytes
        if reply.truncated:
            # The decoder says OUTPUT_TOO_LARGE to one byte more than is allowed.
            return Answer(reply.body[: most + 1], 0, truncated=True)
        try:
            reading = read_body(self._dialect, reply.body)
        except NotInDialect as error:
            said = f"the service did not answer in the form of {self._dialect.title}: {error}"
            found = None
            if error.error is not None:
                found = self._reported(error.error, key)
            return replace(
                found or _failed(redacted(said, key), reply.status), output=reply.body[:most]
            )
        # Half of a surrogate pair may come out of a JSON string; the decoder has a word for it.
        written = reading.text.encode(errors="surrogatepass")
        usage = self._priced(reading.usage, reading.model)
        return Answer(
            written if reading.failure else wire.decode(written),
            0,
            None if reading.failure is None else redacted(reading.failure, key),
            reading.code,
            model=reading.model,
            usage=usage,
            unwrapped=reading.unwrapped,
        )

    def _priced(self, usage: Mapping[str, int], model: str | None = None) -> dict[str, Any]:
        return priced(
            usage,
            self._settings.get("prices"),
            model=model or self.model or "",
            url=self._settings["url"],
            when=self._context.clock.now(),
        )


def _failed(failure: str, status: int | None = None) -> Answer:
    detail = {} if status is None else {"status": status}
    return Answer(b"", 0, failure, RejectCode.AGENT_FAILED, detail)


def _reason(reply: Reply, key: str | None) -> str:
    code, said = service_error(redacted_body(reply.body, key, is_answer=False))
    return excerpt(f"status {reply.status}: {said or code or 'it gives no reason'}", 400)


def _words(reply: Reply) -> str:
    return ": ".join(service_error(reply.body))


def _counted(tries: int) -> str:
    return "one try" if tries == 1 else f"{tries} tries"


def _merged(body: Any, patch: Any) -> Any:
    """Return the body with a JSON merge patch (RFC 7396): null takes out, objects go into."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(body) if isinstance(body, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _asks(entry: AgentEntry, _files: NamedFiles) -> Iterator[Ask]:
    url = plain(entry.settings["url"])
    yield Ask("a model endpoint", "endpoint", url, plain(entry.settings.get("key_env", "")))


ADAPTER: Final = Adapter(
    settings_schema=record(
        {"dialect": choice(*DIALECTS), "url": line(2000), "model": line()},
        {
            **PROMPTED,
            "key_env": line(200),
            "timeout": DURATION,
            "max_output_tokens": integer(1, 10_000_000),
            "max_tries": integer(1, 20),
            "extra": {"type": "object"},
            "prices": record(
                {
                    "input_microdollars_per_million": integer(),
                    "output_microdollars_per_million": integer(),
                },
                {"cached_input_microdollars_per_million": integer()},
            ),
        },
    ),
    sandboxes=("in-process",),
    make=HttpAgent,
    asks=_asks,
)
