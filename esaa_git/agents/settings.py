"""Schemas that several adapters' settings share; each adapter has the rest of its own beside it."""

from __future__ import annotations

from typing import Any, Final

from esaa_git.core.events.spec import NAME, array, integer, line, record, text

DURATION: Final = line(40)
"""As in `PT10M`. An adapter gets the milliseconds: what a duration is, the contracts say."""

PROGRAM: Final[dict[str, Any]] = {
    "model": line(),
    "timeout": DURATION,
    "env": array(line(200), most=200),
    "hosts": array(line(255), most=200),
    "read": array(line(1000), most=200),
    "limits": record(
        {},
        {
            "memory_bytes": integer(1 << 20, 1 << 50),
            "processes": integer(1, 100_000),
            "disk_bytes": integer(1 << 12, 1 << 50),
        },
    ),
}
"""What may be said of every agent that is a program on this machine."""

PROMPTED: Final[dict[str, Any]] = {"template": NAME}
COMMAND: Final = array(text(10_000), least=1, most=1000)
