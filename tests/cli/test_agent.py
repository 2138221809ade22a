"""`git esaa agent`: who there is, what is missing, and a trial in a repository of its own."""

from __future__ import annotations

import json
import shutil
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from esaa_git.errors import AgentError
from esaa_git.sandbox import confinement
from tests.conftest import Git
from tests.support.project import Project, make_project, task

WORKS = """\
import os, sys
from pathlib import Path
asked = sys.stdin.read()
assert "hello.txt" in asked
Path("hello.txt").write_text("hello\\n")
print("I wrote it.")
"""
ANSWERS = """\
import json, sys
view = json.load(sys.stdin)
update = {"op": "write", "path": "hello.txt", "content": "hello"}
print(json.dumps({
    "action": "agent.result",
    "task_id": view["task"]["task_id"],
    "attempt_id": view["attempt_id"],
    "payload": {"summary": "written", "file_updates": [update]},
}))
"""


FAILS = "import sys; sys.exit('no model today')"
RESULT = {
    "type": "result",
    "subtype": "success",
    "is_error": False,
    "result": "Done.",
    "total_cost_usd": 0.0123,
    "modelUsage": {"claude-x": {"inputTokens": 1360, "outputTokens": 21}},
}
TOOL = f"""\
import sys
from pathlib import Path
if "--version" in sys.argv:
    sys.exit(print("9.9.9 (Some Tool)"))
Path("hello.txt").write_text("hello\\n")
print({json.dumps(json.dumps(RESULT))})
"""


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    return make_project(tmp_path / "project", git, task("T-1"))


def add(project: Project, **agents: Any) -> None:
    """Add agents to the swarm of the checkout."""
    path = project.path / ".roadmap" / "agents_swarm.yaml"
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["agents"].update(agents)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    project.agree()


