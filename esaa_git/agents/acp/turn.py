"""What is asked of an agent in one turn, how the turn may end, and why there may be none."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any


class Unanswered(Exception):
    """There is no turn.

    Attributes:
        stderr: the end of what the program wrote to its standard error.
        stray: the start of the first line of its output that is no message.
        usage: what was used up all the same, as in `Turn`.
    """

    stderr: bytes = b""
    stray: bytes = b""
    usage: Mapping[str, Any] = MappingProxyType({})


class OutOfTime(Unanswered):
    """The turn was not over at its deadline."""


class ProtocolFault(Unanswered):
    """The program did not do what the protocol asks of it; the message is said of the agent."""

    def __init__(self, message: str, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.detail = detail or {}


class LoginRequired(Unanswered):
    """The agent wants a login that nobody can give here; the message is its own.

    Attributes:
        ways: its ways to log in, in its own words.
        variables: environment variables that it takes instead.
    """

    def __init__(self, said: str, ways: list[str], variables: list[str]) -> None:
        super().__init__(said)
        self.ways = ways
        self.variables = variables


class ModelRefused(Unanswered):
    """The agent does not take the model that it is to use; the message is its own."""

    def __init__(self, said: str, offered: list[str]) -> None:
        super().__init__(said)
        self.offered = offered


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of an agent: a text, about the files below a folder.

    Attributes:
        model: to be chosen where the agent offers a choice; an id of its own, or a name.
        variables: names of environment variables that the agent has and may log in by.
    """

    text: str
    folder: Path
    model: str | None
    variables: Collection[str]


@dataclass(frozen=True, slots=True)
class Turn:
    """How a turn ended.

    Attributes:
        stop_reason: the protocol's word: `end_turn`, `refusal`, `max_tokens` and so on.
        words: the agent's last message.
        model: the model that the agent says it uses.
        usage: what it says the turn took, in the keys of `agent.result` (docs/FORMAT.md).
    """

    stop_reason: str
    words: str
    model: str | None
    usage: Mapping[str, Any]
