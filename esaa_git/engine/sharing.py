"""Sharing: a worker's log and the one that all workers append to are kept the same.

A transaction counts when the shared log has taken it, by compare-and-swap; only then do the refs
here move. The loser catches up and decides again on what is true by then, after a pause that
grows and is never the same for two. Where the shared log cannot be reached, a worker waits: its
agents go on, and what they answer is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esaa_git.errors import ConflictError, EsaaError, RemoteUnreachable
from esaa_git.ports.local import Clock
from esaa_git.ports.log import ProposalRef, SharedLog

POLL_SECONDS = (1.0, 2.0)
"""How long a worker with nothing to do lets the shared log be: somewhere between the two."""

BUSY_FACTOR = 8
"""How much longer one does that has no hand free anyway."""

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 1.0
"""Between two tries after a lost race, in the time that it takes to publish something here; the
expected pause doubles from one to the other."""

AT_ONCE = 2
MOST_AT_ONCE = 16
"""How many transactions of a worker follow each other before it lets others in: as many as one
attempt takes, and more where no other comes."""

FIRST_RETRY = 0.5
LONGEST_RETRY = 10.0
"""Between two tries while the shared log cannot be reached."""

_SLICE = 0.25
"""How long a person who has pressed Ctrl-C twice is kept waiting."""


class Sharing:
    """What one worker knows of the shared log, and how it bears with it.

    Args:
        patience: seconds for which it may be out of reach, or others always be faster.
        given_up: answers whether a person does not want to wait any longer.
        poll: as `POLL_SECONDS`.
    """

    def __init__(
        self,
        shared: SharedLog,
        clock: Clock,
        say: Callable[[str], None],
        *,
        patience: float,
        given_up: Callable[[], bool] = lambda: False,
        poll: tuple[float, float] = POLL_SECONDS,
    ) -> None:
        self.name = shared.name
        self.patience = patience
        self._shared = shared
        self._clock = clock
        self._say = say
        self._given_up = given_up
        self._poll = poll
        self._lost_since: float | None = None
        self.took = 0.2
        self._won = 0
        self._allowed = AT_ONCE
        self._heard()

    def publish(
        self,
        tip: str,
        branch: str,
        branch_tip: str | None,
        proposals: Sequence[ProposalRef] = (),
    ) -> None:
        """Append to the shared log what is stored here and named by no ref yet.

        Raises:
            ConflictError: if it has moved on.
            RemoteUnreachable: if it cannot be reached; whether it has taken it is not known.
            RefusedError: if it refuses.
        """
        began = self._clock.monotonic()
        self._shared.publish(tip, branch, branch_tip, proposals)
        self.took = self._clock.monotonic() - began
        self._won += 1
        self._heard()

    def give_way(self) -> None:
        """Before another attempt is opened, let those in who have lost races to us.

        The last winner need not catch up, and so would win the next race too, and the one
        after it. Where no other comes, we let others in less and less often.
        """
        if self._won < self._allowed:
            return
        self._clock.sleep(self.took * self._clock.between(1, 3))
        came = self.catch_up()
        self._allowed = AT_ONCE if came else min(2 * self._allowed, MOST_AT_ONCE)
        self._won = 0

    def catch_up(self) -> bool:
        """Bring what is here after the shared log, as soon as it can be reached.

        Returns whether others had recorded something.

        Raises:
            ConflictError: if that is no mere going forward.
            MismatchError, CorruptedError: if what is there does not hold.
            RemoteUnreachable: when patience has come to its end.
        """
        pause = FIRST_RETRY
        while True:
            try:
                came = self._shared.catch_up()
            except RemoteUnreachable as error:
                self._endure(error, pause)
                pause = min(2 * pause, LONGEST_RETRY)
            else:
                self._heard()
                return came

    def keep_up(self, *, idle: bool) -> None:
        """Catch up where that was long enough ago."""
        if self._clock.monotonic() >= self._due(idle):
            self.catch_up()

    def rest(self) -> float:
        """Return the seconds for which there is nothing to look for."""
        return max(0.01, self._due(idle=True) - self._clock.monotonic())

    def race(self) -> Race:
        """Return the tries of one transaction."""
        return Race(self, self._clock)

    def _due(self, idle: bool) -> float:
        return self._heard_at + self._interval * (1 if idle else BUSY_FACTOR)

    def _heard(self) -> None:
        self._heard_at = self._clock.monotonic()
        self._interval = self._clock.between(*self._poll)
        if self._lost_since is not None:
            self._lost_since = None
            self._say(f"'{self.name}' can be reached again")

    def _endure(self, error: RemoteUnreachable, pause: float) -> None:
        """Wait before the next try, or raise where there is to be none."""
        now = self._clock.monotonic()
        if self._lost_since is None:
            self._lost_since = now
            why = (error.cause or error.message).strip().splitlines()[-1]
            self._say(f"{error.message}, waiting for it up to {self.patience:.0f} s: {why}")
        until = now + pause * self._clock.between(0.5, 1.0)
        end = self._lost_since + self.patience
        if now >= end or self._given_up():
            raise RemoteUnreachable(
                error.message,
                cause=error.cause,
                hint=f"run 'git esaa run --remote {self.name}' again when it is back; the tasks "
                "under way come back when their leases have run out",
            ) from error
        while (left := min(until, end) - self._clock.monotonic()) > 0 and not self._given_up():
            self._clock.sleep(min(left, _SLICE))


class Race:
    """One transaction's tries against those of everybody else."""

    def __init__(self, sharing: Sharing, clock: Clock) -> None:
        self._sharing = sharing
        self._clock = clock
        self._began = self._clock.monotonic()
        self._pause = FIRST_PAUSE

    def lost(self, error: EsaaError) -> None:
        """Let others go first for a moment, then catch up.

        Raises:
            ConflictError: if others have always been faster for too long.
            RemoteUnreachable: as `Sharing.catch_up`.
        """
        if isinstance(error, RemoteUnreachable):
            self._sharing.catch_up()
            self._began = self._clock.monotonic()
            return
        if self._clock.monotonic() - self._began > self._sharing.patience:
            raise ConflictError(
                f"others have been faster at '{self._sharing.name}' all the time",
                cause=error.cause or error.message,
                hint="nothing was recorded; repeat the command when less is going on",
            ) from error
        self._clock.sleep(self._sharing.took * self._clock.between(0, 2 * self._pause))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)
        self._sharing.catch_up()
