"""`git esaa check`, and a run that looks at the checks on its base: real commands, confined."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import KINDS, Project, make_project, result, task, write


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    """Tasks of a kind whose check wants a file that the base does not have."""
    made = make_project(tmp_path / "project", git, task("T-1"), task("T-2", "spec"))
    there = {"name": "there", "run": ["sh", "-c", "echo looking; ls -R | grep -q ^a"]}
    after = {"name": "after", "run": ["true"]}
    made.amend_yaml("AGENT_CONTRACT.yaml", kinds__impl__checks=[there, after])
    made.answers(T_1=result("T-1", write("src/a.txt", "a\n")), T_2=result("T-2"))
    made.commit()
    return made


def test_checks_are_tried_for_nothing_and_on_any_commit(project: Project) -> None:
    before = project.refs()
    said = project.esaa("check", "T-1")
    assert said.code == 1
    base = project.head()[:12]
    assert said.out.splitlines() == [
        f"T-1 on {base}",
        "  FAIL  there: it left with exit status 1",
        "        looking",
        "  -     after: not run",
    ]
    assert project.refs() == before
    project.write("src/a.txt", "a\n")
    project.git("switch", "--quiet", "--create", "other")
    project.commit()
    project.git("switch", "--quiet", "main")
    found = project.esaa("check", "--on", "other", "--json")
    assert found.code == 0
    (one,) = found.json
    assert (one["tasks"], one["passed"]) == (["T-1"], True)
    assert [check["name"] for check in one["checks"]] == ["there", "after"]
    assert "no checks" in project.ok("check", "T-2")
    assert "'nowhere' names no commit" in project.fails(2, "check", "T-1", "--on", "nowhere")
    assert "no task 'T-9'" in project.fails(2, "check", "T-9")


def test_what_a_look_at_another_branch_set_up_is_none_for_the_working_one(project: Project) -> None:
    step = {"run": ["find", "-name", "word-*", "-fprint", "made"], "provides": ["made"]}
    show = {"name": "show", "run": ["grep", "good", "made"]}
    project.amend_yaml("AGENT_CONTRACT.yaml", kinds__impl__setup=[step], kinds__impl__checks=[show])
    project.write("word-bad", "")
    project.commit()
    project.agree()
    project.git("switch", "--quiet", "--create", "other")
    project.write("word-good", "")
    project.commit()
    project.git("switch", "--quiet", "main")
    project.ok("check", "--on", "other")
    assert not list((project.path / ".git/esaa/setups").glob("*/about.json"))
    assert project.esaa("check", "T-1").code == 1


def test_a_check_that_fails_on_the_base_is_named_before_an_agent_is_asked(
    project: Project,
) -> None:
    said = project.fails(11, "run", "--task", "T-1")
    assert "check 'there' of 'T-1' fails on the base already" in said
    assert "caused by: looking" in said
    assert project.actions() == ["run.init"]
    assert project.esaa("check", "T-1").code == 1
    project.ok("run", "--base-may-fail")
    assert project.task("T-1").is_done
    project.ok("check", "T-1")


@pytest.mark.parametrize(
    "command",
    [["sh", "-c", "no-such-tool-here -q"], ["python3", "-m", "no_such_module", "-q"]],
    ids=" ".join,
)
def test_a_check_of_a_task_that_cannot_be_run_is_named_before_an_agent_is_asked(
    command: list[str], tmp_path: Path, git: Git
) -> None:
    tests = {"name": "tests", "run": command}
    made = make_project(tmp_path / "project", git, task("T-1", checks=[tests]))
    made.answers(T_1=result("T-1", write("src/a.txt", "a\n")))
    made.commit()
    said = made.fails(11, "run")
    assert "check 'tests' of 'T-1' cannot be run here" in said
    assert "no-such-tool-here" in said or "no_such_module" in said
    assert made.actions() == ["run.init"]


def test_a_program_that_is_missing_is_named_with_its_tasks_and_the_other_checks_are_run(
    project: Project,
) -> None:
    lint = {"name": "lint", "run": ["no-such-tool-here"]}
    there = {"name": "there", "run": ["true"]}
    project.amend_yaml("AGENT_CONTRACT.yaml", kinds__impl__checks=[lint, there])
    project.amend_yaml("AGENT_CONTRACT.yaml", kinds__spec__checks=[there])
    said = project.esaa("check")
    base = project.head()[:12]
    hint = (
        "install it, or correct the check in .roadmap/AGENT_CONTRACT.yaml or in the plan; it takes "
        "effect with the next run"
    )
    assert said.code == 11
    assert [line.partition(" (")[0] for line in said.out.splitlines()] == [
        f"T-1 on {base}",
        "  FAIL  cannot be run here: check 'lint': no program 'no-such-tool-here'",
        "        caused by: none of that name is on PATH",
        f"        hint: {hint}",
        "  -     lint: not run",
        "  -     there: not run",
        f"T-2 on {base}",
        "  ok    there",
    ]
    assert [one["passed"] for one in project.esaa("check", "--json").json] == [False, True]
    assert "'T-1' cannot be checked here: check 'lint': no program" in project.fails(11, "run")


def test_a_setup_is_run_before_the_attempt_whose_time_it_takes_nothing_of(project: Project) -> None:
    editor = ["sh", "-c", "cat made > src/a.txt"]
    step = {"run": ["sh", "-c", "exit 3"], "provides": ["made"]}
    project.amend_yaml("AGENT_CONTRACT.yaml", kinds__impl__setup=[step], kinds__impl__checks=[])
    project.swarm({"ed": {"adapter": "worktree", "command": editor}}, dict.fromkeys(KINDS, "ed"))
    project.commit()
    said = project.fails(11, "run", "--task", "T-1")
    assert "the setup of kind 'impl' failed at 'sh -c exit 3'" in said
    assert "hint: correct 'setup' of kind 'impl' in .roadmap/ and run 'git esaa plan apply" in said
    assert project.actions() == ["run.init"]


def test_nothing_is_run_without_consent(project: Project) -> None:
    other = {"name": "other", "run": ["sh", "-c", "touch /tmp/never"]}
    project.amend_yaml("AGENT_CONTRACT.yaml", kinds__impl__checks=[other])
    project._asks = False
    assert "not agreed" in project.fails(12, "check", "T-1")
