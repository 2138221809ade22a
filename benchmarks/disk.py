"""What a log takes on the disk, and what it costs to keep that small.

The log grows as a run has it grow: loose objects first, packed by our own housekeeping every so
many events. What is counted at the end is every block below `.git`: packs with their indexes,
loose objects, refs, notes. The events are those of `logs.natural`: six a task, with a request, an
answer, a file of 500 bytes, and an effect commit on the branch.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import logs
from benchmarks.append import _answered
from benchmarks.harness import Row, by_turns, compared, say, timed
from benchmarks.workshop import Workshop
from esaa_git.engine.transaction import Transaction
from esaa_git.store.maintenance import EVERY, Housekeeper, Maintained, maintain

SUBJECT = "disk: the log's objects, packed beside a run"
AIM = 1536
"""What an event may take in the steady state, in bytes."""


def measure(shop: Workshop) -> Iterator[Row]:
    deep = shop.sizes.deep
    yield from growing(shop, (deep // 10, deep))
    yield beside_appends(shop)


# -- a log that grows -----------------------------------------------------------------------


def growing(shop: Workshop, stops: tuple[int, ...]) -> Iterator[Row]:
    """Grow a log and pack it every `EVERY` events; yield what it takes at these sizes."""
    place = shop.place("growing", in_memory=True)
    subject = logs.Subject(place, shop.key)
    lives = (
        life
        for name in logs.names("TASK", stops[-1])
        for life in (subject.create(name), subject.finish(name, sink=subject.repository))
    )
    transaction = subject.start([], subject.repository)
    appending: list[float] = []
    packing: list[float] = []
    done: list[Maintained] = []
    for stop in stops:
        say(f"  growing a log to {stop:,} events")
        while transaction.state.seq < stop:
            begun = perf_counter()
            until = transaction.state.seq + EVERY
            while transaction.state.seq < until:
                subject.fill(transaction, next(lives), subject.repository)
            transaction.commit()
            subject.follow()
            appending.append(perf_counter() - begun)
            packing.append(timed(lambda: done.append(_maintained(subject))))
            state, in_force = subject.log.load()
            transaction = Transaction(subject.log.begin(), state, in_force, subject.now())
        yield _size(place, transaction.state.seq, done[-1])
    most = max(one.before.loose for one in done)
    yield Row(
        SUBJECT,
        f"one packing of {EVERY} events / writing them, by one transaction",
        "ms",
        median(packing) * 1e3,
        median(appending) * 1e3,
        note=f"the longest took {max(packing):.1f} s; all of them "
        f"{sum(packing) / transaction.state.seq * 1e3:.2f} ms an event",
    )
    yield Row(
        SUBJECT,
        "loose objects, at most",
        "",
        most,
        None,
        note=f"packs, at most: {max(one.after.packs for one in done)}",
    )
    shop.clear(place)


def _maintained(subject: logs.Subject) -> Maintained:
    done = maintain(subject.repository)
    assert done is not None
    return done


def _size(place: Path, events: int, done: Maintained) -> Row:
    taken = sum(path.lstat().st_blocks * 512 for path in (place / ".git").rglob("*"))
    return Row(
        SUBJECT,
        f"an event on disk, after {events:,}",
        "bytes",
        taken / events,
        AIM,
        allowed=1.0,
        note=f"{taken / (1 << 20):,.1f} MiB in packs ({done.after.packs}), "
        f"{done.after.loose} loose objects",
    )


# -- beside appends -------------------------------------------------------------------------


def beside_appends(shop: Workshop) -> Row:
    """Append with housekeeping and without, each event in a transaction of its own."""
    places = [shop.place(name, in_memory=True) for name in ("kept", "left")]
    kept, left = (logs.repeated(place, shop.key, 1, tasks=10) for place in places)
    keeper = Housekeeper(kept.repository, say)
    arms = [_many(kept, keeper), _many(left, None)]
    for arm in arms:
        next(arm)
    rounds = shop.sizes.rounds
    seconds = by_turns([lambda: next(arms[0]), lambda: next(arms[1])], rounds)
    shop.clear(*places)
    return compared(
        SUBJECT,
        "an append with housekeeping / without, in memory",
        "us",
        seconds,
        scale=1e6 / EVERY,
        note=f"{EVERY} events a round, each in a transaction of its own; one packing begins in the "
        "middle of it, and is waited for",
    )


def _many(subject: logs.Subject, keeper: Housekeeper | None) -> Iterator[float]:
    """Append `EVERY` events at a time, the first time half as many; yield the seconds."""
    steps = _steps(subject)
    count = EVERY // 2
    while True:
        begun = perf_counter()
        for _ in range(count):
            seq = next(steps)
            if keeper is not None:
                keeper(seq)
        if keeper is not None:
            keeper.close()
        yield perf_counter() - begun
        count = EVERY


def _steps(subject: logs.Subject) -> Iterator[int]:
    times: dict[str, int] = {}
    for name in cycle(subject.open):
        times[name] = times.get(name, 0) + 1
        for step, finish in _answered(subject.give_back(name, times[name])):
            finish(subject.append(step))
            yield subject.log.load()[0].seq
