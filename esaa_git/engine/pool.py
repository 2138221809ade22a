"""The worker pool: agents and checks at work, each in a thread, while one decider decides.

A thread only waits for what is outside: an agent's answer, a check's end. It reads nothing of the
log and writes nothing; what it found reaches the decider through one queue, in the order in which
it ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

Pause = Callable[[], None]

POLL_SECONDS = 0.5
"""How often the decider looks at leases and at the log while everybody is at work."""


class Cancelled(Exception):
    """The work was called off; raised by `pause` in the thread that does it."""


@dataclass(frozen=True, slots=True)
class JobResult(Generic[T]):
    """One job that is over: what it returned, or what it raised."""

    key: str
    value: T | None = None
    error: BaseException | None = None


class WorkerPool(Generic[T]):
    """Jobs at work, by key. Only the thread that made it calls its methods, `wake` excepted."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[JobResult[T] | None] = SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}
        self._called_off: dict[str, threading.Event] = {}

    def __len__(self) -> int:
        return len(self._threads)

    def __contains__(self, key: object) -> bool:
        return key in self._threads

    def start(self, key: str, job: Callable[[Pause], T]) -> None:
        """Do the job in a thread; `next` hands out what became of it."""
        assert key not in self._threads, f"'{key}' is at work already"
        called_off = self._called_off[key] = threading.Event()

        def pause() -> None:
            if called_off.is_set():
                raise Cancelled

        def work() -> None:
            try:
                ended = JobResult(key, job(pause))
            except BaseException as error:
                # Whatever it is, the decider must hear of it: it alone sees this thread.
                ended = JobResult(key, error=error)
            self._queue.put(ended)

        # A daemon, so that a second interrupt is not kept waiting by a job that does not pause.
        thread = threading.Thread(target=work, name=f"esaa-{key}", daemon=True)
        self._threads[key] = thread
        thread.start()

    def next(self, seconds: float) -> JobResult[T] | None:
        """Return the job that ended first, or None after so many seconds or a `wake`."""
        try:
            ended = self._queue.get(timeout=seconds)
        except Empty:
            return None
        if ended is not None:
            self._threads.pop(ended.key).join()
            del self._called_off[ended.key]
        return ended

    def wake(self) -> None:
        """Let `next` return at once; a signal handler may call it."""
        self._queue.put(None)

    def call_off(self) -> None:
        """Have every job end as soon as it pauses; `next` hands them out as cancelled."""
        for event in self._called_off.values():
            event.set()
