"""Everything is stopped from another clone, by one push through the real hook, and goes on later.

Runs are real processes whose agents sleep until somebody lets them go.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from esaa_git.remote.halts import RemoteHalts
from esaa_git.remote.remote import Remote
from tests.conftest import Git
from tests.support.logs import make_log
from tests.support.project import Project
from tests.support.team import LOG, hook_environment
from tests.support.workers import Fleet, fleet, until

CONFLICT, HALTED = 6, 8


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


@pytest.mark.parametrize("how", ["alone", "inbox", pytest.param("shared", marks=pytest.mark.slow)])
def test_a_run_is_stopped_from_another_clone_and_goes_on(made: Fleet, how: str) -> None:
    at_work, admin = made.clones
    shared = how != "alone"
    if how == "inbox":  # it is signed before the run begins, and loses the race against it
        admin.git("remote", "set-url", "origin", "../nowhere.git")
        admin.esaa("halt", "--reason", "the bill explodes")
        admin.git("remote", "set-url", "origin", made.url)
    worker = made.start(0, "--sandbox", "none", shared=shared)
    until(made.asked("T-1-A1"))
    if how == "inbox":
        assert "waits in the inbox" in admin.esaa("push").err
    else:
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
    admin.ok("sync")
    events = made.settle()
    said_by_people = [one["action"] for one in events if one["action"].startswith("run.")]
    assert said_by_people == ["run.init", "run.halt", "run.resume", "run.end"]
    assert admin.task("T-1").attempts_used == 1


def test_a_halt_whose_push_loses_the_race_comes_through_the_inbox(made: Fleet) -> None:
    orchestrator, admin = made.clones
    admin.git("remote", "set-url", "origin", "../nowhere.git")
    said = admin.esaa("halt", "--reason", "the bill explodes")
    assert (said.code, "stopped here" in said.out, "not on 'origin'" in said.out) == (1, True, True)
    orchestrator.ok("task", "add", "T-8", "--kind", "impl", "--title", "x")
    orchestrator.ok("push")
    admin.git("remote", "set-url", "origin", made.url)

    log = made.run(made.server, "rev-parse", LOG)
    said = admin.esaa("push")
    assert said.code == 0, said
    assert "waits in the inbox of 'origin'" in said.err
    assert made.run(made.server, "rev-parse", LOG) == log
    (waiting,) = inbox(made)
    entry = made.run(made.server, "rev-parse", waiting)

    # Nothing but its admission is taken; nobody without a key takes it out, or puts another in.
    orchestrator.ok("task", "add", "T-9", "--kind", "impl", "--title", "x")
    assert "waits in the inbox" in orchestrator.fails(CONFLICT, "push")
    assert "has not" in pushed(orchestrator, f":{waiting}")
    assert "is refused" in pushed(orchestrator, f"HEAD:{waiting[:-2]}00")
    assert made.run(made.server, "rev-parse", LOG) == log

    said = orchestrator.ok("fetch")
    assert inbox(made) == []
    last = made.events()[-1]
    assert (last["action"], last["actor"]) == ("run.halt", "person@example.com")
    admin.ok("sync")
    assert admin.state().stop.by == "person@example.com"
    admin.check()

    # The very entry again, by whoever has kept it, once everything goes on.
    admin.ok("resume")
    orchestrator.ok("sync")
    assert "has taken this decision already" in pushed(orchestrator, f"{entry}:{waiting}")


def test_a_run_of_its_own_clone_leaves_what_waits_to_who_follows_the_remote(made: Fleet) -> None:
    """Else it would put a decision behind what its own log does not have, and part from it."""
    orchestrator, admin = made.clones
    made.let_go("T-1-A1")
    orchestrator.ok("task", "add", "T-8", "--kind", "impl", "--title", "x")
    orchestrator.ok("run", "--sandbox", "none", "--steps", "1")
    orchestrator.ok("push")
    admin.ok("fetch")
    admin.ok("hotfix", "T-1", "--title", "Again", "--reason", "it is wrong")
    orchestrator.ok("task", "add", "T-9", "--kind", "impl", "--title", "x")
    orchestrator.ok("push")
    assert "waits in the inbox" in admin.esaa("push").err
    tip = made.run(made.server, "rev-parse", LOG)
    orchestrator.esaa("run", "--sandbox", "none", "--steps", "1")
    assert made.run(made.server, "rev-parse", LOG) == tip
    assert len(inbox(made)) == 1
    orchestrator.ok("sync")
    assert inbox(made) == []


def inbox(made: Fleet) -> list[str]:
    listed = made.run(made.server, "for-each-ref", "--format=%(refname)", "refs/esaa/inbox/")
    return listed.split()


def pushed(project: Project, spec: str) -> str:
    """Push something by hand, which the server refuses, and return its words."""
    done = subprocess.run(
        ["git", "push", "origin", spec],
        cwd=project.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0, done.stderr
    return done.stderr.replace("\nremote:", " ")


def test_a_remote_that_is_away_is_named_once_and_stops_nothing(tmp_path: Path, git: Git) -> None:
    repository = make_log(tmp_path / "log", tasks=1, done=0).repository
    git(tmp_path / "log", "remote", "add", "origin", str(tmp_path / "nowhere.git"))
    said: list[str] = []
    remotes = [Remote(repository, "origin", in_passing=True)]
    halts = RemoteHalts(remotes, lambda _, incoming: incoming, lambda _: "stopped", said.append)
    assert halts.look() is halts.look() is None
    (line,) = said
    assert line.startswith("whether 'origin' is stopped cannot be told: 'origin' cannot be reached")
