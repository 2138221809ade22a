"""What an admin may begin in a log that is stopped, typed in a real clone."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Git
from tests.support.project import make_project, task

HALTED = 8


def test_an_admin_restarts_a_stopped_log_but_adds_no_task(tmp_path: Path, git: Git) -> None:
    project = make_project(tmp_path / "one", git, task("T-1"))
    project.ok("plan", "apply")
    project.ok("halt", "--reason", "a key is lost")
    project.ok("plan", "apply", "--restart")
    assert project.actions()[-2:] == ["run.end", "run.init"]
    assert "a key is lost" in project.ok("status")
    project.plan(task("T-1"), task("T-2"))
    before = project.refs()
    said = project.fails(HALTED, "plan", "apply", "--restart")
    assert "a key is lost" in said
    assert "git esaa resume" in said
    assert project.refs() == before
    project.ok("resume", "--reason", "it is replaced")
    project.ok("plan", "apply", "--restart")
    assert "T-2" in project.state().tasks
    project.check()
