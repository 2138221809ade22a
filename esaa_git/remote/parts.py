"""A long log sent in several pushes, each no more than a server looks at in its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esaa_git.errors import RefusedError

EVENTS_A_PUSH = 5_000
"""Events that are sent at once; a server takes two seconds or three for them."""

_NEEDS_EFFECTS = "esaa.requireEffects"


class TooMuchAtOnce(RefusedError):
    """A server did not come to an end with a push, and nothing of it was taken."""


def send_in_parts(
    events: Sequence[str], send_log: Callable[[str], None], send_all: Callable[[], None]
) -> None:
    """Send what leads to the last of these events, and everything that goes with it.

    What the server refuses as too much is halved and sent again, down to a single event. The log
    may be ahead of its branch meanwhile; a server that does not want that gets all at once.

    Args:
        events: the commits that the remote has not, oldest first.
        send_log: moves the log there to one of them.
        send_all: moves all refs there, the log to the last of them.

    Raises:
        TooMuchAtOnce: for a single event.
        RefusedError: if the server refuses for another reason.
    """
    most, sent, whole = EVENTS_A_PUSH, 0, False
    while True:
        part = min(len(events) - sent, most)
        try:
            if sent + part == len(events):
                send_all()
                return
            send_log(events[sent + part - 1])
            sent += part
        except TooMuchAtOnce:
            if part <= 1 or whole:
                raise
            most = part // 2
        except RefusedError as error:
            if _NEEDS_EFFECTS not in (error.cause or "") or whole:
                raise
            most, whole = len(events), True
