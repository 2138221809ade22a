"""Appending: against writing the same objects bare, at more events, and at more tasks.

One append is one event in a transaction of its own, as the orchestrator makes it: the state is
loaded, the event is sealed, checked and evolved, its objects are written, its commit is signed,
and the ref is moved under its lock. The limit writes the very same objects with pygit2, signs the
same commits with the same key and moves the ref by the same primitive; both end on the same tip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks import logs
from benchmarks.harness import Arm, Row, by_turns, compared, timed
from benchmarks.programs import git_commit, signing_repository
from benchmarks.workshop import Workshop
from esaa_git.ports.refs import RefMove
from esaa_git.store.objects import COMMIT, sign_commit, split_signature
from esaa_git.store.packwriter import PackSink
from esaa_git.store.repository import Repository

SUBJECT = "append: one signed event with its state"
US = 1e6


def measure(shop: Workshop) -> Iterator[Row]:
    yield against_raw(shop, in_memory=False)
    if shop.memory is not None:
        yield against_raw(shop, in_memory=True)
    yield at_depth(shop)
    yield at_width(shop)
    yield against_git(shop, in_memory=False)
    if shop.memory is not None:
        yield against_git(shop, in_memory=True)


# -- the same objects, written bare ---------------------------------------------------------


class Recorder:
    """An `ObjectSink` that stores objects, and remembers them in order, each once."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._seen: set[str] = set()
        self.objects: list[tuple[int, bytes]] = []

    def put(self, kind: int, data: bytes) -> str:
        oid = self._repository.put(kind, data)
        if oid not in self._seen:
            self._seen.add(oid)
            self.objects.append((kind, data))
        return oid

    def take(self) -> list[tuple[int, bytes]]:
        """Return what was put since the last time."""
        taken, self.objects = self.objects, []
        return taken


def against_raw(shop: Workshop, *, in_memory: bool) -> Row:
    """Append a realistic mix of events, five a task, and write the same objects bare."""
    tasks = shop.sizes.appends // 5
    places = [shop.place(name, in_memory=in_memory) for name in ("record", "ours", "bare")]
    recorded, ours, bare = (_fresh(place, shop.key, tasks) for place in places)
    recorder = Recorder(recorded.repository)
    written: list[tuple[list[tuple[int, bytes]], str]] = []
    for name in recorded.open:
        for step, finish in _answered(recorded.finish(name)):
            recorder.take()
            commit = recorded.append(step, recorder)
            written.append((recorder.take(), commit))
            finish(commit)
    assert len(written) == 5 * tasks
    appends = _appends(ours, _all_finished(ours))
    raw = _bare_writes(bare, written)
    rounds = len(written) - 1
    seconds = by_turns([lambda: next(appends), lambda: next(raw)], rounds)
    assert ours.repository.ref_target(ours.log.ref) == written[-1][1]
    assert bare.repository.ref_target(bare.log.ref) == written[-1][1]
    shop.clear(*places)
    count = sum(len(objects) for objects, _ in written) / len(written)
    where = "files in memory" if in_memory else "on disk"
    return compared(
        SUBJECT,
        f"one event, {where} / bare objects",
        "us",
        seconds,
        allowed=2.0,
        scale=US,
        note=f"{count:.1f} objects an event; limit: odb.write, sign, locked ref move",
    )


def _bare_writes(
    subject: logs.Subject, written: list[tuple[list[tuple[int, bytes]], str]]
) -> Iterator[float]:
    """Write the objects of event after event with what pygit2 offers; yield the seconds."""
    repository, signer, ref = subject.repository, subject.signer, subject.log.ref
    odb = repository.raw.odb
    tip = repository.ref_target(ref)
    for objects, commit in written:
        *others, (kind, data) = objects
        parts = split_signature(data)
        assert kind == COMMIT
        assert parts is not None
        begun = perf_counter()
        for one, content in others:
            odb.write(one, content)
        signed = sign_commit(parts[0], signer.sign(parts[0]))
        oid = str(odb.write(COMMIT, signed))
        subject.refs.move([RefMove(ref, tip, oid, "bare")])
        took = perf_counter() - begun
        assert oid == commit
        tip = oid
        yield took


# -- more events, more tasks ----------------------------------------------------------------


