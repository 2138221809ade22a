"""Whether a server guards the log is tried before it is shared, and the trying leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.app.hooks import install, uninstall
from esaa_git.remote.guard import try_guard
from esaa_git.remote.named import names
from esaa_git.remote.remote import Remote
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import Project, make_project, task
from tests.support.team import hook_environment

LOG, BRANCH = "refs/esaa/events", "refs/heads/esaa/events"
ALL = (
    "names that nobody knows",
    "events that are taken away",
    "deletion of the log",
    "events that nobody signed",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    """A project with a log, on its usual ref and on a branch, and a server without a hook."""
    folder = tmp_path_factory.mktemp("guard")
    project = make_project(folder / "one", git, task("T-1"))
    project.ok("plan", "apply")
    project.ok("task", "add", "T-2", "--kind", "impl", "--title", "Another")
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(folder / "server.git"))
    project.git("remote", "add", "origin", "../server.git")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch) -> Project:
    hook_environment(monkeypatch)
    for name in ("one", "server.git"):
        copy_folder(made / name, tmp_path / name)
    return Project(tmp_path / "one", git)


@pytest.fixture
def server(project: Project, git: Git) -> Path:
    """The server has the log and the branch."""
    project.git("push", "--quiet", "origin", f"{LOG}:{LOG}", "main")
    return project.path.parent / "server.git"


def tried(project: Project, git: Git) -> tuple[str, ...]:
    """What the server would take; the trying moves nothing there."""
    server = project.path.parent / "server.git"
    before = git(server, "for-each-ref")
    found = try_guard(Remote(project.repository, "origin"), project.repository)
    assert found.unknown is None
    assert git(server, "for-each-ref") == before
    return found.taken


def test_a_server_without_a_hook_is_said_to_be_none(
    project: Project, server: Path, git: Git
) -> None:
    assert tried(project, git) == ALL
    before = project.files(inside_git=("config",))
    said = project.fails(7, "remote", "setup", "origin")
    assert "does not guard the log" in said
    assert "hint: " in said
    assert "--unguarded" in said
    assert project.files(inside_git=("config",)) == before
    said = project.ok("remote", "setup", "origin", "--unguarded")
    assert "is shared all the same" in said
    project.ok("remote", "setup", "origin")
    said = project.esaa("doctor")
    assert "note" in said.out
    assert "does not guard the log" in said.out
    install(open_repository(server), "pre-receive")
    project.ok("remote", "setup", "origin")
    uninstall(open_repository(server), "pre-receive")
    assert "does not guard the log" in project.fails(7, "remote", "setup", "origin")


def with_the_hook(server: Path) -> None:
    install(open_repository(server), "pre-receive")


def with_the_update_hook(server: Path) -> None:
    install(open_repository(server), "update")


def with_the_fallback(server: Path) -> None:
    install(open_repository(server), "pre-receive", fallback=True)


@pytest.mark.parametrize("guard", [with_the_hook, with_the_update_hook, with_the_fallback])
def test_a_guarded_server_refuses_all_of_it(
    project: Project, server: Path, git: Git, guard: Callable[[Path], None]
) -> None:
    guard(server)
    assert tried(project, git) == ()


def test_a_server_without_a_log_is_tried_by_a_name(project: Project, git: Git) -> None:
    assert tried(project, git) == ALL[:1]
    install(open_repository(project.path.parent / "server.git"), "pre-receive")
    assert tried(project, git) == ()
    assert "is set up" in project.ok("remote", "setup", "origin")


def test_a_log_on_a_branch_of_a_server_that_was_not_told(project: Project, git: Git) -> None:
    server = project.path.parent / "server.git"
    project.git("update-ref", BRANCH, LOG)
    project.git("config", "esaa.eventsRef", BRANCH)
    project.git("push", "--quiet", "origin", BRANCH)
    git(server, "config", "receive.denyNonFastForwards", "true")
    git(server, "config", "receive.denyDeletes", "true")
    assert tried(project, git) == (ALL[0], ALL[3])
    install(open_repository(server), "pre-receive")
    assert tried(project, git) == ()


def test_what_cannot_be_tried_is_said_and_stops_nothing(
    project: Project, server: Path, git: Git
) -> None:
    git(server, "config", "receive.advertiseAtomic", "false")
    said = project.esaa("remote", "setup", "origin")
    assert said.code == 0
    assert "note: whether 'origin' guards the log is not known: " in said.err
    server.rename(server.with_name("away.git"))
    said = project.esaa("remote", "setup", "origin")
    assert said.code == 0
    assert "is not known" in said.err
    said = project.esaa("doctor")
    assert "is not known" in said.out


def test_a_server_that_is_not_all_or_none_is_put_back(
    project: Project, server: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says that it pushes all or none, and does not."""
    real = Remote._git

    def lying(self: Remote, *arguments: str, timeout: float | None = None) -> bytes:
        kept = [one for one in arguments if one != "--atomic"]
        return real(self, *kept, timeout=timeout)

    monkeypatch.setattr(Remote, "_git", lying)
    assert tried(project, git) == ALL


def test_a_first_push_says_that_the_log_is_not_guarded(project: Project) -> None:
    said = project.esaa("push")
    assert said.code == 0
    assert "note: 'origin' does not guard the log" in said.err
    assert "does not guard" not in project.esaa("push").err


def test_remotes_are_those_that_git_lists(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(repo, "remote", "add", "origin", "../server.git")
    git(repo, "config", "remote.a.b.pushurl", "../elsewhere.git")
    git(repo, "config", "remote./odd.url", "../odd.git")
    git(repo, "config", "remote.pushDefault", "origin")
    given = {"COUNT": "1", "KEY_0": "remote.once.url", "VALUE_0": "../once.git"}
    for name, value in given.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert names(open_repository(repo)) == git(repo, "remote").splitlines()
    assert names(open_repository(repo)) == ["a.b", "once", "origin"]
