"""A team: two clones that record, and the bare repository with the hook that they share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from esaa_git.app.hooks import install
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support import warm
from tests.support.copies import copy_folder
from tests.support.project import (
    Project,
    issue,
    make_project,
    result,
    run,
    task,
    write,
)

LOG, MAIN = "refs/esaa/events", "refs/heads/main"

SHARED = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"


@dataclass
class Team:
    """The two clones, and what they share."""

    one: Project
    two: Project
    server: Path
    run: Git

    def at(self, ref: str = LOG) -> str:
        return self.run(self.server, "rev-parse", "--verify", ref)

    def refs(self) -> str:
        return self.run(self.server, "for-each-ref", "--format=%(refname) %(objectname)")

    def set(self, oid: str, ref: str = LOG) -> None:
        """Move a ref as the owner of the server can, past every hook."""
        self.run(self.server, "update-ref", ref, oid)

    def agree(self) -> None:
        """Assert that everybody has the same log and branch, and that both verify."""
        assert self.one.tip() == self.two.tip() == self.at(self.one.repository.events_ref)
        assert self.one.head() == self.two.head() == self.at(MAIN)
        for project in (self.one, self.two):
            project.check()
            assert project.status() == ""


def build(folder: Path, git: Git, *, events_ref: str | None = None) -> Team:
    """Make a team whose first task is done and shared."""
    names = [f"T-{number}" for number in range(1, 7)]
    one = make_project(
        folder / "one",
        git,
        *(task(name) for name in names),
        task("T-R", review=True),
        seed={"src/shared.txt": SHARED},
        agents=["alice", "bob"],
    )
    for name in (*names, "T-R"):
        one.answer(name, result(name, write(f"src/{name}.txt", f"{name}\n")))
    one.answer("T-6", issue("T-6"))
    one.commit("Answers")
    if events_ref is not None:
        one.git("config", "esaa.eventsRef", events_ref)
    server = folder / "server.git"
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    if events_ref is not None:
        git(server, "config", "esaa.eventsRef", events_ref)
    install(open_repository(server), "pre-receive")
    one.git("remote", "add", "origin", "../server.git")
    one.ok("run", "--task", "T-1")
    one.ok("remote", "setup", "origin")
    one.ok("push")
    two = join(folder, one, server, git, events_ref=events_ref)
    return Team(one, two, server, git)


def join(
    folder: Path, one: Project, server: Path, git: Git, *, events_ref: str | None = None
) -> Project:
    """Have a second member clone what is shared, and record with the team's key."""
    options = () if events_ref is None else ("--events-ref", events_ref)
    said = run("clone", str(server), str(folder / "two"), *options)
    assert said.code == 0, said.err
    two = Project(folder / "two", git)
    two.git("config", "esaa.signingKey", str(one.key))
    two.git("config", "esaa.approverKey", one.setting("esaa.approverKey"))
    two.git("remote", "set-url", "origin", "../server.git")
    return two


def copy(team: Team, folder: Path) -> Team:
    """Return the team as it is, in another place."""
    for name in ("one", "two", "server.git"):
        copy_folder(team.server.parent / name, folder / name)
    one, two = (Project(folder / name, team.run) for name in ("one", "two"))
    return Team(one, two, folder / "server.git", team.run)


def hook_environment(patch: pytest.MonkeyPatch) -> None:
    """Have the hook on the server run the code of this checkout."""
    for name, value in warm.environment().items():
        patch.setenv(name, value)


def environment(**more: str) -> Mapping[str, Any]:
    return {**os.environ, **warm.environment(), **more}
