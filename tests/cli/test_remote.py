"""`git esaa remote|fetch|push|clone|sync`, once each, and the mistakes people make with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Project, make_project, run, task
from tests.support.team import Team, build, copy, hook_environment


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Iterator[Team]:
    with pytest.MonkeyPatch.context() as patch:
        hook_environment(patch)
        yield build(tmp_path_factory.mktemp("team"), git)


@pytest.fixture
def team(template: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    hook_environment(monkeypatch)
    return copy(template, tmp_path)


def test_setup_is_repeatable_and_says_so(team: Team) -> None:
    assert "is set up already" in team.one.ok("remote", "setup", "origin")
    complaint = team.one.fails(2, "remote", "setup", "nowhere")
    assert "there is no remote 'nowhere'" in complaint
    assert "git remote add nowhere URL" in complaint
    assert "git remote add NAME URL" in team.one.fails(2, "remote", "setup", "--", "-x")


def test_fetch_push_and_sync_speak_json(team: Team) -> None:
    team.two.ok("fetch")  # what was seen before the folder was copied counts for nothing
    team.one.ok("task", "note", "T-2", "first")
    assert json.loads(team.one.ok("push", "--json")) == {
        "remote": "origin",
        "pushed": ["refs/esaa/events"],
    }
    found = json.loads(team.two.ok("fetch", "--json"))
    assert (found["relation"], found["verified"], found["moved"]) == ("behind", 1, True)
    assert found["tip"] == team.one.tip()
    assert json.loads(team.two.ok("fetch", "--json"))["relation"] == "same"
    team.two.ok("task", "note", "T-2", "second")
    assert json.loads(team.two.ok("fetch", "--json"))["relation"] == "ahead"
    found = json.loads(team.two.ok("sync", "--json"))
    assert found["pushed"] == ["refs/esaa/events"]
    assert [one["relation"] for one in found["rounds"]] == ["ahead"]


def test_sync_tells_what_became_of_each_event(team: Team) -> None:
    team.one.ok("claim", "T-2", "--as", "alice")
    team.one.ok("push")
    team.two.ok("claim", "T-2", "--as", "bob")
    team.two.ok("task", "note", "T-3", "careful")
    said = team.two.ok("sync")
    assert "2 events of yours were decided again:" in said
    assert "EV-00000007  left out: attempt.create T-2-A1: bob" in said
    assert "'T-2' is in progress: alice holds it" in said
    assert "EV-00000008  recorded again as EV-00000008" in said
    assert "kept as it was: refs/esaa/superseded/" in said
    assert "pushed to 'origin': refs/esaa/events" in said


def test_the_remote_need_not_be_named_where_it_is_clear(team: Team, git: Git) -> None:
    team.one.git("remote", "add", "other", "../other.git")
    team.one.ok("fetch")
    team.one.git("remote", "rename", "origin", "upstream")
    assert "name one: other, upstream" in team.one.fails(2, "fetch")
    team.one.git("remote", "remove", "upstream")
    team.one.git("remote", "remove", "other")
    assert "this repository has no remote" in team.one.fails(2, "push")


def test_a_remote_that_cannot_be_reached_is_said(team: Team) -> None:
    team.one.git("remote", "set-url", "origin", "../nowhere.git")
    for command in ("fetch", "push", "sync"):
        complaint = team.one.fails(3, command)
        assert "'origin' cannot be reached" in complaint
        assert "nowhere.git" in complaint


def test_a_remote_without_a_log_is_said(team: Team, git: Git) -> None:
    empty = team.server.parent / "empty.git"
    git(team.server.parent, "init", "--quiet", "--bare", str(empty))
    team.one.git("remote", "add", "empty", "../empty.git")
    assert "'empty' has no event log" in team.one.fails(3, "fetch", "empty")
    said = team.one.esaa("sync", "empty")
    assert said.code == 0, said.err
    assert git(empty, "rev-parse", "refs/esaa/events") == team.one.tip()


def test_there_has_to_be_a_log_to_push(tmp_path: Path, git: Git) -> None:
    project = make_project(tmp_path / "project", git, task("T-1"))
    git(tmp_path, "init", "--quiet", "--bare", "server.git")
    project.git("remote", "add", "origin", "../server.git")
    assert "there is no event log" in project.fails(3, "push")


def test_clone_brings_the_log_and_says_what_it_believes(
    team: Team, tmp_path: Path, git: Git
) -> None:
    said = run("-C", str(tmp_path), "clone", "server.git", "three")
    assert said.code == 0, said.err
    three = Project(tmp_path / "three", git)
    genesis = team.one.chain()[0].oid
    assert f"genesis {genesis} is trusted on first use" in said.out
    assert "git config esaa.signingKey PATH" in said.err
    assert three.tip() == team.one.tip()
    assert three.setting("gpg.ssh.allowedSignersFile").endswith("three/.git/esaa/allowed_signers")
    three.git("verify-commit", "refs/esaa/events")
    assert (three.repository.esaa_dir / "verified.json").exists()
    three.check()
    said_so = three.fails(5, "task", "note", "T-2", "x")
    assert "signed with a key of their own, and none is configured here" in said_so
    assert "hint: run 'git config esaa.approverKey PATH' with the key that" in said_so
    assert "'git esaa key create --role contributor' makes one" in said_so
    three.ok("fetch")
    three.git("checkout", "--quiet", "--orphan", "bare")
    three.git("rm", "-rfq", ".")
    said_so = three.fails(3, "plan", "diff")
    assert "hint: run 'git switch main' for the branch that has it" in said_so
    three.git("switch", "--quiet", "main")
    three.ok("plan", "diff")


def test_clone_holds_the_log_against_a_genesis(team: Team, tmp_path: Path, git: Git) -> None:
    genesis = team.one.chain()[0].oid
    said = run("clone", str(team.server), str(tmp_path / "right"), "--genesis", genesis)
    assert said.code == 0, said.err
    assert "trusted on first use" not in said.out
    other = team.one.chain()[1].oid
    said = run("clone", str(team.server), str(tmp_path / "wrong"), "--genesis", other)
    assert said.code == 9
    assert "check 1" in said.err
    assert Project(tmp_path / "wrong", git).tip() is None
    said = run("clone", str(team.server), str(tmp_path / "short"), "--genesis", genesis[:12])
    assert said.code == 2
    assert "is not the whole id of a commit" in said.err


def test_clone_of_what_is_not_there(team: Team, tmp_path: Path, git: Git) -> None:
    said = run("-C", str(tmp_path), "clone", "nowhere.git")
    assert said.code == 3
    assert "cannot clone 'nowhere.git'" in said.err
    said = run("-C", str(tmp_path), "clone", "server.git", "one")
    assert said.code == 2
    assert "error: 'one' exists already, and is no empty folder" in said.err
    git(tmp_path, "init", "--quiet", "--bare", "empty.git")
    said = run("-C", str(tmp_path), "clone", "empty.git")
    assert said.code == 3
    assert "'origin' has no event log" in said.err
    assert "Traceback" not in said.err
    assert run("clone", "/").code == 2


def test_a_second_log_is_not_begun(team: Team, tmp_path: Path, git: Git) -> None:
    git(tmp_path, "clone", "--quiet", str(team.server), "plain")
    plain = Project(tmp_path / "plain", git)
    for words in ("status", "status --json", "doctor"):
        said = plain.esaa(*words.split())
        assert "the event log is not here; 'origin' has it" in said.out
        assert "run 'git esaa fetch origin', then repeat the command" in said.out
    for words in ("log", "verify", "show 1", "task list", "claim T-1", "replay", "context T-1"):
        complaint = plain.fails(3, *words.split())
        assert "error: the event log is not here; 'origin' has it" in complaint
        assert "hint: run 'git esaa fetch origin', then repeat the command" in complaint
    nothing = (("init",), ("run",), ("run", "--dry-run"), ("plan", "apply"), ("plan", "diff"))
    for arguments in nothing:
        before = plain.files()
        complaint = plain.fails(3, *arguments)
        assert "'origin' has an event log already" in complaint
        assert "git esaa fetch origin" in complaint
        assert plain.files() == before
        assert plain.tip() is None
    plain.ok("fetch", "origin")
    assert plain.tip() == team.one.tip()
    assert "the log has its keys" in plain.fails(7, "init")


def test_a_remote_that_cannot_be_asked_does_not_keep_a_log_from_beginning(
    tmp_path: Path, git: Git
) -> None:
    project = make_project(tmp_path / "project", git, task("T-1"))
    project.git("remote", "add", "origin", "../nowhere.git")
    complaint = project.fails(3, "log")
    assert "caused by: whether 'origin' has one is not known" in complaint
    assert "hint: run 'git esaa fetch origin' when it can be reached" in complaint
    said = project.esaa("plan", "apply")
    assert said.code == 0, said.err
    assert "note: whether 'origin' has an event log already is not known" in said.err
    assert "nowhere.git" in said.err


def test_what_a_remote_was_seen_with_has_to_be_readable(team: Team) -> None:
    place = team.two.repository.esaa_dir / "remotes" / "origin.json"
    place.write_text("{")
    for command in ("fetch", "push", "sync"):
        assert "origin.json' cannot be read" in team.two.fails(3, command)
