"""Leases: for how long an actor holds a task, and whose time is up by a clock known to be right.

One machine's wall clock judges what that machine recorded. Where several machines record, their
clocks may differ by an hour, and the log's time follows the fastest of them. So a worker believes
no deadline that it did not sit out itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import after
from esaa_git.core.task import Attempt


@dataclass(frozen=True, slots=True)
class Lease:
    """The time that one attempt has, or a decision that is lent to a reviewer.

    Attributes:
        name: the id of the attempt, or of the approval.
        deadline: when it ends, by the clock of the machine that recorded it.
        ttl_ms: how long the contracts in force let a lease be.
    """

    name: str
    deadline: str
    ttl_ms: int

    @classmethod
    def begin(cls, name: str, at: str, contracts: Contracts) -> Lease:
        """Return the lease that begins, or is prolonged, at this moment: by the policy's ttl."""
        ttl_ms = contracts.policy.ttl_ms
        return cls(name, after(at, ttl_ms), ttl_ms)

    @classmethod
    def of(cls, attempt: Attempt, contracts: Contracts) -> Lease:
        """Return the lease of an attempt that is on record."""
        return cls(attempt.attempt_id, attempt.deadline, contracts.policy.ttl_ms)

    @classmethod
    def lent(cls, approval_id: str, deadline: str, contracts: Contracts) -> Lease:
        """Return the lease of a decision that is with a reviewer."""
        return cls(approval_id, deadline, contracts.policy.ttl_ms)


class Leases(Protocol):
    """Judges whether an attempt, or a review, has had its time."""

    def begin(self, lease: Lease) -> None:
        """Take note that we are about to open this one ourselves."""
        ...

    def is_over(self, lease: Lease, now: str) -> bool:
        """Answer whether a lease ran out.

        Args:
            now: the present moment by this machine's clock, never before the log's last event.
        """
        ...


class WallClock:
    """Leases by the time of day: for one machine, or several with the same time."""

    def begin(self, lease: Lease) -> None:
        """The deadline says it all."""

    def is_over(self, lease: Lease, now: str) -> bool:
        return now >= lease.deadline


class Watched:
    """Leases by how long this process has seen them stand, whatever any clock on a wall says.

    A lease begins for us when we open it or first see it, and again with every new deadline (a
    heartbeat). No attempt's time is ever up too early; that of a worker that died is up one lease
    after the others have seen it.

    Args:
        monotonic: as `Clock.monotonic`.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, tuple[str, float]] = {}

    def begin(self, lease: Lease) -> None:
        self._seen[lease.name] = (lease.deadline, self._monotonic())

    def is_over(self, lease: Lease, now: str) -> bool:
        known, since = self._seen.get(lease.name, (None, 0.0))
        if known != lease.deadline:
            self.begin(lease)
            return False
        return self._monotonic() - since >= lease.ttl_ms / 1000


WALL_CLOCK = WallClock()
