"""Nothing that an agent made in its checkout is lost in silence: it is proposed, or named.

Each agent is a program that edits a checkout. What one of them has git ignore would hide the work
of those that come after it; so the rules are those of the base, an ordinary task does not change
them, and whatever stays out is named in the event and on the terminal.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Git
from tests.support.project import KINDS, Project, make_project, result, task, write

SANDBOX = ("--sandbox", "none")


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    seed = {"src/a.py": "a = 1\n", ".gitignore": "*.log\nbuild/\n"}
    policy = {"attempts__max_per_task": 1, "run_end__on_blocked": "wait"}
    return make_project(tmp_path / "project", git, task("T-1"), seed=seed, policy=policy)


def works(project: Project, source: str) -> None:
    """Have every task done by these lines of Python, in a checkout."""
    project.write(".roadmap/agents/editor", f"#!{sys.executable}\n{source}", executable=True)
    entry = {"adapter": "worktree", "command": ["./.roadmap/agents/editor"]}
    project.swarm({"editor": entry}, dict.fromkeys((*KINDS, "setup"), "editor"))
    project.commit("The agent")


def named(payload: Any) -> dict[str, str]:
    files = payload["left_out"]["files"]
    assert payload["left_out"]["count"] >= len(files)
    return {one["path"]: one["why"] for one in files}


def test_a_rule_of_one_task_hides_no_work_of_another(project: Project) -> None:
    works(
        project,
        """
import os, pathlib
if os.environ["ESAA_TASK"] == "T-1":
    pathlib.Path(".gitignore").write_text("tests/**\\n")
    pathlib.Path("src/b.py").write_text("b = 1\\n")
else:
    os.mkdir("tests")
    pathlib.Path("tests/test_safe.py").write_text("x = 1\\n")
""",
    )
    project.plan(task("T-1"), task("T-2", depends_on=["T-1"]))
    said = project.ok("run", *SANDBOX)
    assert "left out T-1-A1  '.gitignore' (a task of kind setup may write it)" in said
    tree = project.git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
    assert {"src/b.py", "tests/test_safe.py"} <= set(tree)
    assert project.read(".gitignore") == "*.log\nbuild/\n"
    first, second = project.payloads("agent.result")
    (left,) = first["left_out"]["files"]
    assert left == {"path": ".gitignore", "why": "settings", "kinds": ["setup"]}
    assert "left_out" not in second
    project.check()


def test_what_stays_out_is_named_in_the_event_and_to_the_operator(project: Project) -> None:
    works(
        project,
        """
import os, pathlib
for path in ("src/b.py", "run.log", "build/out/x", "src/__pycache__/b.pyc", "sub/.gitattributes"):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    pathlib.Path(path).write_text("x = 1\\n")
""",
    )
    said = project.ok("run", *SANDBOX)
    expected = {
        "build/": "ignored",
        "run.log": "ignored",
        "src/__pycache__/b.pyc": "by-product",
        "sub/.gitattributes": "settings",
    }
    (payload,) = project.payloads("agent.result")
    assert named(payload) == expected
    assert payload["paths"] == ["src/b.py"]
    for path in expected:
        assert f"'{path}'" in said
    project.check()


def test_an_answer_of_nothing_but_what_stays_out_is_rejected_and_names_it(
    project: Project,
) -> None:
    works(project, "import pathlib; pathlib.Path('all.log').write_text('x'); print('done')")
    said = project.esaa("run", *SANDBOX)
    assert "left out T-1-A1  'all.log' (ignored)" in said.out
    (payload,) = project.said("output.rejected")
    assert payload["code"] == "EMPTY_PROPOSAL"
    assert named(payload) == {"all.log": "ignored"}


def test_an_agent_hides_its_own_work_by_no_rule_nested_negated_or_deleted(
    project: Project,
) -> None:
    works(
        project,
        """
import os, pathlib
os.mkdir("new")
pathlib.Path("new/.gitignore").write_text("*\\n")
pathlib.Path("new/x.py").write_text("x = 1\\n")
pathlib.Path(".gitignore").unlink()
pathlib.Path("kept.log").write_text("ignored by the base, whatever became of its rules\\n")
""",
    )
    project.ok("run", *SANDBOX)
    (payload,) = project.payloads("agent.result")
    assert payload["paths"] == ["new/x.py"]
    assert named(payload) == {
        "kept.log": "ignored",
        ".gitignore": "settings",
        "new/.gitignore": "settings",
    }
    assert project.read(".gitignore") == "*.log\nbuild/\n"


def test_many_names_are_counted_and_the_first_ones_kept(project: Project) -> None:
    works(
        project,
        """
import pathlib
pathlib.Path("src/b.py").write_text("b = 1\\n")
for number in range(120):
    pathlib.Path(f"{number:03}.log").write_text("x")
""",
    )
    said = project.ok("run", *SANDBOX)
    (payload,) = project.payloads("agent.result")
    assert payload["left_out"]["count"] == 120
    assert len(payload["left_out"]["files"]) == 50
    assert "and 110 more" in said


def test_setup_changes_the_rules_after_a_person_has_looked(project: Project) -> None:
    project.plan(task("T-1", kind="setup"))
    project.swarm(
        {"agent-x": {"adapter": "scripted", "folder": ".roadmap/answers"}}, {"setup": "agent-x"}
    )
    update = write(".gitignore", "*.log\n*.tmp\n")
    project.answers(T_1=result("T-1", update, write(".editorconfig", "root = true\n")))
    project.commit("setup")
    project.esaa("run")
    assert project.task("T-1").pending_approval is not None
    assert project.read(".gitignore") == "*.log\nbuild/\n"
    project.ok("review", "T-1", "--approve")
    assert project.read(".gitignore") == "*.log\n*.tmp\n"


@pytest.mark.parametrize(
    "path", [".gitignore", "sub/.GITIGNORE", ".gitattributes", "a/b/.GitIgnore"]
)
def test_in_any_spelling_and_at_any_depth(project: Project, path: str) -> None:
    project.answers(T_1=result("T-1", write(path, "*\n"), write("src/b.py", "b = 1\n")))
    project.commit("answers")
    project.ok("run")
    (payload,) = project.payloads("agent.result")
    assert named(payload) == {path: "settings"}
    assert payload["paths"] == ["src/b.py"]
