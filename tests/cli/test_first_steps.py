"""What newcomers run into first: nothing is spent, and the way on is named."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esaa_git.errors import AgentError
from esaa_git.resources import resource_path
from tests.conftest import Git
from tests.support.project import Document, Project, make_project, result, task, write

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Make:
    def made(*tasks: Document, **options: Any) -> Project:
        options.setdefault("seed", {"src/a.py": "a = 1\n"})
        return make_project(tmp_path / "project", git, *(tasks or (task("T-1"),)), **options)

    return made


def check_of(*program: str) -> Document:
    return {"impl": {"checks": [{"name": "tests", "run": list(program)}]}}


def test_a_check_whose_program_is_not_installed_stops_the_run_before_it_begins(make: Make) -> None:
    project = make(kinds=check_of("no-such-program", "x"))
    project.answers(T_1=result("T-1", write("src/b.py", "b = 1\n")))
    said = project.fails(AgentError.exit_code, "run")
    assert "check 'tests': no program 'no-such-program'" in said
    assert "hint: install it, or correct the check" in said
    assert project.tip() is None


def test_nor_is_an_attempt_spent_where_it_goes_missing_later(make: Make) -> None:
    project = make(kinds=check_of("no-such-program"))
    project.answers(T_1=result("T-1", write("src/b.py", "b = 1\n")))
    project.ok("plan", "apply")
    assert "no program 'no-such-program'" in project.fails(AgentError.exit_code, "run")
    assert "attempt.create" not in project.actions()


def test_a_person_is_not_rejected_for_a_check_that_cannot_be_run(make: Make) -> None:
    project = make(kinds=check_of("no-such-program"))
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    project.write("src/a.py", "a = 2\n")
    said = project.fails(AgentError.exit_code, "complete", "T-1", "src/a.py", "--summary", "x")
    assert "no program 'no-such-program'" in said
    assert project.task("T-1").attempts_used == 1
    assert project.task("T-1").state == "in_progress"


def test_nor_for_a_check_of_the_tree_that_nobody_has_pinned(make: Make) -> None:
    project = make(kinds=check_of("./src/check.sh"))
    project.answers(T_1=result("T-1", write("src/b.py", "b = 1\n")))
    said = project.fails(AgentError.exit_code, "run")
    assert "check 'tests' names 'src/check.sh', which is not pinned" in said
    project.write("src/check.sh", "#!/bin/sh\n")
    said = project.fails(AgentError.exit_code, "run")
    assert "check 'tests' runs 'src/check.sh', which is not executable" in said
    assert "attempt.create" not in project.actions()
    project.write("src/check.sh", "#!/bin/sh\n", executable=True)
    project.commit()
    project.ok("plan", "apply", "--restart")
    project.ok("run")


def test_the_agents_of_what_is_done_are_not_needed_any_more(make: Make) -> None:
    project = make()
    project.answers(T_1=result("T-1", write("src/b.py", "b = 1\n")))
    project.ok("run")
    gone = {"adapter": "command", "command": ["./gone"]}
    here = {"adapter": "scripted", "folder": ".roadmap/answers"}
    project.swarm({"gone": gone, "here": here}, {"impl": "gone"})
    project.plan(task("T-1"), task("T-2", agent="here"))
    project.commit()
    project.answers(T_2=result("T-2", write("src/c.py", "c = 1\n")))
    assert "'gone': no program './gone'" in project.ok("doctor")
    assert project.esaa("run").code == 0
    assert project.task("T-2").state == "done"


def test_who_edits_a_contract_under_an_open_run_is_told_how_it_comes_into_force(make: Make) -> None:
    project = make()
    project.ok("plan", "apply")
    project.amend_yaml("RUNTIME_POLICY.yaml", attempts__max_per_task=9)
    for command in (["plan", "apply"], ["run", "--steps", "1"]):
        said = project.esaa(*command).err
        assert "RUNTIME_POLICY.yaml: what stands in .roadmap/ is not what RUN-0001 goes by" in said
        assert "'git esaa plan apply --restart'" in said
    assert "note" not in project.esaa("plan", "apply", "--restart").err


def test_a_program_that_is_still_to_be_written_may_begin_as_the_example(make: Make) -> None:
    project = make()
    entry = {"adapter": "command", "command": ["./.roadmap/agents/my-agent"]}
    project.swarm({"mine": entry}, {"impl": "mine"})
    example = (resource_path("templates") / "default/agents/example-agent").read_text(
        encoding="utf-8"
    )
    project.write(".roadmap/agents/example-agent", example, executable=True)
    said = project.fails(AgentError.exit_code, "run")
    agents = project.path / ".roadmap" / "agents"
    hint = f"cp {agents}/example-agent {agents}/my-agent"
    assert f"hint: run '{hint}'" in said
    assert "agent 'mine': agent 'mine'" not in project.ok("doctor")
    subprocess.run(hint.split(), check=True)
    project.ok("allow", "--yes")
    said = project.fails(AgentError.exit_code, "run")
    assert "program '.roadmap/agents/my-agent' is still the example" in said
    assert project.tip() is None
    own = "".join(line for line in example.splitlines(True) if "still the example" not in line)
    project.write(".roadmap/agents/my-agent", own, executable=True)
    project.ok("allow", "--yes")
    project.ok("run")
    assert project.task("T-1").state == "done"


def test_a_tasks_checks_are_shown_as_people_write_them(make: Make) -> None:
    check = {"name": "tests", "run": ["python3", "-m", "unittest", "a b"], "timeout": "PT1M"}
    project = make(task("T-1", checks=[check]))
    project.ok("plan", "apply")
    assert "    - tests: python3 -m unittest 'a b' (at most PT1M)\n" in project.ok("show", "T-1")


def test_who_may_not_write_into_a_repository_can_verify_it(make: Make) -> None:
    project = make()
    project.ok("plan", "apply")
    # Stands in the way of the file that would remember it, as a folder without rights would.
    blocked = project.repository.esaa_dir / f"verified.json.{os.getpid()}.new"
    blocked.mkdir(parents=True)
    said = project.ok("verify", "--full")
    assert "verify_status: ok" in said
    assert "note: how far it was verified is not remembered here: Is a directory" in said


def test_the_folder_of_an_export_is_imported_as_it_is(make: Make, git: Git, tmp_path: Path) -> None:
    project = make()
    project.ok("plan", "apply")
    project.ok("export", str(tmp_path / "out"))
    git(tmp_path, "init", "--quiet", "copy")
    copy = Project(tmp_path / "copy", git)
    copy.git("config", "esaa.signingKey", str(project.key))
    assert "imported 1 events" in copy.ok("import", str(tmp_path / "out"))