def program(folder: Path, source: str, name: str = "editor") -> str:
    path = folder / name
    path.write_text(f"#!{sys.executable} -IS\n{source}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def editor(project: Project, source: str) -> None:
    path = program(project.path.parent, source)
    add(project, coder={"adapter": "worktree", "command": [path]})


def strongest() -> str:
    try:
        return confinement.choose("auto")
    except AgentError:
        return "none"


SANDBOX = ("--sandbox", "none" if strongest() == "none" else "auto")


# ------------------------------------------------------------------------------------------ list


def test_the_list_says_who_is_ready_and_what_the_others_miss(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    editor(project, WORKS)
    add(project, coded={"adapter": "worktree", "preset": "codex", "model": "gpt-x"})
    rows = {row["name"]: row for row in json.loads(project.ok("agent", "list", "--json"))["agents"]}
    assert rows["coder"]["ready"]
    assert rows["coder"]["sandbox"] == strongest()
    missing = rows["coded"]
    assert (missing["ready"], missing["missing"]) == (False, "no program 'codex'")
    assert (missing["preset"], missing["model"]) == ("codex", "gpt-x")
    assert "npm install -g @openai/codex" in missing["hint"]
    scripted = [row for row in rows.values() if row["adapter"] == "scripted"]
    assert any("impl" in row["kinds"] for row in scripted)


def test_the_list_is_one_line_an_agent_in_a_pipe(project: Project) -> None:
    editor(project, WORKS)
    lines = project.ok("agent", "list", *SANDBOX).splitlines()
    coder = [line.split("\t") for line in lines if line.startswith("coder\t")]
    assert coder == [["coder", "worktree", "", "", strongest(), "ready"]]


def test_the_list_is_of_the_swarm_file_as_it_stands(project: Project) -> None:
    (project.path / ".roadmap" / "agents_swarm.yaml").write_text("agents: {", encoding="utf-8")
    assert "agents_swarm.yaml" in project.fails(4, "agent", "list")


# ------------------------------------------------------------------------------------------ test


def test_an_agent_that_works_does_its_trial_and_leaves_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    editor(project, WORKS)
    before = project.files(), project.refs()
    said = project.esaa("agent", "test", "coder", *SANDBOX)
    assert said.code == 0, said.err
    assert f"confined  {strongest()}" in said.out
    assert "said      agent.result: I wrote it." in said.out
    assert "proposed  add hello.txt (6 bytes)" in said.out
    assert "agent 'coder' works" in said.err
    assert (project.files(), project.refs()) == before
    assert not [*temporary.iterdir()]


def test_what_a_trial_took_is_said_with_the_source_of_its_price(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "s3cret")
    path = program(project.path.parent, TOOL, "claude")
    add(
        project,
        coder={
            "adapter": "worktree",
            "preset": "claude-code",
            "program": path,
            "model": "claude-x",
            "env": ["ANTHROPIC_API_KEY"],
            "hosts": ["localhost:1"],
        },
    )
    said = project.esaa("agent", "test", "coder", *SANDBOX)
    assert said.code == 0, said.err
    assert f"program   {path} (9.9.9 (Some Tool))" in said.out
    assert "reaches localhost:1" in said.out
    assert (
        "took      1,360 input tokens, 21 output tokens, 0.012300 USD, reported by claude-code"
        in said.out
    )
    document = project.esaa("agent", "test", "coder", "--json", *SANDBOX).json
    assert document["usage"]["cost_microdollars"] == 12_300
    assert document["answered_as"] == "claude-x"
    assert document["as_asked"] is True


def test_a_trial_that_fails_says_why_and_keeps_what_was_said_if_asked(
    project: Project,
) -> None:
    editor(project, FAILS)
    complaint = project.fails(11, "agent", "test", "coder", *SANDBOX)
    assert "agent 'coder' failed its trial: left with exit status 1" in complaint
    assert "AGENT_FAILED" in complaint
    said = project.esaa("agent", "test", "coder", "--keep", *SANDBOX)
    assert "no model today" in said.out
    kept = Path(said.out.split("kept ")[1].split()[0])
    try:
        assert b"hello.txt" in (kept / "request").read_bytes()
        assert (kept / "repository" / ".git").is_dir()
    finally:
        shutil.rmtree(kept)


def test_a_trial_that_did_something_else_is_not_passed(project: Project) -> None:
    editor(project, WORKS.replace("hello\\n", "goodbye\\n"))
    complaint = project.fails(11, "agent", "test", "coder", *SANDBOX)
    assert "did something else than it was asked" in complaint


def test_a_change_outside_of_the_trials_boundary_is_rejected(project: Project) -> None:
    editor(project, WORKS + 'Path("more.txt").write_text("x")\n')
    assert "BOUNDARY_VIOLATION" in project.fails(11, "agent", "test", "coder", *SANDBOX)


def test_a_command_of_the_checkout_is_tried_from_there(project: Project) -> None:
    program(project.path, ANSWERS, "answers")
    add(project, coder={"adapter": "command", "command": ["./answers"]})
    said = project.esaa("agent", "test", "coder", *SANDBOX)
    assert said.code == 0, said.err
    assert "proposed  add hello.txt (5 bytes)" in said.out


def test_a_scripted_agent_has_nothing_to_try(project: Project) -> None:
    assert "it answers from recordings" in project.ok("agent", "test", "agent-x")


def test_an_agent_that_is_not_in_the_swarm_is_said_so(project: Project) -> None:
    assert "unknown agent 'nobody'" in project.fails(4, "agent", "test", "nobody")


# ------------------------------------------------------------------------------------------- run


def test_a_second_attempt_goes_on_from_the_files_and_in_the_session_of_the_first(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt is rejected for one path; the second finds the others, and adds one."""
    monkeypatch.setenv("CODEX_API_KEY", "s3cret")
    project = make_project(tmp_path / "project", git, task("T-1", agent="coder"))
    source = """\
import json, os, sys
from pathlib import Path
if "--version" in sys.argv:
    sys.exit(print("codex 0"))
session = Path.home() / ".codex/sessions/2026/rollout-t-1.jsonl"
Path("src").mkdir(exist_ok=True)
if os.environ["ESAA_ATTEMPT"].endswith("-A1"):
    assert "resume" not in sys.argv
    session.parent.mkdir(parents=True)
    session.write_text(os.getcwd())
    Path("src/first.txt").write_text("first\\n")
    Path(".github").mkdir()
    Path(".github/x.yml").write_text("x\\n")
else:
    assert "The files of T-1-A1 lie in your checkout" in sys.stdin.read()
    assert Path("src/first.txt").read_text() == "first\\n"
    assert not Path(".github").exists()
    Path("src/second.txt").write_text("second\\n")
    assert sys.argv[-3:] == ["resume", "t-1", "-"]
    assert session.read_text() == os.getcwd()
print(json.dumps({"type": "thread.started", "thread_id": "t-1"}))
said = {"type": "agent_message", "text": "I wrote it."}
print(json.dumps({"type": "item.completed", "item": said}))
print(json.dumps({"type": "turn.completed", "usage": {}}))
"""
    codex = {"preset": "codex", "program": program(tmp_path, source, "codex"), "hosts": []}
    add(project, coder={"adapter": "worktree", **codex, "env": ["CODEX_API_KEY"]})
    project.git("add", "-A")
    project.git("commit", "-qm", "An editor")
    said = project.esaa("run", *SANDBOX)
    assert said.code == 0, (said.out, said.err)
    assert "note: T-1-A2 goes on in its session" in said.err
    kept = project.path / ".git/esaa/sessions"
    assert not [*kept.iterdir()]
    (kept / ".T-1" / "files").mkdir(parents=True)
    assert "removed what was kept of a session for T-1" in project.ok("maintain")
    assert not [*kept.iterdir()]
    assert project.git("show", "HEAD:src/first.txt") == "first"
    assert project.git("show", "HEAD:src/second.txt") == "second"
    assert '"continues":{"attempt_id":"T-1-A1"' in project.ok("log", "--json").replace(" ", "")
    project.ok("verify", "--full")


def test_a_run_takes_what_an_editing_program_changed_as_an_effect(tmp_path: Path, git: Git) -> None:
    """The first attempt only says that it did; the second is told, and does."""
    project = make_project(tmp_path / "project", git, task("T-1", agent="coder"))
    source = """\
import os, sys
from pathlib import Path
if os.environ["ESAA_ATTEMPT"].endswith("-A2"):
    assert "EMPTY_PROPOSAL" in sys.stdin.read()
    Path("src").mkdir(exist_ok=True)
    Path("src/new.txt").write_text("new\\n")
print("I wrote it.")
"""
    editor(project, source)
    project.git("add", "-A")
    project.git("commit", "-qm", "An editor")
    said = project.esaa("run", *SANDBOX)
    assert said.code == 0, (said.out, said.err)
    assert project.git("show", "HEAD:src/new.txt") == "new"
    log = project.ok("log", "--json")
    assert "EMPTY_PROPOSAL" in log
    assert strongest() in log
