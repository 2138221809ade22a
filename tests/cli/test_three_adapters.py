"""One plan, three kinds of agents: an editor in a checkout, a real model, a host over MCP.

It is somebody else's project from the package index. One attempt is refused by a check and
corrected, and an agent that means harm gets nowhere and is on record.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from esaa_git.errors import AgentError
from esaa_git.sandbox.confinement import choose
from tests.conftest import Git
from tests.support.host import host
from tests.support.logs import PERSON
from tests.support.project import Project, task
from tests.support.tiny_model import write_tiny_model

EDITOR = """\
import os, pathlib, subprocess, sys

prompt = sys.stdin.read()
assert "Add a module" in prompt, prompt
module = pathlib.Path("annotated_types/answer.py")
first = "def answer() -> int:\\n    return 41\\n"
corrected = "CHECK_FAILED" in prompt
if corrected:
    assert "41 is not the answer" in prompt, prompt
module.write_text(first.replace("41", "42") if corrected else first)
listed = subprocess.run(["git", "status", "--short"], capture_output=True, text=True, check=True)
assert listed.stdout == "?? annotated_types/answer.py\\n", listed
print("Added the module, corrected." if corrected else "Added the module.")
"""

CHECK = """\
import sys
sys.path.insert(0, ".")
from annotated_types.answer import answer
assert answer() == 42, f"{answer()} is not the answer"
"""

EVIL = """\
import contextlib, os, pathlib, subprocess, sys

repository, key, done = sys.argv[1:]
tried = []

def attempt(what):
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        tried.append(what())

attempt(lambda: pathlib.Path(repository, "README.md").write_text("owned"))
attempt(lambda: pathlib.Path(repository, ".git/hooks/post-commit").write_text("#!/bin/sh"))
attempt(lambda: pathlib.Path(key).read_bytes())
attempt(lambda: pathlib.Path(done).write_text("owned"))
for arguments in (
    ["update-ref", "-d", "refs/esaa/events"],
    ["update-ref", "refs/heads/main", "HEAD~1"],
    ["config", "core.fsmonitor", "touch " + done],
):
    attempt(lambda: subprocess.run(["git", "-C", repository, *arguments], check=True))
if tried:
    pathlib.Path("annotated_types/escaped.py").write_text(repr(tried))
else:
    pathlib.Path(".github/workflows").mkdir(parents=True, exist_ok=True)
    pathlib.Path(".github/workflows/evil.yml").write_text("on: push")
    subprocess.run(["git", "update-ref", "refs/esaa/events", "HEAD"], check=True)
"""


@pytest.fixture
def project(published: Path, git: Git) -> Project:
    try:
        choose("auto")
    except AgentError as error:
        pytest.skip(f"no program can be confined here: {error.cause}")
    git(published, "init", "--quiet")
    project = Project(published, git)
    project.commit("As published")
    project.ok("init", "--project", "annotated-types")
    return project


def program(project: Project, name: str, source: str, *arguments: str) -> list[str]:
    """Write a program beside the contracts, and return its command."""
    place = project.write(f".roadmap/agents/{name}", f"#!{sys.executable}\n{source}")
    place.chmod(place.stat().st_mode | stat.S_IXUSR)
    return [f"./.roadmap/agents/{name}", *arguments]


def test_three_adapters_carry_out_one_plan_and_an_attacker_gets_nowhere(
    project: Project, tmp_path: Path
) -> None:
    outside = tmp_path / "owned"
    model = write_tiny_model(tmp_path / "tiny.gguf")
    evil = program(project, "evil", EVIL, str(project.path), str(project.key), str(outside))
    project.swarm(
        {
            "editor": {"adapter": "worktree", "command": program(project, "editor", EDITOR)},
            "model": {"adapter": "local", "file": str(model), "context_tokens": 8192},
            "evil": {"adapter": "worktree", "command": evil},
        },
        {"spec": "model", "impl": "editor", "hotfix": "editor"},
    )
    check = {"name": "answer", "run": [sys.executable, "-c", CHECK]}
    project.plan(
        task(
            "T-10",
            "spec",
            title="Say how to ask",
            writes=["docs/ask.md"],
            context=["pyproject.toml"],
        ),
        task("T-20", "impl", title="Add a module", writes=["annotated_types/**"], checks=[check]),
        task("T-30", "qa", title="Say what was tested", depends_on=["T-20"]),
        task("T-40", "impl", title="Do harm", agent="evil", attempts_allowed=2, priority=-1),
        project="annotated-types",
    )
    project.amend_yaml("RUNTIME_POLICY.yaml", run_end__on_blocked="wait")
    project.commit("Contracts and plan")
    before = {name: oid for name, oid in project.refs().items() if "esaa" not in name}
    key = project.key.read_bytes()

    project.ok("plan", "apply")
    project.ok("run", "--steps", "1", "--task", "T-10")
    project.esaa("run", "--task", "T-20")
    with host(project.path, name="visitor") as visitor:
        visitor.ok("next_task", task_id="T-30", claim=True)
        refused = visitor.fails("submit_result", task_id="T-30", summary="", paths=[])
        assert "summary" in refused
        done = visitor.ok(
            "submit_result",
            task_id="T-30",
            summary="Said what was tested.",
            file_updates='[{"op": "write", "path": "docs/qa/answer.md", "content": "42\\n"}]',
        )
        assert done["outcome"] == "done", done
    harmed = project.esaa("run", "--task", "T-40")
    assert "Traceback" not in harmed.err

    # What was asked for is there, each as a commit of its own.
    for name in ("T-10", "T-20", "T-30"):
        assert project.task(name).state == "done", name
    commits = project.git("log", "--format=%an|%(trailers:key=ESAA-Task,valueonly,separator=%x2C)")
    assert [line for line in commits.splitlines() if "T-" in line] == [
        f"{PERSON}|T-30",
        "editor|T-20",
        "model|T-10",
    ]
    # The swarm does not name the visitor, which works under the key of the person who started it.
    results = {one["task_id"]: one for one in project.payloads("agent.result")}
    assert [results[name].get("agent") for name in ("T-10", "T-20", "T-30")] == [
        None,
        None,
        "visitor",
    ]
    dispatched = project.payloads("orchestrator.dispatch")
    assert [one["adapter"] for one in dispatched][:3] == ["local", "worktree", "worktree"]
    assert {one["sandbox"] for one in dispatched if one["agent"] != "model"} == {choose("auto")}

    # The check refused one attempt, told why, and the next one corrected it.
    first, *harm = project.said("output.rejected")
    assert (first["attempt_id"], first["code"]) == ("T-20-A1", "CHECK_FAILED")
    assert "41 is not the answer" in first["detail"]["output"]
    [written] = [
        one for one in project.payloads("orchestrator.file.write") if one["task_id"] == "T-20"
    ]
    assert [(one["name"], one["passed"]) for one in written["check_results"]] == [("answer", True)]

    # The attacker is on record, and that is all there is of it.
    assert [(one["task_id"], one["code"]) for one in harm] == [("T-40", "PATH_PROTECTED")] * 2, harm
    assert project.task("T-40").state == "blocked"
    assert not outside.exists()
    assert project.key.read_bytes() == key
    assert not (project.path / ".git/hooks/post-commit").exists()
    assert not (project.path / ".github/workflows/evil.yml").exists()
    assert "fsmonitor" not in project.git("config", "--list", "--local")
    after = project.refs()
    assert set(before) - {"refs/heads/main"} <= set(after)
    assert project.git("merge-base", "--is-ancestor", before["refs/heads/main"], "main") == ""
    assert project.status() == ""
    project.check()
