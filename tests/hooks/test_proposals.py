"""Refs of proposals on a server: what the log names, by the key that names it, until it is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from esaa_git.app.hooks import install
from esaa_git.core.refnames import proposal_ref
from esaa_git.store import commitform
from esaa_git.store.objects import BLOB, COMMIT, sign_commit
from esaa_git.store.repository import open_repository
from esaa_git.trust.signer import Signer
from esaa_git.verification.published import Unfounded, check_proposal, is_over
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.forgery import new_key
from tests.support.project import Project, make_project, result, run, task, write
from tests.support.team import hook_environment

LOG = "refs/esaa/events"


def ref(attempt: int = 1, name: str = "T-1") -> str:
    return proposal_ref(LOG, name, f"{name}-A{attempt}")


@dataclass
class Room:
    """A project with a result that waits and an answer that was rejected, and a thief's key."""

    project: Project
    thief: Signer

    def made(self, signer: Signer | None = None, message: str | None = None, **changes: str) -> str:
        """Store a commit as that of the waiting proposal, with changes."""
        repository = self.project.repository
        tree = self.project.head(f"{ref()}^{{tree}}")
        given = {"tree": tree, "parent": self.project.head(), "author": "agent-x", **changes}
        payload = commitform.proposal_commit(
            ts="2026-01-31T09:00:00.000Z", attempt_id="T-1-A1", rejected=False, **given
        )
        if message is not None:
            payload = payload.partition(b"\n\n")[0] + b"\n\n" + message.encode()
        signed = sign_commit(payload, (signer or self.project.signer).sign(payload))
        return repository.put(COMMIT, signed)

    def check(self, oid: str, attempt: int = 1, name: str = "T-1") -> None:
        tip = self.project.head(LOG)
        check_proposal(self.project.repository, name, f"{name}-A{attempt}", oid, tip)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    folder = tmp_path_factory.mktemp("proposals")
    project = make_project(
        folder / "one",
        git,
        task("T-1", review=True),
        task("T-2"),
        policy={"attempts__max_per_task": 1},
    )
    project.answers(
        T_1=result("T-1", write("src/a.py", "a = 1\n")),
        T_2=result("T-2", write("src/b.py", "b = 1\n"), write("../x", "x\n")),
    )
    project.esaa("run")
    assert {ref(), ref(name="T-2")} <= set(project.refs())
    new_key(folder, "thief")
    return folder


@pytest.fixture
def room(made: Path, tmp_path: Path, git: Git) -> Room:
    copy_folder(made / "one", tmp_path / "one")
    return Room(Project(tmp_path / "one", git), new_key(tmp_path, "thief"))


FORGED: dict[str, tuple[Callable[[Room], str], str]] = {
    "a commit of anything": (lambda room: room.project.head(), "one parent and one signature"),
    "an event": (lambda room: room.project.head(LOG), "one parent and one signature|its message"),
    "a blob": (lambda room: room.project.repository.put(BLOB, b"x"), "not a commit"),
    "an object that is not there": (lambda _room: "3" * 40, "cannot be read"),
    "another message": (lambda room: room.made(message="x\n"), "its message"),
    "another attempt's": (lambda room: room.project.head(ref(name="T-2")), "its message"),
    "an unknown key": (lambda room: room.made(room.thief), "nobody whom the log knows"),
    "another commit by the right key": (lambda room: room.made(), "in its place"),
    "another tree by the right key": (
        lambda room: room.made(tree=room.project.head("main^{tree}")),
        "in its place",
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_what_the_log_does_not_name_is_refused(room: Room, what: str) -> None:
    make, words = FORGED[what]
    with pytest.raises(Unfounded, match=words):
        room.check(make(room))


def test_a_proposal_of_no_attempt_is_refused(room: Room) -> None:
    room.check(room.project.head(ref()))
    room.check(room.project.head(ref(name="T-2")), name="T-2")
    payload = commitform.proposal_commit(
        tree=room.project.head("main^{tree}"),
        parent=room.project.head(),
        author="x",
        ts="2026-01-31T09:00:00.000Z",
        attempt_id="T-9-A1",
        rejected=True,
    )
    signed = sign_commit(payload, room.project.signer.sign(payload))
    unknown = room.project.repository.put(COMMIT, signed)
    with pytest.raises(Unfounded, match="no such attempt"):
        room.check(unknown, name="T-9")
    with pytest.raises(Unfounded, match="its message"):
        room.check(room.project.head(ref()), attempt=2)
    with pytest.raises(Unfounded, match="no log here"):
        check_proposal(room.project.repository, "T-1", "T-1-A1", room.project.head(ref()), None)


def test_proposals_are_pushed_fetched_and_go(
    room: Room, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook_environment(monkeypatch)
    project, server = room.project, tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")
    project.git("remote", "add", "origin", "../server.git")
    assert ref() in project.ok("push")

    def refused(*specs: str) -> str:
        before = git(server, "for-each-ref")
        said = run_push(project, *specs)
        assert git(server, "for-each-ref") == before
        return said

    assert "is not over" in refused(f":{ref()}")
    assert "it is no proposal of this name" in refused(f"+{room.made()}:{ref()}")
    assert "it is no proposal of this name" in refused(f"{project.head(ref())}:{ref(2)}")
    said = run("clone", str(server), str(tmp_path / "two"))
    assert said.code == 0, said
    two = Project(tmp_path / "two", git)
    assert two.head(ref()) == project.head(ref())
    assert ref(name="T-2") in two.refs()
    project.ok("review", "T-1", "--approve")
    assert is_over(project.state(), "T-1", "T-1-A1")
    project.ok("push")
    assert ref() not in project.refs()
    assert ref() not in git(server, "for-each-ref")
    assert ref(name="T-2") in git(server, "for-each-ref")
    assert "has gone on" in refused(f"{two.head(ref())}:{ref()}")


def run_push(project: Project, *specs: str) -> str:
    from tests.conftest import GitFailed

    with pytest.raises(GitFailed) as caught:
        project.git("push", "origin", *specs)
    return str(caught.value)
