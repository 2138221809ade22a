"""What a push waits for: the pre-receive hook as a process, and verifying what has come since.

The hook is the file that `git esaa hooks install` puts into a bare repository. It is started as
git-receive-pack(1) starts it: in that repository, with GIT_DIR=. and the folder of git's programs
first in PATH, the lines `<old> <new> <ref>` on standard input, and the refs still at `<old>`. Its
exit code has to be 0.

The server borrows the objects of a log that this run has built (objects/info/alternates) and has
its refs some events behind the end. So what is pushed is there already, packed, and needs no
quarantine: git's three variables for it are not set, and receiving and unpacking objects, which
costs the same with and without us, is not measured. The branch is pushed with the log, as
`git esaa push` does.

The limits are a Python that does nothing, or imports what verifying a signature takes.
"""

from __future__ import annotations

import compileall
import sys
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import pygit2

from benchmarks import logs
from benchmarks.harness import Arm, Row, by_turns, compared, timed
from benchmarks.programs import ROOT, git_esaa, path_in_hooks, run
from benchmarks.workshop import Workshop
from esaa_git.app.hooks import install
from esaa_git.core.events import TaskUpdate
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.position import walk_back
from esaa_git.store.repository import open_repository
from esaa_git.verification.audit import Auditor
from esaa_git.verification.pins import mark_path

SUBJECT = "hooks"
MS = 1e3
IMPORTS = [sys.executable, "-c", "import pygit2, cryptography"]
NOTHING = [sys.executable, "-c", "pass"]
FEW = 10
MOST_SECONDS = 5.0
ZERO = "0" * 40


def measure(shop: Workshop) -> Iterator[Row]:
    # As an installed package has it; else each process would compile what it imports.
    if not compileall.compile_dir(ROOT / "esaa_git", quiet=2):
        raise RuntimeError("the package does not compile")
    yield from few_events(shop)
    yield many_events(shop)
    yield no_event(shop)
    yield verify_since(shop)


# -- pushes ---------------------------------------------------------------------------------


class Server:
    """A bare repository with the hook, so many events behind a log."""

    def __init__(self, subject: logs.Subject, folder: Path, behind: int) -> None:
        self.folder = folder
        repository = subject.repository
        log, branch = subject.log.ref, f"refs/heads/{logs.BRANCH}"
        ends = {ref: str(repository.ref_target(ref)) for ref in (log, branch)}
        *pushed, old = islice(walk_back(repository, ends[log]), behind + 1)
        events = [read_event_commit(repository.read, oid).event for oid in pushed]
        closed = [one.payload for one in events if isinstance(one.payload, TaskUpdate)]
        self.effects = sum(one.effect_commit is not None for one in closed)
        back = islice(walk_back(repository, ends[branch]), self.effects, None)
        begins = {log: old, branch: next(back)}
        pygit2.init_repository(str(folder), bare=True, initial_head=logs.BRANCH)
        borrowed = repository.common_dir / "objects"
        (folder / "objects" / "info" / "alternates").write_text(f"{borrowed}\n")
        # libgit2 reads the alternates when it opens a repository.
        raw = pygit2.Repository(str(folder))
        for ref, oid in begins.items():
            raw.references.create(ref, oid)
        # Whether it runs shows when it does: it may need this checkout in PYTHONPATH.
        self.hook = str(install(open_repository(folder), "pre-receive").path)
        self._env = {"GIT_DIR": ".", "PATH": path_in_hooks()}
        moved = [ref for ref in ends if ends[ref] != begins[ref]]
        self.push = "".join(f"{begins[ref]} {ends[ref]} {ref}\n" for ref in moved)
        self.tag = f"{ZERO} {begins[branch]} refs/tags/v1.0\n"

    def receive(self, lines: str) -> float:
        """Run the hook for a push, which it has to let in; return the seconds."""
        data = lines.encode()
        return timed(lambda: run([self.hook], self.folder, data=data, env=self._env))


