"""The lock is held while refs move, and by nobody while an agent or a check is at work."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import pytest

from tests.concurrency.runs import AGENT, SECONDS, agents, running, wait
from tests.conftest import Git
from tests.support.project import Project, make_project, task

SLEEPING = {"name": "slow", "run": ["sleep", "300"]}


@pytest.mark.parametrize("who", ["agent", "check"])
def test_others_append_while_an_agent_or_a_check_is_at_work(
    tmp_path: Path, git: Git, who: str
) -> None:
    checks = [SLEEPING] if who == "check" else []
    tasks = (task("T-1", checks=checks), task("T-2"))
    project = make_project(tmp_path / "project", git, *tasks, agents=["ann"])
    project.program(AGENT.format(seconds=300 if who == "agent" else 1))
    project.commit("Somebody who takes their time")
    # On the base, the check would sleep before anybody is asked.
    with running(project, "--task", "T-1", "--base-may-fail", at_work=1) as process:
        if who == "check":
            wait(lambda: not agents(project), "the agent's answer")
        for number in range(3):
            before = project.state().seq
            wait(lambda: _is_free(project), "the lock")  # an answer may just be admitted
            project.ok("task", "note", "T-2", f"note {number}")
            project.ok("claim", "T-2", "--as", "ann")
            project.ok("task", "release", "T-2", "--reason", "no time", "--as", "ann")
            assert project.state().seq == before + 3
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    last = project.actions()[-1]
    assert last == "task.update"
    assert project.task("T-1").state == "todo"
    project.check()


def _is_free(project: Project) -> bool:
    """Answer whether nobody has their turn, nor any lock of git's."""
    descriptor = os.open(project.path / ".git", os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    locks = {path.name for path in (project.path / ".git").rglob("*.lock")}
    return locks <= {"followup.lock"}
