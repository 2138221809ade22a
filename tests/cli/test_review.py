"""`git esaa review` and a run that waits: over a real repository, with keys of two people."""

from __future__ import annotations

import json
from pathlib import Path
from subprocess import DEVNULL, PIPE, Popen, check_call
from tempfile import TemporaryDirectory

import pytest

from esaa_git.app.hooks import install
from esaa_git.core.said import told
from esaa_git.engine import operator
from esaa_git.engine import run as run_of
from esaa_git.engine.cycle import Options, cycle
from esaa_git.errors import DecisionsMissing, KeyUnavailable, RefusedError, UsageError
from esaa_git.store.repository import open_repository
from esaa_git.testing.contracts import contracts, task
from esaa_git.testing.engine import engine
from esaa_git.trust.keys import load_signer
from esaa_git.trust.signer import KeySpec
from tests.conftest import Git
from tests.support.project import Project, make_project, result, run, write
from tests.support.project import task as planned
from tests.support.team import hook_environment

BEN = "ben@example.com"
DECISIONS, USAGE, REFUSED, CONFLICT = 14, 2, 7, 6
PROVIDER = Path("/usr/lib/openssh/regress/misc/sk-dummy/sk-dummy.so")
REVIEW = ("AGENT_CONTRACT.yaml", "kinds", "spec", "review")
EXPIRES = ("RUNTIME_POLICY.yaml", "approvals", "expire_after")


@pytest.fixture
def asked(tmp_path: Path, git: Git) -> Project:
    project = make_project(
        tmp_path / "project",
        git,
        planned("T-1", review=True, acceptance=["It says x."]),
        planned("T-2", review=True),
    )
    for name in ("T-1", "T-2"):
        project.answer(name, result(name, write(f"src/{name}.txt", "x\n")))
    project.person(BEN, "approver")
    said = project.fails(DECISIONS, "run")
    assert "'git esaa run --wait' waits for it" in said
    return project


def test_what_waits_is_listed_shown_tried_and_decided(asked: Project) -> None:
    listed = asked.ok("review")
    assert listed.startswith("T-1  ")
    assert "for one of role approver (the plan requires a review of this task), until " in listed
    (first, _) = json.loads(asked.ok("review", "--json"))
    assert (first["task_id"], first["state"], first["unanswered"]) == ("T-1", "pending", False)
    shown = asked.ok("review", "T-1")
    for words in ("  - It says x.", "asked for by: the plan requires", "+x"):
        assert words in shown
    place = Path(asked.ok("review", "T-1", "--checkout").strip())
    assert (place / "src/T-1.txt").read_text() == "x\n"
    assert "is there already" in asked.fails(CONFLICT, "review", "T-1", "--checkout")

    for wrong in (
        ("--approve",),
        ("T-1", "--approve", "--deny"),
        ("T-1", "--reason", "x"),
        ("T-1", "--request-changes", "x", "--reason", "y"),
        ("T-1", "--comment", "src/T-1.txt:1=x"),
    ):
        asked.fails(USAGE, "review", *wrong)

    comment = ("--comment", "src/T-1.txt:1=say y instead")
    back = ("review", "T-1", "--request-changes", "not yet", "--as", BEN)
    assert "does not change 'a.py'" in asked.fails(USAGE, *back, "--comment", "a.py:1=x")
    said = asked.ok(*back, *comment)
    assert said == "T-1 goes back: not yet\nsrc/T-1.txt:1: say y instead\n"
    rejection = asked.task("T-1").rejection
    assert rejection is not None
    last = told(rejection, lambda oid: asked.repository.read(oid)[1])
    assert last.message == "not yet\nsrc/T-1.txt:1: say y instead"
    said = asked.ok("review", "T-2", "--deny", "--reason", "nobody needs it", "--as", BEN)
    assert said == "T-2 is denied, and blocked: nobody needs it\n"
    blocked = asked.task("T-2").blocked
    assert blocked is not None
    assert (blocked.cause, blocked.reason) == ("denied", f"denied by {BEN}")
    shown = asked.ok("show", "T-2")
    assert f"state: blocked (denied: denied by {BEN}: nobody needs it)\n" in shown
    assert f"APR-0002: denied by {BEN}: the plan requires a review of this task\n" in shown
    assert f"  {BEN}  approval.deny APR-0002\n      nobody needs it\n" in shown
    assert asked.ok("review") == "nothing waits for a decision\n"
    assert "does not wait for a review" in asked.fails(REFUSED, "review", "T-2", "--approve")
    asked.check()


def test_a_run_with_wait_goes_on_when_the_decision_arrives() -> None:
    made = engine(given=contracts({REVIEW: "required"}))
    made.apply(task("T-1"), task("T-2", depends_on=["T-1"]))
    with pytest.raises(DecisionsMissing):
        cycle(made)
    rest, slept = made.clock.sleep, []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            operator.review(made, "T-1", BEN, "approve")
        rest(seconds)

    made.clock.sleep = sleep  # type: ignore[method-assign]
    with pytest.raises(DecisionsMissing, match="'T-2' waits"):
        cycle(made, Options(decisions=60))
    assert made.task("T-1").is_done


