"""The time of an event against the clock of the server."""

from __future__ import annotations

from datetime import UTC, datetime

from esaa_git.core.event import MINUTES_AHEAD, event_id, is_ahead, timestamp
from esaa_git.core.state import State
from esaa_git.errors import RefusedError


def server_time() -> str:
    """Return what the clock here says, as events write it."""
    return timestamp(datetime.now(UTC))


def refuse_ahead(ref: str, state: State) -> None:
    """Refuse the last event of a state where it is too far ahead: what comes after it is as late.

    Raises:
        RefusedError: naming the event, its time, and what the clock says here.
    """
    now = datetime.now(UTC)
    if is_ahead(state.ts, now):
        raise RefusedError(
            f"'{ref}' is refused at {event_id(state.seq)}",
            cause=f"it is dated {state.ts}, more than {MINUTES_AHEAD} minutes ahead of the clock "
            f"of this server, which says {timestamp(now)}",
            hint="set the clock of the machine that recorded it; what it recorded can be pushed "
            "when the server's clock is there",
        )
