"""What acts or judges is what a run.init pinned, whatever becomes of it on the branch."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esaa_git.core import canonical
from esaa_git.core.events.base import encode
from esaa_git.errors import AgentError
from esaa_git.store.objects import BLOB, MODE_FILE, MODE_TREE, TREE, TreeEntry, encode_tree
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.forgery import Forger
from tests.support.project import Project, make_project, result, task, write

AGENT = """\
import json, os, sys
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from words import said
request = json.load(sys.stdin)
task = request["task"]["task_id"]
print(json.dumps({"action": "agent.result", "task_id": task,
    "attempt_id": os.environ["ESAA_ATTEMPT"],
    "payload": {"summary": said(task), "file_updates": [
        {"op": "write", "path": task + ".txt", "content": task + "\\n"}]}}))
"""
WORDS = "def said(task):\n    return 'honest'\n"
REVIEWER = f"""\
#!{sys.executable}
import json, os, sys
request = json.load(sys.stdin)
words = open("lib/words.txt").read().strip()
print(json.dumps({{"action": "agent.review", "task_id": request["task"]["task_id"],
    "attempt_id": os.environ["ESAA_ATTEMPT"],
    "payload": {{"verdict": "request_changes", "reason": words}}}}))
"""
CHECK = 'set -- T-*.txt; test ! -e "$1" || grep -q good "$@"\n'
"""Passes on the base, where no task has written anything yet."""


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def restored(project: Project) -> None:
    """Put `.roadmap/agents` back as it was committed first."""
    place = project.path / ".roadmap/agents"
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
    project.git("checkout", "--quiet", "honest", "--", ".roadmap/agents")


def with_other_words(project: Project) -> None:
    project.write(".roadmap/agents/words.py", WORDS.replace("honest", "rewritten"))


def with_other_content(project: Project) -> None:
    place = project.path / ".roadmap/agents/agent"
    place.write_text(place.read_text().replace("said(task)", "'rewritten'"))


def without_its_mode(project: Project) -> None:
    (project.path / ".roadmap/agents/agent").chmod(0o644)


def as_a_link(project: Project) -> None:
    place = project.path / ".roadmap/agents/agent"
    other = project.write("elsewhere", place.read_text().replace("said(task)", "'rewritten'"))
    other.chmod(0o755)
    place.unlink()
    place.symlink_to("../../elsewhere")


def without_it(project: Project) -> None:
    (project.path / ".roadmap/agents/agent").unlink()


def with_a_file_in_the_place_of_its_folder(project: Project) -> None:
    shutil.rmtree(project.path / ".roadmap/agents")
    project.write(".roadmap/agents", "no folder\n")


CHANGES: list[Callable[[Project], None]] = [
    with_other_content,
    with_other_words,
    without_its_mode,
    as_a_link,
    without_it,
    with_a_file_in_the_place_of_its_folder,
]


def test_a_run_goes_on_with_the_programs_that_it_pinned(tmp_path: Path, git: Git) -> None:
    """A pusher's edit, a link, another mode: none of it acts, and the run says how to pin it."""
    numbers = range(1, len(CHANGES) + 3)
    plan = [task(f"T-{number}", priority=-number) for number in numbers]
    project = make_project(tmp_path / "work", git, *plan)
    project.program(AGENT)
    project.write(".roadmap/agents/words.py", WORDS)
    project.commit("Honest")
    project.git("tag", "honest")
    source = project.read(".roadmap/agents/agent")
    project.ok("run", "--steps", "1")
    for change in CHANGES:
        restored(project)
        change(project)
        project.commit(change.__name__)
        said = project.esaa("run", "--steps", "1")
        assert said.code == 0, (change.__name__, said.err)
        results = project.payloads("agent.result")
        assert results[-1]["summary"] == "honest", change.__name__
        if change not in (as_a_link, without_it, with_a_file_in_the_place_of_its_folder):
            assert "'git esaa plan apply --restart' pins it" in said.err, change.__name__
    assert len(project.payloads("run.init")) == 1
    asked = project.payloads("orchestrator.dispatch")
    assert {one["program_sha256"] for one in asked} == {sha256(source)}
    # For the owner, an edit is one command away.
    restored(project)
    with_other_words(project)
    project.write(".roadmap/agents/late", "#!/usr/bin/env -S python3 tools/real.py\n")
    project.write("tools/real.py", "print()\n")
    differs = project.ok("plan", "diff")
    assert ".roadmap/agents/words.py  has another content" in differs
    assert "tools/real.py  is pinned from then on" in differs
    project.ok("allow", "--yes")
    project.ok("plan", "apply", "--restart")
    project.ok("run", "--steps", "1")
    assert project.payloads("agent.result")[-1]["summary"] == "rewritten"
    assert project.esaa("plan", "diff", "--json").json["programs_changed"] == {}
    project.check()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Project:
    """A run whose kinds are checked by a script of the tree, and reviewed by a program of it."""
    project = make_project(
        tmp_path_factory.mktemp("judged") / "work",
        git,
        *(task(f"T-{number}", attempts_allowed=1, priority=-number) for number in range(1, 9)),
        task("S-1", "spec", attempts_allowed=1, priority=-20),
        seed={"ci/check.sh": CHECK, "lib/words.txt": "the honest reviewer says no\n"},
        kinds={
            "impl": {
                "review": "agent",
                "checks": [{"name": "judge", "run": ["sh", "ci/check.sh"]}],
            },
            "spec": {"write": ["docs/**", "ci/check.sh"], "review": "none"},
        },
    )
    project.write("tools/reviewer", REVIEWER, executable=True)
    project.amend_yaml("AGENT_CONTRACT.yaml", pin=["lib/**"])
    scripted = {"adapter": "scripted", "folder": ".roadmap/answers"}
    reviewer = {"adapter": "command", "command": ["./tools/reviewer"]}
    project.write_yaml(
        ".roadmap/agents_swarm.yaml",
        {
            "schema_version": "0.3.0",
            "agents": {"agent-x": scripted, "judge": reviewer},
            "kinds": dict.fromkeys(("spec", "impl", "qa", "hotfix"), "agent-x"),
            "reviewers": {"impl": "judge"},
        },
    )
    project.commit("Judged")
    project.git("tag", "honest")
    project.ok("plan", "apply")
    return project


