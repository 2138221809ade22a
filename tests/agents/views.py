"""Purified views as agents get them, of tasks in a story."""

from __future__ import annotations

from typing import Any

from esaa_git.core import canonical
from esaa_git.core.event import after, timestamp
from esaa_git.core.view import purified_view
from esaa_git.ports.agent import Request
from esaa_git.testing.contracts import Place, contracts
from tests.agents.memory import BASE, NOW
from tests.support.story import AGENT, Story, definition

CONTRACT = "AGENT_CONTRACT.yaml"


def view(told: Story | None = None, changes: dict[Place, Any] | None = None) -> dict[str, Any]:
    """What the attempt at T-1 is told, by default of a task with nothing but a title.

    `changes` are places in the contracts of a new project, and what stands there instead.
    """
    told = told or story()
    task = told.task()
    assert task.attempt is not None
    return purified_view(told.state, contracts(changes or {}), task, task.attempt, AGENT, told.read)


def story(**more: Any) -> Story:
    return Story().started(definition(**more)).attempt()


def request_for(value: dict[str, Any], *, left_ms: int = 20_000) -> Request:
    """A request with this view whose deadline is so far off."""
    body = canonical.encode(value)
    deadline = after(timestamp(NOW), left_ms)
    return Request("T-1", "T-1-A1", BASE, body, ("**",), deadline, body)
