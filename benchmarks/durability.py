"""What it costs that a power cut loses nothing: the same appends synced, and not.

Both arms append the same events one by one. The floor is what no program can do without: one file
of as many bytes as the event has objects, and one small file renamed over another, each synced
with its folder. On a disk in memory a sync costs nothing, so these rows are measured on the disk
of `--folder` alone.

A turn is `_TURN` appends, since a file system that is syncing for one arm keeps the other waiting.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from timeit import timeit

from benchmarks import logs
from benchmarks.harness import Arm, Row, by_turns, compared
from benchmarks.workshop import Workshop
from esaa_git.faults import Point, reach
from esaa_git.store import durability
from esaa_git.store.packwriter import PackSink

SUBJECT = "durability: one signed event that survives a power cut"
MS = 1e3
_TURN = 10
FILESYSTEM, FILES, NONE = durability.FILESYSTEM, durability.FILES, durability.UNSAFE_NONE


def measure(shop: Workshop) -> Iterator[Row]:
    tasks = shop.sizes.appends // 5
    rounds = 5 * tasks // _TURN - 1
    yield _row(shop, (FILESYSTEM, NONE), tasks, rounds, "synced by one call / not synced")
    yield _row(shop, (FILES, NONE), tasks, rounds, "synced object by object / not synced")
    yield against_floor(shop, tasks, rounds)
    yield at_a_point()


def _row(shop: Workshop, modes: tuple[str, str], tasks: int, rounds: int, name: str) -> Row:
    places = [shop.place(mode) for mode in modes]
    arms = [_appending(shop, place, mode, tasks) for place, mode in zip(places, modes, strict=True)]
    seconds = by_turns(arms, rounds)
    durability.prepare(NONE)
    shop.clear(*places)
    return compared(SUBJECT, name, "ms", seconds, scale=MS, note="on the disk of --folder")


def against_floor(shop: Workshop, tasks: int, rounds: int) -> Row:
    """Append, and write as few bytes as durably as files allow."""
    ours, bare = shop.place("synced"), shop.place("floor")
    bare.mkdir()
    seconds = by_turns([_appending(shop, ours, FILESYSTEM, tasks), _floor(bare)], rounds)
    shop.clear(ours, bare)
    return compared(
        SUBJECT,
        "synced by one call / two files written, synced",
        "ms",
        seconds,
        scale=MS,
        note="limit: 4 KiB and 41 bytes, each with fsync of file and folder",
    )


def at_a_point() -> Row:
    """Pass a fault point that nobody has armed, and call a function that does nothing."""
    count = 200_000
    point = Point.OBJECT_WRITTEN
    arms: list[Arm] = [
        lambda: timeit(lambda: reach(point), number=count) / count,
        lambda: timeit(lambda: _nothing(point), number=count) / count,
    ]
    seconds = by_turns(arms, 5)
    name = "an unarmed fault point / an empty call"
    return compared(SUBJECT, name, "ns", seconds, scale=1e9, note="some 20 of them an event")


def _nothing(point: Point) -> None:
    pass


def _appending(shop: Workshop, place: Path, mode: str, tasks: int) -> Arm:
    """Return what appends one event more to a log of its own, synced in this way."""
    subject = logs.Subject(place, shop.key)
    subject.repository.sync_mode = mode
    with PackSink(subject.repository) as sink:
        wanted = [logs.definition(name) for name in logs.names("TASK", tasks)]
        transaction = subject.start(wanted, sink)
        sink.install()
        transaction.commit()
    steps = _steps(subject)

    def append() -> float:
        durability.prepare(mode)
        return sum(next(steps) for _ in range(_TURN)) / _TURN

    return append


def _steps(subject: logs.Subject) -> Iterator[float]:
    for name in subject.open:
        life = subject.finish(name)
        step = next(life)
        while True:
            begun = perf_counter()
            commit = subject.append(step)
            yield perf_counter() - begun
            try:
                step = life.send(commit)
            except StopIteration:
                break


def _floor(folder: Path) -> Arm:
    number = 0

    def write() -> float:
        return sum(write_one() for _ in range(_TURN)) / _TURN

    def write_one() -> float:
        nonlocal number
        number += 1
        begun = perf_counter()
        _write(folder / f"{number}", os.urandom(4096))
        _sync(folder)
        _write(folder / "ref.lock", b"%040d\n" % number)
        (folder / "ref.lock").rename(folder / "ref")
        _sync(folder)
        return perf_counter() - begun

    return write


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
