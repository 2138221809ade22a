"""Schemas that several adapters' settings share; each adapter has the rest of its own beside it."""

from __future__ import annotations

from typing import Any, Final

from esaa_git.core.contract_schemas import GIVEN
from esaa_git.core.events.spec import NAME, array, line, text

DURATION: Final = line(40)
"""As in `PT10M`. An adapter gets the milliseconds: what a duration is, the contracts say."""

PROGRAM: Final[dict[str, Any]] = {
    "model": line(),
    "timeout": DURATION,
    **GIVEN,
}
"""What may be said of every agent that is a program on this machine."""

PROMPTED: Final[dict[str, Any]] = {"template": NAME}
COMMAND: Final = array(text(10_000), least=1, most=1000)
