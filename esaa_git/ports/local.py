"""What one machine gives: a clock, the journal of one unfinished move, the workers at work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from esaa_git.ports.branch import BranchMove


class Clock(Protocol):
    """Time and chance as an argument, so that a recorded run can be made again to the byte."""

    def now(self) -> datetime:
        """Return the present moment, with a time zone."""
        ...

    def monotonic(self) -> float:
        """Return the seconds since some moment; setting the time of day does not move it."""
        ...

    def between(self, least: float, most: float) -> float:
        """Return a number between the two, drawn anew, so that those who met part again."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class Followup:
    """What is left to do once the log has moved: bring the branch and its checkouts after it."""

    log_commit: str
    move: BranchMove
    task_id: str
    paths: Sequence[str]


class Journal(Protocol):
    """Remembers one follow-up across a crash. Local, and worth nothing elsewhere."""

    def write(self, followup: Followup) -> None:
        """Remember it before the log moves."""
        ...

    def read(self) -> Followup | None:
        """Return what a process that died left behind."""
        ...

    def clear(self) -> None:
        """Forget it: it is done."""
        ...

    def pause(self) -> None:
        """Leave it for the next command."""
        ...


class NoJournal:
    """Remembers nothing: where only what is in memory moves, nothing has to be recovered."""

    def write(self, followup: Followup) -> None:
        pass

    def read(self) -> Followup | None:
        return None

    def clear(self) -> None:
        pass

    def pause(self) -> None:
        pass


class WorkerRegistry(Protocol):
    """Who is at work on what in this repository, across its processes. Local."""

    def enter(self, name: str) -> None:
        """Note that this process is at work on an attempt, or a review by its approval."""
        ...

    def leave(self, name: str) -> None:
        """Note that it no longer is."""
        ...

    def left_behind(self) -> list[str]:
        """Return, once, what processes that are gone were at work on."""
        ...
