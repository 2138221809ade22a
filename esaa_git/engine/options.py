"""How a run is to go, who looks on, how it is stopped, and what it came to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from esaa_git.core.machine import RunState
from esaa_git.engine.exchange import Admission
from esaa_git.engine.proposer import Dispatched
from esaa_git.engine.schedule import BY_ID, PlanOrder
from esaa_git.ports.checks import Audit

MAX_WAIT_SECONDS: Final = 3600
"""How long a run does nothing where nobody says otherwise."""


@dataclass
class Report:
    """What one call of `cycle` did, and where the run stands after it."""

    admissions: list[Admission] = field(default_factory=list)
    result: RunState | None = None
    reason: str = ""
    audit: Audit | None = None
    stopped: bool = False


class Observer(Protocol):
    """Is told what happens, in the order in which it is recorded."""

    def dispatched(self, what: Dispatched) -> None:
        """An attempt, or a review of one, was opened and its agent is at work."""
        ...

    def checking(self, attempt_id: str, names: tuple[str, ...]) -> None:
        """The checks of an attempt's proposal are at work."""
        ...

    def admitted(self, admission: Admission) -> None:
        """An attempt came to an end, or said something."""
        ...


class Unobserved:
    """Tells no one."""

    def dispatched(self, what: Dispatched) -> None: ...

    def checking(self, attempt_id: str, names: tuple[str, ...]) -> None: ...

    def admitted(self, admission: Admission) -> None: ...


class Stop:
    """How far a run is to be stopped: a signal handler asks, the decider obeys.

    `finish` lets what is under way come to its end; `cancel` calls it off, each attempt on record.
    """

    def __init__(self) -> None:
        self.finishing = False
        self.cancelling = False
        self.wake: Callable[[], None] = lambda: None

    def finish(self) -> None:
        self.finishing = True
        self.wake()

    def cancel(self) -> None:
        self.finishing = self.cancelling = True
        self.wake()


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is to go.

    Attributes:
        steps: how many attempts are made, None for as many as it takes.
        task_id: only this task is worked on, until it is done, blocked or its attempts are spent.
        agent: who is asked, whatever the kind of task.
        parallel: how many agents may be at work at once.
        overlap: also where what they may write overlaps.
        order: which of the tasks that can be worked on goes first.
        wait: for how many seconds at most nothing is done, where a cooldown or a service that is
            away is all there is to wait for.
        decisions: for how many seconds at most nothing is done where only people's decisions are
            missing.
        base_may_fail: nobody looks whether checks fail on the base already.
    """

    steps: int | None = None
    task_id: str | None = None
    agent: str | None = None
    parallel: int = 1
    overlap: bool = False
    order: PlanOrder = BY_ID
    wait: float = MAX_WAIT_SECONDS
    decisions: float = 0.0
    base_may_fail: bool = False