def test_what_nobody_decided_in_time_is_asked_again_without_another_attempt() -> None:
    made = engine(given=contracts({REVIEW: "required", EXPIRES: "PT1H"}))
    made.apply(task())
    with pytest.raises(DecisionsMissing):
        cycle(made)
    made.clock.forward(hours=2)
    with pytest.raises(RefusedError, match="is refused"):
        operator.review(made, "T-1", BEN, "approve")
    assert cycle(made).result == "failed"
    blocked = made.task("T-1").blocked
    assert blocked is not None
    assert blocked.cause == "unanswered"
    made.apply(task(), task("T-2"))
    operator.ask_again(made, "T-1", BEN)
    with pytest.raises(RefusedError, match="no decision on 'T-1' was missed"):
        operator.ask_again(made, "T-1", BEN)
    assert operator.review(made, "T-1", BEN, "approve").kind == "done"
    assert made.task("T-1").attempts_total == 1
    assert made.audit().is_ok


def test_a_decision_between_two_runs_is_recorded_for_the_next_one() -> None:
    made = engine(given=contracts({REVIEW: "required"}))
    made.apply(task())
    with pytest.raises(DecisionsMissing):
        cycle(made)
    run_of.stop(made, "enough for today", BEN)
    said = operator.review(made, "T-1", BEN, "approve")
    assert (said.kind, made.actions[-1]) == ("waiting", "approval.grant")
    made.apply(task(), task("T-2"))
    cycle(made, Options(steps=0))
    assert made.task("T-1").is_done


def test_a_comment_says_where() -> None:
    from esaa_git.app.reviews import words_of

    assert words_of("no", ["a b.py:3=x: y=z"], ["a b.py"]) == "no\na b.py:3: x: y=z"
    for wrong in ("a.py=x", "a.py:0=x", "a.py:1="):
        with pytest.raises(UsageError, match="is no comment"):
            words_of("", [wrong], ["a.py"])


def test_of_two_who_decide_at_once_the_first_counts_and_the_other_is_told(
    asked: Project, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook_environment(monkeypatch)
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")
    asked.git("remote", "add", "origin", "../server.git")
    asked.ok("push")
    assert run("clone", str(server), str(tmp_path / "two")).code == 0
    two = Project(tmp_path / "two", git)
    two.git("config", "esaa.approverKey", str(asked.path / ".git/people" / BEN))
    asked.ok("review", "T-1", "--deny", "--reason", "nobody needs it")
    asked.ok("push")
    two.ok("review", "T-1", "--approve")
    two.ok("review", "T-2", "--approve")
    said = two.esaa("push")
    assert said.code == CONFLICT
    first, second, *_ = said.err.splitlines()
    assert first.startswith("note: EV-00000012 is not taken into the inbox: check 1, ")
    assert "the log cannot take it: 'APR-0001' is denied already" in first
    assert second.startswith("EV-00000013 waits in the inbox of 'origin'")
    assert "run 'git esaa sync origin'" in said.err

    assert f"approval.grant by {BEN} came through the inbox" in asked.esaa("fetch").err
    said = two.ok("sync")
    assert "left out: approval.grant APR-0001" in said
    assert "'APR-0001' was denied by person@example.com meanwhile" in said
    assert "kept as it was: refs/esaa/superseded/" in said
    asked.esaa("run")
    assert [asked.task(name).state for name in ("T-1", "T-2")] == ["blocked", "done"]
    asked.check()


def test_a_security_key_decides_offline_by_its_file_and_in_an_agent(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is one in software; what it signs is held against on append, by the hook, and later.

    docs/guides/decide.md has a key that is in an agent alone.
    """
    if not PROVIDER.exists():
        pytest.skip("there is no security key in software: 'apt-get install openssh-tests'")
    monkeypatch.setenv("SSH_SK_PROVIDER", str(PROVIDER))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    hook_environment(monkeypatch)
    key, names = tmp_path / "ben", ("T-1", "T-2")
    make = ["ssh-keygen", "-q", "-t", "ed25519-sk", "-N", "", "-C", BEN, "-f", str(key)]
    check_call(make, stdin=DEVNULL)
    with monkeypatch.context() as away:
        away.setenv("SSH_SK_PROVIDER", str(tmp_path / "away.so"))
        with pytest.raises(KeyUnavailable, match=f"the security key of '{key}' did not sign"):
            load_signer(KeySpec("ssh", str(key))).sign(b"x")
    one = make_project(tmp_path / "one", git, *(planned(name, review=True) for name in names))
    for name in names:
        one.answer(name, result(name, write(f"src/{name}.txt", "x\n")))
    one.ok("key", "trust", f"{key}.pub", "--role", "approver")
    one.commit("Ben decides")
    one.fails(DECISIONS, "run")
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")
    one.git("remote", "add", "origin", "../server.git")
    one.ok("push")
    assert run("clone", str(server), str(tmp_path / "two")).code == 0
    two = Project(tmp_path / "two", git)
    two.git("config", "esaa.approverKey", str(key))
    server.rename(tmp_path / "away.git")  # offline
    said = two.ok("review", "T-1", "--approve")
    assert said.startswith("waiting: recorded; 'git esaa push' shares it")
    with TemporaryDirectory(prefix="a-", dir="/tmp") as folder:
        address = f"{folder}/agent"
        agent = Popen(["ssh-agent", "-D", "-a", address], stdout=PIPE, stderr=DEVNULL)
        try:
            assert agent.stdout is not None
            agent.stdout.readline()  # printed when it listens
            monkeypatch.setenv("SSH_AUTH_SOCK", address)
            check_call(["ssh-add", "-q", str(key)])
            key.unlink()
            monkeypatch.delenv("SSH_SK_PROVIDER")
            two.git("config", "esaa.approverKey", f"{key}.pub")
            two.ok("review", "T-2", "--approve")
        finally:
            agent.terminate()
            agent.communicate()
    (tmp_path / "away.git").rename(server)
    two.ok("push")
    one.ok("fetch")
    one.ok("run")
    assert all(one.task(name).is_done for name in names)
    one.check()
