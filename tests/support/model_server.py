"""A service on loopback that answers by script: the three dialects, and every way to misbehave.

It is a real server with real sockets. What it is to do is a list of `Step`s, one a call; the last
one goes on for all further calls. What it was asked is in `received`.
"""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.support.patience import patience

LONGEST_SECONDS = patience(30.0)
"""How long one connection is held open at the most, whatever the script says."""


@dataclass(frozen=True)
class Step:
    """How one call is answered.

    `how` is `whole`, `cut` (fewer bytes than were promised), `drip` (headers, then a byte now and
    then until the caller has gone), `silent` (nothing until the caller has gone), `hangup` (the
    connection is reset), or `held` (nothing until `release` is set, then whole).
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "whole"


@dataclass(frozen=True)
class Received:
    """One call as it came."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Script = Step | Callable[[Received], Step]
"""What is done at a call, or what decides on it by what was asked."""


class ModelServer:
    """The script, and what came of it; `gone` is set when a caller left before its answer."""

    def __init__(self, steps: Sequence[Script], address: tuple[str, int], scheme: str) -> None:
        self.steps = list(steps)
        self.received: list[Received] = []
        self.gone = threading.Event()
        self.asked = threading.Event()
        self.release = threading.Event()
        self.origin = f"{scheme}://{address[0]}:{address[1]}"
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def take(self, received: Received) -> Step:
        with self.lock:
            self.received.append(received)
            self.asked.set()
            step = self.steps[min(len(self.received), len(self.steps)) - 1]
        return step if isinstance(step, Step) else step(received)


@contextmanager
def model_server(*steps: Script, tls: ssl.SSLContext | None = None) -> Iterator[ModelServer]:
    """Serve a script on a free port of 127.0.0.1 until the end of the block."""
    with _Server(("127.0.0.1", 0), _Handler) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        host, port = server.socket.getsockname()[:2]
        server.script = ModelServer(steps, (host, port), "http" if tls is None else "https")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server.script
        finally:
            server.shutdown()
            thread.join(LONGEST_SECONDS)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    script: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: that callers break off is what is tested."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    timeout = LONGEST_SECONDS

    def handle(self) -> None:
        while (received := self._read()) is not None:
            if not self._answer(self.server.script.take(received)):
                return

    def _read(self) -> Received | None:
        first = self.rfile.readline().decode("latin-1").split()
        if len(first) != 3:
            return None
        headers: dict[str, str] = {}
        while line := self.rfile.readline().decode("latin-1").strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return Received(first[1], headers, self.rfile.read(int(headers.get("content-length", 0))))

    def _answer(self, step: Step) -> bool:
        """Answer one call; the result says whether the connection goes on."""
        if step.how == "silent":
            return self._until_gone()
        if step.how == "hangup":
            # A linger of no time at all makes the close a reset.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            return False
        if step.how == "held":
            self.server.script.release.wait(LONGEST_SECONDS)
        promised = len(step.body) + (100 if step.how == "cut" else 0)
        if step.how == "drip":
            promised = 1 << 30
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(promised),
            **step.headers,
        }
        lines = [f"HTTP/1.1 {step.status} Scripted", *(f"{k}: {v}" for k, v in headers.items())]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        try:
            self.connection.sendall(head + (b"" if step.how == "drip" else step.body))
        except OSError:
            self.server.script.gone.set()
            return False
        if step.how == "drip":
            return self._until_gone(dripping=True)
        return step.how != "cut"

    def _until_gone(self, *, dripping: bool = False) -> bool:
        """Wait until the caller has closed the connection, perhaps sending a byte now and then."""
        self.connection.settimeout(0.02)
        for _ in range(int(LONGEST_SECONDS / 0.02)):
            try:
                if self.connection.recv(1) == b"":
                    break
            except TimeoutError:
                pass
            except OSError:
                break
            if dripping:
                with suppress(TimeoutError):
                    try:
                        self.connection.sendall(b" ")
                    except OSError:
                        break
        else:
            return False
        self.server.script.gone.set()
        return False


# ------------------------------------------------------------------------------- what services say

USAGE = {"input_tokens": 120, "cached_input_tokens": 20, "output_tokens": 30}
MODEL = "some-model-2026-01-31"


def answer(dialect: str, text: str, *, end: str | None = None, refusal: str | None = None) -> Step:
    """A whole answer in a dialect.

    `end` is why it ended, in the dialect's own words; by default as an answer should.
    """
    return Step(body=json.dumps(_SAYS[dialect](text, end, refusal)).encode())


def fault(status: int, message: str, code: str = "", **headers: str) -> Step:
    """An error in the form that most services give it."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"error": {"message": message, "type": "some_error", **({"code": code} if code else {})}}
    return Step(status, json.dumps(body).encode(), named)


def _chat(text: str, end: str | None, refusal: str | None) -> Any:
    message = {"role": "assistant", "content": None if refusal else text, "refusal": refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [{"index": 0, "message": message, "finish_reason": end or "stop"}],
        "usage": {
            "prompt_tokens": 120,
            "completion_tokens": 30,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 20},
        },
    }


def _responses(text: str, end: str | None, refusal: str | None) -> Any:
    part: dict[str, Any] = {"type": "output_text", "text": text, "annotations": []}
    if refusal:
        part = {"type": "refusal", "refusal": refusal}
    return {
        "id": "resp_1",
        "object": "response",
        "status": "incomplete" if end else "completed",
        "incomplete_details": {"reason": end} if end else None,
        "error": None,
        "model": MODEL,
        "output": [
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "message", "role": "assistant", "content": [part]},
        ],
        "usage": {
            "input_tokens": 120,
            "input_tokens_details": {"cached_tokens": 20},
            "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 10},
        },
    }


def _messages(text: str, end: str | None, refusal: str | None) -> Any:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": text}] if text else [],
        "stop_reason": "refusal" if refusal else end or "end_turn",
        "usage": {
            "input_tokens": 90,
            "cache_creation_input_tokens": 10,
            "cache_read_input_tokens": 20,
            "output_tokens": 30,
        },
    }


_SAYS = {"chat": _chat, "responses": _responses, "messages": _messages}
