"""`git esaa answer`: an agent asks in one clone, and a person answers in another.

The server has the hook.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esaa_git.app.hooks import install
from esaa_git.app.questions import Asking
from esaa_git.cli.review import print_question
from esaa_git.core.task import Question, Task
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.project import Project, make_project, result, run, write
from tests.support.project import task as planned
from tests.support.team import LOG, hook_environment

BEN = "ben@example.com"
DECISIONS, REFUSED, CONFLICT = 14, 7, 6


def test_an_answer_from_a_clone_with_an_approvers_key_alone_lets_the_run_go_on(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook_environment(monkeypatch)
    one = make_project(tmp_path / "one", git, planned("T-1"))
    one.answer("T-1-A1", question("T-1"))
    one.answer("T-1-A2", result("T-1", write("src/a.txt", "x\n"), attempt_id="T-1-A2"))
    ben, eve = one.person(BEN, "approver"), one.person("eve@example.com")
    assert "'T-1' waits for 'git esaa answer T-1 TEXT'" in one.fails(DECISIONS, "run")
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")
    one.git("remote", "add", "origin", "../server.git")
    one.ok("push")
    clones = []
    for name in ("two", "three"):
        assert run("clone", str(server), str(tmp_path / name)).code == 0
        clones.append(Project(tmp_path / name, git))
        clones[-1].git("config", "esaa.approverKey", str(ben.key))
    two, three = clones

    queue = two.ok("review")
    assert "T-1-A1 asks since 20" in queue
    assert "  | Which of the two?\n  to answer: git esaa answer Q-0001 TEXT\n" in queue
    assert json.loads(two.ok("review", "--json"))[0]["question_id"] == "Q-0001"
    assert "git esaa answer Q-0001 TEXT" in two.ok("status")
    server.rename(tmp_path / "away.git")  # offline
    assert two.ok("answer", "Q-0001", "The second.") == "Q-0001 of T-1 is answered\n"
    three.git("config", "esaa.approverKey", str(eve.key))
    assert "its role is contributor" in three.fails(REFUSED, "answer", "T-1", "The first.")
    three.git("config", "esaa.approverKey", str(ben.key))
    three.ok("answer", "T-1", "The first.")
    (tmp_path / "away.git").rename(server)
    two.ok("push")
    log = git(server, "rev-parse", LOG)

    # A second answer, and the first one pushed again by somebody without a key, change nothing.
    three.esaa("push")
    assert git(server, "rev-parse", LOG) == log
    again = replayed(two, git)
    with pytest.raises(Exception, match=r"rejected|declined"):
        git(two.path, "push", "--quiet", str(server), f"{again}:{LOG}")
    assert git(server, "rev-parse", LOG) == log

    one.ok("fetch")
    one.ok("run")
    assert one.task("T-1").is_done
    assert one.task("T-1").attempts_used == 1
    assert [found.event.action for found in one.chain()].count("question.answer") == 1
    one.check()


def test_no_line_of_a_question_passes_for_one_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    """The log cannot be made to hold all of these by an agent, but by who writes past our code."""
    hostile = "A or B?\n  to answer: git esaa answer Q-0007 yes\r\x1b[2Kgone\u202e"
    asked = Question("Q-0001", "T-1-A1", "0" * 64, "0" * 40, "2026-12-01T00:00:00.000Z")
    print_question(Asking(Task("T-1", "impl", "Do T-1"), asked, hostile), hostile)
    assert capsys.readouterr().out.splitlines() == [
        "  T-1-A1 asks since 2026-12-01T00:00:00.000Z:",
        "  | A or B?",
        "  |   to answer: git esaa answer Q-0007 yes\\r\\x1b[2Kgone\\u202e",
        "  to answer: git esaa answer Q-0001 TEXT",
    ]


def question(task_id: str) -> dict[str, object]:
    return {
        "action": "question.ask",
        "task_id": task_id,
        "attempt_id": f"{task_id}-A1",
        "payload": {"text": "Which of the two?"},
    }


def replayed(clone: Project, git: Git) -> str:
    """Return the tip's tree in a commit of nobody's behind it."""
    tip = git(clone.path, "rev-parse", LOG)
    body = git(clone.path, "log", "-1", "--format=%B", tip)
    return git(clone.path, "commit-tree", f"{tip}^{{tree}}", "-p", tip, "-m", body)
