"""A team that shares its log over real servers, and what an attacker with access to them achieves.

Every attack follows a push that was taken, moves nothing, and is refused in words that name what
was wrong.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from esaa_git.store.eventcommit import read_event_commit
from tests.conftest import Git
from tests.servers.conftest import Server
from tests.support.forgery import Forger, draft_of
from tests.support.project import Project, run
from tests.support.shared import health
from tests.support.team import LOG, MAIN, Team, copy, hook_environment

pytestmark = pytest.mark.servers


@dataclass
class Served:
    """A team whose repository a server serves."""

    server: Server
    team: Team
    url: str

    def refs(self) -> str:
        return self.team.refs()

    def attack(self, *refspecs: str) -> str:
        """Push with git alone, prove that nothing moved, and return what was said."""
        before = self.refs()
        done = subprocess.run(
            ["git", "push", "origin", *refspecs],
            cwd=self.team.one.path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0, done.stderr
        assert "Traceback" not in done.stderr
        assert self.refs() == before
        return done.stderr


def serve(server: Server, template: Team, tmp_path: Path, patch: pytest.MonkeyPatch) -> Served:
    """Put a copy of the team's repository among those that the server serves."""
    hook_environment(patch)
    for name, value in server.client.items():
        patch.setenv(name, value)
    team = copy(template, tmp_path)
    place = server.root / f"{tmp_path.name}.git"
    shutil.move(team.server, place)
    team.server = place
    url = f"{server.url}/{place.name}"
    for project in (team.one, team.two):
        project.git("remote", "set-url", "origin", url)
    return Served(server, team, url)


@pytest.fixture(params=["web", "ssh"])
def served(
    request: pytest.FixtureRequest,
    template: Team,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:
    found = serve(request.getfixturevalue(request.param), template, tmp_path, monkeypatch)
    yield found
    shutil.rmtree(found.team.server)


def test_a_team_works_over_it(served: Served, tmp_path: Path, git: Git) -> None:
    team = served.team
    team.one.ok("run", "--task", "T-2")
    assert "pushed to 'origin': refs/esaa/events, refs/heads/main" in team.one.ok("push")
    team.two.ok("run", "--task", "T-3")
    assert "has events that are not here" in team.two.fails(6, "push")
    team.two.ok("sync")
    team.one.ok("fetch")
    team.agree()
    said = run("clone", served.url, str(tmp_path / "three"))
    assert said.code == 0, said.err
    three = Project(tmp_path / "three", git)
    assert three.tip() == team.one.tip()
    three.check()


def test_a_force_push_of_the_log_is_refused(served: Served) -> None:
    team = served.team
    team.one.ok("task", "note", "T-2", "honest")
    team.one.ok("push")
    back = team.one.chain()[3].oid
    assert "the log only grows" in served.attack("--force", f"{back}:{LOG}")
    assert "is not deleted" in served.attack(f":{LOG}")
    team.two.ok("fetch")
    team.agree()


def test_a_forged_event_is_refused(served: Served) -> None:
    team = served.team
    forger = Forger(team.one, team.one.signer.sign).copy(team.one.chain())
    honest = forger.add(health(forger))
    draft = draft_of(read_event_commit(team.one.repository.read, honest), team.one.signer.sign)
    forged = replace(draft, message=draft.message.replace(b"alive", b"dead"))
    oid = forged.write(team.one.repository, str(team.one.tip()))
    said = served.attack(f"{oid}:{LOG}")
    assert "EV-00000007" in said
    assert "check 5" in said
    team.one.git("push", "--quiet", "origin", f"{honest}:{LOG}")
    team.two.ok("verify")  # a copy's mark does not count here
    assert "1 new events, verified" in team.two.ok("fetch")


def test_an_effect_without_its_event_is_refused(served: Served) -> None:
    team = served.team
    team.one.ok("run", "--task", "T-2")
    assert "check 11" in served.attack(MAIN)
    team.one.ok("push")
    team.two.ok("fetch")
    team.agree()


def test_a_server_that_was_rolled_back_is_caught(served: Served) -> None:
    team = served.team
    team.two.ok("fetch")
    team.set(team.one.chain()[-2].oid)
    before = team.two.refs()
    assert "rolled back to event 5" in team.two.fails(9, "fetch")
    assert team.two.refs() == before


# -- git daemon ----------------------------------------------------------------------------------


@pytest.fixture
def readable(
    daemon: Server, template: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Served]:
    found = serve(daemon, template, tmp_path, monkeypatch)
    yield found
    shutil.rmtree(found.team.server)


def test_a_mirror_is_read_and_not_written(readable: Served, tmp_path: Path, git: Git) -> None:
    said = run("clone", readable.url, str(tmp_path / "three"))
    assert said.code == 0, said.err
    three = Project(tmp_path / "three", git)
    assert three.tip() == readable.team.one.tip()
    three.check()
    readable.team.one.ok("task", "note", "T-2", "new")
    before = readable.refs()
    assert "error: " in readable.team.one.fails(3, "push")
    assert readable.refs() == before


def test_a_mirror_that_lies_is_caught(readable: Served) -> None:
    team = readable.team
    team.two.ok("fetch")
    before = team.two.refs()
    team.set(team.one.chain()[1].oid)
    assert "rolled back to event 2" in team.two.fails(9, "fetch")
    forger = Forger(team.one, team.one.signer.sign).copy(team.one.chain()[:5])
    fork = [forger.add(health(forger)) for _ in range(2)][-1]
    team.run(team.server, "fetch", "--quiet", str(team.one.path), f"{fork}:refs/tags/fork")
    team.set(fork)
    assert "rewritten after event 5" in team.two.fails(9, "fetch")
    team.run(team.server, "update-ref", "-d", LOG)
    assert "the event log is gone" in team.two.fails(9, "fetch")
    assert team.two.refs() == before
