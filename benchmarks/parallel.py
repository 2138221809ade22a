"""Many at once: eight processes that append, and one decider with eight agents.

Eight against one: the same number of claims, each a transaction of its own through the
orchestrator, by one process or by eight that begin at the same moment. Each has made one claim
before, so that nobody's start is measured. Since the limit is what one process takes, a ratio of
1.25 is the 0.8 times of its speed that we promise.

The decider: a run of instant tasks with eight agents at once. Its time is what its thread and the
git programs that it starts take of a processor, less the audit with which a run ends. So a busy
machine does not count, nor does waiting for agents; nor does the disk, which `durability` is
about, so the repository is in memory. A transition is an event of the log: five a task. The note
has the same a task, and the wall time less waiting for agents, which is more where other programs
want the processor. The limit is the 5 ms that we promise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NoReturn

import yaml

from benchmarks import logs
from benchmarks.harness import Row, by_turns, compared
from benchmarks.programs import git_esaa, run
from benchmarks.workshop import Workshop
from esaa_git.app.project import Project as OpenProject
from esaa_git.core.contracts import AgentEntry, Contracts
from esaa_git.engine.cycle import cycle
from esaa_git.engine.operator import claim
from esaa_git.engine.options import Options
from esaa_git.engine.pool import WorkerPool
from esaa_git.ports.agent import Answer, Request
from esaa_git.store.packwriter import PackSink

SUBJECT = "many at once"
MS = 1e3
TOGETHER = 8
DECIDER_MS = 5.0


def measure(shop: Workshop) -> Iterator[Row]:
    yield eight_against_one(shop, in_memory=False)
    if shop.memory is not None:
        yield eight_against_one(shop, in_memory=True)
    for has_checkout in (True, False):
        yield decider(shop, has_checkout=has_checkout)


# -- processes ------------------------------------------------------------------------------


def eight_against_one(shop: Workshop, *, in_memory: bool) -> Row:
    """Claim as many tasks by eight processes as by one."""
    total = shop.sizes.appends // TOGETHER * TOGETHER
    arms = [
        partial(_claimed, shop, total, processes, in_memory=in_memory)
        for processes in (TOGETHER, 1)
    ]
    seconds = by_turns(arms, shop.sizes.rounds)
    where = "in memory" if in_memory else "on disk"
    return compared(
        SUBJECT,
        f"{total} appends by {TOGETHER} processes / by one, {where}",
        "ms",
        seconds,
        allowed=1.25,
        scale=MS / total,
        note=f"{total / median(seconds[0]):,.0f} and {total / median(seconds[1]):,.0f} a second",
    )


def _claimed(shop: Workshop, total: int, processes: int, *, in_memory: bool) -> float:
    place = shop.place(f"claims-by-{processes}", in_memory=in_memory)
    names = logs.names("TASK", total + processes)
    subject = logs.Subject(place, shop.key)
    with PackSink(subject.repository) as sink:
        transaction = subject.start([logs.definition(name) for name in names], sink)
        sink.install()
        transaction.commit()
    shares = [names[number::processes] for number in range(processes)]
    took = together([partial(_claims, place, share) for share in shares])
    state, _ = subject.log.load()
    assert state.seq == 1 + len(names), f"{1 + len(names) - state.seq} claims were lost"
    shop.clear(place)
    return took


def _claims(place: Path, names: Sequence[str]) -> Iterator[None]:
    made = OpenProject(str(place)).engine
    claim(made, names[0], logs.PERSON)
    yield
    for name in names[1:]:
        claim(made, name, logs.PERSON)


def together(works: Sequence[Callable[[], Iterator[None]]]) -> float:
    """Do every work in a process of its own; return the seconds from the start to the last end.

    A work prepares itself up to its `yield`, and goes on when all are there.
    """
    gate, opener = os.pipe()
    there, ready = os.pipe()
    children = []
    for work in works:
        child = os.fork()
        if not child:
            _be_a_child(work, gate, opener, ready)
        children.append(child)
    os.close(gate)
    os.close(ready)
    for _ in works:
        assert os.read(there, 1), "a process failed while it prepared itself"
    os.close(there)
    begun = time.perf_counter()
    os.close(opener)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    took = time.perf_counter() - begun
    assert not any(statuses), "a process failed"
    return took


def _be_a_child(work: Callable[[], Iterator[None]], gate: int, opener: int, ready: int) -> NoReturn:
    status = 1
    try:
        os.close(opener)
        going = work()
        next(going)
        os.write(ready, b".")
        os.read(gate, 1)
        next(going, None)
        status = 0
    finally:
        os._exit(status)


# -- the decider ----------------------------------------------------------------------------


@dataclass
class Aside:
    """What the decider spends on something else, by two clocks: of a processor, and on the wall."""

    processor: float = 0.0
    wall: float = 0.0

    def during(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same work, with its time counted here."""

        def counted(*arguments: Any) -> Any:
            begun = _processor(), time.perf_counter()
            try:
                return work(*arguments)
            finally:
                self.processor += _processor() - begun[0]
                self.wall += time.perf_counter() - begun[1]

        return counted


