"""A week of a team: two clones and a server with the hook, and what people do with branches."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.app.hooks import install
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.project import Project, make_project, result, run, task, write
from tests.support.team import LOG, hook_environment, join

TASKS = [f"T-{number}" for number in range(1, 6)]


class Member(Project):
    """A clone of the team, in which one works as people do."""

    def starts(self, branch: str, *, at: str = "main") -> None:
        self.git("checkout", "--quiet", "-b", branch, at)

    def on(self, branch: str) -> None:
        self.git("checkout", "--quiet", branch)

    def has_done(self, *names: str) -> str:
        """Have agents do what is planned up to here, on the branch that is checked out."""
        self.plan(*(task(name) for name in names))
        self.git("commit", "--quiet", "--all", "--message", f"Plan {names[-1]}")
        said = self.ok("run")
        assert f"on '{self.git('branch', '--show-current')}'" in said
        assert self.task(names[-1]).is_done
        return said

    def by_hand(self, name: str) -> None:
        self.write(f"docs/{name}.md", f"{name}\n")
        self.git("add", f"docs/{name}.md")
        self.git("commit", "--quiet", "--message", f"{name} by hand")


@pytest.fixture
def team(tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> tuple[Member, Member, Path]:
    hook_environment(monkeypatch)
    made = make_project(tmp_path / "one", git, agents=["ann", "ben"])
    for name in (*TASKS, "HF-1"):
        made.answer(name, result(name, write(f"src/{name}.txt", f"{name}\n")))
    made.commit("Answers")
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    git(server, "config", "esaa.requireEffects", "true")
    git(server, "config", "receive.denyDeleteCurrent", "ignore")
    install(open_repository(server), "pre-receive")
    one = Member(made.path, git)
    one.git("remote", "add", "origin", "../server.git")
    one.git("push", "--quiet", "--set-upstream", "origin", "main")
    one.starts("login")
    one.has_done("T-1")
    one.ok("push")
    two = Member(join(tmp_path, one, server, git).path, git)
    return one, two, server


def test_a_week_of_ordinary_git_ends_with_every_clone_verifying(
    team: tuple[Member, Member, Path], tmp_path: Path, git: Git
) -> None:
    one, two, server = team

    # Monday: the other one works on a branch of their own.
    two.starts("search")
    two.has_done("T-1", "T-2")
    two.ok("push")

    # Tuesday: 'login', with a commit by hand, is squashed into 'main' and deleted everywhere.
    one.by_hand("login")
    one.ok("sync")
    one.on("main")
    one.git("merge", "--quiet", "--squash", "login")
    one.git("commit", "--quiet", "--message", "Log in (#1)")
    one.git("branch", "--quiet", "-D", "login")
    one.ok("verify", "--relink", "--record")
    one.git("push", "--quiet", "--atomic", "origin", LOG, "main", ":login")

    # Wednesday: 'search' is rebased on that, pushed with force, and merged.
    two.ok("sync")
    two.git("fetch", "--quiet", "--prune", "origin")
    two.git("branch", "--quiet", "-D", "login")  # it came with the clone
    two.on("main")
    two.git("merge", "--quiet", "--ff-only", "origin/main")
    two.on("search")
    two.by_hand("search")
    two.git("rebase", "--quiet", "--strategy-option", "theirs", "main")
    two.ok("verify", "--relink", "--record")
    two.git("push", "--quiet", "--atomic", "--force", "origin", LOG, "search")
    two.on("main")
    two.git("merge", "--quiet", "--no-ff", "--no-edit", "search")
    two.git("branch", "--quiet", "-d", "search")
    two.git("push", "--quiet", "--atomic", "origin", "main", ":search")
    two.has_done("T-1", "T-2", "T-3")
    two.ok("sync")

    # Thursday: a hotfix of what was done on Monday, on a branch that goes in as it is.
    one.ok("sync")
    one.git("fetch", "--quiet", "--prune", "origin")
    one.starts("hotfix")
    one.ok("plan", "apply", "--branch", "hotfix")
    one.ok("hotfix", "T-1", "--id", "HF-1", "--title", "Mend it", "--reason", "It broke")
    one.ok("run")
    one.on("main")
    one.git("merge", "--quiet", "--ff-only", "hotfix")
    one.git("push", "--quiet", "--atomic", "origin", LOG, "main")
    one.git("branch", "--quiet", "-d", "hotfix")

    # Friday: the default branch gets another name, here, there, and in the other clone.
    one.git("branch", "-m", "main", "trunk")
    one.git("push", "--quiet", "--set-upstream", "origin", "trunk")
    git(server, "symbolic-ref", "HEAD", "refs/heads/trunk")
    one.git("push", "--quiet", "origin", ":main")
    one.has_done("T-1", "T-2", "T-3", "T-4")
    one.ok("sync")
    two.git("branch", "-m", "main", "trunk")
    two.git("fetch", "--quiet", "--prune", "origin")
    two.git("branch", "--set-upstream-to=origin/trunk")
    two.git("remote", "set-head", "origin", "--auto")
    two.ok("sync")
    two.has_done(*TASKS)
    two.ok("sync")
    one.ok("sync")

    said = run("clone", str(server), str(tmp_path / "three"))
    assert said.code == 0, said.err
    three = Member(tmp_path / "three", git)
    tips = {git(server, "rev-parse", LOG)}
    for clone in (one, two, three):
        assert clone.git("for-each-ref", "--format=%(refname:short)", "refs/heads") == "trunk"
        clone.forget()
        clone.ok("verify", "--full", "--strict")
        clone.check()
        tips.add(str(clone.tip()))
    assert len(tips) == 1
    assert one.head("refs/heads/trunk") == two.head("refs/heads/trunk")
    assert sorted(path.name for path in (three.path / "src").iterdir()) == [
        f"{name}.txt" for name in ("HF-1", *TASKS)
    ]
