"""What a dispatched attempt costs beside the agent's own time, against `git worktree add`.

The limit is `git worktree add --detach` of the same commit: what git itself takes to lay out as
many files, without a removal in the end, which ours includes.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from benchmarks.harness import Row, by_turns, compared, timed
from benchmarks.programs import run
from benchmarks.workshop import Workshop
from esaa_git.git.repository import open_repository
from esaa_git.git.workspace import GitWorkspace, GitWorkspaces

SUBJECT = "a dispatched attempt"
MS = 1e3
MOST_BYTES = 1_000_000
FILES_IN_A_FOLDER = 50

Work = Callable[[GitWorkspace], None]


def measure(shop: Workshop) -> Iterator[Row]:
    project = _project(shop.place("files", in_memory=True), shop.sizes.files)
    with _temporary_folder(project.folder.parent):
        yield from _workspaces(project, shop.sizes.checkouts)
    shop.clear(project.folder)


@dataclass(frozen=True, slots=True)
class _Project:
    folder: Path
    commit: str
    files: int

    def work(self, *arguments: str) -> None:
        run(["git", *arguments], self.folder)


def _workspaces(project: _Project, rounds: int) -> Iterator[Row]:
    """A throwaway checkout from `open` to its removal, after agents that did more or less."""
    arms = [
        partial(_checkout, project, _nothing),
        partial(_checkout, project, _three_files),
        partial(_worktree_add, project),
        partial(_worktree_add_and_remove, project),
    ]
    nothing, three, added, removed = by_turns(arms, rounds)
    size = f"{project.files:,} files"
    for title, seconds in (("nothing changed", nothing), ("3 files changed", three)):
        name = f"checkout of {size}, {title} / worktree add"
        yield compared(SUBJECT, name, "ms", [seconds, added], allowed=2.0, scale=MS)
    name = f"checkout of {size}, 3 files changed / worktree add, remove"
    yield compared(SUBJECT, name, "ms", [three, removed], scale=MS)


def _checkout(project: _Project, work: Work) -> float:
    """Return the seconds that lay-out, harvest and removal take, without the agent's work."""
    workspaces = GitWorkspaces(open_repository(project.folder))
    begun = perf_counter()
    with workspaces.open(project.commit) as workspace:
        away = timed(partial(work, workspace))
        harvest = workspace.harvest(MOST_BYTES)
        assert harvest.fault is None, harvest.fault
        assert len(harvest.updates) == (0 if work is _nothing else 3)
    return perf_counter() - begun - away


def _nothing(workspace: GitWorkspace) -> None:
    """An agent that looks and leaves."""


def _three_files(workspace: GitWorkspace) -> None:
    first, second, *_ = sorted((workspace.path / "part-0").iterdir())
    first.write_text("changed\n")
    second.unlink()
    (workspace.path / "new.py").write_text("new\n")


def _worktree_add(project: _Project) -> float:
    place = project.folder.with_name("worktree")
    took = timed(partial(project.work, "worktree", "add", "-q", "--detach", str(place)))
    project.work("worktree", "remove", str(place))
    return took


def _worktree_add_and_remove(project: _Project) -> float:
    place = project.folder.with_name("worktree")
    took = timed(partial(project.work, "worktree", "add", "-q", "--detach", str(place)))
    return took + timed(partial(project.work, "worktree", "remove", str(place)))


def _project(folder: Path, files: int) -> _Project:
    """Make a repository of so many small files, packed as a clone is."""
    chance = random.Random(1)
    for number in range(files):
        place = folder / f"part-{number // FILES_IN_A_FOLDER}" / f"f{number}.py"
        place.parent.mkdir(parents=True, exist_ok=True)
        lines = (f"x = {chance.random()}\n" for _ in range(chance.randint(5, 100)))
        place.write_text("".join(lines))
    settings = ("-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "gc.auto=0")
    run(["git", "init", "-q"], folder)
    run(["git", *settings, "add", "--all"], folder)
    run(["git", *settings, "commit", "-q", "-m", "files"], folder)
    run(["git", "repack", "-adq"], folder)
    commit = run(["git", "rev-parse", "HEAD"], folder).decode().strip()
    return _Project(folder, commit, files)


@contextmanager
def _temporary_folder(beside: Path) -> Iterator[None]:
    """Have checkouts on the disk that git's worktrees are on."""
    before, folder = tempfile.tempdir, Path(tempfile.mkdtemp(dir=beside))
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(folder, ignore_errors=True)