def worked(project: Project, task_id: str, *updates: dict[str, Any]) -> None:
    project.answer(task_id, result(task_id, *updates))
    said = project.esaa("run", "--task", task_id, "--steps", "2")
    assert said.code in (0, 8, 14), said.err
    assert "Traceback" not in said.err


def rejected(project: Project, task_id: str) -> list[str]:
    told = project.said("output.rejected")
    return [one["code"] for one in told if one["task_id"] == task_id]


def test_no_proposal_rewrites_a_judge(judged: Project) -> None:
    worked(judged, "T-1", write("tools/reviewer", "#!/bin/sh\n", executable=True))
    worked(judged, "T-2", {"op": "rename", "from": "README.md", "path": "Tools/Reviewer"})
    worked(judged, "T-3", {"op": "delete", "path": "lib/words.txt"}, write("T-3.txt", "good\n"))
    for task_id in ("T-1", "T-2", "T-3"):
        assert rejected(judged, task_id) == ["PATH_PROTECTED"]


def test_a_judge_that_the_branch_has_changed_judges_as_it_is_pinned(judged: Project) -> None:
    # By a person's commit: the check passes everything, its folder is a link, words are added.
    judged.write("lib/words.txt", "the rewritten reviewer says yes\n")
    judged.write("tools/reviewer", REVIEWER.replace("request_changes", "approve"))
    shutil.rmtree(judged.path / "ci")
    judged.write("other/check.sh", "exit 0\n")
    (judged.path / "ci").symlink_to("other")
    judged.commit("Typo")
    worked(judged, "T-4", write("T-4.txt", "bad\n"))
    assert rejected(judged, "T-4") == ["CHECK_FAILED"]
    worked(judged, "T-5", write("T-5.txt", "good\n"))
    worked(judged, "T-5")
    (review,) = judged.said("review.result")
    assert review["text"] == "the honest reviewer says no"
    passed = judged.payloads("orchestrator.file.write")[-1]["check_results"]
    assert [one["program_sha256"] for one in passed] == [sha256(CHECK)]
    reviews = [one for one in judged.payloads("orchestrator.dispatch") if "review" in one]
    assert {one["program_sha256"] for one in reviews} == {sha256(REVIEWER)}
    judged.git("reset", "--quiet", "--hard", "honest")


