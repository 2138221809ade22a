"""Many `git esaa` processes at work on one repository: nothing is lost, nothing happens twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from esaa_git.checkout.worktree import Worktree
from esaa_git.errors import RefusedError
from esaa_git.faults import Point, arm
from esaa_git.store import turns
from esaa_git.store.repository import Repository
from tests.concurrency.children import together
from tests.concurrency.runs import wait
from tests.conftest import Git
from tests.support.project import Project, make_project, result, run, task, write

PER_TASK = 5
"""Transitions of one task: claimed, noted, kept alive, complained of, finished."""


PATIENCE = 1000.0
"""Seconds, for a busy machine; pytest's own limit is lower where the test is not a slow one."""


WORKERS = [f"{kind}{number}" for kind in "pw" for number in range(20)]
"""Agents that the contracts know."""


def _names(worker: int, tasks: int) -> list[str]:
    return [f"T-{worker:02}-{number:02}" for number in range(tasks)]


@pytest.mark.parametrize(
    ("processes", "transitions"),
    [
        pytest.param(6, 20, id="6-of-20"),
        pytest.param(16, 50, id="16-of-50", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
        pytest.param(32, 100, id="32-of-100", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def test_of_what_many_processes_record_nothing_is_lost_or_recorded_twice(
    tmp_path: Path, git: Git, processes: int, transitions: int
) -> None:
    shares = [_names(worker, transitions // PER_TASK) for worker in range(processes)]
    plan = [task(name) for share in shares for name in share]
    project = make_project(tmp_path / "project", git, *plan, agents=WORKERS)
    project.ok("plan", "apply")
    before = project.state().seq

    works = [partial(_work, project, number, share) for number, share in enumerate(shares)]
    reported = together(*works, seconds=PATIENCE)

    assert [len(one) for one in reported] == [transitions] * processes
    told = Counter(what for one in reported for what in one)
    assert set(told.values()) == {1}
    chain = project.chain()
    assert [one.event.seq for one in chain] == list(range(1, len(chain) + 1))
    recorded = Counter(_told(one.event) for one in chain[before:])
    assert recorded.pop(None) == 2 * processes * (transitions // PER_TASK)
    assert recorded == told
    state = project.state()
    assert all(one.is_done for one in state.tasks.values())
    for share in shares:
        for name in share:
            assert project.git("show", f"main:src/{name}.txt") == name
            assert project.read(f"src/{name}.txt") == f"{name}\n"
    assert project.status() == ""
    project.ok("verify", "--full")
    project.check()


def _work(project: Project, number: int, names: list[str]) -> list[str]:
    """Take every task from claimed to done, and return what was reported of each transition."""
    esaa, name_me = ("-C", str(project.path)), ("--as", f"w{number}")

    def ok(*arguments: str, stdin: Any = None, me: Sequence[str] = name_me) -> None:
        data = b"" if stdin is None else json.dumps(stdin).encode()
        said = run(*esaa, *arguments, *me, stdin=data)
        assert said.code == 0, (arguments, said)

    reported = []
    for at, name in enumerate(names):
        ok("claim", name)
        reported.append(f"attempt.create {name}")
        ok("task", "note", name, f"noted beside {number}", me=())  # a person's
        reported.append(f"note.add {name}")
        beat = {**result(name, attempt_id=f"{name}-A1"), "action": "agent.heartbeat", "payload": {}}
        ok("submit", "-", stdin=beat)
        reported.append(f"agent.heartbeat {name}")
        ok("issue", "report", "--task", name, "--severity", "low", "--title", f"Odd, says {number}")
        reported.append(f"issue.report {name}")
        if at % 2:
            ok("submit", "-", stdin=result(name, _file(name), attempt_id=f"{name}-A1"))
        else:
            project.write(f"src/{name}.txt", f"{name}\n")
            ok("complete", name, "--summary", "By hand", f"src/{name}.txt")
        reported.append(f"agent.result {name}")
    return reported


def _file(name: str) -> dict[str, Any]:
    return write(f"src/{name}.txt", f"{name}\n")


def _told(event: Any) -> str | None:
    """Return an event in the words of `_work`, or None for what follows from another one."""
    if event.action in ("orchestrator.file.write", "task.update"):
        return None
    return f"{event.action} {event.task_id}"


def test_of_eight_that_claim_one_task_one_has_it_and_seven_are_told_who(
    tmp_path: Path, git: Git
) -> None:
    project = make_project(tmp_path / "project", git, task("T-1"), agents=WORKERS)
    project.ok("plan", "apply")

    def claim(who: str) -> tuple[str, int, str, str]:
        said = run("-C", str(project.path), "claim", "T-1", "--as", who)
        return who, said.code, said.out, said.err

    people = [f"p{number}" for number in range(8)]
    found = together(*(partial(claim, who) for who in people))
    ((winner, _, out, _),) = [one for one in found if one[1] == 0]
    assert out.startswith("T-1-A1 is yours until ")
    deadline = project.task("T-1").attempt.deadline  # type: ignore[union-attr]
    for who, code, _, err in found:
        if who != winner:
            assert code == RefusedError.exit_code
            assert f"error: 'T-1' is in progress: {winner} holds it until {deadline}" in err
    assert project.actions().count("attempt.create") == 1
    project.check()


@pytest.fixture
def seeded(tmp_path: Path, git: Git) -> Callable[[int], Project]:
    def made(processes: int) -> Project:
        text = "".join(f"line {number}\n" for number in range(4 * processes))
        tasks = (task(f"T-{number}") for number in range(processes))
        return make_project(
            tmp_path / "project", git, *tasks, seed={"src/all.txt": text}, agents=WORKERS
        )

    return made


def test_eight_people_who_change_one_file_get_the_merge_of_all(
    seeded: Callable[[int], Project],
) -> None:
    project = seeded(8)
    project.ok("plan", "apply")
    for number in range(8):
        project.ok("claim", f"T-{number}", "--as", f"p{number}")

    assert together(*(partial(_submit, project, number) for number in range(8))) == [0] * 8
    wanted = "".join(
        f"by T-{number // 4}\n" if number % 4 == 0 else f"line {number}\n" for number in range(32)
    )
    assert project.read("src/all.txt") == wanted
    assert project.git("show", "main:src/all.txt") == wanted.rstrip("\n")
    assert project.status() == ""
    project.check()


def test_a_checkout_that_another_process_brings_on_is_not_taken_for_work_in_the_way(
    seeded: Callable[[int], Project], tmp_path: Path
) -> None:
    """The second decides when the first has moved the branch, and its checkout has not followed.

    The first waits there until git has told the second what the checkout looks like.
    """
    project = seeded(2)
    project.ok("plan", "apply")
    for number in range(2):
        project.ok("claim", f"T-{number}", "--as", f"p{number}")
    deciding, waiting, looked = (tmp_path / name for name in ("deciding", "waiting", "looked"))
    take_turn, git_status = turns.take_turn, Worktree.status

    def first() -> int:
        @contextmanager
        def turn(repository: Repository) -> Iterator[None]:
            with take_turn(repository):
                deciding.touch()
                wait(waiting.exists, "the second")
                yield

        def stop(met: Point) -> None:
            if met == Point.INDEX_LOCKED:  # the branch has moved, and the turn is over
                wait(looked.exists, "the second's look")

        turns.take_turn = turn
        with arm(stop):
            return _submit(project, 0)

    def second() -> int:
        @contextmanager
        def turn(repository: Repository) -> Iterator[None]:
            waiting.touch()
            with take_turn(repository):
                yield

        def status(*arguments: Any, **options: Any) -> Any:
            found = git_status(*arguments, **options)
            looked.touch()
            return found

        turns.take_turn, Worktree.status = turn, status  # type: ignore[method-assign]
        wait(deciding.exists, "the first")
        return _submit(project, 1)

    assert together(first, second) == [0, 0]
    assert looked.exists()
    wanted = ["by T-0", "line 1", "line 2", "line 3", "by T-1", "line 5", "line 6", "line 7"]
    assert project.read("src/all.txt").splitlines() == wanted
    assert project.status() == ""
    project.check()


def _submit(project: Project, number: int) -> int:
    """Hand in a change of the worker's own line, and return the exit code."""
    name = f"T-{number}"
    edits = [{"old": f"line {4 * number}\n", "new": f"by {name}\n"}]
    update = {"op": "edit", "path": "src/all.txt", "edits": edits}
    answer = json.dumps(result(name, update, attempt_id=f"{name}-A1")).encode()
    me = ("--as", f"p{number}")
    return run("-C", str(project.path), "submit", "-", *me, stdin=answer).code
