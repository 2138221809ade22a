"""Whole commands as a person types them, against a Python that does nothing but import.

The limit is `python -c "import pygit2, click"`: what any program on these two libraries pays.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial

from benchmarks import logs
from benchmarks.harness import Row, by_turns, compared, timed
from benchmarks.programs import git_esaa, run
from benchmarks.workshop import Workshop

SUBJECT = "whole commands"
MS = 1e3
IMPORTS = [sys.executable, "-c", "import pygit2, click"]


def measure(shop: Workshop) -> Iterator[Row]:
    sizes = shop.sizes
    deep, shallow = shop.natural(sizes.deep), shop.natural(sizes.shallow)
    bare = _program(IMPORTS, deep)
    labels = [f"{one.log.load()[0].seq:,} events" for one in (deep, shallow)]
    for name, make in (("status", _status), ("claim", _claim)):
        arms = [make(deep), make(shallow), bare]
        of_deep, of_shallow, of_bare = by_turns(arms, sizes.processes)
        for label, seconds in zip(labels, (of_deep, of_shallow), strict=True):
            pair = [seconds, of_bare]
            title = f"{name} at {label} / imports"
            yield compared(SUBJECT, title, "ms", pair, allowed=2.5, scale=MS)
        pair = [of_deep, of_shallow]
        title = f"{name} at {labels[0]} / at {labels[1]}"
        yield compared(SUBJECT, title, "ms", pair, allowed=1.15, scale=MS)


def _program(command: list[str], subject: logs.Subject) -> Callable[[], float]:
    return lambda: timed(partial(run, command, subject.folder))


def _status(subject: logs.Subject) -> Callable[[], float]:
    return _program([*git_esaa(), "status"], subject)


def _claim(subject: logs.Subject) -> Callable[[], float]:
    """Claim a task that nobody has claimed yet, each time."""
    fresh = iter(subject.open)

    def once() -> float:
        command = [*git_esaa(), "claim", next(fresh), "--as", logs.PERSON]
        return timed(partial(run, command, subject.folder))

    return once
