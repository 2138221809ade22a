"""What the subjects share: sizes, a folder that is removed in the end, and logs built once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from benchmarks import logs
from benchmarks.harness import say


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    deep: int = 100_000
    shallow: int = 1_000
    tasks: int = 5_000
    verify: int = 20_000
    appends: int = 300
    pushed: int = 1_000
    rounds: int = 5
    processes: int = 15
    programs: int = 50
    files: int = 20_000
    checkouts: int = 9
    instant: int = 200
    soak_seconds: float = 120
    workers: tuple[int, ...] = (2, 4, 8)
    shared_tasks: int = 24
    peer: tuple[int, ...] = (100, 1_000, 5_000, 20_000)


QUICK = Sizes(
    deep=5_000,
    shallow=600,
    tasks=500,
    verify=4_200,
    appends=40,
    pushed=100,
    rounds=1,
    processes=3,
    programs=3,
    files=1_000,
    checkouts=3,
    instant=16,
    soak_seconds=10,
    workers=(2,),
    shared_tasks=4,
    peer=(100,),
)


@dataclass
class Workshop:
    """One run's folder and logs.

    Attributes:
        outer: the environment in which the benchmark was started; its own is sealed.
        memory: a folder in memory, where the machine has one.
    """

    folder: Path
    sizes: Sizes
    outer: dict[str, str]
    memory: Path | None = None
    _key: logs.Key | None = None
    _natural: dict[int, logs.Subject] = field(default_factory=dict)
    _repeated: dict[int, logs.Subject] = field(default_factory=dict)
    _count: int = 0

    @property
    def key(self) -> logs.Key:
        if self._key is None:
            self._key = logs.Key.make(self.folder)
        return self._key

    def place(self, name: str, *, in_memory: bool = False) -> Path:
        """Return a path for a new repository."""
        self._count += 1
        base = self.memory if in_memory and self.memory is not None else self.folder
        return base / f"{self._count}-{name}"

    def natural(self, events: int) -> logs.Subject:
        """Return the log of about so many events that all subjects of this run read.

        Whoever appends to it leaves it sound, and no more than a few events longer.
        """
        if events not in self._natural:
            place, spare = self.place(f"natural-{events}"), 4 * self.sizes.processes + 8
            with _telling(f"a log of {events:,} events"):
                found = logs.natural(place, self.key, events, leave_open=spare)
            self._natural[events] = found
        return self._natural[events]

    def repeated(self, events: int) -> logs.Subject:
        """Return a log of about so many events about a few tasks, as many in each such log.

        It is in memory where the machine has such a folder. Whoever appends to it leaves it sound.
        """
        if events not in self._repeated:
            place = self.place(f"repeated-{events}", in_memory=True)
            with _telling(f"a log of {events:,} events about {self.few} tasks"):
                found = logs.repeated(place, self.key, events, tasks=self.few)
            self._repeated[events] = found
        return self._repeated[events]

    @property
    def few(self) -> int:
        """How many tasks a `repeated` log has: five appends each, and one to warm up."""
        return self.sizes.appends // 5 + 1

    def clear(self, *places: Path) -> None:
        """Remove repositories that nobody needs any more."""
        for place in places:
            shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _telling(what: str) -> Iterator[None]:
    say(f"  building {what}")
    begun = perf_counter()
    yield
    say(f"  ({perf_counter() - begun:.0f} s)")
