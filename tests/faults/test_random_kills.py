"""Several processes at work on one repository, one of them killed every few milliseconds.

The moments are drawn from a fixed seed, though what a process is doing then is the machine's
affair. A process notes what a command has reported only after the command has returned: all of
that has to be in the record in the end, once.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Project, make_project, result, run, task, write

WORKERS = 3
SEED = 20260301


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Callable[[int], Project]:
    def made(tasks: int) -> Project:
        names = _names(tasks)
        workers = [f"w{number}" for number in range(WORKERS)]
        plan = [task(name) for name in names]
        project = make_project(tmp_path / "project", git, *plan, agents=workers)
        project.commit("A plan")
        project.ok("plan", "apply")
        return project

    return made


def test_twenty_kills_lose_nothing_that_was_reported(make: Callable[[int], Project]) -> None:
    _kill_at_random(make(40), kills=20, tasks=40)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_five_hundred_kills_lose_nothing_that_was_reported(
    make: Callable[[int], Project],
) -> None:
    _kill_at_random(make(900), kills=500, tasks=900)


def _kill_at_random(project: Project, *, kills: int, tasks: int) -> None:
    moments = random.Random(SEED)
    diary = project.path.parent / "reported"
    shares = [_names(tasks)[number::WORKERS] for number in range(WORKERS)]
    living: dict[int, int] = {}
    with _ended(living):
        for _ in range(kills):
            for number in range(WORKERS):
                if number not in living:
                    living[number] = _start(project, f"w{number}", shares[number], diary)
            time.sleep(moments.uniform(0.0, 0.15))
            victim = moments.randrange(WORKERS)
            pid = living.pop(victim)
            # Sometimes git outlives us.
            end = os.killpg if moments.random() < 0.7 else os.kill
            end(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            assert os.waitstatus_to_exitcode(status) in (0, -signal.SIGKILL)
    time.sleep(0.5)  # for a git that was left alone
    project.ok("doctor", "--repair")
    project.ok("verify")
    state = project.state()
    reported = diary.read_text().split() if diary.exists() else []
    assert reported
    closed = Counter(
        str(payload["task_id"])
        for payload in project.payloads("task.update")
        if payload["to"] == "done"
    )
    assert set(closed.values()) <= {1}
    for name in reported:
        assert state.tasks[name].state == "done"
    for name in closed:
        assert project.git("show", f"main:src/{name}.txt") == name
    assert project.status() == ""
    # These two are files to hold an flock on, and stay; a lock of git's would be left behind.
    locks = {path.name for path in (project.path / ".git").rglob("*.lock")}
    assert locks <= {"followup.lock", "maintenance.lock"}
    project.check()


def _names(tasks: int) -> list[str]:
    return [f"T-{number}" for number in range(1, tasks + 1)]


def _start(project: Project, actor: str, names: list[str], diary: Path) -> int:
    child = os.fork()
    if child:
        # In both, since nobody knows who comes first.
        with suppress(OSError):
            os.setpgid(child, child)
        return child
    status = 99
    try:
        os.setpgid(0, 0)
        _work(project, actor, names, diary)
        status = 0
    finally:
        os._exit(status)


def _work(project: Project, actor: str, names: list[str], diary: Path) -> None:
    """Claim and close one task after another, wherever a predecessor has left off."""
    esaa = ("-C", str(project.path))
    for name in names:
        while (one := project.task(name)).state != "done":
            if one.state == "todo":
                run(*esaa, "claim", name, "--as", actor)
                continue
            answer = result(name, write(f"src/{name}.txt", f"{name}\n"))
            answer["attempt_id"] = f"{name}-A{one.attempts_total}"
            said = run(*esaa, "submit", "-", "--as", actor, stdin=json.dumps(answer).encode())
            if said.code == 0:
                with diary.open("a") as stream:
                    stream.write(f"{name}\n")


@contextmanager
def _ended(living: dict[int, int]) -> Iterator[None]:
    try:
        yield
    finally:
        for pid in living.values():
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
