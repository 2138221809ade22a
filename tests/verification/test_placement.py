"""Effects that the branch which is named is without, and others hold: said each time."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.verification.audit import Auditor
from esaa_git.verification.report import Report
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import LOG, Project, make_project, result, task, write


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Path:
    project = make_project(
        tmp_path_factory.mktemp("placement") / "one", git, task("T-1"), task("T-2")
    )
    for name in ("T-1", "T-2"):
        project.answer(name, result(name, write(f"src/{name}.txt", f"{name}\n")))
    project.commit("Answers")
    project.ok("run")
    return project.path


@pytest.fixture
def project(made: Path, tmp_path: Path, git: Git) -> Project:
    """Two effects on `main`, which was verified; `topic` is what is checked out."""
    copy_folder(made, tmp_path / "one")
    project = Project(tmp_path / "one", git)
    project.git("checkout", "--quiet", "--detach", "main~2")
    assert project.verify().audit.is_ok
    return project


def rewound(project: Project, by: int = 2) -> None:
    project.git("branch", "side", "main")
    project.git("branch", "--force", "main", f"main~{by}")


def strict(project: Project, *, full: bool = False) -> Report:
    return Auditor(project.repository, full=full, strict=True, jobs=1).run()


def where(report: Report) -> list[tuple[str, str]]:
    assert report.audit.is_ok, report.audit.message
    return [(name, task_id) for name, _, task_id in report.elsewhere]


@pytest.mark.parametrize("begins", ["full", "mark", "new mark"])
def test_a_branch_that_was_set_back_matches_nothing(project: Project, begins: str) -> None:
    rewound(project)
    if begins == "new mark":
        project.forget()
        assert project.verify(full=False).audit.is_ok
    for _ in range(2):
        report = project.verify(full=begins == "full")
        assert (report.branch, where(report)) == ("main", [("side", "T-1"), ("side", "T-2")])
        said = project.ok("verify", *["--full"][: begins == "full"])
        assert "2 effects are not on 'main', but on 'side'" in said
        assert "match" not in said
    failed = strict(project, full=begins == "full")
    assert failed.audit.check == 11
    assert "2 effects are not on 'main', but on 'side'" in failed.audit.message


def test_what_came_back_is_said_no_more(project: Project) -> None:
    rewound(project, by=1)
    assert where(project.verify(full=False)) == [("side", "T-2")]
    project.git("branch", "--force", "main", "side")
    assert "effects match 'main'" in project.ok("verify")
    assert strict(project).audit.is_ok
    project.git("branch", "-D", "side")
    assert strict(project).audit.is_ok


def test_the_last_branch_that_held_it_is_missed_from_the_mark(project: Project) -> None:
    rewound(project)
    project.forget()
    assert where(project.verify(full=False))
    project.git("branch", "-D", "side")
    assert project.verify(full=False).audit.check == 11


def test_what_was_squashed_into_it_is_on_it(project: Project) -> None:
    rewound(project)
    tree = project.head("side^{tree}")
    squashed = project.git("commit-tree", tree, "-p", project.head(), "-m", "All of it")
    project.git("branch", "--force", "main", squashed)
    for full in (True, False):
        assert where(project.verify(full=full)) == []


def test_the_mark_keeps_where_they_are(project: Project) -> None:
    rewound(project)
    report = project.verify(full=False)
    assert report.mark.elsewhere == tuple(report.elsewhere) != ()


# -- what was not here ----------------------------------------------------------------------------


def test_what_was_only_noted_is_remembered_so_that_strict_looks_again(
    project: Project, tmp_path: Path, git: Git
) -> None:
    git(tmp_path, "clone", "--quiet", "--depth", "1", "-b", "main", project.path.as_uri(), "two")
    two = Project(tmp_path / "two", git)
    two.git("fetch", "--quiet", "origin", f"{LOG}:{LOG}")
    assert strict(two).audit.check == 11
    for begins in ("effect commits are not here", "could only be noted"):
        said = two.verify(full=False)
        assert said.audit.is_ok
        assert begins in " ".join(said.notes)
        failed = strict(two)
        assert (failed.audit.outcome, failed.audit.check) == ("mismatch", 11)
        assert "effect commits are not here" in failed.audit.message
    two.git("fetch", "--quiet", "--unshallow")
    assert strict(two).audit.is_ok
    assert two.verify(full=False).notes == two.verify().notes
