"""The crew: agents and checks at work, each in a thread, while one decider decides.

A thread only waits for what is outside: an agent's answer, a check's end. It reads nothing of the
log and writes nothing; what it found reaches the decider through one queue, in the order in which
it ended.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import instant, timestamp
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State, Task
from esaa_git.engine import decide
from esaa_git.engine.engine import Engine
from esaa_git.engine.options import Stop
from esaa_git.errors import RunHalted

Pause = Callable[[], None]


class Cancelled(Exception):
    """The work was called off; raised by `pause` in the thread that does it."""


@dataclass(frozen=True, slots=True)
class Ended:
    """One job that is over: what it returned, or what it raised."""

    key: str
    value: Any = None
    error: BaseException | None = None


class Crew:
    """Jobs at work, by key. Only the thread that made it calls its methods, `wake` excepted."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[Ended | None] = SimpleQueue()
        self._threads: dict[str, threading.Thread] = {}
        self._called_off: dict[str, threading.Event] = {}

    def __len__(self) -> int:
        return len(self._threads)

    def __contains__(self, key: object) -> bool:
        return key in self._threads

    def start(self, key: str, job: Callable[[Pause], Any]) -> None:
        """Do the job in a thread; `next` hands out what became of it."""
        assert key not in self._threads, f"'{key}' is at work already"
        called_off = self._called_off[key] = threading.Event()

        def pause() -> None:
            if called_off.is_set():
                raise Cancelled

        def work() -> None:
            try:
                ended = Ended(key, job(pause))
            except BaseException as error:
                # Whatever it is, the decider must hear of it: nobody else sees this thread.
                ended = Ended(key, error=error)
            self._queue.put(ended)

        # A daemon, so that a second interrupt is not kept waiting by a job that does not pause.
        thread = threading.Thread(target=work, name=f"esaa-{key}", daemon=True)
        self._threads[key] = thread
        thread.start()

    def next(self, seconds: float) -> Ended | None:
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


MAX_WAIT_SECONDS = 3600


POLL_SECONDS = 0.5
"""How often the decider looks at leases and at the log while everybody is at work."""


def wait(engine: Engine, state: State, contracts: Contracts, stop: Stop) -> None:
    """Sleep until a cooldown ends, or until we are stopped; name whoever else is waited for."""
    now = timestamp(engine.clock.now())
    held = [state.tasks[task_id] for task_id in state.run.in_progress]
    moments = cooling(state, now)
    if moments:
        moment = min(moments)
        seconds = (instant(moment) - instant(now)).total_seconds()
        if seconds <= MAX_WAIT_SECONDS:
            engine.say(f"cooling down until {moment}")
            while seconds > 0 and not stop.finishing:
                engine.clock.sleep(min(seconds, POLL_SECONDS))
                seconds = (instant(moment) - engine.clock.now()).total_seconds()
            return
        raise RunHalted(f"the next attempt may start at {moment}", hint="run 'git esaa run' then")
    if held:
        waits = "; ".join(waits_for(task) for task in held[:5])
        raise RunHalted(f"nothing else can be done now: {waits}")
    # A limit was lowered after these were used; only a person takes them up again.
    for task in state.tasks.values():
        if task.state == TaskState.TODO and decide.is_spent(task, contracts):
            raise RunHalted(
                f"nothing can be done: the attempts of '{task.task_id}' are spent",
                hint=f"run 'git esaa task unblock {task.task_id} --attempts N --reason TEXT'",
            )
    raise RunHalted(
        f"nothing can be done: {len(state.run.blocked)} tasks are blocked",
        hint="run 'git esaa status' for the reasons, then 'git esaa task unblock TASK'",
    )


def cooling(state: State, now: str) -> list[str]:
    """Return the moments at which tasks may be tried again."""
    return [
        task.not_before
        for task in state.tasks.values()
        if task.state == TaskState.TODO and task.not_before is not None and task.not_before > now
    ]


def is_dispatched(task: Task) -> bool:
    """Answer whether an agent that a run has set to work holds the task."""
    return task.active_attempt is not None and task.active_attempt.mode == "dispatch"


def is_dispatched_as(task: Task, attempt_id: str) -> bool:
    attempt = task.active_attempt
    return is_dispatched(task) and attempt is not None and attempt.attempt_id == attempt_id


def waits_for(task: Task) -> str:
    if task.pending_approval is not None:
        return f"'{task.task_id}' waits for 'git esaa review {task.task_id}'"
    holder = task.attempt.agent if task.attempt else "somebody"
    until = f" until {task.active_attempt.deadline}" if task.active_attempt else ""
    return f"'{task.task_id}' is held by {holder}{until}"
