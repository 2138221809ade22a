"""What a dispatched attempt costs beside the agent's own time, against `git worktree add`.

The limit is `git worktree add --detach` of the same commit: what git itself takes to lay out as
many files, without a removal in the end, which ours includes. A whole attempt is one step of the
cycle in a process that is warm: selection, request, checkout, confinement, diff, admission and
commit. Its agent is a shell that writes one file, whose few milliseconds count as ours.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

import yaml

from benchmarks.harness import Row, by_turns, compared, timed
from benchmarks.programs import git_esaa, run
from benchmarks.workshop import Workshop
from esaa_git.agents.http.wire import WRAPPER
from esaa_git.app.project import Project as OpenProject
from esaa_git.checkout.workspace import GitWorkspace, GitWorkspaces
from esaa_git.engine.cycle import Options, cycle
from esaa_git.store.repository import open_repository
from tests.support.model_server import Received, Step, answer, model_server
from tests.support.wire_form import encode_wire

SUBJECT = "a dispatched attempt"
MS = 1e3
MOST_BYTES = 1_000_000
FILES_IN_A_FOLDER = 50

Work = Callable[[GitWorkspace], None]


def measure(shop: Workshop) -> Iterator[Row]:
    project = _project(shop.place("files", in_memory=True), shop.sizes.files)
    with _temporary_folder(project.folder.parent):
        yield from _workspaces(project, shop.sizes.checkouts)
        yield from _attempts(project, shop.sizes.checkouts)
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
    """Return the seconds that lay-out, diff and removal take, without the agent's work."""
    workspaces = GitWorkspaces(open_repository(project.folder))
    begun = perf_counter()
    with workspaces.open(project.commit) as workspace:
        away = timed(partial(work, workspace))
        diff = workspace.diff(MOST_BYTES)
        assert diff.fault is None, diff.fault
        assert len(diff.updates) == (0 if work is _nothing else 3)
    return perf_counter() - begun - away


def _attempts(project: _Project, rounds: int) -> Iterator[Row]:
    """Whole attempts: by an editor in a checkout, and by a model endpoint on the loopback."""
    with model_server(_oblige) as server:
        app = _esaa(project, server.url, rounds + 1)
        editor = _steps(app, "edit")
        model = _steps(app, "model")
        arms = [editor, model, partial(_worktree_add, project)]
        edited, modelled, added = by_turns(arms, rounds)
    size = f"{project.files:,} files"
    name = f"attempt in a checkout of {size} / worktree add"
    yield compared(SUBJECT, name, "ms", [edited, added], allowed=2.0, scale=MS)
    budget = [1.5] * len(edited)
    name = f"attempt in a checkout of {size} / 1.5 s"
    yield compared(SUBJECT, name, "ms", [edited, budget], allowed=1.0, scale=MS)
    budget = [0.05] * len(modelled)
    name = f"attempt by http in a repository of {size} / 50 ms"
    yield compared(SUBJECT, name, "ms", [modelled, budget], allowed=1.0, scale=MS)


def _steps(app: OpenProject, prefix: str) -> Callable[[], float]:
    """Return what makes one attempt at the next task and says how long it took."""
    numbers = count(1)

    def once() -> float:
        options = Options(task_id=f"{prefix}-{next(numbers)}", steps=1)
        begun = perf_counter()
        report = cycle(app.engine, options)
        took = perf_counter() - begun
        (admission,) = report.admissions
        assert admission.kind == "done", admission
        return took

    return once


def _oblige(received: Received) -> Step:
    """Answer a chat request with what writes the one file that its task may write."""
    schema = received.json["response_format"]["json_schema"]["schema"]
    choice = schema["properties"].get(WRAPPER, {}).get("anyOf", [schema])[0]["properties"]
    (task_id,), (attempt_id,) = choice["task_id"]["enum"], choice["attempt_id"]["enum"]
    update = {"op": "write", "path": f"made/{task_id}.md", "content": "made\n"}
    payload = {"summary": "Made.", "file_updates": [update]}
    envelope = {"action": "agent.result", "task_id": task_id, "attempt_id": attempt_id}
    return answer("chat", json.dumps(encode_wire({**envelope, "payload": payload}, schema)))


def _esaa(project: _Project, url: str, tasks: int) -> OpenProject:
    """Make the repository a project with so many tasks for either agent, and open it."""
    folder = project.folder
    program = git_esaa()
    run(["git", "config", "user.email", "bench@example.com"], folder)
    run(["git", "config", "user.name", "bench"], folder)
    run([*program, "init"], folder)
    roadmap = folder / ".roadmap"
    swarm = yaml.safe_load((roadmap / "agents_swarm.yaml").read_text())
    edits = 'mkdir -p made && echo made > "made/$ESAA_TASK.md"'
    swarm["agents"] = {
        "editor": {"adapter": "worktree", "command": ["sh", "-c", edits]},
        "model": {"adapter": "http", "dialect": "chat", "url": url, "model": "none"},
    }
    swarm["kinds"] = dict.fromkeys(swarm["kinds"], "editor")
    (roadmap / "agents_swarm.yaml").write_text(yaml.safe_dump(swarm))
    numbers = range(1, tasks + 1)
    plan = [
        {
            "task_id": f"{prefix}-{number}",
            "kind": "impl",
            "title": "Make a file",
            "writes": [f"made/{prefix}-{number}.md"],
            "context": ["part-0/**"],
            "agent": agent,
        }
        for prefix, agent in (("edit", "editor"), ("model", "model"))
        for number in numbers
    ]
    (roadmap / "plan.yaml").write_text(yaml.safe_dump({"project": "bench", "tasks": plan}))
    run(["git", "add", "--all"], folder)
    run(["git", "commit", "-q", "-m", "project"], folder)
    run([*program, "allow", "--yes"], folder)
    run([*program, "plan", "apply"], folder)
    return OpenProject(str(folder))


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
