"""Plain git goes by the contracts in force, and never by what a branch says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from esaa_git.app import plain_git
from esaa_git.app.plain_git import SETTING, signers_path
from esaa_git.trust.signer import Signer
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.forgery import new_key, rewrite, store_contracts
from tests.support.logs import default_contracts
from tests.support.project import Project, make_project, result, task, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    """A project with one effect on its branch."""
    folder = tmp_path_factory.mktemp("plain") / "project"
    project = make_project(folder, git, task("T-1"))
    assert plain_git.signers_path(project.repository).read_bytes().startswith(b"# Written by")
    project.answers(T_1=result("T-1", write("src/a.py", "a = 1\n")))
    project.ok("run")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, git: Git) -> Project:
    copy_folder(made, tmp_path / "project")
    project = Project(tmp_path / "project", git)
    project.ok("verify")
    return project


def believed(project: Project, commit: str) -> bool:
    """Whether plain git calls the signature good, and by somebody it knows."""
    return project.git("log", "-1", "--format=%G?", commit) == "G"


def signed_with(project: Project, thief: Signer, folder: Path) -> str:
    """A commit on the branch by the key of whoever can push, who also names it in the draft."""
    draft = project.path / ".roadmap" / "allowed_signers"
    line = f'orchestrator namespaces="git" {thief.public_key_line}\n'
    draft.write_text(draft.read_text() + line)
    options = ("-c", "gpg.format=ssh", "-c", f"user.signingkey={folder / 'thief'}")
    project.git("add", "--all")
    project.git(*options, "commit", "--quiet", "--no-verify", "-S", "-m", "improve the form")
    return project.head()


def test_a_key_that_a_branch_names_is_nobodys(project: Project, tmp_path: Path) -> None:
    effect = project.git("log", "-1", "--format=%H", "--grep=ESAA-Event")
    assert believed(project, effect)
    theirs = signed_with(project, new_key(tmp_path, "thief"), tmp_path)
    for command in (["verify"], ["plan", "diff"], ["init"], ["doctor"]):
        project.esaa(*command)
        assert not believed(project, theirs)
        assert believed(project, effect)


def test_a_key_counts_for_plain_git_once_it_is_in_force(project: Project, tmp_path: Path) -> None:
    theirs = signed_with(project, new_key(tmp_path, "thief"), tmp_path)
    project.ok("plan", "apply", "--restart")
    assert believed(project, theirs)


@pytest.mark.parametrize("command", [("verify",), ("issue", "report", "--task", "T-1")])
def test_a_repository_that_believed_its_checkout_is_moved_over(
    project: Project, command: tuple[str, ...]
) -> None:
    draft = project.path / ".roadmap" / "allowed_signers"
    project.git("config", SETTING, str(draft))
    signers_path(project.repository).unlink()
    more = ("--severity", "low", "--title", "x") if command[0] == "issue" else ()
    said = project.esaa(*command, *more)
    assert said.code == 0, said
    assert f"note: plain git verified against '{draft}'" in said.err
    assert project.setting(SETTING) == str(signers_path(project.repository))
    assert believed(project, project.git("log", "-1", "--format=%H", "--grep=ESAA-Event"))


def test_a_copied_folder_goes_by_its_own_file(made: Path, tmp_path: Path, git: Git) -> None:
    copy_folder(made, tmp_path / "copy")
    copy = Project(tmp_path / "copy", git)
    assert copy.setting(SETTING) == str(made / ".git/esaa/allowed_signers")
    copy.ok("verify")
    assert copy.setting(SETTING) == str(copy.path / ".git/esaa/allowed_signers")


def test_a_users_own_file_stays_theirs(project: Project, tmp_path: Path) -> None:
    own = tmp_path / "own" / "allowed_signers"
    own.parent.mkdir()
    own.write_text("me@example.com ssh-ed25519 AAAA\n")
    project.git("config", SETTING, str(own))
    before = signers_path(project.repository).read_bytes()
    project.ok("verify")
    project.ok("init")
    assert project.setting(SETTING) == str(own)
    assert signers_path(project.repository).read_bytes() == before


def test_a_log_that_does_not_verify_tells_plain_git_nothing(
    project: Project, tmp_path: Path
) -> None:
    """Its contracts name the thief, and an admin of none before them signed that."""
    repository, thief = project.repository, new_key(tmp_path, "thief")
    contracts = store_contracts(project, default_contracts(thief.public_key_line))
    before = signers_path(repository).read_bytes()

    def changed(seq: int, draft):  # type: ignore[no-untyped-def]
        tree = project.git("ls-tree", draft.tree).replace(
            project.git("rev-parse", f"{draft.tree}:contracts"), contracts
        )
        made = project.git("mktree", stdin=tree + "\n")
        return draft if seq != 3 else replace(draft, tree=made)

    rewrite(project, changed, sign=thief.sign)
    notes: list[str] = []
    plain_git.refresh(repository, notes.append)
    assert signers_path(repository).read_bytes() == before
    project.esaa("verify")
    assert signers_path(repository).read_bytes() == before
