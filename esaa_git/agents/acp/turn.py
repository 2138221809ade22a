"""What is asked of an agent in one turn, how the turn may end, and why there may be none."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from esaa_git.core.printable import printable
from esaa_git.core.rejection import excerpt
from esaa_git.sandbox.processes import signal_name

if TYPE_CHECKING:
    from acp import RequestError
    from acp.schema import InitializeResponse


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
    """The agent wants a login that cannot be given here; the message is its own.

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
        session: the id of the session to go on in, if the agent can.
    """

    text: str
    folder: Path
    model: str | None
    variables: Collection[str]
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """How a turn ended.

    Attributes:
        stop_reason: the protocol's word: `end_turn`, `refusal`, `max_tokens` and so on.
        words: the agent's last message.
        model: the model that the agent says it uses.
        usage: what it says the turn took, in the keys of `agent.result` (docs/FORMAT.md); its cost
            is that of the session.
        session: the session's id, where the agent can go on in it.
        went_on: it was the one that was asked for.
    """

    stop_reason: str
    words: str
    model: str | None
    usage: Mapping[str, Any]
    session: str | None = None
    went_on: bool = False


def variables(method: Any) -> list[str]:
    """Return the environment variables that a way to log in takes, if it takes nothing else."""
    from acp.schema import EnvVarAuthMethod  # slow to import, and only asked for here

    if not isinstance(method, EnvVarAuthMethod):
        return []
    return [variable.name for variable in method.vars if not variable.optional]


def login_required(greeting: InitializeResponse, refusal: RequestError) -> LoginRequired:
    """Return the error that tells what the agent would have accepted."""
    methods = greeting.auth_methods or []
    return LoginRequired(
        said(refusal),
        [excerpt(method.description or method.name) for method in methods],
        [excerpt(name) for method in methods for name in variables(method)],
    )


def said(error: RequestError) -> str:
    """Return the agent's words; for many, the message says no more than that it is an error."""
    message = excerpt(str(error), 500) or f"code {error.code}"
    details = error.data.get("details") if isinstance(error.data, dict) else None
    return f"{message} ({excerpt(details, 500)})" if isinstance(details, str) else message


def facts(error: RequestError) -> Mapping[str, Any]:
    """Return what an error says to a machine."""
    found: dict[str, Any] = {"error": said(error)}
    if isinstance(error.code, int):
        found["error_code"] = error.code
    with suppress(RecursionError):
        if error.data is not None:
            found["error_data"] = printable(json.dumps(error.data, ensure_ascii=False)[:2000])
    return found


def ended(status: int | None, exceeded: str | None) -> ProtocolFault:
    """Return the fault of a program whose output ended before its answer was complete.

    Args:
        status: its exit status, the negative number of the signal, or None where it still runs.
        exceeded: the limit that it was ended for.
    """
    if exceeded is not None:
        failure = f"was ended for exceeding its limit '{exceeded}'"
        return ProtocolFault(failure, {"limit": exceeded})
    if status is None:
        return ProtocolFault("closed its output before its answer was complete")
    if status < 0:
        name = signal_name(-status)
        return ProtocolFault(f"was ended by signal {name}", {"signal": name})
    failure = f"left with exit status {status} before its answer was complete"
    return ProtocolFault(failure, {"exit_status": status})
