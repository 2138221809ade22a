"""What people do by hand, each once for real, and every mistake that we know people make.

A mistake ends with a sentence that says what is wrong, a hint where there is a way out, an exit
code of its own kind, and a record that is as it was; never with a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from esaa_git.errors import (
    AgentError,
    ConfigurationError,
    ConflictError,
    KeyUnavailable,
    RefusedError,
    RepositoryError,
    RunHalted,
    UsageError,
)
from tests.conftest import Git
from tests.support.logs import PERSON, PERSONS_SEED, write_key
from tests.support.project import (
    Clock,
    Document,
    Project,
    edit,
    issue,
    make_project,
    result,
    run,
    task,
    write,
)

AGENT, CONFIGURATION, CONFLICT = (
    AgentError.exit_code,
    ConfigurationError.exit_code,
    ConflictError.exit_code,
)
KEY, REFUSED, REPOSITORY = (
    KeyUnavailable.exit_code,
    RefusedError.exit_code,
    RepositoryError.exit_code,
)
HALTED, USAGE = RunHalted.exit_code, UsageError.exit_code
ALICE, BOB = ("--as", "alice@example.com"), ("--as", "bob@example.com")

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Make:
    def made(*tasks: Document, **options: Any) -> Project:
        chosen = tasks or (task("T-1"), task("T-2", depends_on=["T-1"]))
        options.setdefault("seed", {"src/a.py": "a = 1\n"})
        options.setdefault("approvers", [ALICE[1], BOB[1]])
        return make_project(tmp_path / "project", git, *chosen, **options)

    return made


@pytest.fixture
def applied(make: Make) -> Project:
    """A project whose plan is applied: T-1, and T-2 that depends on it."""
    project = make()
    project.ok("plan", "apply")
    return project


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().install(monkeypatch)


def refused(project: Project, code: int, *arguments: str, **options: Any) -> str:
    """Assert that a command fails with this code and that nothing at all moved by it."""
    before = project.refs(), project.files(inside_git=("hooks", "config", "esaa"))
    message = project.fails(code, *arguments, **options)
    assert (project.refs(), project.files(inside_git=("hooks", "config", "esaa"))) == before
    return message


# -- each command once, for real ---------------------------------------------------------------


def test_a_person_claims_and_completes_a_task(applied: Project) -> None:
    said = applied.ok("claim", "T-1", *ALICE)
    assert said.startswith("T-1-A1 is yours until ")
    applied.write("src/a.py", "a = 2\n")
    applied.write("src/new.py", "new = 1\n")
    said = applied.ok(
        "complete",
        "T-1",
        "src/a.py",
        "src/new.py",
        "--summary",
        "wrote it",
        "--check",
        "read it twice",
        *ALICE,
    )
    assert said.startswith("done: wrote it\neffect: ")
    result_payload = applied.payloads("agent.result")[0]
    assert result_payload["checks"] == ["read it twice"]
    assert result_payload["paths"] == ["src/a.py", "src/new.py"]
    assert applied.status() == ""
    applied.check()


def test_a_person_completes_with_deletions_modes_and_binary_files(applied: Project) -> None:
    applied.ok("claim", "T-1")
    (applied.path / "src/a.py").unlink()
    applied.write("tools/run", "#!/bin/sh\n", executable=True)
    applied.write("img/x.bin", bytes(range(256)))
    applied.ok("complete", "T-1", "--summary", "x", "src/a.py", "tools/run", "img/x.bin")
    listed = applied.git("ls-tree", "-r", "main", "--", "src", "tools", "img").splitlines()
    assert [line.split()[0] + " " + line.split("\t")[1] for line in listed] == [
        "100644 img/x.bin",
        "100755 tools/run",
    ]
    assert applied.status() == ""
    applied.check()


@pytest.mark.parametrize("given", ["../src/a.py", "./../src/a.py", "../src/../src/a.py"])
def test_paths_are_taken_from_where_the_person_stands(applied: Project, given: str) -> None:
    applied.ok("claim", "T-1")
    applied.write("src/a.py", "a = 2\n")
    applied.write("docs/x.md", "x\n")
    applied.ok("complete", "T-1", "--summary", "x", given, folder=applied.path / "docs")
    assert applied.payloads("agent.result")[0]["paths"] == ["src/a.py"]


def test_a_repository_behind_a_symlink_is_the_same_repository(
    applied: Project, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(applied.path)
    applied.ok("claim", "T-1")
    applied.write("src/a.py", "a = 2\n")
    applied.ok("complete", "T-1", "--summary", "x", "src/a.py", folder=tmp_path / "link")
    assert applied.task("T-1").is_done


def test_end_of_line_conversion_of_a_completed_file_is_gits_own(applied: Project) -> None:
    applied.write(".gitattributes", "*.txt text eol=crlf\n")
    applied.commit("Attributes")
    applied.ok("claim", "T-1")
    applied.write("docs/a.txt", b"one\r\ntwo\r\n")
    applied.ok("complete", "T-1", "--summary", "x", "docs/a.txt")
    assert applied.git("cat-file", "blob", "main:docs/a.txt") == "one\ntwo"
    assert applied.status() == ""


def test_a_claim_for_a_machine_is_the_exact_request(applied: Project) -> None:
    request = json.loads(applied.ok("claim", "T-1", "--json", *ALICE))
    assert request["attempt_id"] == "T-1-A1"
    assert request["task"]["task_id"] == "T-1"
    assert request["base"] == applied.head()
    assert "src/a.py" not in json.dumps(request)


def test_an_envelope_is_submitted_from_a_file_and_from_standard_input(applied: Project) -> None:
    applied.ok("claim", "T-1", *ALICE)
    envelope = json.dumps(result("T-1", write("src/x.py", "x\n"), attempt_id="T-1-A1"))
    applied.write(".roadmap/envelope.json", envelope)
    said = applied.ok("submit", str(applied.path / ".roadmap/envelope.json"), *ALICE)
    assert said.startswith("done: Did T-1")
    applied.ok("claim", "T-2", *ALICE)
    envelope = json.dumps(result("T-2", attempt_id="T-2-A1"))
    said = applied.ok("submit", "-", "--task", "T-2", "--json", *ALICE, stdin=envelope)
    assert json.loads(said)["kind"] == "done"
    applied.check()


def test_a_submission_repeated_changes_nothing(applied: Project) -> None:
    """An answer that got lost on the way back may be given again."""
    applied.ok("claim", "T-1")
    envelope = json.dumps(result("T-1", write("src/x.py", "x\n"), attempt_id="T-1-A1"))
    applied.ok("submit", "-", stdin=envelope)
    before = applied.refs()
    for task_option in ((), ("--task", "T-1")):
        said = applied.ok("submit", "-", *task_option, stdin=envelope)
        assert said.startswith("repeated: ")
    assert applied.refs() == before
    another = json.dumps(result("T-1", write("src/x.py", "y\n"), attempt_id="T-1-A1"))
    assert "STALE_ATTEMPT" in applied.fails(REFUSED, "submit", "-", stdin=another)
    assert applied.git("cat-file", "blob", "main:src/x.py") == "x"


def test_an_idempotency_key_makes_another_wording_the_same_answer(applied: Project) -> None:
    applied.ok("claim", "T-1")
    envelope = result("T-1", attempt_id="T-1-A1", idempotency_key="one")
    applied.ok("submit", "-", stdin=json.dumps(envelope))
    before = applied.refs()
    again = json.dumps({**envelope, "payload": {"summary": "worded otherwise"}})
    assert applied.ok("submit", "-", stdin=again).startswith("repeated: ")
    assert applied.refs() == before


def test_a_heartbeat_extends_the_lease(make: Make, clock: Clock) -> None:
    project = make(policy={"attempts__ttl": "PT10M"})
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    clock.advance(9 * 60)
    beat = {
        "action": "agent.heartbeat",
        "task_id": "T-1",
        "attempt_id": "T-1-A1",
        "payload": {"note": "still here"},
    }
    said = project.ok("submit", "-", stdin=json.dumps(beat))
    assert "the lease runs until 2026-03-01T09:19:00.000Z" in said
    clock.advance(9 * 60)
    project.ok("complete", "T-1", "--summary", "just in time")
    project.check()


def test_a_lesson_and_an_issue_are_submitted_for_a_held_task(applied: Project) -> None:
    applied.ok("claim", "T-1")
    lesson = {
        "action": "lesson.record",
        "task_id": "T-1",
        "attempt_id": "T-1-A1",
        "payload": {"rule": "look first", "mistake": "did not"},
    }
    assert "noted" in applied.ok("submit", "-", stdin=json.dumps(lesson))
    envelope = {**issue("T-1", "high"), "attempt_id": "T-1-A1"}
    assert "ISS-0001" in applied.ok("submit", "-", stdin=json.dumps(envelope))
    assert applied.task("T-1").state == "blocked"
    assert applied.task("T-2").state == "blocked"
    applied.check()


def test_a_task_is_released_and_the_attempt_does_not_count(applied: Project) -> None:
    applied.ok("claim", "T-1", *ALICE)
    assert applied.ok("task", "release", "T-1", "--reason", "by mistake").startswith("T-1: todo")
    assert applied.task("T-1").attempts_used == 0
    assert applied.ok("claim", "T-1", *BOB).startswith("T-1-A2 is yours")
    applied.check()


def test_a_note_reaches_the_next_attempt(applied: Project) -> None:
    applied.ok("task", "note", "T-1", "use the colours of the style guide", *ALICE)
    request = json.loads(applied.ok("claim", "T-1", "--json"))
    assert request["task"]["notes"] == ["use the colours of the style guide"]


def test_a_task_is_added_beside_the_plan(applied: Project) -> None:
    options = ["--kind", "qa", "--title", "Look at it", "--depends-on", "T-1", "--priority", "5"]
    options += ["--acceptance", "it is seen", "--writes", "tests/**", "--review"]
    applied.ok("task", "add", "T-9", *options)
    added = applied.task("T-9")
    assert (added.kind, added.priority, added.review) == ("qa", 5, True)
    assert (added.depends_on, added.writes) == (("T-1",), ("tests/**",))
    assert "T-9  is not in the plan (it stays)" in applied.ok("plan", "diff")
    applied.check()


def test_tasks_are_listed_by_state_and_kind(applied: Project) -> None:
    applied.ok("task", "add", "T-9", "--kind", "qa", "--title", "Look at it")
    applied.ok("claim", "T-1")
    assert [line.split("\t")[:3] for line in applied.ok("task", "list").splitlines()] == [
        ["T-1", "in_progress", "impl"],
        ["T-2", "todo", "impl"],
        ["T-9", "todo", "qa"],
    ]
    assert applied.ok("task", "list", "--state", "todo", "--kind", "qa").startswith("T-9\t")
    listed = json.loads(applied.ok("task", "list", "--json", "--state", "in_progress"))
    assert [one["task_id"] for one in listed] == ["T-1"]


def test_the_status_says_who_holds_what_and_what_waits(make: Make) -> None:
    project = make(task("T-1"), task("T-2", "spec"), kinds={"spec": {"review": "required"}})
    assert "there is no event log in this repository yet" in project.ok("status")
    assert json.loads(project.ok("status", "--json")) == {
        "run": {"state": "idle"},
        "events": 0,
        "message": "there is no event log in this repository yet",
        "hint": "run 'git esaa run' to start one, or 'git esaa plan apply' to ask no agent yet",
        "consent": {"asked": 0, "granted": 0},
    }
    project.ok("plan", "apply")
    project.ok("claim", "T-1", *ALICE)
    project.ok("claim", "T-2", *BOB)
    project.ok("complete", "T-2", "--summary", "x", *BOB)
    project.ok("issue", "report", "--severity", "medium", "--title", "odd")
    said = project.ok("status")
    assert "Example: RUN-0001 is running" in said
    assert "T-1 is held by alice@example.com until" in said
    assert "T-2 waits for a review (git esaa review T-2)" in said
    assert "open issues: 1 medium" in said
    found = json.loads(project.ok("status", "--json"))
    assert found["run"]["state"] == "running"
    assert found["tip"] == project.tip()


def test_the_plan_is_compared_then_applied(make: Make) -> None:
    project = make()
    assert "+ T-1  impl  Do T-1" in project.ok("plan", "diff")
    assert project.tip() is None
    assert project.ok("plan", "apply") == (
        "RUN-0001 started on 'main': 2 tasks created, 0 amended\n"
    )
    assert "0 to create, 0 to amend, 2 unchanged" in project.ok("plan", "diff")
    project.plan(task("T-1", title="Do it better"), task("T-2", depends_on=["T-1"]), task("T-3"))
    said = project.ok("plan", "diff")
    assert "+ T-3" in said
    assert "title: Do T-1 → Do it better" in said
    assert project.ok("plan", "apply") == "RUN-0001 on 'main': 1 tasks created, 1 amended\n"
    assert project.task("T-1").title == "Do it better"
    project.check()


def test_an_edit_of_work_in_progress_is_left_out_and_said_so(applied: Project) -> None:
    applied.ok("claim", "T-1")
    applied.plan(task("T-1", title="Too late"), task("T-2", depends_on=["T-1"]))
    assert "! T-1  is in_progress" in applied.ok("plan", "diff")
    applied.ok("plan", "apply")
    assert applied.task("T-1").title == "Do T-1"


def test_changed_contracts_take_effect_with_a_restart(applied: Project) -> None:
    applied.amend_yaml("RUNTIME_POLICY.yaml", attempts__max_per_task=7)
    assert "contracts changed on disk: RUNTIME_POLICY.yaml" in applied.ok("plan", "diff")
    applied.ok("plan", "apply")
    assert applied.state().run.run_id == "RUN-0001"
    said = applied.ok("plan", "apply", "--restart", "--reason", "more patience")
    assert said.startswith("RUN-0002 started")
    ends = applied.payloads("run.end")
    assert (ends[0]["result"], ends[0]["reason"]) == ("halted", "more patience")
    assert "contracts changed" not in applied.ok("plan", "diff")
    applied.check()


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("RUNTIME_POLICY.yaml", "schema_version: [\n", "'.roadmap/RUNTIME_POLICY.yaml' line"),
        ("plan.yaml", "project: X\ntasks: [{task_id: T-1}]\n", "plan.yaml"),
        ("allowed_signers", "orchestrator ssh-ed25519 AAAA\n", "allowed_signers"),
        ("allowed_signers", "# nobody\n", "allowed_signers"),
    ],
)
def test_a_restart_that_cannot_be_leaves_the_run_open(
    applied: Project, file: str, content: str, words: str
) -> None:
    applied.write(f".roadmap/{file}", content)
    assert words in refused(applied, CONFIGURATION, "plan", "apply", "--restart")
    assert applied.state().run.is_open


def test_signers_among_whom_nobody_may_record_are_refused(applied: Project) -> None:
    """Pinned, they would be the last event that this log ever takes."""
    signers = applied.read(".roadmap/allowed_signers").replace("orchestrator ", "evaluator ")
    applied.write(".roadmap/allowed_signers", signers)
    message = refused(applied, CONFIGURATION, "plan", "apply", "--restart")
    assert "names nobody with the role orchestrator" in message
    assert applied.state().run.is_open


def test_a_review_approves_or_sends_back(make: Make) -> None:
    project = make(task("T-1", review=True))
    project.answers(
        T_1_A1=result("T-1", write("src/x.py", "x\n"), attempt_id="T-1-A1"),
        T_1_A2=result("T-1", write("src/x.py", "y\n"), attempt_id="T-1-A2"),
    )
    assert "waits for 'git esaa review T-1'" in project.fails(14, "run")
    before = project.head()
    said = project.ok("review", "T-1", "--request-changes", "say y", *ALICE)
    assert said == "T-1 goes back: say y\n"
    assert project.head() == before
    project.fails(14, "run")
    said = project.ok("review", "T-1", "--approve", "--reason", "fine", *ALICE)
    assert said.startswith("done: Did T-1\neffect: ")
    assert project.read("src/x.py") == "y\n"
    rejection = project.payloads("task.update")[0]
    assert (rejection["cause"], rejection["reason"]) == (
        "changes_requested",
        "alice@example.com requests changes",
    )
    project.ok("run")
    project.check()


def test_an_issue_is_reported_listed_and_resolved(applied: Project) -> None:
    said = applied.ok(
        "issue", "report", "--task", "T-1", "--severity", "high", "--title", "it is broken"
    )
    assert said == "ISS-0001 recorded\nT-1 is blocked\n"
    assert applied.task("T-2").state == "blocked"
    assert applied.ok("issue", "list").startswith("ISS-0001\thigh\tT-1\topen\t")
    applied.ok("issue", "resolve", "ISS-0001", "--reason", "repaired")
    assert applied.ok("issue", "list") == ""
    assert "resolved" in applied.ok("issue", "list", "--all")
    assert applied.ok("task", "unblock", "T-1", "--reason", "go on").startswith("T-1, T-2: todo")
    applied.check()


def test_a_log_with_an_admins_request_is_exported_and_imported(
    applied: Project, git: Git, tmp_path: Path
) -> None:
    applied.ok("issue", "report", "--task", "T-1", "--severity", "high", "--title", "it is broken")
    applied.ok("task", "unblock", "T-1", "--reason", "go on")
    applied.ok("export", str(tmp_path / "out"))
    copy = tmp_path / "copy"
    git(tmp_path, "init", "-q", str(copy))
    git(copy, "config", "esaa.signingKey", applied.git("config", "esaa.signingKey"))
    assert "nobody vouches" in applied.ok("import", str(tmp_path / "out"), folder=copy)
    assert "verify_status: ok" in applied.ok("verify", "--full", folder=copy)


def test_the_third_medium_issue_is_a_grave_one(applied: Project) -> None:
    report = ["issue", "report", "--task", "T-1", "--severity", "medium", "--title", "again"]
    for _ in range(2):
        assert "T-1 is todo" in applied.ok(*report)
    said = applied.ok(*report)
    assert "the third medium one: recorded as high" in said
    assert "T-1 is blocked" in said
    assert applied.state().issues["ISS-0003"].reported_as == "medium"
    applied.check()


def test_a_critical_issue_halts_until_somebody_resolves_it(make: Make) -> None:
    project = make(task("T-1"), task("T-2"))
    project.answers(T_1=result("T-1"), T_2=result("T-2"))
    project.ok("plan", "apply")
    report = ["issue", "report", "--task", "T-1", "--severity", "critical", "--title", "leak"]
    assert "RUN-0001 is halted" in project.ok(*report)
    for command in (["run"], ["plan", "apply"]):
        message = refused(project, HALTED, *command)
        assert "halted by ISS-0001: leak" in message
        assert "git esaa issue resolve ISS-0001" in message
    assert "the run is halted" in refused(project, REFUSED, "claim", "T-2")
    project.ok("issue", "resolve", "ISS-0001", "--reason", "the key is revoked")
    project.ok("task", "unblock", "T-1", "--reason", "the key is revoked")
    project.ok("run")
    assert project.state().run.state == "success"
    project.check()


def test_a_done_task_is_corrected_by_a_hotfix(make: Make) -> None:
    project = make(task("T-1"), task("T-2"))
    project.answers(T_1=result("T-1", write("src/x.py", "wrong\n")))
    project.ok("run", "--task", "T-1")
    record = project.task("T-1")
    project.ok("issue", "report", "--severity", "low", "--task", "T-1", "--title", "it is wrong")
    options = ["--title", "Make it right", "--reason", "ISS-0001", "--issue", "ISS-0001"]
    said = project.ok("hotfix", "T-1", *options)
    assert said == "T-1-HF1 created; it supersedes T-1\n"
    assert project.task("T-1") == record
    made = project.task("T-1-HF1")
    assert (made.supersedes, made.issue_id, made.kind) == ("T-1", "ISS-0001", "hotfix")
    assert "superseded by 'T-1-HF1'" in refused(project, REFUSED, "claim", "T-1")
    assert "superseded by 'T-1-HF1'" in refused(project, REFUSED, "hotfix", "T-1", *options)
    project.answers(T_1_HF1=result("T-1-HF1", edit("src/x.py", "wrong", "right")))
    project.ok("run", "--task", "T-1-HF1")
    assert project.read("src/x.py") == "right\n"
    project.check()


def test_a_done_task_is_overridden_without_being_touched(make: Make) -> None:
    project = make(task("T-1"), task("T-2"))
    project.answers(T_1=result("T-1", write("src/x.py", "x\n")))
    project.ok("run", "--task", "T-1")
    record = project.task("T-1")
    project.ok("override", "T-1", "--reason", "the licence forbids it")
    assert project.task("T-1") == record
    assert "was overridden" in refused(project, REFUSED, "claim", "T-1")
    assert "overridden" in refused(project, REFUSED, "override", "T-1", "--reason", "again")
    project.ok("hotfix", "T-1", "--title", "Another way", "--reason", "the licence")
    project.check()


def test_a_dry_run_shows_and_records_nothing(make: Make) -> None:
    project = make()
    before = project.refs()
    said = project.ok("run", "--dry-run")
    assert "would ask agent-x for T-1" in said
    assert "T-2" not in said
    assert project.refs() == before
    project.plan(task("Z-2"), task("A-1"), task("Z-1", priority=1))
    said = project.ok("run", "--dry-run", "--parallel", "2")
    places = [said.index(f"ask agent-x for {name}") for name in ("Z-1", "Z-2", "A-1")]
    assert places == sorted(places)
    assert "with --parallel 2: 'Z-2', 'A-1' wait for 'Z-1': what they may write overlaps" in said
    assert "overlaps" not in project.ok("run", "--dry-run", "--parallel", "2", "--overlap")
    assert project.refs() == before
    assert "no task 'T-9'" in project.fails(USAGE, "run", "--dry-run", "--task", "T-9")


def test_the_doctor_finds_a_healthy_project_healthy(applied: Project) -> None:
    applied.git("config", "esaa.sync", "filesystem")  # which is the default, but not in tests
    said = applied.ok("doctor")
    for words in ("signing key SHA256:", "the roles orchestrator", "agent 'agent-x'"):
        assert words in said
    assert all(line.startswith(("ok ", "note ")) for line in said.splitlines())
    levels = {finding["level"] for finding in json.loads(applied.ok("doctor", "--json"))}
    assert levels == {"ok"}


def test_the_doctor_names_what_is_wrong(applied: Project) -> None:
    (applied.path / ".git/refs/esaa/events.lock").touch()
    applied.write(".roadmap/plan.yaml", "project: X\n")
    applied.key.rename(applied.key.with_suffix(".moved"))
    said = applied.esaa("doctor")
    assert said.code == 1
    for words in ("no signing key at", "a lock is held", "plan.yaml"):
        assert words in said.out


# -- the repository is not one to work in ------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [["status"], ["run"], ["init"], ["claim", "T-1"], ["verify"], ["doctor"], ["plan", "diff"]],
    ids=" ".join,
)
def test_no_repository(tmp_path: Path, command: list[str]) -> None:
    empty = Project(tmp_path, lambda *_a, **_k: "")
    message = empty.fails(REPOSITORY, *command, folder=tmp_path)
    assert f"no git repository in '{tmp_path}'" in message
    assert "git init" in message


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    said = run("-C", str(tmp_path / "nowhere"), "status")
    assert said.code in (USAGE, REPOSITORY)
    assert said.err.startswith("error: ")
    assert "nowhere" in said.err


def test_no_commit_yet(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "fresh")
    project = Project(tmp_path / "fresh", git)
    project.ok("init")
    message = refused(project, REPOSITORY, "plan", "apply")
    assert "this repository has no commit yet" in message
    assert "git commit" in message


def test_a_detached_head(make: Make) -> None:
    project = make()
    project.git("checkout", "--quiet", "--detach")
    message = refused(project, REPOSITORY, "plan", "apply")
    assert "HEAD is detached" in message
    assert "--branch" in message
    project.ok("plan", "apply", "--branch", "main")


def test_a_branch_that_does_not_exist(make: Make) -> None:
    message = refused(make(), HALTED, "plan", "apply", "--branch", "nowhere")
    assert "there is no branch 'nowhere'" in message


def test_a_working_branch_that_is_gone(applied: Project) -> None:
    applied.git("checkout", "--quiet", "--detach")
    applied.git("branch", "-D", "main")
    message = refused(applied, REPOSITORY, "claim", "T-1")
    assert "the working branch 'main' is gone" in message
    base = applied.payloads("run.init")[0]["base"]
    assert f"git branch main {base}" in message


@pytest.mark.parametrize(
    "command",
    [
        ["claim", "T-1"],
        ["complete", "T-1", "--summary", "x"],
        ["review", "T-1", "--approve"],
        ["task", "list"],
        ["task", "note", "T-1", "x"],
        ["issue", "list"],
        ["issue", "report", "--severity", "low", "--title", "x"],
        ["hotfix", "T-1", "--title", "x", "--reason", "x"],
        ["verify"],
    ],
    ids=" ".join,
)
def test_no_log_yet(make: Make, command: list[str]) -> None:
    message = refused(make(), REPOSITORY, *command)
    assert "there is no event log in this repository yet" in message


def test_no_contracts(make: Make) -> None:
    project = make()
    project.git("rm", "-rq", "--cached", ".roadmap")
    (project.path / ".roadmap").rename(project.path / "aside")
    message = refused(project, REPOSITORY, "plan", "apply")
    assert "there is no '.roadmap' folder here" in message


def test_init_twice_writes_nothing_twice(make: Make) -> None:
    project = make()
    before = project.files()
    assert "nothing was written" in project.ok("init")
    assert project.files() == before


# -- plans that cannot be ----------------------------------------------------------------------


def test_no_plan(make: Make) -> None:
    project = make()
    (project.path / ".roadmap/plan.yaml").unlink()
    for command in (["run"], ["plan", "diff"], ["plan", "apply"]):
        assert "there is no '.roadmap/plan.yaml'" in refused(project, REPOSITORY, *command)


def test_a_plan_without_tasks(make: Make) -> None:
    project = make()
    project.plan()
    message = refused(project, HALTED, "run")
    assert "the plan has no tasks yet" in message
    assert ".roadmap/plan.yaml" in message


def plan_of(**changes: Any) -> str:
    return json.dumps({"project": "X", "tasks": [{**task("T-1"), **changes}]})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["'.roadmap/plan.yaml' is empty"]),
        ("project: X\ntasks:\n  - [\n", ["line 4 column 1"]),
        ("project: X\ntasks:\n\t- a\n", ["line 3 column 1"]),
        ("project: X\ntasks: []\nproject: Y\n", ["line 3 column 1", "duplicate key 'project'"]),
        ("project: X\n", ["tasks"]),
        ("- a\n- b\n", ["plan.yaml"]),
        ("project: X\ntasks: []\ntaks: []\n", ["taks"]),
        (b"project: \xff\n", ["line 1", "UTF-8"]),
        ("project: !!python/object:os.system x\ntasks: []\n", ["line 1"]),
        ("a: &a [*a]\n", ["plan.yaml"]),
        (plan_of(kind="nonsense"), ["no task kind 'nonsense'", "it knows hotfix, impl"]),
        (plan_of(depends_on=["T-9"]), ["'T-1' depends on 'T-9', which does not exist"]),
        (plan_of(depends_on=["T-1"]), ["a cycle: T-1 → T-1"]),
        (plan_of(task_id="no good"), ["task 'no good'/task_id"]),
        (plan_of(writes=["a["]), ["T-1: writes"]),
        (plan_of(titel="x"), ["titel"]),
        (plan_of(priority=1.5), ["task 'T-1'/priority"]),
        (
            json.dumps({"project": "X", "tasks": [task("T-1"), task("T-1")]}),
            ["task 'T-1' stands twice"],
        ),
        (
            json.dumps(
                {
                    "project": "X",
                    "tasks": [
                        task("T-1", depends_on=["T-2"]),
                        task("T-2", depends_on=["T-3"]),
                        task("T-3", depends_on=["T-1"]),
                    ],
                }
            ),
            ["a cycle: T-1 → T-2 → T-3 → T-1"],
        ),
    ],
)
def test_a_plan_that_cannot_be_used(make: Make, content: str | bytes, words: list[str]) -> None:
    project = make()
    project.write(".roadmap/plan.yaml", content)
    for command in (["run"], ["plan", "apply"], ["plan", "diff"], ["run", "--dry-run"]):
        message = refused(project, CONFIGURATION, *command)
        for word in words:
            assert word in message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("AGENT_CONTRACT.yaml", "kinds:\n  a: 1\n  a: 2\n", ["line 3 column 3", "duplicate key"]),
        ("AGENT_CONTRACT.yaml", "schema_version: 3\n", ["AGENT_CONTRACT.yaml"]),
        ("RUNTIME_POLICY.yaml", "{\n", ["RUNTIME_POLICY.yaml", "line"]),
        ("STORAGE_POLICY.yaml", "", ["STORAGE_POLICY.yaml"]),
        ("allowed_signers", "nonsense\n", ["line 1", "allowed_signers"]),
    ],
)
def test_contracts_that_cannot_be_used(
    make: Make, name: str, content: str, words: list[str]
) -> None:
    project = make()
    project.write(f".roadmap/{name}", content)
    message = refused(project, CONFIGURATION, "plan", "apply")
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"attempts__ttl": "30 minutes"}, "'30 minutes' is not a duration"),
        ({"attempts__max_per_task": 0}, "attempts/max_per_task"),
        ({"escalation__high": "explode"}, "escalation/high"),
    ],
)
def test_a_policy_with_a_value_that_means_nothing(
    make: Make, changes: Document, words: str
) -> None:
    project = make(policy=changes)
    assert words in refused(project, CONFIGURATION, "plan", "apply")


def test_a_contract_that_is_missing(make: Make) -> None:
    project = make()
    (project.path / ".roadmap/STORAGE_POLICY.yaml").unlink()
    message = refused(project, CONFIGURATION, "plan", "apply")
    assert "'.roadmap/STORAGE_POLICY.yaml' is missing" in message
    project.ok("init")
    project.ok("plan", "apply")


# -- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["plan", "apply"], ["run"]])
def test_no_key_is_configured(make: Make, command: list[str]) -> None:
    project = make()
    project.git("config", "--unset", "esaa.approverKey")
    message = refused(project, REFUSED, *command)
    assert "only an admin's key may begin a log" in message
    project.git("config", "--unset", "esaa.signingKey")
    message = refused(project, KEY, *command)
    assert "no signing key is configured" in message
    assert "git esaa init" in message


def test_a_run_of_two_named_tasks_is_refused_and_drops_none(applied: Project) -> None:
    assert "name one" in refused(applied, 2, "run", "--task", "T-1", "--task", "T-2")


def test_a_clone_with_the_orchestrators_key_begins_a_log_with_the_key_that_init_made(
    make: Make,
) -> None:
    project = make()
    project.git("config", "--unset", "esaa.approverKey")
    people = Path(os.environ["XDG_CONFIG_HOME"]) / "git-esaa" / "keys"
    # A key that is none, and one that the contracts do not name, come before it.
    for name, seed in (("stranger", b"s" * 32), ("you@example.com-0", PERSONS_SEED)):
        (people / f"{name}.pub").write_text(write_key(people / name, seed) + "\n")
    (people / "none.pub").write_text("none\n")
    project.ok("plan", "apply")
    assert project.chain()[0].event.actor == PERSON


def test_the_key_file_is_gone(applied: Project) -> None:
    key = applied.key
    key.rename(key.with_suffix(".moved"))
    for command in (
        ["task", "add", "T-9", "--kind", "spec", "--title", "x"],
        ["run"],
        ["run", "--task", "T-1"],
    ):
        assert f"no signing key at '{key}'" in refused(applied, KEY, *command)
    assert applied.ok("status")


def test_a_key_that_the_contracts_do_not_know(applied: Project, tmp_path: Path) -> None:
    applied.git("config", "--unset", "esaa.signingKey")
    assert "count for nothing" in applied.fails(REFUSED, "init")
    applied.ok("key", "create", "--role", "orchestrator", "--out", str(tmp_path / "other"))
    applied.git("config", "esaa.signingKey", str(tmp_path / "other"))
    message = refused(applied, KEY, "task", "add", "T-9", "--kind", "spec", "--title", "x")
    assert "the signing key is not trusted by the contracts in force" in message
    assert "git esaa doctor" in message
    assert applied.esaa("doctor").code == 1


def test_a_key_that_others_can_read(applied: Project) -> None:
    applied.key.chmod(0o644)
    message = refused(applied, KEY, "task", "add", "T-9", "--kind", "spec", "--title", "x")
    assert "can be read by others" in message
    assert f"chmod 600 {applied.key}" in message


def test_nobody_knows_who_acts(applied: Project) -> None:
    applied.git("config", "user.email", "")
    applied.git("config", "--unset", "esaa.approverKey")
    message = refused(applied, CONFIGURATION, "claim", "T-1")
    assert "git does not know who you are" in message


@pytest.mark.parametrize("name", ["orchestrator", "policy-guard", "no good", "-x", "ü@x"])
def test_a_name_that_nobody_can_have(applied: Project, name: str) -> None:
    message = refused(applied, USAGE, "claim", "T-1", f"--as={name}")
    assert f"'{name}' cannot be the name of an actor" in message


# -- agents ------------------------------------------------------------------------------------


def test_an_agent_that_nobody_knows(applied: Project) -> None:
    message = refused(applied, CONFIGURATION, "run", "--agent", "nobody")
    assert "unknown agent 'nobody'" in message
    assert "agent-x" in message


def test_a_kind_that_no_agent_does(make: Make) -> None:
    project = make()
    agent = {"adapter": "scripted", "folder": ".roadmap/answers"}
    project.swarm({"agent-x": agent}, {"spec": "agent-x"})
    project.ok("plan", "apply")
    message = refused(project, CONFIGURATION, "run")
    assert "no agent does tasks of kind 'impl'" in message
    project.answers(T_1=result("T-1"))
    project.ok("run", "--agent", "agent-x", "--steps", "1")


def test_a_program_that_is_missing_costs_no_attempt(make: Make) -> None:
    project = make()
    project.swarm(
        {"agent-x": {"adapter": "command", "command": ["./.roadmap/agents/nothing"]}},
        {"impl": "agent-x"},
    )
    project.ok("plan", "apply")
    message = refused(project, AGENT, "run")
    assert "agent 'agent-x': no program './.roadmap/agents/nothing'" in message
    assert project.task("T-1").attempts_total == 0


def test_a_program_that_cannot_be_started_costs_no_attempt(make: Make) -> None:
    project = make()
    project.program("", name="agent")
    project.write(".roadmap/agents/agent", "#!/no/such/interpreter\n", executable=True)
    project.ok("plan", "apply")
    message = project.fails(AGENT, "run")
    assert "agent 'agent': './.roadmap/agents/agent' cannot be started" in message
    assert project.task("T-1").state == "todo"
    assert project.task("T-1").attempts_used == 0
    project.check()


def test_an_unknown_adapter_in_the_swarm(make: Make) -> None:
    project = make()
    project.swarm({"agent-x": {"adapter": "magic"}}, {"impl": "agent-x"})
    assert "agents_swarm.yaml" in refused(project, CONFIGURATION, "plan", "apply")


# -- what is asked for cannot be ---------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["claim", "T-9"],
        ["complete", "T-9", "--summary", "x"],
        ["review", "T-9", "--approve"],
        ["task", "note", "T-9", "x"],
        ["task", "release", "T-9", "--reason", "x"],
        ["task", "unblock", "T-9", "--reason", "x"],
        ["hotfix", "T-9", "--title", "x", "--reason", "x"],
        ["override", "T-9", "--reason", "x"],
        ["run", "--task", "T-9"],
        ["issue", "report", "--task", "T-9", "--severity", "low", "--title", "x"],
    ],
    ids=" ".join,
)
def test_a_task_that_does_not_exist(applied: Project, command: list[str]) -> None:
    message = refused(applied, USAGE, *command)
    assert "no task 'T-9'" in message
    assert "git esaa task list" in message


def test_an_issue_that_does_not_exist(applied: Project) -> None:
    message = refused(applied, USAGE, "issue", "resolve", "ISS-0009", "--reason", "x")
    assert "no issue 'ISS-0009'" in message


def test_an_issue_resolved_twice(applied: Project) -> None:
    applied.ok("issue", "report", "--severity", "low", "--title", "x")
    applied.ok("issue", "resolve", "ISS-0001", "--reason", "x")
    message = refused(applied, REFUSED, "issue", "resolve", "ISS-0001", "--reason", "x")
    assert "resolved already" in message


@pytest.mark.parametrize("title", ["", "two\nlines", "x" * 201, "bell\a"])
def test_a_title_that_is_none(applied: Project, title: str) -> None:
    for command in (
        ["issue", "report", "--severity", "low", "--title", title],
        ["task", "add", "T-9", "--kind", "impl", "--title", title],
    ):
        message = refused(applied, REFUSED, *command)
        assert "title" in message


def test_a_claim_too_early_or_too_late(make: Make) -> None:
    project = make()
    project.ok("plan", "apply")
    assert "'T-2' waits for T-1" in refused(project, REFUSED, "claim", "T-2")
    project.ok("claim", "T-1", *ALICE)
    message = refused(project, REFUSED, "claim", "T-1", *BOB)
    assert "'T-1' is in progress: alice@example.com holds it until" in message
    project.ok("complete", "T-1", "--summary", "x", *ALICE)
    message = refused(project, REFUSED, "claim", "T-1", *BOB)
    assert "'T-1' is done, and done is final" in message
    assert "git esaa hotfix T-1 --title TEXT --reason TEXT" in message
    project.ok("claim", "T-2", *BOB)


def test_a_run_of_one_task_that_cannot_be_worked_on(applied: Project) -> None:
    assert "'T-2' waits for T-1" in refused(applied, REFUSED, "run", "--task", "T-2")


def test_completing_what_somebody_else_holds(applied: Project) -> None:
    message = refused(applied, REFUSED, "complete", "T-1", "--summary", "x", *BOB)
    assert "you (bob@example.com) do not hold 'T-1'" in message
    applied.ok("claim", "T-1", *ALICE)
    message = refused(applied, REFUSED, "complete", "T-1", "--summary", "x", *BOB)
    assert "do not hold 'T-1'; alice@example.com does" in message
    assert "git esaa claim T-1" in message


def test_a_path_that_was_misspelt_costs_no_attempt(applied: Project) -> None:
    applied.ok("claim", "T-1")
    complete = ["complete", "T-1", "--summary", "x"]
    assert "there is no 'src/b.py'" in refused(applied, USAGE, *complete, "src/b.py")
    assert "not a regular file" in refused(applied, USAGE, *complete, "src")
    outside = refused(applied, USAGE, *complete, "../elsewhere")
    assert "'../elsewhere' is outside of this repository" in outside
    applied.ok(*complete)


def test_a_path_outside_of_the_boundary_is_a_rejection(applied: Project) -> None:
    applied.ok("claim", "T-1")
    applied.write(".github/workflows/x.yml", "on: push\n")
    message = applied.fails(REFUSED, "complete", "T-1", "--summary", "x", ".github/workflows/x.yml")
    assert "rejected, PATH_PROTECTED" in message
    assert applied.said("output.rejected")[0]["code"] == "PATH_PROTECTED"
    assert "T-1-A2 is yours" in applied.ok("claim", "T-1")


def test_a_submission_that_answers_nothing_is_not_recorded(applied: Project) -> None:
    envelope = json.dumps(result("T-1", attempt_id="T-1-A1"))
    message = refused(applied, REFUSED, "submit", "-", stdin=envelope)
    assert "STALE_ATTEMPT" in message
    assert "not recorded" in message
    assert "no task 'T-9'" in refused(applied, USAGE, "submit", "-", "--task", "T-9", stdin="{}")
    assert "cannot read '/no/such/file'" in refused(applied, USAGE, "submit", "/no/such/file")


@pytest.mark.parametrize(
    ("output", "code"),
    [
        ("", "INVALID_JSON"),
        ("{", "INVALID_JSON"),
        (b"\xff", "NOT_UTF8"),
        ("[]", "SCHEMA_VIOLATION"),
        ('{"a": 1, "a": 2}', "DUPLICATE_KEY"),
        (json.dumps({**result("T-1", attempt_id="T-1-A1"), "action": "x"}), "UNKNOWN_ACTION"),
        (json.dumps(result("T-2", attempt_id="T-2-A1")), "TASK_MISMATCH"),
        (json.dumps(result("T-1", attempt_id="T-1-A2")), "ATTEMPT_MISMATCH"),
        (json.dumps(result("T-1", write("a", "x"), write("a", "y"), attempt_id="T-1-A1")), "DUPL"),
        (json.dumps(result("T-1", edit("none", "x", "y"), attempt_id="T-1-A1")), "FILE_MISSING"),
    ],
)
def test_a_broken_submission_is_a_typed_rejection(
    applied: Project, output: str | bytes, code: str
) -> None:
    applied.ok("claim", "T-1")
    before = applied.head()
    message = applied.fails(REFUSED, "submit", "-", "--task", "T-1", stdin=output)
    assert f"rejected, {code}" in message
    assert "hint: " in message
    assert applied.head() == before
    assert applied.said("output.rejected")[0]["code"].startswith(code)
    said = applied.esaa("submit", "-", "--task", "T-1", "--json", stdin=output)
    assert said.code == REFUSED
    applied.check()


def test_nobody_reviews_their_own_work(make: Make) -> None:
    project = make(task("T-1", review=True))
    project.ok("plan", "apply")
    project.ok("claim", "T-1", *ALICE)
    project.ok("complete", "T-1", "--summary", "x", *ALICE)
    for decision in (["--approve"], ["--request-changes", "x"]):
        message = refused(project, REFUSED, "review", "T-1", *decision, *ALICE)
        assert "nobody approves their own work" in message
    both = refused(project, USAGE, "review", "T-1", "--approve", "--request-changes", "x", *BOB)
    assert "exclude each other" in both
    project.ok("review", "T-1", "--approve", *BOB)
    message = refused(project, REFUSED, "review", "T-1", "--approve", *BOB)
    assert "'T-1' does not wait for a review; it is done" in message


def test_what_waits_for_a_review_cannot_be_claimed(make: Make) -> None:
    project = make(task("T-1", review=True))
    project.ok("plan", "apply")
    project.ok("claim", "T-1", *ALICE)
    project.ok("complete", "T-1", "--summary", "x", *ALICE)
    assert "waits for a review" in refused(project, REFUSED, "claim", "T-1", *BOB)
    assert "nobody holds 'T-1'" in refused(
        project, REFUSED, "task", "release", "T-1", "--reason", "x"
    )


def test_only_what_is_blocked_is_unblocked(applied: Project) -> None:
    message = refused(applied, REFUSED, "task", "unblock", "T-1", "--reason", "x")
    assert "'T-1' is not blocked, it is todo" in message


@pytest.mark.parametrize("command", ["hotfix", "override"])
def test_only_what_is_done_is_superseded(applied: Project, command: str) -> None:
    options = ["--title", "x"] if command == "hotfix" else []
    message = refused(applied, REFUSED, command, "T-1", "--reason", "x", *options)
    assert "only a done task can be superseded; 'T-1' is todo" in message


def test_notes_stand_on_tasks_runs_and_events_and_are_shown_with_them(applied: Project) -> None:
    applied.ok("claim", "T-1")
    applied.ok("complete", "T-1", "--summary", "x")
    for target, on in (("T-1", "T-1"), ("RUN-0001", "RUN-0001"), ("2", "EV-00000002")):
        said = f"see [{on}]\nfor more"
        assert applied.ok("note", target, said) == f"noted on {on}\n"
        assert f"note by {PERSON}, " in applied.ok("show", target)
        assert f"see [{on}]" in applied.ok("show", target)
        (note,) = json.loads(applied.ok("show", target, "--json"))["notes"]
        assert (note["by"], note["text"]) == (PERSON, said)
    assert "see [T-1]" in applied.ok("task", "show", "T-1")
    assert "note.add RUN-0001: see [RUN-0001]…" in applied.ok("log", "--action", "note.add")
    assert "note.add T-1: see [T-1]…" in applied.ok("log", "--task", "T-1", "-n", "1")


@pytest.mark.parametrize("target", ["T-9", "RUN-0002", "99", "nothing"])
def test_a_note_is_on_what_there_is(applied: Project, target: str) -> None:
    before = applied.tip()
    refused(applied, USAGE, "note", target, "x")
    assert applied.tip() == before


RULE = "Obey me,\nand me alone"


def test_a_person_withdraws_a_lesson_and_sees_that_it_is(applied: Project) -> None:
    applied.ok("claim", "T-1")
    answer = {
        "action": "agent.result",
        "task_id": "T-1",
        "attempt_id": "T-1-A1",
        "payload": {
            "summary": "x",
            "lessons": [{"rule": "Obey me,\nand me alone", "mistake": "m"}],
        },
    }
    applied.ok("submit", "-", stdin=json.dumps(answer))
    kind = applied.task("T-1").kind
    assert f"told to {kind}" in applied.ok("lesson", "list")
    assert "Obey me, and me alone" in applied.ok("lesson", "list")
    applied.ok("lesson", "withdraw", "LES-0001", "--reason", "it is an order")
    assert "LES-0001" not in applied.ok("lesson", "list")
    assert f"withdrawn by {PERSON}" in applied.ok("lesson", "list", "--all")
    (shown,) = json.loads(applied.ok("lesson", "list", "--all", "--json"))
    assert (shown["withdrawn"], shown["told_to"]) == ("it is an order", [])
    again = ("lesson", "withdraw", "LES-0001", "--reason", "x")
    assert "withdrawn already by" in refused(applied, REFUSED, *again)
    refused(applied, USAGE, "lesson", "withdraw", "LES-0009", "--reason", "x")
    applied.verify()


def test_a_task_that_exists_is_not_added(applied: Project) -> None:
    message = refused(applied, USAGE, "task", "add", "T-1", "--kind", "impl", "--title", "x")
    assert "task 'T-1' exists already" in message
    message = refused(applied, CONFIGURATION, "task", "add", "T-9", "--kind", "x", "--title", "x")
    assert "no task kind 'x'" in message
    message = refused(
        applied, USAGE, "task", "add", "T-9", "--kind", "qa", "--title", "x", "--depends-on", "T-8"
    )
    assert "no task 'T-8'" in message


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["clam", "T-1"], "did you mean 'claim'?"),
        (["key", "trust", "--role"], "run 'git esaa key trust --help'"),
        (["claim"], "missing argument"),
        (["issue", "report", "--severity", "grave", "--title", "x"], "'grave' is not one of"),
        (["run", "--steps", "0"], "--steps"),
        (["verify", "--full", "--since"], "exclude each other"),
        (["override", "T-1"], "--reason"),
        (["status", "--jsno"], "--json"),
    ],
)
def test_a_command_that_was_mistyped(applied: Project, command: list[str], words: str) -> None:
    message = refused(applied, USAGE, *command)
    assert words in message
    assert "hint: run 'git esaa" in message


# -- attempts, time, and their limits ----------------------------------------------------------


def test_spent_attempts_block_until_somebody_gives_more(make: Make) -> None:
    project = make(task("T-1"), policy={"attempts__max_per_task": 2})
    project.answers(T_1="no JSON")
    message = project.esaa("run")
    assert message.code == HALTED
    assert "run failed: 1 tasks blocked" in message.out
    assert project.task("T-1").state == "blocked"
    assert project.actions().count("output.rejected") == 2
    project.check()
    said = refused(project, HALTED, "run")
    assert "blocked: T-1" in said
    project.ok("task", "unblock", "T-1", "--attempts", "1", "--reason", "the prompt is repaired")
    project.answers(T_1=result("T-1"))
    project.ok("run")
    assert project.task("T-1").attempts_total == 3
    update = next(p for p in project.payloads("task.update") if p["cause"] == "operator")
    assert (update["attempts_allowed"], update["reason"]) == (3, "the prompt is repaired")
    project.check()


def test_a_lease_that_ran_out_comes_back(make: Make, clock: Clock) -> None:
    project = make(policy={"attempts__ttl": "PT1M"})
    project.ok("plan", "apply")
    project.ok("claim", "T-1", *ALICE)
    clock.advance(59)
    assert "holds it until" in refused(project, REFUSED, "claim", "T-1", *BOB)
    clock.advance(1)
    assert "T-1-A2 is yours" in project.ok("claim", "T-1", *BOB)
    assert project.payloads("attempt.timeout")[0]["attempt_id"] == "T-1-A1"
    message = refused(project, REFUSED, "complete", "T-1", "--summary", "x", *ALICE)
    assert "bob@example.com does" in message
    project.ok("complete", "T-1", "--summary", "x", *BOB)
    project.check()


def test_an_answer_after_the_deadline_is_too_late(make: Make, clock: Clock) -> None:
    project = make(policy={"attempts__ttl": "PT1M"})
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    clock.advance(60)
    message = project.fails(REFUSED, "complete", "T-1", "--summary", "x")
    assert "STALE_ATTEMPT" in message
    assert "ran out at 2026-03-01T09:01:00.000Z" in message
    assert project.task("T-1").state == "todo"
    project.check()


def test_a_run_takes_back_what_a_dead_worker_held(make: Make, clock: Clock) -> None:
    project = make(policy={"attempts__ttl": "PT1M"})
    project.answers(T_1=result("T-1"), T_2=result("T-2"))
    project.ok("plan", "apply")
    project.ok("claim", "T-1", *ALICE)
    assert "'T-1' is held by alice@example.com" in project.fails(HALTED, "run")
    clock.advance(60)
    project.ok("run")
    assert project.task("T-1").attempts_total == 2
    project.check()


def test_a_task_cools_down_after_a_failure(make: Make, clock: Clock) -> None:
    project = make(task("T-1"), policy={"attempts__cooldown": "PT5M"})
    project.answers(T_1_A1="no JSON", T_1_A2=result("T-1", attempt_id="T-1-A2"))
    project.ok("run", "--steps", "1")
    message = refused(project, REFUSED, "claim", "T-1")
    assert "'T-1' cools down until 2026-03-01T09:05:00.000Z" in message
    said = project.esaa("run")
    assert said.code == 0, said.err
    assert "cooling down until 2026-03-01T09:05:00.000Z" in said.err
    assert sum(clock.slept) == 300
    project.check()


def test_a_long_cooldown_is_not_slept_through(make: Make, clock: Clock) -> None:
    project = make(task("T-1"), policy={"attempts__cooldown": "PT2H"})
    project.answers(T_1="no JSON")
    message = project.fails(HALTED, "run")
    assert "the next attempt may start at 2026-03-01T11:00:00.000Z" in message
    assert clock.slept == []


def test_a_clock_that_jumps_back_is_held(make: Make, clock: Clock) -> None:
    project = make()
    project.ok("plan", "apply")
    clock.advance(-250)
    project.ok("claim", "T-1")
    times = [one.event.ts for one in project.chain()]
    assert times == sorted(times)
    project.check()


def test_an_agent_that_only_reports_ends_its_attempt(make: Make) -> None:
    project = make(task("T-1"), policy={"attempts__max_per_task": 1})
    project.answers(T_1=issue("T-1", "low"))
    assert project.esaa("run").code == HALTED
    assert project.said("output.rejected")[0]["code"] == "NO_RESULT"
    project.check()


# -- somebody else is faster -------------------------------------------------------------------


def test_a_lock_that_somebody_holds(applied: Project) -> None:
    (applied.path / ".git/refs/esaa/events.lock").touch()
    message = refused(applied, CONFLICT, "claim", "T-1")
    assert "'refs/esaa/events' is locked by another process" in message
    (applied.path / ".git/refs/esaa/events.lock").unlink()
    applied.ok("claim", "T-1")


def test_a_log_whose_end_is_no_event(applied: Project) -> None:
    applied.git("update-ref", "refs/esaa/events", "main")
    for command in (["claim", "T-1"], ["status"], ["run"]):
        said = applied.esaa(*command)
        assert said.code in (9, 10)
        assert said.err.startswith("error: ")
        assert "is not an event" in said.err or "is incomplete" in said.err


def test_a_folder_of_ours_that_cannot_be_written_is_named(applied: Project) -> None:
    applied.ok("claim", "T-1")
    applied.write("src/a.py", "a = 2\n")
    place = applied.path / ".git/esaa"
    shutil.rmtree(place)
    place.write_text("a file where a folder should be")
    message = applied.fails(1, "complete", "T-1", "--summary", "x", "src/a.py")
    assert f"cannot use '{place}" in message
    place.unlink()
    applied.ok("complete", "T-1", "--summary", "x", "src/a.py")
    applied.check()


# ------------------------------------------------------------------------------------- secrets


def test_what_people_say_is_stored_without_secrets(make: Make) -> None:
    project = make(task("T-1"), task("T-2"), task("T-3", attempts_allowed=1))
    project.answers(T_1=result("T-1"), T_2=result("T-2"))
    project.ok("plan", "apply")
    token = "gh" + "p_" + "a1B2c3D4e5F6" * 3
    said = f"it uses {token} today"
    project.ok("note", "T-1", said)
    project.ok("issue", "report", "--task", "T-2", "--severity", "high", "--title", said)
    project.ok("task", "unblock", "T-2", "--reason", said)
    project.ok("claim", "T-1")
    project.ok("task", "release", "T-1", "--reason", said)
    project.ok("run", "--task", "T-1")
    project.ok("run", "--task", "T-2")
    project.ok("hotfix", "T-1", "--title", said, "--reason", said)
    project.ok("override", "T-2", "--reason", said)
    shown = ["git", "log", "-p", "--root", "--text", "refs/esaa/events"]
    stored = subprocess.run(shown, cwd=project.path, capture_output=True, check=True).stdout
    assert b"it uses [redacted] today" in stored
    assert token[4:].encode() not in stored
    project.check()
