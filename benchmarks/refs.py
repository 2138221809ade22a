"""Refs moved by our own locks, and by git: what decision 0041 weighs.

The other arm is a prepared `git update-ref --stdin` for each ref, the log's and then the branch's:
git locks and compares, and we sync in between as our own code does. It is written here and
nowhere else, for it was not taken. Commands are whole processes; both load this module.

The last lines count locks of git's that are left where processes are killed between `prepare` and
`commit`, and that the next command could not free, since nothing proves that they are stale.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import logs
from benchmarks.harness import Arm, Row, by_turns, compared, timed
from benchmarks.programs import run
from benchmarks.workshop import Workshop
from esaa_git.ports.refs import RefMove
from esaa_git.store.durability import FILESYSTEM, UNSAFE_NONE, sync_everything, sync_folders
from esaa_git.store.locks import stale_locks
from esaa_git.store.objects import COMMIT, encode_commit
from esaa_git.store.refs import GitRefs, locks_folder
from esaa_git.store.repository import Repository

SUBJECT = "refs: moved by git update-ref, against our own locks"
MS = 1e3
LOG, BRANCH = "refs/esaa/events", "refs/heads/work"
_WHEN = "Bench <bench@example.com> 1770000000 +0000"


def measure(shop: Workshop) -> Iterator[Row]:
    rounds = shop.sizes.programs
    for mode, in_memory in ((UNSAFE_NONE, True), (FILESYSTEM, False)):
        for names in ((LOG,), (LOG, BRANCH)):
            yield _moving(shop, names, mode, in_memory=in_memory, rounds=rounds)
    yield _claiming(shop)
    for who in ("parent", "git", "both"):
        for ours in (False, True):
            yield _killed(shop, who, ours=ours)


class UpdateRef:
    """One prepared transaction of `git update-ref --stdin`."""

    def __init__(self, repository: Repository, move: RefMove) -> None:
        command = ["git", "-C", str(repository.git_dir), "-c", f"core.hooksPath={os.devnull}"]
        self.process = subprocess.Popen(
            [*command, "update-ref", "-m", move.message, "--stdin"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        old = move.old or "0" * 40
        self._say(f"start\nupdate {move.name} {move.new} {old}\nprepare\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.communicate()

    def prepared(self) -> None:
        self._hear(b"start: ok\n")
        self._hear(b"prepare: ok\n")

    def commit(self) -> None:
        self._say("commit\n")
        self._hear(b"commit: ok\n")

    def _say(self, words: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(words.encode())
        self.process.stdin.flush()

    def _hear(self, wanted: bytes) -> None:
        assert self.process.stdout is not None
        heard = self.process.stdout.readline()
        if heard != wanted:
            raise RuntimeError(f"git update-ref said {heard!r} and not {wanted!r}")


def move_by_git(refs: GitRefs, moves: Sequence[RefMove]) -> None:
    """Move the refs as `GitRefs` does, each in a transaction of git's."""
    mode, common = refs.repository.sync_mode, refs.repository.common_dir
    with ExitStack() as stack:
        begun = [stack.enter_context(UpdateRef(refs.repository, move)) for move in moves]
        for one in begun:
            one.prepared()
        sync_everything(mode, common / "objects", common)
        for one, move in zip(begun, moves, strict=True):
            one.commit()
            sync_folders(mode, [(common / move.name).parent])


def install() -> None:
    """Have this process move refs by git."""
    GitRefs.move = move_by_git  # type: ignore[assignment,method-assign]


# -- in one process -------------------------------------------------------------------------


def _moving(
    shop: Workshop, names: Sequence[str], mode: str, *, in_memory: bool, rounds: int
) -> Row:
    places = [shop.place(name, in_memory=in_memory) for name in ("git", "ours")]
    moves = (move_by_git, GitRefs.move)
    arms = [_arm(place, shop, move, names, mode) for place, move in zip(places, moves, strict=True)]
    seconds = by_turns(arms, rounds, warm_up=3)
    shop.clear(*places)
    what = "log and branch" if len(names) > 1 else "log alone"
    where = "in memory" if in_memory else "on disk, synced"
    return compared(SUBJECT, f"{what}, {where}: git / our locks", "ms", seconds, scale=MS)


def _arm(
    place: Path,
    shop: Workshop,
    move: Callable[[GitRefs, Sequence[RefMove]], None],
    names: Sequence[str],
    mode: str,
) -> Arm:
    repository = logs.Subject(place, shop.key).repository
    repository.sync_mode = mode
    refs = GitRefs(repository)
    one, two = _commits(repository)
    refs.move([RefMove(name, None, one, "begun") for name in names])
    where = [one, two]

    def once() -> float:
        old, new = where
        where.reverse()
        return timed(partial(move, refs, [RefMove(name, old, new, "on") for name in names]))

    return once


def _commits(repository: Repository) -> tuple[str, str]:
    tree = repository.put(2, b"")
    first, second = (
        repository.put(COMMIT, encode_commit(tree, (), _WHEN, _WHEN, f"{number}\n"))
        for number in range(2)
    )
    return first, second


# -- whole commands -------------------------------------------------------------------------


def _claiming(shop: Workshop) -> Row:
    subject = shop.natural(shop.sizes.shallow)
    fresh = iter(subject.open)
    begin = "import sys, benchmarks.refs; "
    end = "from esaa_git.cli.main import main; sys.exit(main())"

    def arm(middle: str) -> Arm:
        def once() -> float:
            command = [sys.executable, "-c", f"{begin}{middle}{end}"]
            command += ["claim", next(fresh), "--as", logs.PERSON]
            return timed(partial(run, command, subject.folder))

        return once

    seconds = by_turns([arm("benchmarks.refs.install(); "), arm("")], shop.sizes.processes)
    return compared(SUBJECT, "a cold claim: git / our locks", "ms", seconds, scale=MS)


# -- kills ----------------------------------------------------------------------------------


def _killed(shop: Workshop, who: str, *, ours: bool) -> Row:
    """Kill whoever moves a ref while its lock is held, and count the locks that nobody can free."""
    place = shop.place("killed")
    repository = logs.Subject(place, shop.key).repository
    move = RefMove(LOG, None, _commits(repository)[0], "begun")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)
            _hold(repository, move, ours, writing)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    git = int(os.read(reading, 20))
    if who in ("git", "both") and git != child:
        os.kill(git, signal.SIGKILL)
    if who in ("parent", "both") or git == child:
        os.kill(child, signal.SIGKILL)
    time.sleep(0.5)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reading)
    os.close(writing)
    locks = sorted(repository.common_dir.glob("refs/**/*.lock"))
    left = len(locks) - len(stale_locks(locks_folder(repository), iter(locks)))
    shop.clear(place)
    by = "our locks" if ours else "git"
    return Row(SUBJECT, f"locks that stay, {who} killed: {by}", "", float(left), None)


def _hold(repository: Repository, move: RefMove, ours: bool, writing: int) -> None:
    """Lock the ref, say who holds it, and wait to be killed."""
    if ours:
        from esaa_git.faults import Point, arm

        def met(point: Point) -> None:
            if point is Point.REF_LOCKED:
                os.write(writing, f"{os.getpid()}".encode())
                signal.pause()

        with arm(met):
            GitRefs(repository).move([move])
    else:
        with UpdateRef(repository, move) as begun:
            begun.prepared()
            os.write(writing, f"{begun.process.pid}".encode())
            signal.pause()
