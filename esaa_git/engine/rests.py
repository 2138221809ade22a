"""Rests: which agents are not asked for a while, since the service behind them is away.

An agent rests for every task and worker of this run: on this machine, for as long as the process
lives. Another machine has a key, an account and a network of its own (decision 0061).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from esaa_git.core.event import timestamp
from esaa_git.core.rejection import excerpt
from esaa_git.errors import ServiceUnavailable
from esaa_git.ports.agent import Unavailable
from esaa_git.ports.local import Clock

FIRST_REST_SECONDS: Final = 15
LONGEST_REST_SECONDS: Final = 300
"""The rest where a service does not say how long: it doubles from one to the next."""

MOST_SECONDS: Final = 1_000_000_000
"""A service that asks for more (thirty years) has said nothing."""


@dataclass(frozen=True, slots=True)
class Rest:
    """One agent's rest.

    Attributes:
        reason: what its service said.
        since: when its service was found away first, without an answer in between.
        begun: when this rest began, by the clock's `monotonic`.
        until: its end; it has none in this run where only a person can help.
        steps: how many rests there were since.
        hint: what a person can do.
    """

    agent: str
    reason: str
    since: datetime
    begun: float
    until: datetime | None
    steps: int
    hint: str | None

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and now >= self.until

    @property
    def words(self) -> str:
        """Until when, for people."""
        return "" if self.until is None else f" until {timestamp(self.until)}"


class Rests:
    """The agents that rest, by name."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rests: dict[str, Rest] = {}

    def begin(self, agent: str, away: Unavailable, asked: float) -> Rest:
        """Have an agent rest whose service was away.

        Args:
            asked: when it was, by the clock's `monotonic`. Several that were asked together tell of
                one failure.
        """
        now, clock_now = self._clock.now(), self._clock.monotonic()
        before = self._rests.get(agent)
        steps = 1 if before is None else before.steps + (asked >= before.begun)
        said = away.seconds if away.seconds is not None and 0 < away.seconds < MOST_SECONDS else 0
        own = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2 ** min(steps - 1, 10))
        # A service that says "in a second" again and again is not asked every second.
        seconds = said if said and steps == 1 else max(said, own)
        until = None if away.needs_person else now + timedelta(seconds=seconds)
        if before is not None and asked < before.begun:
            is_longer = before.until is None or (until is not None and before.until > until)
            until = before.until if is_longer else until
        since = now if before is None else before.since
        rest = Rest(agent, excerpt(away.reason, 1000), since, clock_now, until, steps, away.hint)
        self._rests[agent] = rest
        return rest

    def end(self, agent: str) -> None:
        """Take note that the service of an agent answers."""
        self._rests.pop(agent, None)

    def of(self, agent: str) -> Rest | None:
        """Return the rest of an agent that is not to be asked now."""
        rest = self._rests.get(agent)
        return None if rest is None or rest.is_over(self._clock.now()) else rest

    def of_all(self, agents: Iterable[str]) -> Rest | None:
        """Return the first rest to end of these agents; None where one of them may be asked."""
        rests = [self.of(agent) for agent in agents]
        return None if None in rests else first_to_end(rest for rest in rests if rest is not None)


def first_to_end(rests: Iterable[Rest]) -> Rest | None:
    """Return the rest that ends before all others."""
    return min(rests, key=lambda rest: (rest.until is None, rest.until or rest.since), default=None)


def too_long(rest: Rest) -> ServiceUnavailable:
    """Return the error that ends a run which cannot wait for a service."""
    hint = "run 'git esaa run' then: it goes on where it was, and no attempt was spent"
    if rest.until is None:
        hint = "then run 'git esaa run': it goes on where it was, and no attempt was spent"
    return ServiceUnavailable(
        f"the service of agent '{rest.agent}' is not available{rest.words}",
        cause=rest.reason,
        hint=f"{rest.hint}; {hint}" if rest.hint else hint.removeprefix("then "),
    )
