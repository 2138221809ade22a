"""`git esaa task unblock`: one cause has often blocked many tasks, and one command frees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Project, make_project, task


@pytest.fixture
def blocked(tmp_path: Path, git: Git) -> Project:
    """Two tasks that failed at their only attempt, one with an issue, and one that waits for it."""
    failing = [task(name, attempts_allowed=1) for name in ("T-1", "T-3")]
    made = make_project(tmp_path / "project", git, *failing)
    made.answers(T_1="no answer", T_3="no answer")
    made.commit()
    assert made.esaa("run").code == 8
    made.plan(*failing, task("T-4"), task("T-2", depends_on=["T-4"]))
    made.ok("plan", "apply", "--restart")
    made.ok("issue", "report", "--task", "T-4", "--severity", "high", "--title", "Broken")
    assert states(made) == "bbbb"
    return made


def states(project: Project) -> str:
    return "".join(
        {"todo": "t", "blocked": "b"}[one.state] for _, one in sorted(project.state().tasks.items())
    )


def test_several_are_freed_by_name_by_cause_and_all(blocked: Project) -> None:
    why = ("--reason", "the agent is repaired")
    said = blocked.ok("task", "unblock", "--all", "--cause", "attempts_spent", *why)
    assert said == "T-1, T-3: todo\n"
    assert states(blocked) == "tbtb"
    said = blocked.ok("task", "unblock", "T-2", "T-4", *why)
    assert said == "T-4, T-2: todo\n"
    assert states(blocked) == "tttt"
    assert blocked.ok("task", "unblock", "--all", *why) == "no task is blocked\n"
    blocked.check()


def test_what_cannot_be_freed_frees_nothing(blocked: Project) -> None:
    why = ("--reason", "x")
    before = blocked.refs()
    assert "no task 'T-9'" in blocked.fails(2, "task", "unblock", "T-1", "T-9", *why)
    said = blocked.fails(2, "task", "unblock", "--all", "--cause", "rejected", *why)
    assert "no task is blocked by 'rejected'" in said
    assert "caused by: there are attempts_spent, dependency, issue" in said
    said = blocked.fails(2, "task", "unblock", *why)
    assert "no task is named" in said
    assert "git esaa task list --state blocked" in said
    said = blocked.fails(2, "task", "unblock", "T-1", "--all", *why)
    assert "'T-1' is named beside it" in said
    assert "hint: run 'git esaa task unblock T-1 --reason TEXT'" in said
    assert blocked.refs() == before
