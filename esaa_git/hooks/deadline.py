"""How long a hook may take, and how much of that for a pusher whom nobody knows yet.

A server that is kept busy is no server. When the time is over the push is refused, with words;
where a library does not come back to us, the process is ended a little later, which refuses too.
"""

from __future__ import annotations

import signal
from time import monotonic
from types import FrameType

from esaa_git.core.limits import TOO_MUCH
from esaa_git.errors import RefusedError

UNAUTHENTICATED_SECONDS = 5.0
"""How long a hook may compute before the first event of a push is known to be signed."""

UNAUTHENTICATED_WAIT_SECONDS = 20.0
"""How long that may take at all. A busy server is slow to start and to read, for anybody."""

_GRACE_SECONDS = 5.0


class Expired(BaseException):
    """The time is over. No handler of failures may take it for one, so it is none."""

    def __init__(self, refusal: RefusedError) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Deadline:
    """The time of one hook, from now on.

    Args:
        seconds: how long it may take at all (`esaa.hookTimeout`).
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begins = monotonic()
        self._is_known = True
        signal.signal(signal.SIGALRM, self._expire)
        signal.signal(signal.SIGVTALRM, self._expire)
        self._arm(seconds, computing=seconds)

    def expect_signature(self) -> None:
        """Take note that there are events in the push, the first of which has to be signed."""
        self._is_known = False
        computing = min(self._seconds, UNAUTHENTICATED_SECONDS)
        waiting = min(self._seconds, UNAUTHENTICATED_WAIT_SECONDS)
        self._arm(self._left(waiting), computing=computing)
        signal.setitimer(signal.ITIMER_VIRTUAL, computing, 1.0)

    def authenticated(self) -> None:
        """Take note that what is read now is signed by a key that the contracts name."""
        if not self._is_known:
            self._is_known = True
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            left = self._left(self._seconds)
            self._arm(left, computing=left)

    def _left(self, seconds: float) -> float:
        return max(self._begins + seconds - monotonic(), 0.001)

    def _arm(self, seconds: float, *, computing: float) -> None:
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        # Nobody handles this one: it ends a process that computes and does not come back.
        signal.setitimer(signal.ITIMER_PROF, computing + _GRACE_SECONDS)

    def _expire(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_known:
            raise Expired(too_much(f"it takes longer than {self._seconds:g} s (esaa.hookTimeout)"))
        raise Expired(too_much("no event of it was known to be signed in time"))


def too_much(cause: str) -> RefusedError:
    """Return the refusal of a push that is to be made in smaller parts."""
    return RefusedError(
        f"the push is refused: {TOO_MUCH}",
        cause=cause,
        hint="'git esaa push' sends a long log in several pushes; with git alone, push an earlier "
        "event first",
    )
