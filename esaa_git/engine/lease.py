"""Leases: whose time is up, by a clock that is known to be right.

One machine's wall clock judges what that machine recorded. Where several machines record, their
clocks may differ by an hour, and the log's time follows the fastest of them. So a worker believes
no deadline that it did not sit out itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Leases(Protocol):
    """Judges whether an attempt, or a review, has had its time."""

    def begin(self, name: str, deadline: str) -> None:
        """Take note that we are about to open this one ourselves."""
        ...

    def is_over(self, name: str, deadline: str, now: str, ttl_ms: int) -> bool:
        """Answer whether the lease on an attempt or approval ran out.

        Args:
            now: the present moment by this machine's clock, never before the log's last event.
            ttl_ms: how long the contracts in force let a lease be.
        """
        ...


class WallClock:
    """Leases by the time of day: for one machine, or several with the same time."""

    def begin(self, name: str, deadline: str) -> None:
        """The deadline says it all."""

    def is_over(self, name: str, deadline: str, now: str, ttl_ms: int) -> bool:
        return now >= deadline


class Watched:
    """Leases by how long this process has seen them stand, whatever any clock on a wall says.

    A lease begins for us when we open it or first see it, and again with every new deadline (a
    heartbeat). Nobody's time is ever up too early; that of a worker that died is up one lease
    after the others have seen it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, tuple[str, float]] = {}

    def begin(self, name: str, deadline: str) -> None:
        self._seen[name] = (deadline, self._monotonic())

    def is_over(self, name: str, deadline: str, now: str, ttl_ms: int) -> bool:
        known, since = self._seen.get(name, (None, 0.0))
        if known != deadline:
            self.begin(name, deadline)
            return False
        return self._monotonic() - since >= ttl_ms / 1000


WALL_CLOCK = WallClock()
