"""Proposals as commits: what waits for a review, and the lawful part of what was rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Project, edit, make_project, result, task, write

# Made of parts, so that no scanner takes it for one.
SECRET = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    return make_project(
        tmp_path / "one", git, task("T-1", review=True), policy={"attempts__max_per_task": 2}
    )


def ref(attempt: int = 1) -> str:
    return f"refs/esaa/proposals/T-1/T-1-A{attempt}"


def test_a_result_that_waits_can_be_checked_out(project: Project) -> None:
    project.answers(T_1=result("T-1", write("src/a.py", "a = 1\n")))
    project.esaa("run")
    [said] = project.payloads("agent.result")
    commit = project.head(ref())
    assert said["proposal"] == {"commit": commit, "tree": project.head(f"{ref()}^{{tree}}")}
    assert project.head(f"{ref()}^") == project.head()
    assert project.git("show", f"{ref()}:src/a.py") == "a = 1"
    assert project.git("log", "-1", "--format=%G? %an", commit) == "G agent-x"
    shown = project.esaa("review", "T-1")
    assert "git esaa review T-1 --checkout" in shown.err
    project.check()


def test_a_result_that_needs_no_review_has_no_ref(tmp_path: Path, git: Git) -> None:
    project = make_project(tmp_path / "one", git, task("T-1"))
    project.answers(T_1=result("T-1", write("src/a.py", "a = 1\n")))
    project.ok("run")
    assert "proposal" not in project.payloads("agent.result")[0]
    assert not [name for name in project.refs() if "/proposals/" in name]


def test_of_a_rejected_answer_the_lawful_part_is_kept(project: Project) -> None:
    """Left out: what is protected, outside, of another form, too large, or a secret."""
    project.amend_yaml("RUNTIME_POLICY.yaml", limits__max_file_bytes=5000)
    project.commit("Limits")
    first = result(
        "T-1",
        write("src/good.py", "good = 1\n"),
        write(".roadmap/plan.yaml", "x\n"),
        write(".git/config", "x\n"),
        write("../out.py", "x\n"),
        write("src/large.py", "x" * 6000),
        write("src/key.py", f"key = '{SECRET}'\n"),
        edit("src/none.py", "a", "b"),
    )
    project.answers(T_1=first)
    project.esaa("run")
    refused = project.said("output.rejected")[0]
    assert project.git("diff", "--name-only", f"{ref()}^", ref()) == "src/good.py"
    assert refused["proposal"]["commit"] == project.head(ref())
    left = {one["path"]: one["code"] for one in refused["not_kept"]}
    assert set(left) == {
        ".roadmap/plan.yaml",
        ".git/config",
        "../out.py",
        "src/large.py",
        "src/key.py",
        "src/none.py",
    }
    assert left["src/key.py"] == "SECRET_EXPOSED"
    assert SECRET not in project.git("log", "-p", "--all", "--format=")
    project.check()


def test_of_paths_that_cannot_stand_side_by_side_the_first_is_kept(project: Project) -> None:
    updates = [write(f"src/{name}", "1\n") for name in ("x", "x", "X", "x/y", "new", "new/z/z")]
    moved = {"op": "rename", "from": "src/a.py", "path": "src/a.py/b"}
    project.answers(T_1=result("T-1", *updates, moved))
    project.esaa("run")
    refused = project.said("output.rejected")[0]
    kept = project.git("diff", "--name-only", f"{ref()}^", ref()).splitlines()
    assert kept == ["src/new", "src/x"]
    left = [(one["path"], one["code"]) for one in refused["not_kept"]]
    assert left[:4] == [(f"src/{name}", "DUPLICATE_PATH") for name in ("x", "X", "x/y", "new/z/z")]
    assert [path for path, _ in left[4:]] == ["src/a.py/b"]
    project.check()


def test_a_file_that_is_refused_to_go_is_in_the_way_and_of_nothing_else(
    tmp_path: Path, git: Git
) -> None:
    seed = {"src/long": "line\n" * 50}
    policy = {"limits__max_patch_lines": 20}
    project = make_project(tmp_path / "one", git, task("T-1"), seed=seed, policy=policy)
    updates = [write("src/long/y.py", "y = 1\n"), {"op": "delete", "path": "src/long"}]
    project.answers(T_1=result("T-1", write("src/good.py", "good = 1\n"), *updates))
    project.esaa("run")
    refused = project.said("output.rejected")[0]
    assert project.git("diff", "--name-only", f"{ref()}^", ref()) == "src/good.py"
    left = [one["path"] for one in refused["not_kept"]]
    assert left == ["src/long/y.py", "src/long"]
    project.check()


def test_nothing_is_kept_where_the_contracts_say_so_or_nothing_is_lawful(project: Project) -> None:
    project.answers(
        T_1_A1=result("T-1", write("../a", "x\n"), attempt_id="T-1-A1"),
        T_1_A2=b"not an envelope",
    )
    project.esaa("run")
    first, second = project.said("output.rejected")
    assert "proposal" not in first
    assert [one["path"] for one in first["not_kept"]] == ["../a"]
    assert "proposal" not in second
    assert "not_kept" not in second
    assert not [name for name in project.refs() if "/proposals/" in name]


def test_a_ref_goes_once_nothing_more_comes_of_it(project: Project) -> None:
    project.answers(
        T_1_A1=result(
            "T-1", write("src/a.py", "a = 1\n"), write("/etc/x", "x\n"), attempt_id="T-1-A1"
        ),
        T_1_A2=result("T-1", write("src/a.py", "a = 2\n"), attempt_id="T-1-A2"),
    )
    project.esaa("run")
    assert {ref(1), ref(2)} <= set(project.refs())
    project.ok("maintain")
    assert ref(1) not in project.refs()
    assert ref(2) in project.refs()
    project.ok("review", "T-1", "--approve")
    project.ok("maintain")
    assert ref(2) not in project.refs()
    project.check()
