"""A branch on which later tasks deleted, renamed and rewrote what earlier ones did, squashed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from esaa_git.app.hooks import install
from esaa_git.app.moved import links_of
from esaa_git.app.project import open_project
from esaa_git.engine.operator import follow_moved
from esaa_git.store.repository import open_repository
from esaa_git.verification.audit import Auditor
from esaa_git.verification.claims import ClaimJudge
from esaa_git.verification.hints import Hints
from esaa_git.verification.lost import WaysOut
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import LOG, Project, edit, make_project, result, task, write
from tests.support.shared import Shared

LONG = "".join(f"line {number}\n" for number in range(40))

STEPS = {
    "T-1": [write("src/gone.txt", "g\n"), write("src/name.txt", "n\n")],
    "T-2": [
        {"op": "delete", "path": "src/gone.txt"},
        {"op": "rename", "from": "src/name.txt", "path": "src/renamed.txt"},
    ],
    "T-3": [edit("src/long.txt", "line 3\n", "line three\n")],
    "T-4": [edit("src/long.txt", "line three\n", "line 3\n"), write("src/text.txt", "t1\n")],
    "T-5": [write("src/text.txt", "t2\n")],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    path, tasks = tmp_path_factory.mktemp("squash") / "one", [task(name) for name in STEPS]
    project = make_project(path, git, *tasks, seed={"src/long.txt": LONG})
    for name, step in STEPS.items():
        project.answer(name, result(name, *step))
    project.commit("Answers")
    project.git("checkout", "--quiet", "-b", "feature")
    project.ok("run")
    return project.path


@pytest.fixture
def project(made: Path, tmp_path: Path, git: Git) -> Project:
    copy_folder(made, tmp_path / "one")
    project = Project(tmp_path / "one", git)
    project.git("config", "esaa.approverKey", str(tmp_path / "one/.git/persons-key"))
    project.git("checkout", "--quiet", "main")
    return project


def squash(project: Project, *, words: str | None = "All of it") -> str:
    """Commit all that `feature` has, by default in words that claim nothing."""
    message = ("--no-edit",) if words is None else ("--message", words)
    project.git("merge", "--quiet", "--squash", "feature")
    project.git("commit", "--quiet", *message)
    return project.head()


def effects_of(project: Project, *names: str) -> list[str]:
    results = [project.task(name).result for name in names]
    return [str(one.effect_commit) for one in results if one is not None]


def accepting(*commits: str) -> list[str]:
    return [word for oid in commits for word in ("--accept", oid)]


def tasks_of(project: Project, commit: str) -> set[str]:
    return set(dict(project.state().carriers)[commit].tasks)


def test_a_squash_carries_every_effect_and_lets_its_branch_go(project: Project, git: Git) -> None:
    server = project.path.parent / "server.git"
    git(server.parent, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    git(server, "config", "esaa.requireEffects", "true")
    project.git("remote", "add", "origin", str(server))
    project.git("push", "--quiet", "origin", LOG, "main", "feature")
    install(open_repository(server), "pre-receive")
    made = squash(project)
    project.ok("verify", "--relink", "--record")
    assert tasks_of(project, made) == set(STEPS)
    project.git("branch", "-D", "feature")
    project.ok("verify", "--full", "--strict")
    Shared(project, server, git).taken("--atomic", LOG, "main", ":feature")


def test_the_words_of_git_claim_what_is_true(project: Project) -> None:
    made = squash(project, words=None)
    project.git("branch", "-D", "feature")
    assert project.esaa("verify").code == 9
    project.ok("verify", "--relink", "--record")
    assert tasks_of(project, made) == set(STEPS)
    project.ok("verify", "--full", "--strict")


def test_a_squash_on_a_branch_that_moved_in_the_same_file(project: Project) -> None:
    """Then git merged the file, and no content tells; the branch that is at hand does."""
    project.git("checkout", "--quiet", "feature")
    project.git("checkout", "--quiet", "-B", "feature", "HEAD~2")  # T-3 is the last
    project.git("checkout", "--quiet", "main")
    project.write("src/long.txt", LONG.replace("line 30\n", "thirty\n"))
    project.commit("Meanwhile")
    made = squash(project)
    project.git("branch", "-D", "feature")
    left_out = accepting(*effects_of(project, "T-4", "T-5"))
    said = project.ok("verify", "--relink", "--record", *left_out)
    assert "beside it 'src/long.txt': as git merged it" in said
    assert tasks_of(project, made) == {"T-1", "T-2", "T-3"}
    project.git("reflog", "expire", "--expire=now", "--all")
    project.ok("verify", "--full", "--strict")


@pytest.mark.parametrize(
    ("dropped", "lost"),
    [("src/renamed.txt", ["T-1", "T-2"]), ("src/text.txt", ["T-3", "T-4", "T-5"])],
)
def test_a_squash_that_drops_a_file_has_lost_its_effect(
    project: Project, dropped: str, lost: list[str]
) -> None:
    """And the effects that a lost one was to stand for: T-2 renamed a file, T-4 took lines back.

    All are named at once, and one command settles them.
    """
    project.git("merge", "--quiet", "--squash", "feature")
    project.git("rm", "--quiet", "--force", dropped)
    project.commit("Most of it")
    project.git("branch", "-D", "feature")
    for arguments in (("--full", "--strict"), ("--relink", "--record")):
        said = project.esaa("verify", *arguments)
        assert said.code == 9
        first, *others = effects_of(project, *lost)
        assert f"effect {first[:12]} of {lost[0]}: it is not on the branch" in said.out
        assert "missing as well: " in said.out
        for oid, name in zip(others, lost[1:], strict=True):
            assert f"{oid[:12]} of {name}" in said.out
    (command,) = re.findall(r"'git esaa (verify [^']*--accept [^']*)'", said.out)
    project.ok(*command.split())
    project.ok("verify", "--full", "--strict")


def test_no_way_back_undoes_what_came_later(project: Project) -> None:
    """A merge of T-1 would bring back the files that T-2 deleted and renamed."""
    squash(project)
    state, tip = project.state(), project.tip()
    assert tip is not None
    judge = ClaimJudge.at(project.repository, tip, state)
    closed = [one.closed for one in judge.effects(tuple(STEPS))]
    hints = Hints(project.repository, judge, is_looked=True)
    ways = WaysOut(project.repository, state, closed, tip=project.head(), accepted=(), hints=hints)
    first, last = closed[0].effect_commit[:12], closed[-1].effect_commit[:12]
    alone = str(ways.failure(closed[:1], (), ()).hint)
    assert alone.startswith(f"'git branch kept-{first} {first}' keeps it on a branch")
    assert str(ways.failure(closed, (), ()).hint).startswith(f"'git merge {last}' brings them back")
    project.git("branch", "-D", "feature")
    command = alone.partition("'")[2].partition("'")[0]
    project.git(*command.split()[1:])
    assert project.git("branch", "--contains", first) == f"  kept-{first}"


def test_hints_do_not_lead_from_one_answer_to_another(project: Project) -> None:
    """A commit that an admin has to answer for, and effects that are lost beside it."""
    project.git("merge", "--quiet", "--squash", "feature")
    project.git("rm", "--quiet", "--force", "src/text.txt")
    project.write("src/renamed.txt", "n\nmore\n")
    project.commit("Touched up")
    project.git("branch", "-D", "feature")
    project.git("reflog", "expire", "--expire=now", "--all")
    tried, accepts = 0, list[str]()
    while (said := project.esaa("verify", "--relink", "--record", *accepts)).code:
        (command,) = re.findall(r"'git esaa (verify [^']*--accept [^']*)'", said.out)
        found = command.split()[3:]
        assert set(found) > set(accepts)
        tried, accepts = tried + 1, found
    assert tried == 1, said
    project.ok("verify", "--full", "--strict")


def test_a_claim_of_what_is_not_in_it_is_named_and_answered_for(project: Project) -> None:
    project.git("merge", "--quiet", "--squash", "feature")
    project.git("rm", "--quiet", "--force", "src/text.txt")
    project.git("commit", "--quiet", "--no-edit")
    project.git("branch", "-D", "feature")
    said = project.esaa("verify", "--relink")
    assert "claims that of T-3, T-4, T-5, which is not in it" in said.out, said
    lost = effects_of(project, "T-3", "T-4", "T-5")
    project.ok("verify", "--relink", "--record", *accepting(project.head(), *lost))
    project.ok("verify", "--full", "--strict")


def test_a_record_of_some_of_the_effects_is_completed(project: Project) -> None:
    """Which is what was recorded before chains were replayed."""
    made = squash(project)
    report = Auditor(project.repository, relink=True, remember=False, jobs=1).run()
    links = [link for link in links_of(report) if link[0] in ("T-2", "T-5")]
    follow_moved(open_project(project.path).engine, links)
    assert tasks_of(project, made) == {"T-2", "T-5"}
    project.ok("verify", "--relink", "--record")
    assert tasks_of(project, made) == set(STEPS)
    project.git("branch", "-D", "feature")
    project.ok("verify", "--full", "--strict")