def test_a_kind_that_opens_a_judge_by_name_waits_for_a_person(judged: Project) -> None:
    judged.answer("S-1", result("S-1", write("ci/check.sh", "exit 0\n")))
    assert "waits for a review" in judged.fails(7, "run", "--task", "S-1")
    assert judged.task("S-1").pending_approval is not None
    assert "kind spec  opens a pinned program by name" in judged.ok("plan", "diff")


def test_a_task_that_names_a_new_program_is_refused_in_an_open_run(judged: Project) -> None:
    judged.write("ci/new.sh", "exit 0\n")
    before = judged.read(".roadmap/plan.yaml")
    own = [{"name": "own", "run": ["sh", "ci/new.sh"]}]
    judged.plan(task("T-1"), task("N-1", checks=own))
    tip = judged.tip()
    said = judged.fails(7, "plan", "apply")
    assert "PLAN_PROGRAM_NOT_PINNED: 'N-1': check 'own' names 'ci/new.sh'" in said
    assert "by 'git esaa plan apply', with --restart where a run is open" in said
    assert judged.tip() == tip
    judged.write(".roadmap/plan.yaml", before)
    (judged.path / "ci/new.sh").unlink()


def test_a_file_of_the_tree_does_not_act_by_way_of_path(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = [{"name": "judge", "run": ["judge"]}]
    project = make_project(tmp_path / "work", git, task("T-1"), kinds={"impl": {"checks": checks}})
    judge = project.write("bin/judge", "#!/bin/sh\n", executable=True)
    monkeypatch.setenv("PATH", f"{judge.parent}:{os.environ['PATH']}")
    project.answers(T_1=result("T-1", write("a.txt", "a\n")))
    project.ok("allow", "--yes")
    # What git does not track is the machine's own, as what a virtual environment holds.
    project.ok("plan", "apply")
    project.commit("A judge")
    said = project.fails(AgentError.exit_code, "run")
    assert "check 'judge': 'judge' on PATH is a file of this repository" in said
    assert "attempt.create" not in project.actions()


def test_a_contract_that_is_absent_from_the_checkout_stays_as_it_is(
    tmp_path: Path, git: Git
) -> None:
    project = make_project(tmp_path / "work", git, task("T-1"), task("T-2"))
    project.answers(T_1=result("T-1", write("a.txt", "a\n")))
    project.ok("run", "--task", "T-1", "--steps", "1")
    first = project.payloads("run.init")[-1]
    for name in ("RUNTIME_POLICY.yaml", "allowed_signers", "PROMPT.editor.md"):
        (project.path / ".roadmap" / name).unlink(missing_ok=True)
    assert "RUNTIME_POLICY.yaml" in project.ok("plan", "diff")
    project.ok("allow", "--yes")
    project.ok("plan", "apply", "--restart")
    assert project.payloads("run.init")[-1]["contracts"] == first["contracts"]
    project.check()


# -- the log ------------------------------------------------------------------------------------


def forged(project: Project) -> Forger:
    return Forger(project, project.signer.sign).copy(project.chain())


def halted(forger: Forger) -> None:
    run_id = forger.state.run.run_id
    forger.add(event(forger, "run.end", {"run_id": run_id, "result": "halted", "reason": "x"}))


def event(forger: Forger, action: str, payload: dict[str, Any]) -> dict[str, Any]:
    seq = forger.state.seq + 1
    return {
        "schema_version": "0.3.0",
        "event_id": f"EV-{seq:08d}",
        "event_seq": seq,
        "ts": forger.state.ts,
        "actor": "orchestrator",
        "action": action,
        "payload": payload,
    }


def programs_tree(project: Project, files: dict[str, bytes]) -> TreeEntry:
    repository = project.repository
    entries = {
        name: TreeEntry(MODE_FILE, repository.put(BLOB, data)) for name, data in files.items()
    }
    return TreeEntry(MODE_TREE, repository.put(TREE, encode_tree(entries)))


@pytest.fixture
def copied(judged: Project, tmp_path: Path, git: Git) -> Project:
    copy_folder(judged.path, tmp_path / "copy")
    project = Project(tmp_path / "copy", git)
    project.forget()
    return project


@pytest.mark.parametrize(
    ("how", "check"),
    [
        ("another content in an ordinary event", 6),
        ("no programs in an ordinary event", 6),
        ("another content by an orchestrator's run.init", 6),
        ("another mode in the list alone", 6),
        ("no list", 6),
        ("a file more than is listed", 2),
        ("another content under the name of a pinned one", 6),
    ],
)
def test_verify_finds_programs_that_nobody_entitled_has_changed(
    copied: Project, how: str, check: int
) -> None:
    forger = forged(copied)
    init = dict(copied.payloads("run.init")[-1])
    listed = [dict(pin) for pin in init["programs"]]
    repository = copied.repository
    assert forger.programs is not None
    tree = {
        pin["sha256"]: repository.read(
            copied.git("rev-parse", f"{copied.tip()}:programs/{pin['sha256']}")
        )[1]
        for pin in listed
    }
    evil = b"exit 0\n"
    if how.endswith("ordinary event"):
        forger.programs = (
            None if how.startswith("no") else programs_tree(copied, {sha256("exit 0\n"): evil})
        )
        forger.add(event(forger, "orchestrator.health", {"status": "ok", "message": "x"}))
    else:
        halted(forger)
        number = forger.state.run.number + 1
        init |= {"run_id": f"RUN-{number:04d}", "tasks": []}
        init.pop("by", None)
        if "mode" in how:
            listed[0]["mode"] = "100644" if listed[0]["mode"] == "100755" else "100755"
        elif how == "no list":
            listed, forger.programs = [], None
            del init["programs"]
        elif "run.init" in how:
            tree = {sha256("exit 0\n"): evil}
            listed = [{**listed[0], "sha256": sha256("exit 0\n")}]
        elif "more" in how:
            tree["0" * 64] = evil
        else:
            tree[listed[0]["sha256"]] = evil
        if how != "no list":
            init["programs"] = listed
            forger.programs = programs_tree(copied, tree)
        forger.add(event(forger, "run.init", init))
    forger.finish()
    found = copied.verify(remember=False)
    assert (found.audit.check, found.audit.outcome != "ok") == (check, True), found.audit.message


def test_an_export_carries_the_programs_and_an_import_takes_them_back(
    copied: Project, tmp_path: Path, git: Git
) -> None:
    copied.ok("export", str(tmp_path / "out"))
    other = Project(tmp_path / "other", git)
    other.path.mkdir()
    other.git("init", "--quiet")
    other.git("config", "esaa.signingKey", str(copied.key))
    other.ok("import", str(tmp_path / "out"))
    for one, again in zip(copied.chain(), other.chain(), strict=True):
        assert one.tree["programs"].oid == again.tree["programs"].oid
    assert canonical.encode(encode(other.chain()[0].event.payload)) == canonical.encode(
        encode(copied.chain()[0].event.payload)
    )
    shutil.copy(tmp_path / "out/activity.jsonl", tmp_path / "activity.jsonl")
    third = Project(tmp_path / "third", git)
    third.path.mkdir()
    third.git("init", "--quiet")
    third.git("config", "esaa.signingKey", str(copied.key))
    assert "not at hand" in third.fails(4, "import", str(tmp_path / "activity.jsonl"))