def few_events(shop: Workshop) -> Iterator[Row]:
    """Push a few events onto a long log, and onto a short one."""
    sizes = shop.sizes
    pair = [shop.natural(events) for events in (sizes.deep, sizes.shallow)]
    places = [shop.place("server") for _ in pair]
    servers = [Server(one, place, FEW) for one, place in zip(pair, places, strict=True)]
    arms: list[Arm] = [partial(one.receive, one.push) for one in servers]
    arms.append(_program(IMPORTS, shop))
    of_deep, of_shallow, of_bare = by_turns(arms, sizes.processes)
    labels = [f"{one.log.load()[0].seq:,}" for one in pair]
    for label, server, seconds in zip(labels, servers, (of_deep, of_shallow), strict=True):
        yield compared(
            SUBJECT,
            f"{FEW} events onto {label} / imports",
            "ms",
            [seconds, of_bare],
            allowed=3.0,
            scale=MS,
            note=f"with {server.effects} effects on the branch; limit: pygit2 and cryptography",
        )
    yield compared(
        SUBJECT,
        f"{FEW} events onto {labels[0]} / onto {labels[1]}",
        "ms",
        [of_deep, of_shallow],
        allowed=1.15,
        scale=MS,
    )
    shop.clear(*places)


def many_events(shop: Workshop) -> Row:
    """Push many events at once; the limit is a time, because somebody waits for it."""
    subject, place = shop.natural(shop.sizes.deep), shop.place("server")
    count = shop.sizes.pushed
    server = Server(subject, place, count)
    (seconds,) = by_turns([lambda: server.receive(server.push)], shop.sizes.rounds)
    shop.clear(place)
    return compared(
        SUBJECT,
        f"{count:,} events at once / {MOST_SECONDS:.0f} seconds",
        "s",
        [seconds, [MOST_SECONDS] * len(seconds)],
        allowed=1.0,
        note=f"with {server.effects} effects on the branch; the limit is no measurement",
    )


def no_event(shop: Workshop) -> Row:
    """Push a tag: what pushes pay that are none of our business."""
    place = shop.place("server")
    server = Server(shop.natural(shop.sizes.deep), place, FEW)
    arms = [lambda: server.receive(server.tag), _program(NOTHING, shop)]
    seconds = by_turns(arms, shop.sizes.processes)
    shop.clear(place)
    return compared(SUBJECT, "a tag alone / python -c pass", "ms", seconds, scale=MS)


def _program(command: list[str], shop: Workshop) -> Arm:
    return lambda: timed(partial(run, command, shop.folder))


# -- verifying what is new ------------------------------------------------------------------


def verify_since(shop: Workshop) -> Row:
    """Verify a few new events of a long log and of a short one, with the same tasks in both."""
    sizes = shop.sizes
    pair = [shop.repeated(events) for events in (sizes.deep, sizes.shallow)]
    arms = [_verify(one) for one in pair]
    seconds = by_turns(arms, sizes.processes)
    states = [one.log.load()[0] for one in pair]
    tasks = {len(state.tasks) for state in states}
    assert len(tasks) == 1
    deep, shallow = (f"{state.seq:,}" for state in states)
    return compared(
        SUBJECT,
        f"verify {FEW} new events at {deep} / at {shallow}",
        "ms",
        seconds,
        allowed=1.15,
        scale=MS,
        note=f"'git esaa verify' as a whole process; {tasks.pop()} tasks in both logs",
    )


def _verify(subject: logs.Subject) -> Arm:
    """Verify everything, append a few events, and verify those again and again."""
    report = Auditor(subject.repository, full=True).run()
    if not report.audit.is_ok:
        raise RuntimeError(f"the log to measure on is not sound: {report.audit.message}")
    path, seq = mark_path(subject.repository), report.audit.checked_to
    mark = path.read_bytes()
    _append_few(subject)
    command, expected = [*git_esaa(), "verify"], f"events {seq + 1} to {seq + FEW} checked"

    def once() -> float:
        # What the last time has verified is forgotten.
        path.write_bytes(mark)
        said: list[bytes] = []
        took = timed(lambda: said.append(run(command, subject.folder)))
        if expected not in said[0].decode():
            raise RuntimeError(f"not what was to be measured: {said[0].decode()}")
        return took

    return once


def _append_few(subject: logs.Subject) -> None:
    """Create two tasks; finish one and give back the other: ten events and an effect."""
    one, two = logs.names("NEW", 2)
    for life in (
        subject.create(one),
        subject.finish(one),
        subject.create(two),
        subject.give_back(two, 1),
    ):
        try:
            step = next(life)
            while True:
                step = life.send(subject.append(step))
        except StopIteration:
            pass
    subject.follow()
