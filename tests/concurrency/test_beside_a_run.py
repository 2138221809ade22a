"""A person at work in the checkout while agents are: neither loses anything to the other."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from esaa_git.faults import Point, arm
from tests.concurrency.children import together
from tests.conftest import Git, GitFailed
from tests.support.project import Project, edit, make_project, result, run, task, write

LINES = [f"line {number}\n" for number in range(2000)]
APART = 5
"""Lines between two that agents change: git merges what does not touch."""


@pytest.mark.parametrize(
    "tasks",
    [12, pytest.param(150, marks=[pytest.mark.slow, pytest.mark.timeout(1800)])],
)
def test_a_person_who_commits_while_a_run_goes_on_loses_nothing(
    tmp_path: Path, git: Git, tasks: int
) -> None:
    names = [f"T-{number}" for number in range(tasks)]
    project = make_project(
        tmp_path / "project",
        git,
        *(task(name, writes=[f"src/{name}.txt", "src/shared.txt"]) for name in names),
        seed={"src/shared.txt": "".join(LINES), "notes.md": "mine\n"},
    )
    for number, name in enumerate(names):
        shared = edit("src/shared.txt", LINES[APART * number], f"by {name}\n")
        project.answer(name, result(name, write(f"src/{name}.txt", f"{name}\n"), shared))
    project.commit("What the agents will answer")
    over = tmp_path / "over"

    def agents() -> list[Any]:
        said = run("-C", str(project.path), "run", "--parallel", "3", "--overlap")
        over.touch()
        return [said.code, said.out, said.err]

    (code, out, err), committed = together(agents, partial(_person, project, over), seconds=1000.0)

    assert code == 0, (out, err)
    assert committed
    log = project.git("log", "--format=%s", "main").splitlines()
    for number in committed:
        assert log.count(f"person {number}") == 1
        assert project.git("show", f"main:people/{number}.txt") == f"{number}"
        assert project.read(f"people/{number}.txt") == f"{number}\n"
    for name in names:
        assert project.git("show", f"main:src/{name}.txt") == name
        assert project.read(f"src/{name}.txt") == f"{name}\n"
    wanted = LINES.copy()
    for number, name in enumerate(names):
        wanted[APART * number] = f"by {name}\n"
    assert project.read("src/shared.txt") == "".join(wanted)
    # What was being edited, and what was staged, are as the person left them.
    assert project.read("notes.md") == "mine\nnot finished\n"
    assert sorted(project.status().splitlines()) == [" M notes.md", "A  staged.txt"]
    project.check()


def _person(project: Project, over: Path) -> list[int]:
    """Commit one file after another until the run is over, and return which were committed."""
    project.write("notes.md", "mine\nnot finished\n")
    committed: list[int] = []
    number = 0
    while not over.exists():
        number += 1
        path = f"people/{number}.txt"
        project.write(path, f"{number}\n")
        _patiently(project, "add", path)
        _patiently(project, "commit", "--quiet", "--message", f"person {number}", "--no-verify")
        committed.append(number)
        sleep(0.1)
    project.write("staged.txt", "soon\n")
    _patiently(project, "add", "staged.txt")
    return committed


def _patiently(project: Project, *arguments: str) -> None:
    """Run git again where a lock was held or a ref moved, as a person does."""
    for _ in range(200):
        try:
            project.git(*arguments)
        except GitFailed as error:
            if "lock" not in str(error):
                raise
            sleep(0.01)
        else:
            return
    raise AssertionError(f"git {arguments} never had its turn")


@pytest.mark.parametrize("point", [Point.BRANCH_MOVED, Point.REFS_SYNCED])
def test_a_commit_between_a_branch_and_its_checkout_takes_no_effect_back(
    tmp_path: Path, git: Git, point: Point
) -> None:
    project = make_project(tmp_path / "project", git, task("T-1"), seed={"src/a.txt": "before\n"})
    project.answer("T-1", result("T-1", write("src/a.txt", "after\n")))
    project.write("mine.txt", "mine\n")
    project.git("add", "mine.txt")
    said: list[str] = []

    def commit(met: Point) -> None:
        if met == point and not said:
            try:
                said.append(project.git("commit", "--quiet", "--message", "mine"))
            except GitFailed as error:
                said.append(str(error))

    with arm(commit):
        project.ok("run")
    assert len(said) == 1
    if said[0]:
        assert "index.lock" in said[0]
        project.git("commit", "--quiet", "--message", "mine")
    assert project.git("show", "main:mine.txt") == "mine"
    assert project.git("show", "main:src/a.txt") == "after"
    assert project.read("src/a.txt") == "after\n"
    project.check()
