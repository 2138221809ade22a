"""What an agent's errors and its end amount to, in words and facts that can be recorded."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from acp import RequestError
from acp.schema import EnvVarAuthMethod, InitializeResponse

from esaa_git.agents.acp.turn import LoginRequired, ProtocolFault
from esaa_git.core.rejection import excerpt, printable


def variables(method: Any) -> list[str]:
    """Return the environment variables that a way to log in takes, if it takes nothing else."""
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
        name = _signal_name(-status)
        return ProtocolFault(f"was ended by signal {name}", {"signal": name})
    failure = f"left with exit status {status} before its answer was complete"
    return ProtocolFault(failure, {"exit_status": status})


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)  # a real-time signal
