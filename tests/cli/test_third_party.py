"""Somebody else's project, as it comes from the package index: three tasks, one mistake corrected.

The agent is a program that works as coding agents do: it reads the files it is shown, answers,
and learns from the reject signal of its first attempt.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import Git
from tests.support.project import Project, task

AGENT = '''\
"""Writes a note, a module and its test; on the first attempt at the module, in a wrong place."""
import json, os, pathlib, sys

request = json.load(sys.stdin)
task = request["task"]
here = pathlib.Path.cwd()
updates = []
if task["kind"] == "spec":
    modules = sorted(path.name for path in here.glob("annotated_types/*.py"))
    assert "__init__.py" in modules, modules
    lines = "".join(f"- `{name}`\\n" for name in modules)
    updates.append({"op": "write", "path": "docs/modules.md", "content": "# Modules\\n\\n" + lines})
    summary = f"Listed {len(modules)} modules."
elif task["kind"] == "impl":
    last = request.get("last_rejection")
    source = (here / "annotated_types/__init__.py").read_text()
    first = source.split("\\n", 1)[0]
    module = "def answer() -> int:\\n    return 42\\n"
    if last is None:
        # The mistake: a hook that would run on the next build.
        workflow = ".github/workflows/ci.yml"
        updates.append({"op": "write", "path": workflow, "content": "on: push\\n"})
        summary = "Added a module and its workflow."
    else:
        assert last["code"] == "PATH_PROTECTED", last
        assert last["instruction"], last
        assert ".github/workflows/ci.yml" in last["message"], last
        summary = "Added the module alone, as was asked for."
    edit = {"old": first, "new": "# Touched by an agent.\\n" + first}
    updates.append({"op": "write", "path": "annotated_types/answer.py", "content": module})
    updates.append({"op": "edit", "path": "annotated_types/__init__.py", "edits": [edit]})
else:
    facts = {one["task_id"]: one for one in request["dependencies"]}
    assert "annotated_types/answer.py" in facts["T-20"]["paths"], facts
    assert (here / "annotated_types/answer.py").exists()
    test = "from annotated_types.answer import answer\\n\\n\\n"
    test += "def test_answer():\\n    assert answer() == 42\\n"
    updates.append({"op": "write", "path": "tests/test_answer.py", "content": test})
    summary = "Tested the module."
payload = {"summary": summary, "file_updates": updates}
json.dump(
    {
        "action": "agent.result",
        "task_id": task["task_id"],
        "attempt_id": request["attempt_id"],
        "payload": payload,
    },
    sys.stdout,
)
'''


def test_an_agent_works_on_somebody_elses_project(published: Path, git: Git) -> None:
    git(published, "init", "--quiet")
    project = Project(published, git)
    theirs = project.commit("As published")
    project.ok("init", "--project", "annotated-types")
    project.program(AGENT, model="none")
    project.amend_yaml(
        "AGENT_CONTRACT.yaml",
        kinds__impl__write=["annotated_types/**"],
        kinds__qa__write=["tests/**"],
    )
    project.plan(
        task("T-10", "spec", title="List the modules"),
        task("T-20", "impl", title="Add a module", depends_on=["T-10"]),
        task("T-30", "qa", title="Test it", depends_on=["T-20"]),
        project="annotated-types",
    )
    project.commit("Contracts and plan")
    said = project.esaa("run")
    assert said.code == 0, said.out + said.err
    assert "run success: 3 tasks done" in said.out
    assert [payload["code"] for payload in project.said("output.rejected")] == ["PATH_PROTECTED"]
    assert project.task("T-20").attempts_total == 2
    subjects = project.git("log", "--format=%s", f"{theirs}..main", "--reverse").splitlines()
    assert subjects == [
        "Contracts and plan",
        "T-10: Listed 2 modules.",
        "T-20: Added the module alone, as was asked for.",
        "T-30: Tested the module.",
    ]
    changed = project.git("diff", "--name-only", theirs, "main", "--", ".", ":!.roadmap").split()
    assert changed == [
        "annotated_types/__init__.py",
        "annotated_types/answer.py",
        "docs/modules.md",
        "tests/test_answer.py",
    ]
    assert project.status() == ""
    project.check()
    done = subprocess.run(
        [sys.executable, "-c", "from annotated_types.answer import answer; assert answer() == 42"],
        cwd=project.path,
        check=False,
    )
    assert done.returncode == 0
