"""The id of a log: 32 hexadecimal digits, and what an imported one says beside them."""

from __future__ import annotations

import re
from typing import Final

_IMPORTED: Final = re.compile(r"imported-([1-9][0-9]{0,15})(?:-([0-9a-f]{32}))?-([0-9a-f]{32})")


def imported_log_id(count: int, token: str, origin: str | None = None) -> str:
    """Return the id of a log whose first `count` events were taken in from an export.

    Args:
        origin: the id of the log that was exported, where the export says which; of one that was
            imported itself, the log that it goes back to.
    """
    named = None if origin is None else origin_of(origin) or origin.rpartition("-")[2]
    return f"imported-{count}-{token}" if named is None else f"imported-{count}-{named}-{token}"


def origin_of(log_id: str | None) -> str | None:
    """Return the id of the log that an imported one goes back to, where its own id names one."""
    match = _IMPORTED.fullmatch(log_id or "")
    return match[2] if match else None


def is_log_id(text: str) -> bool:
    """Answer whether a text has the form of a log's id."""
    return re.fullmatch(r"[0-9a-f]{32}", text) is not None or imported_events(text) > 0


def imported_events(log_id: str | None) -> int:
    """Return how many events at the beginning of this log were imported.

    Their effect commits name the events of the log that was exported, under other commit ids, so
    nothing on a branch can be held against them. The log id says so under every signature.
    """
    match = _IMPORTED.fullmatch(log_id or "")
    return int(match[1]) if match else 0


def recorded_in(log_id: str, seq: int) -> str | None:
    """Return the id of the log that an event was recorded in first; None where it is not known."""
    return origin_of(log_id) if seq <= imported_events(log_id) else log_id
