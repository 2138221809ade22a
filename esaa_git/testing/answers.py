"""Agents that follow a script: what they may answer, as a function of what they are asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from esaa_git.ports.agent import Answer, Request

Answering = Callable[[Request], Answer | bytes]
"""A scripted agent: from a request to its answer, or to the bytes of one."""


def envelope(request: Request, action: str = "agent.result", /, **payload: Any) -> dict[str, Any]:
    """Return a well-formed envelope for the request."""
    if action == "agent.result":
        payload = {"summary": f"Worked on {request.task_id}.", **payload}
    return {
        "action": action,
        "task_id": request.task_id,
        "attempt_id": request.attempt_id,
        "payload": payload,
    }


def spoken(value: Any) -> bytes:
    """Return a value as an agent would print it."""
    return json.dumps(value, ensure_ascii=False).encode()


def write(path: str, content: str = "text\n", **more: Any) -> dict[str, Any]:
    """Return the update that writes a whole file."""
    return {"op": "write", "path": path, "content": content, **more}


def result(*updates: Mapping[str, Any], **payload: Any) -> Answering:
    """Return an agent that proposes these updates; without any, that nothing needs changing."""
    if updates:
        payload["file_updates"] = list(updates)
    return lambda request: spoken(envelope(request, **payload))


def says(action: str, **payload: Any) -> Answering:
    """Return an agent that answers with this intention."""
    return lambda request: spoken(envelope(request, action, **payload))


def in_turn(*answering: Answering) -> Answering:
    """Return an agent that answers differently each time; the last one stays."""
    left = list(answering)

    def answer(request: Request) -> Answer | bytes:
        following = left.pop(0) if len(left) > 1 else left[0]
        return following(request)

    return answer


def oblige(request: Request) -> bytes:
    """Write one file, at a path that every kind of a new project may write."""
    path = f"docs/qa/{request.task_id}.md"
    update = write(path, f"About {request.task_id}.\n")
    return spoken(envelope(request, file_updates=[update]))
