"""A model endpoint on loopback whose model does as it is told: one tool call, then a last word.

It speaks what the command-line tools of coding agents speak: Anthropic Messages, OpenAI Responses
and chat completions, Gemini's generateContent, each as a stream of server-sent events.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LAST_WORD = "hello.txt is written."
INPUT_TOKENS = 120
OUTPUT_TOKENS = 7


@dataclass
class Endpoint:
    """Where the server is, what its model says, and what it was asked.

    Attributes:
        calls: the arguments of the first of these tools that a request offers; none of them and
            the model says `text` at once.
        stop: why it stops after its last word, in the words of the protocol at hand; None is the
            ordinary end.
        status: the HTTP status of every answer.
    """

    calls: Mapping[str, Mapping[str, Any] | str]
    text: str = LAST_WORD
    stop: str | None = None
    status: int = 200
    port: int = 0
    asked: list[tuple[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def pick(self, offered: Sequence[str], has_result: bool) -> str | None:
        """Return the tool to call now, if any."""
        if has_result:
            return None
        return next((name for name in self.calls if name in offered), None)


@contextmanager
def serve(endpoint: Endpoint) -> Iterator[Endpoint]:
    """Serve until the block is left."""

    class Handler(_Handler):
        scripted = endpoint

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    endpoint.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    scripted: Endpoint
    protocol_version = "HTTP/1.0"

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def do_HEAD(self) -> None:
        self._send(b"", "text/plain")

    def do_GET(self) -> None:
        self.scripted.asked.append((self.path, None))
        self._send(b'{"object":"list","data":[]}', "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            request = json.loads(body or b"{}")
        except ValueError:
            request = {}
        self.scripted.asked.append((self.path, request))
        if self.scripted.status != 200:
            self._send(b'{"type":"error","error":{"type":"x","message":"no"}}', "application/json")
            return
        path = self.path.split("?")[0]
        if path.endswith("/messages"):
            self._stream(_messages(self.scripted, request))
        elif path.endswith("/responses"):
            self._stream(_responses(self.scripted, request))
        elif path.endswith("/chat/completions") and request.get("stream"):
            self._stream(_chat(self.scripted, request))
        elif path.endswith("/chat/completions"):
            self._send(json.dumps(_whole_chat(self.scripted)).encode(), "application/json")
        elif ":streamGenerateContent" in path:
            self._stream(_gemini(self.scripted, request))
        elif ":generateContent" in path:
            self._send(
                json.dumps(_gemini(self.scripted, request)[0][1]).encode(), "application/json"
            )
        else:
            self._send(b"{}", "application/json")

    def _stream(self, events: Sequence[tuple[str, Any]]) -> None:
        lines = []
        for name, data in events:
            if name:
                lines.append(f"event: {name}\n")
            lines.append(f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n")
        self._send("".join(lines).encode(), "text/event-stream")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(self.scripted.status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


_Events = list[tuple[str, Any]]


def _messages(endpoint: Endpoint, request: Any) -> _Events:
    results = [
        block
        for message in request.get("messages", ())
        if isinstance(message.get("content"), list)
        for block in message["content"]
        if block.get("type") == "tool_result"
    ]
    name = endpoint.pick([tool["name"] for tool in request.get("tools", ())], bool(results))
    if name is None:
        block: Any = {"type": "text", "text": ""}
        delta: Any = {"type": "text_delta", "text": endpoint.text}
        reason = endpoint.stop or "end_turn"
    else:
        block = {"type": "tool_use", "id": "toolu_01", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(endpoint.calls[name])}
        reason = "tool_use"
    message = {
        "id": "msg_01",
        "type": "message",
        "role": "assistant",
        "model": request.get("model"),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": INPUT_TOKENS, "output_tokens": 1},
    }
    end = {"stop_reason": reason, "stop_sequence": None}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": delta},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": OUTPUT_TOKENS}},
        {"type": "message_stop"},
    ]
    return [(event["type"], event) for event in events]


def _responses(endpoint: Endpoint, request: Any) -> _Events:
    inputs = request.get("input", ())
    has_result = any(str(item.get("type", "")).endswith("_output") for item in inputs)
    offered = [tool.get("name", "") for tool in request.get("tools", ())]
    name = endpoint.pick(offered, has_result)
    if name is None:
        item: Any = {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "content": [{"type": "output_text", "text": endpoint.text}],
        }
    elif isinstance(endpoint.calls[name], str):
        item = {
            "type": "custom_tool_call",
            "id": "ctc_1",
            "call_id": "call_1",
            "name": name,
            "input": endpoint.calls[name],
        }
    else:
        item = {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "call_1",
            "name": name,
            "arguments": json.dumps(endpoint.calls[name]),
        }
    usage = {
        "input_tokens": INPUT_TOKENS,
        "input_tokens_details": {"cached_tokens": 20},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    response = {"id": "resp_1", "object": "response", "model": request.get("model"), "output": []}
    done = {**response, "status": "completed", "output": [item], "usage": usage}
    last = "response.completed"
    if name is None and endpoint.stop is not None:
        last = "response.incomplete"
        done |= {"status": "incomplete", "incomplete_details": {"reason": endpoint.stop}}
    events = [
        {"type": "response.created", "response": response},
        {"type": "response.output_item.done", "output_index": 0, "item": item},
        {"type": last, "response": done},
    ]
    return [(event["type"], event) for event in events]


def _chat(endpoint: Endpoint, request: Any) -> _Events:
    has_result = any(message.get("role") == "tool" for message in request.get("messages", ()))
    offered = [tool["function"]["name"] for tool in request.get("tools") or ()]
    name = endpoint.pick(offered, has_result)
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": request.get("model"),
    }
    if name is None:
        delta: Any = {"role": "assistant", "content": endpoint.text}
        reason = endpoint.stop or "stop"
    else:
        function = {"name": name, "arguments": json.dumps(endpoint.calls[name])}
        call = {"index": 0, "id": "call_1", "type": "function", "function": function}
        delta = {"role": "assistant", "tool_calls": [call]}
        reason = "tool_calls"
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    first = {**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    last = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    return [("", first), ("", last), ("", {**chunk, "choices": [], "usage": usage}), ("", "[DONE]")]


def _whole_chat(endpoint: Endpoint) -> Any:
    """Return the answer to a client that wants neither a stream nor tools."""
    message = {"role": "assistant", "content": endpoint.text}
    choice = {"index": 0, "message": message, "finish_reason": endpoint.stop or "stop"}
    usage = {
        "prompt_tokens": INPUT_TOKENS,
        "completion_tokens": OUTPUT_TOKENS,
        "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def _gemini(endpoint: Endpoint, request: Any) -> _Events:
    parts = [part for content in request.get("contents", ()) for part in content.get("parts", ())]
    has_result = any("functionResponse" in part for part in parts)
    offered = [
        declared["name"]
        for tool in request.get("tools", ())
        for declared in tool.get("functionDeclarations", ())
    ]
    name = endpoint.pick(offered, has_result)
    if name is None:
        part: Any = {"text": endpoint.text}
        reason = endpoint.stop or "STOP"
    else:
        part = {"functionCall": {"id": "call_1", "name": name, "args": endpoint.calls[name]}}
        reason = "STOP"
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": reason, "index": 0}
    usage = {
        "promptTokenCount": INPUT_TOKENS,
        "candidatesTokenCount": OUTPUT_TOKENS,
        "totalTokenCount": INPUT_TOKENS + OUTPUT_TOKENS,
    }
    return [("", {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini"})]