def _processor() -> float:
    """Return the seconds of a processor that this thread and ended children have taken."""
    spent = os.times()
    return time.thread_time() + spent.children_user + spent.children_system


class Instant:
    """An agent that answers at once: one file for each task."""

    adapter = "scripted"
    model = None
    sandbox = "in-process"
    has_checkout = True

    def __init__(self, name: str) -> None:
        self.name = name

    def ready(self) -> None: ...

    def prepare(self, request: Request) -> Request:
        return request

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        name = request.task_id
        return Answer(
            b'{"action":"agent.result","task_id":"%s","attempt_id":"%s","payload":{"summary":"done",'
            b'"file_updates":[{"op":"write","path":"src/%s.txt","content":"text\\n"}]}}'
            % (name.encode(), request.attempt_id.encode(), name.encode()),
            0,
        )


def decider(shop: Workshop, *, has_checkout: bool) -> Row:
    """Run instant tasks, eight at once, and return the decider's own time an event."""
    tasks = shop.sizes.instant
    found = [_run(shop, tasks, has_checkout=has_checkout) for _ in range(shop.sizes.rounds)]
    events = found[0][0]
    seconds, wall = (median(one[at] for one in found) for at in (1, 2))
    where = "checked out" if has_checkout else "not checked out"
    return Row(
        SUBJECT,
        f"decider, {tasks} instant tasks, 8 at once, {where}",
        "ms",
        seconds / events * MS,
        DECIDER_MS,
        1.0,
        None,
        f"an event; {seconds / tasks * MS:.1f} ms a task, {wall / tasks * MS:.1f} ms on the wall",
    )


def _run(shop: Workshop, tasks: int, *, has_checkout: bool) -> tuple[int, float, float]:
    """Return how many events a run recorded, and its decider's seconds for them by both clocks."""
    place = _project(shop, tasks, has_checkout=has_checkout)
    app = OpenProject(str(place))
    made, aside = app.engine, Aside()
    made.make_agent = _instant
    made.audit = aside.during(made.audit)
    before, pool_next = made.log.load()[0].seq, WorkerPool.next
    WorkerPool.next = aside.during(pool_next)  # type: ignore[method-assign]
    whole = Aside()
    try:
        report = whole.during(cycle)(made, Options(parallel=TOGETHER))
    finally:
        WorkerPool.next = pool_next  # type: ignore[method-assign]
    assert report.result == "success"
    events = made.log.load()[0].seq - before
    shop.clear(place)
    return events, whole.processor - aside.processor, whole.wall - aside.wall


def _instant(entry: AgentEntry, _: Contracts) -> Any:
    return Instant(entry.name)


def _project(shop: Workshop, tasks: int, *, has_checkout: bool) -> Path:
    """Make a project with so many tasks that write a file each, its run begun."""
    place = shop.place("instant", in_memory=True)
    place.mkdir(parents=True)
    esaa = [*git_esaa(), "-C", str(place)]
    settings = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
    run(["git", "init", "-q", "-b", "main"], place)
    for name, value in (("user.name", "bench"), ("user.email", "bench@example.com")):
        run(["git", "config", name, value], place)
    (place / "README.md").write_text("# Bench\n")
    run([*esaa, "init", "--project", "bench", "--orchestrator-key", str(shop.key.path)], place)
    plan = [
        {"task_id": name, "kind": "impl", "title": name, "writes": [f"src/{name}.txt"]}
        for name in logs.names("T", tasks)
    ]
    document = yaml.safe_dump({"project": "bench", "tasks": plan})
    (place / ".roadmap" / "plan.yaml").write_text(document)
    run(["git", "add", "--all"], place)
    run(["git", *settings, "commit", "-q", "-m", "begin"], place)
    run([*esaa, "plan", "apply"], place)
    if not has_checkout:
        run(["git", "checkout", "-q", "--detach"], place)
    return place
