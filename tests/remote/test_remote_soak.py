"""Two clones that do whatever comes to their minds, and sync: they end with one log that holds."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Project, Said
from tests.support.team import Team, build, copy, hook_environment

pytestmark = pytest.mark.slow

TASKS = ("T-2", "T-3", "T-4", "T-5", "T-6", "T-R")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Iterator[Team]:
    with pytest.MonkeyPatch.context() as patch:
        hook_environment(patch)
        yield build(tmp_path_factory.mktemp("team"), git)


def act(project: Project, who: str, dice: random.Random) -> Said | None:
    """Do one thing at random; that the state forbids it is as good."""
    task = dice.choice(TASKS)
    name = ("--as", who)
    match dice.randrange(12):
        case 0 | 1:
            return project.esaa("run", "--task", task, "--steps", "1")
        case 2:
            return project.esaa("claim", task, *name)
        case 3:
            return project.esaa("task", "release", task, "--reason", "no time", *name)
        case 4:
            project.write(f"src/{task}.txt", f"{who} {dice.random()}\n")
            path = f"src/{task}.txt"
            said = project.esaa("complete", task, "--summary", "by hand", *name, path)
            project.git("checkout", "--quiet", "HEAD", "--", ".")
            project.git("clean", "--quiet", "-fd", "src")
            return said
        case 5:
            return project.esaa("task", "note", task, f"by {who}", *name)
        case 6:
            severity = dice.choice(("low", "medium", "high"))
            about = ("--task", task, "--severity", severity, "--title", "Odd")
            return project.esaa("issue", "report", *about, *name)
        case 7:
            return project.esaa("task", "unblock", task, "--reason", "go on", *name)
        case 8:
            new = f"X-{dice.randrange(4)}"
            about = ("--kind", "impl", "--title", dice.choice("ab"))
            return project.esaa("task", "add", new, *about, *name)
        case 9:
            decision = dice.choice((("--approve",), ("--request-changes", "more")))
            return project.esaa("review", "T-R", *decision, "--as", "carol")
        case 10:
            project.write(f"people/{who}.txt", f"{dice.random()}\n")
            project.commit("People")
            return None
        case _:
            issue = f"ISS-{dice.randrange(1, 4):04d}"
            return project.esaa("issue", "resolve", issue, "--reason", "done", *name)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_two_do_they_end_with_one_log(
    template: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    hook_environment(monkeypatch)
    team = copy(template, tmp_path)
    dice = random.Random(seed)
    for _ in range(3):
        for project, who in ((team.one, "alice"), (team.two, "bob")):
            for _ in range(dice.randrange(1, 6)):
                said = act(project, who, dice)
                assert said is None or "a fault in" not in said.err, said
        for project in dice.sample([team.one, team.two], 2):
            for one in json.loads(project.ok("sync", "--json"))["rounds"]:
                assert len(one["decided_again"]) in (0, one["own_events"])
                assert one["commits_left_out"] == []
    for project in (team.one, team.two, team.one):
        project.ok("sync")
    team.agree()
