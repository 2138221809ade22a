"""Maintenance beside processes that append: nothing is lost, whoever dies meanwhile."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from esaa_git.app.project import Project as OpenProject
from esaa_git.core.events import TaskNote
from esaa_git.engine import operator
from esaa_git.store.maintenance import Housekeeper, maintain
from esaa_git.store.repository import open_repository
from tests.concurrency.children import at_work, together
from tests.conftest import Git
from tests.support.logs import PERSON
from tests.support.patience import patience
from tests.support.project import Project, make_project, result, run, task, write

SEED = 20260401
WORKERS = 4
SHARE = 6
NOTES = 60


def _names(worker: int) -> list[str]:
    return [f"T-{worker}-{number}" for number in range(SHARE)]


@pytest.fixture
def project(tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr("esaa_git.store.maintenance.EVERY", 25)
    monkeypatch.setattr("esaa_git.store.maintenance.MANY_IN_A_FOLDER", 1)
    plan = [task(name) for worker in range(WORKERS) for name in _names(worker)]
    made = make_project(tmp_path / "project", git, *plan, agents=[f"w{n}" for n in range(20)])
    made.ok("plan", "apply")
    return made


def _commands(project: Project, worker: int) -> list[str]:
    """Do every task of a share, each transition by a command of its own."""
    esaa = ("-C", str(project.path))
    for name in _names(worker):
        answer = json.dumps(
            result(name, write(f"src/{name}.txt", f"{name}\n"), attempt_id=f"{name}-A1")
        )
        for arguments, data in (
            (("claim", name), b""),
            (("submit", "-"), answer.encode()),
        ):
            said = run(*esaa, *arguments, "--as", f"w{worker}", stdin=data)
            assert said.code == 0, (arguments, said)
    return _names(worker)


def _one_process(project: Project, worker: int) -> list[str]:
    """Record one note after the other with an engine that lives, and packs, all the time."""
    app = OpenProject(str(project.path))
    said: list[str] = []
    keeper = Housekeeper(app.repository, said.append)
    texts = [f"note {number} of {worker}" for number in range(NOTES)]
    for text in texts:
        operator.add_note(app.engine, TaskNote(task_id=_names(worker)[0], text=text), PERSON)
        keeper(app.log.load()[0].seq)
    keeper.close()
    assert said == []
    return texts


def _maintain_until(done: Path, project: Project) -> list[int]:
    """Maintain again and again; return how many objects each packed."""
    packed = []
    while not done.exists():
        found = maintain(open_repository(project.path))
        packed.append(0 if found is None else found.packed)
        time.sleep(0.01)
    return packed


def _finished(done: Path, work: Callable[[], list[str]]) -> list[str]:
    """Do the work of the last who appends, and tell those who maintain."""
    try:
        return work()
    finally:
        done.with_name(f"{done.name}-{os.getpid()}").touch()
        if len(list(done.parent.glob(f"{done.name}-*"))) == WORKERS:
            done.touch()


def _appenders(project: Project, done: Path) -> list[Callable[[], list[str]]]:
    kinds = [_commands, _one_process, _commands, _one_process]
    return [
        partial(_finished, done, partial(kind, project, worker))
        for worker, kind in enumerate(kinds)
    ]


def _check(project: Project, reported: list[list[str]]) -> None:
    chain = project.chain()
    assert [one.event.seq for one in chain] == list(range(1, len(chain) + 1))
    state = project.state()
    for worker in (0, 2):
        assert reported[worker] == _names(worker)
        for name in reported[worker]:
            assert state.tasks[name].is_done
            assert project.git("show", f"main:src/{name}.txt") == name
    noted = [one["text"] for one in project.payloads("note.add")]
    assert sorted(noted) == sorted([*reported[1], *reported[3]])
    project.check()


def _check_packed(project: Project) -> None:
    """Nothing of the log is loose any more, and nothing unfinished lies about."""
    project.ok("maintain")
    objects = project.repository.common_dir / "objects"
    listed = project.git("rev-list", "--objects", "--no-object-names", "refs/esaa/events", "main")
    loose = {path.parent.name + path.name for path in objects.glob("??/*")}
    assert not loose & set(listed.splitlines())
    assert not list(objects.glob("tmp_objdir-*"))
    assert len(list(objects.glob("pack/*.pack"))) < 10
    project.check()


def test_what_is_appended_while_two_maintain_is_all_there(project: Project, tmp_path: Path) -> None:
    done = tmp_path / "done"
    maintaining = [partial(_maintain_until, done, project)] * 2
    *reported, first, second = together(*_appenders(project, done), *maintaining)
    assert sum(count > 0 for count in (*first, *second)) > 3
    _check(project, reported)
    _check_packed(project)


def test_what_is_appended_while_maintenance_is_killed_again_and_again_is_all_there(
    project: Project, tmp_path: Path
) -> None:
    done, moments = tmp_path / "done", random.Random(SEED)
    killed = 0
    with at_work(*_appenders(project, done)) as children:
        until = time.monotonic() + patience(100)
        while not done.exists() and time.monotonic() < until:
            killed += _maintained_and_killed(project, moments.uniform(0.005, 0.1))
        reported = [child.result(until) for child in children]
    assert killed > 10
    _check(project, reported)
    _check_packed(project)


def _maintained_and_killed(project: Project, seconds: float) -> bool:
    """Have a child maintain, and kill it and the git that it started after so many seconds."""
    child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)
            while True:
                maintain(open_repository(project.path))
        finally:
            os._exit(1)
    os.setpgid(child, child)
    time.sleep(seconds)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