def at_depth(shop: Workshop) -> Row:
    """Append to a log of many events and to one of few, with the same tasks."""
    sizes = shop.sizes
    pair = [shop.repeated(events) for events in (sizes.deep, sizes.shallow)]
    depth = [one.log.load()[0].seq for one in pair]
    arms = [_arm(_appends(one, _all_finished(one))) for one in pair]
    seconds = by_turns(arms, 5 * shop.few - 5, warm_up=5)
    for one in pair:
        one.follow()
    return compared(
        SUBJECT,
        f"at {depth[0]:,} events / at {depth[1]:,}",
        "us",
        seconds,
        allowed=1.15,
        scale=US,
        note=f"{shop.few} tasks in both logs, packed before; {_where(shop)}",
    )


def _all_finished(subject: logs.Subject) -> Iterator[logs.Life]:
    """Finish task after task, each by the attempt that is next."""
    for name in subject.open:
        yield subject.finish(name, subject.log.load()[0].tasks[name].attempts_total + 1)


def at_width(shop: Workshop) -> Row:
    """Append to a log of many tasks and to one of few; the few are taken again and again."""
    sizes = shop.sizes
    few = 10
    places = [shop.place(name, in_memory=True) for name in ("wide", "narrow")]
    pair = [
        logs.repeated(place, shop.key, 1, tasks=tasks)
        for place, tasks in zip(places, (sizes.tasks, few), strict=True)
    ]
    arms = []
    for one in pair:
        # Every task of the wide log is as likely: a stride that has no factor with the count.
        order = [one.open[at * 997 % len(one.open)] for at in range(len(one.open))]
        arms.append(_arm(_appends(one, _repeatedly(one, order))))
    seconds = by_turns(arms, sizes.appends, warm_up=6)
    shop.clear(*places)
    return compared(
        SUBJECT,
        f"with {sizes.tasks:,} tasks / with {few}",
        "us",
        seconds,
        allowed=2.0,
        scale=US,
        note=_where(shop),
    )


def _repeatedly(subject: logs.Subject, order: list[str]) -> Iterator[logs.Life]:
    times: dict[str, int] = {}
    for name in cycle(order):
        times[name] = times.get(name, 0) + 1
        yield subject.give_back(name, times[name])


# -- against git itself ---------------------------------------------------------------------


def against_git(shop: Workshop, *, in_memory: bool) -> Row:
    """Append an event, and have git make a signed commit that changes nothing."""
    rounds = shop.sizes.programs
    place, other = (shop.place(name, in_memory=in_memory) for name in ("ours", "git"))
    ours = _fresh(place, shop.key, rounds // 5 + 2)
    appends = _appends(ours, _all_finished(ours))
    signing_repository(other, shop.key)
    seconds = by_turns([lambda: next(appends), lambda: timed(lambda: git_commit(other))], rounds)
    shop.clear(place, other)
    rate = 1 / median(seconds[0])
    return compared(
        SUBJECT,
        f"one event / git commit -S, {'in memory' if in_memory else 'on disk'}",
        "us",
        seconds,
        scale=US,
        note=f"{rate:,.0f} events/s against {1 / median(seconds[1]):,.0f} commits/s; git's commits "
        "are empty, one object each",
    )


def _where(shop: Workshop) -> str:
    return "on disk" if shop.memory is None else "files in memory"


# -- arms -----------------------------------------------------------------------------------


def _fresh(place: Path, key: logs.Key, tasks: int) -> logs.Subject:
    subject = logs.Subject(place, key)
    with PackSink(subject.repository) as sink:
        wanted = [logs.definition(name) for name in logs.names("TASK", tasks)]
        transaction = subject.start(wanted, sink)
        sink.install()
        transaction.commit()
    return subject


def _answered(life: logs.Life) -> Iterator[tuple[logs.Step, Callable[[str], None]]]:
    """Yield each step of a life with what tells it the commit that came of it."""
    said: list[str] = []
    try:
        step = next(life)
        while True:
            yield step, said.append
            step = life.send(said.pop())
    except StopIteration:
        return


def _appends(subject: logs.Subject, lives: Iterator[logs.Life]) -> Iterator[float]:
    """Append step after step; yield the seconds of each."""
    for life in lives:
        for step, finish in _answered(life):
            begun = perf_counter()
            commit = subject.append(step)
            took = perf_counter() - begun
            finish(commit)
            yield took


def _arm(seconds: Iterator[float]) -> Arm:
    return lambda: next(seconds)
