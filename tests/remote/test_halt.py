"""Everything is stopped from another clone, by one push through the real hook, and goes on later.

Runs are real processes whose agents sleep until somebody lets them go.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Project
from tests.support.team import LOG, hook_environment
from tests.support.workers import Fleet, fleet, until

HALTED = 8


@pytest.fixture
def made(tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    """Two clones: one with the orchestrator's key, one with an admin's alone."""
    hook_environment(monkeypatch)
    with fleet(tmp_path, git, clones=2, tasks=1, program=True, serve=str) as found:
        found.clones[0].git("config", "esaa.haltPoll", "PT1S")
        found.clones[1].git("config", "--unset", "esaa.signingKey")
        found.hold("T-1-A1")
        yield found


def actions(project: Project) -> list[str]:
    return [one.event.action for one in project.chain()]


@pytest.mark.parametrize("shared", [True, False])
def test_a_run_is_stopped_from_another_clone_and_goes_on(made: Fleet, shared: bool) -> None:
    at_work, admin = made.clones
    worker = made.start(0, "--sandbox", "none", shared=shared)
    until(made.asked("T-1-A1"))
    assert "stopped here, on 'origin'" in admin.ok("halt", "--reason", "the bill explodes")
    status, said = worker.ends()
    assert status == HALTED, said
    assert "stopped by person@example.com" in said
    assert "the bill explodes" in said
    assert not (at_work.path / "src/T-1.txt").exists()
    task = at_work.task("T-1")
    assert (task.state, task.attempts_used, task.attempts_total) == ("todo", 0, 1)

    # Nothing begins again, wherever it is tried, and nothing is lost.
    assert "the bill explodes" in at_work.fails(HALTED, "run", "--sandbox", "none")
    assert not made.asked("T-1-A2")()
    assert "the bill explodes" in admin.ok("status")
    log = made.run(made.server, "rev-parse", LOG)
    if not shared:
        said = at_work.fails(HALTED, "sync")
        assert "takes no work that began here" in said
        assert made.run(made.server, "rev-parse", LOG) == log

    admin.ok("resume", "--reason", "there is a cap now")
    made.let_go("T-1-A1")
    at_work.ok("sync")
    at_work.ok("run", "--sandbox", "none")
    at_work.ok("push")
    admin.ok("fetch")
    events = made.settle()
    said_by_people = [one["action"] for one in events if one["action"].startswith("run.")]
    assert said_by_people == ["run.init", "run.halt", "run.resume", "run.end"]
    assert admin.task("T-1").attempts_used == 1
