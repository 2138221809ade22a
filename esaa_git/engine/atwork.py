"""What is at work here: attempts that were taken up, and the agents and checks that are on them."""

from __future__ import annotations

from collections.abc import Callable

from esaa_git.core.contracts import Contracts
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.lease import Lease
from esaa_git.engine.pool import POLL_SECONDS, JobResult, WorkerPool
from esaa_git.engine.work import Found, Work
from esaa_git.errors import ConflictError, RemoteUnreachable
from esaa_git.ports.agent import Answer

MAX_VOIDED = 3
"""How often the checks of an attempt are run in vain before others wait for it."""


class AtWork:
    """The attempts that this process is at work on, by their ids; others see them as well.

    `pool` has the agents and the checks.
    """

    def __init__(self, engine: Engine) -> None:
        self.pool: WorkerPool[Found] = WorkerPool()
        self._engine = engine
        self._work: dict[str, Work] = {}
        self._held_back: list[JobResult[Found]] = []

    def __len__(self) -> int:
        return len(self._work)

    def __contains__(self, attempt_id: str) -> bool:
        return attempt_id in self._work

    def of(self, attempt_id: str) -> Work:
        """Return what is being done on an attempt."""
        return self._work[attempt_id]

    def begin(self, work: Work) -> None:
        """Take an attempt up."""
        work.began = self._engine.clock.monotonic()
        self._work[work.attempt_id] = work
        self._engine.registry.enter(work.name)

    def end(self, attempt_id: str) -> Work:
        """Be done with an attempt, and return what was done on it."""
        work = self._work.pop(attempt_id)
        self._engine.registry.leave(work.name)
        return work

    def is_late(self, task: Task, contracts: Contracts, now: str) -> bool:
        """Answer whether the lease of a task's attempt is over and nothing here will end it."""
        attempt = task.active_attempt
        if attempt is None:
            return False
        if not self._engine.leases.is_over(Lease.of(attempt, contracts), now):
            return False
        work = self._work.get(attempt.attempt_id)
        return work is None or work.hangs(self._engine, attempt)

    def holds_back(self, ended: JobResult[Found]) -> bool:
        """Keep an answer for later where another attempt has to get through first, and say so."""
        if ended.error is not None or not self._is_pressed(beside=self._work[ended.key]):
            return False
        self._held_back.append(ended)
        return True

    def next_held_back(self) -> JobResult[Found] | None:
        """Return the first answer that was kept for later, if it can be taken now."""
        return self._held_back.pop(0) if self._held_back and not self._is_pressed() else None

    def _is_pressed(self, beside: Work | None = None) -> bool:
        """Answer whether an attempt's checks run that others' admissions have voided often.

        Theirs are held back until it is through, or it would never be.
        """
        return any(
            work.proofs >= MAX_VOIDED and work.attempt_id in self.pool
            for work in self._work.values()
            if work is not beside
        )

    def call_off(self, reason: str, is_admitted: Callable[[Work, Found], bool]) -> None:
        """End everything that is at work, and give the tasks back.

        Args:
            is_admitted: admits what ended by itself after all; False where that came to nothing.
        """
        self.pool.call_off()
        while self.pool or self._held_back:
            ended = self._held_back.pop(0) if self._held_back else self.pool.next(POLL_SECONDS)
            if ended is None:
                continue
            work = self.end(ended.key)
            away = isinstance(ended.value, Answer) and ended.value.unavailable is not None
            if away or ended.error is not None or not is_admitted(work, ended.value):
                self.give_back(work, reason)

    def give_back(self, work: Work, reason: str) -> None:
        """Give back what was taken up; where the shared log cannot be told, its lease runs out."""
        try:
            work.release(self._engine, reason)
        except (ConflictError, RemoteUnreachable) as error:
            if self._engine.sharing is None:
                raise
            self._engine.say(f"{work.attempt_id} is not given back, its lease runs out: {error}")
