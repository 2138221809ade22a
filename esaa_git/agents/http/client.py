"""One question to a service: a POST, tried again while there is hope, and given up in time.

What happens in the meantime is up to `pause`: it is called at least every 50 ms, and what it
raises ends the call and closes the connection.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from esaa_git.agents.outage import is_away
from esaa_git.core.rejection import excerpt
from esaa_git.errors import AgentError

try:
    import httpx2
except ImportError as _missing:
    raise AgentError(
        "the package 'httpx2' is missing, through which models are asked",
        cause=str(_missing),
        hint="run 'python -m pip install \"esaa-git[http]\"', then repeat the command",
    ) from _missing

FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 60.0
"""The wait doubles from one failed try to the next, and a random part of up to a half is left out,
so that callers that failed together do not come back together. A service that wants to be left
alone for longer is not waited for here."""

SHARE_OF_TRIES: Final = 0.5
"""No further try begins after this part of the time: tries end well before the deadline."""

CONNECT_SECONDS: Final = 30.0
"""How long one try waits for a connection."""

_PAUSE_SECONDS: Final = 0.03
_CHUNK: Final = 65536

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, and within which limits.

    Attributes:
        until: by `time.monotonic()`, when no answer is of use any more.
        try_seconds: how long one try may take, None for as long as there is time.
        max_tries: how often it is tried, the first time included.
        max_body_bytes: how much of an answer is read.
    """

    url: str
    headers: Mapping[str, str]
    body: bytes
    until: float
    try_seconds: float | None
    max_tries: int
    max_body_bytes: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service answered; `truncated` if the body was longer than was read of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class FailedTry:
    """A call that came to nothing: `status` is 0 where there was no whole answer."""

    status: int
    reason: str
    waited_ms: int = 0
    connected: bool = True
    timed_out: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return it as the record keeps it."""
        return {"status": self.status, "reason": self.reason, "waited_ms": self.waited_ms}


@dataclass(frozen=True, slots=True)
class CallResult:
    """How it went: the reply that settled it, where there was one, and the tries that failed.

    `late` says that the time ran out, and `retry_after` after how many seconds the service wants to
    be asked again that the last try reached, where it says so.
    """

    reply: Reply | None
    tries: tuple[FailedTry, ...]
    late: bool = False
    retry_after: float | None = None


class Hopeless(Exception):
    """A failure that no second try mends: the address or the certificate is wrong."""


def ask(
    call: Call,
    pause: Callable[[], None],
    *,
    reason_of: Callable[[Reply], str],
    is_hopeless: Callable[[Reply], bool],
) -> CallResult:
    """Send the request until there is a reply that is no passing failure, or no more use in trying.

    Args:
        reason_of: words for a reply that says that the service is away (`outage.is_away`).
        is_hopeless: whether such a reply is one that a later try will get as well.

    Raises:
        Hopeless: if it cannot be sent at all.
    """
    return _in_a_loop(_paused(_ask(call, reason_of, is_hopeless), pause))


def is_loopback(url: str) -> bool:
    """Answer whether a URL leads to this very machine, where no proxy has any business."""
    host = httpx2.URL(url).host
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


async def _ask(
    call: Call, reason_of: Callable[[Reply], str], is_hopeless: Callable[[Reply], bool]
) -> CallResult:
    failed: list[FailedTry] = []
    began = time.monotonic()
    none_after = began + SHARE_OF_TRIES * (call.until - began)
    is_here = is_loopback(call.url)
    async with httpx2.AsyncClient(
        verify=_certificates(is_needed=not (is_here and call.url.startswith("http:"))),
        timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
        follow_redirects=False,
        # Proxies of the environment are honoured, as the whole machine may depend on them.
        trust_env=not is_here,
    ) as client:
        for number in range(1, call.max_tries + 1):
            left = call.until - time.monotonic()
            if left <= 0:
                return CallResult(None, tuple(failed), late=True)
            last = await _try(client, call, left)
            reply = last if isinstance(last, Reply) else None
            if reply is not None and not is_away(reply.status):
                return CallResult(reply, tuple(failed))
            if reply is not None and is_hopeless(reply):
                return CallResult(reply, tuple(failed))
            if isinstance(last, Reply):
                last = FailedTry(last.status, reason_of(last))
            now = time.monotonic()
            asked = None if reply is None else _retry_after(reply.headers)
            seconds = _wait(number) if asked is None else asked
            is_last = number == call.max_tries or now + seconds > none_after
            if is_last or seconds > LONGEST_WAIT_SECONDS:
                late = now >= call.until
                return CallResult(None, (*failed, last), late=late, retry_after=asked)
            waited_ms = int(seconds * 1000)
            failed.append(
                FailedTry(last.status, last.reason, waited_ms, last.connected, last.timed_out)
            )
            await asyncio.sleep(seconds)
    raise AssertionError("there is at least one try, and the last one returns")


async def _try(client: httpx2.AsyncClient, call: Call, left: float) -> Reply | FailedTry:
    seconds = left if call.try_seconds is None else min(left, call.try_seconds)
    try:
        async with asyncio.timeout(seconds):
            return await _post(client, call)
    except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout):
        return FailedTry(0, f"no answer within {int(seconds * 1000)} ms", timed_out=True)
    except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError) as error:
        if _is_about_a_certificate(error):
            raise Hopeless(excerpt(str(error), 300)) from error
        said = excerpt(str(error) or type(error).__name__, 300)
        return FailedTry(0, f"no connection: {said}", connected=False)
    except (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise Hopeless(excerpt(str(error), 300)) from error
    except (httpx2.TransportError, httpx2.DecodingError) as error:
        said = excerpt(str(error) or type(error).__name__, 300)
        return FailedTry(0, f"the connection broke: {said}")


async def _post(client: httpx2.AsyncClient, call: Call) -> Reply:
    request = client.build_request("POST", call.url, headers=dict(call.headers), content=call.body)
    response = await client.send(request, stream=True)
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes(_CHUNK):
            body += chunk
            if len(body) > call.max_body_bytes:
                kept = bytes(body[: call.max_body_bytes])
                return Reply(response.status_code, dict(response.headers), kept, truncated=True)
    finally:
        await response.aclose()
    return Reply(response.status_code, dict(response.headers), bytes(body))


def _wait(number: int) -> float:
    """Return the seconds until the next try, ever more."""
    longest = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (number - 1))
    return longest * random.uniform(0.5, 1.0)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, 10.2.3): a number, or a date."""
    said = headers.get("retry-after", "").strip()
    if said.isascii() and said.isdigit():
        return float(said[:9])
    try:
        moment = parsedate_to_datetime(said)
    except (TypeError, ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _is_about_a_certificate(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@cache
def _certificates(*, is_needed: bool) -> ssl.SSLContext:
    """Return those that this machine trusts; none where nothing is encrypted.

    They take 30 ms to read, so it is done once a process and not once a question.
    """
    if is_needed:
        return httpx2.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def _paused(work: Coroutine[Any, Any, T], pause: Callable[[], None]) -> T:
    """Do the work, and call `pause` again and again meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            pause()
            await asyncio.wait({task}, timeout=_PAUSE_SECONDS)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


def _in_a_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in this thread, whichever thread it is.

    `asyncio.run` would wait for a name that is being looked up, and takes SIGINT for itself.
    """
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(work)
    finally:
        # Reached with tasks left where an interrupt struck between two of them.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
