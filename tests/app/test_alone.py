"""People in clones without the orchestrator's key: what they say is recorded, the rest later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import Person, Project, make_project, result, task, write

KEY, HALTED, DECISIONS = 5, 8, 14
ANN, BEN = "ann@example.com", "ben@example.com"


class Alone:
    """The project, and two people in it while the orchestrator's key is elsewhere."""

    def __init__(self, project: Project, ann: Person, ben: Person) -> None:
        self.project, self.ann, self.ben = project, ann, ben
        self._key = project.setting("esaa.signingKey")
        self.leave()

    def leave(self) -> None:
        self.project.git("config", "--unset", "esaa.signingKey")

    def come(self) -> None:
        self.project.git("config", "esaa.signingKey", self._key)

    def last(self) -> tuple[str, str]:
        event = self.project.chain()[-1].event
        return event.action, event.actor


@pytest.fixture
def alone(tmp_path: Path, git: Git) -> Alone:
    project = make_project(
        tmp_path / "project",
        git,
        task("T-1"),
        task("T-2", review=True),
        task("T-3", review=True),
        task("T-4", depends_on=["T-1"]),
    )
    for name in ("T-2", "T-3"):
        project.answer(name, result(name, write(f"src/{name}.txt", "x\n")))
    project.answer("T-4", result("T-4"))
    ann, ben = project.person(ANN), project.person(BEN, "approver")
    project.ok("run", "--task", "T-2", "--steps", "1")
    project.ok("run", "--task", "T-3", "--steps", "1")
    return Alone(project, ann, ben)


def test_a_contributor_claims_answers_and_gives_back(alone: Alone) -> None:
    project, ann = alone.project, alone.ann
    ann.ok("claim", "T-1")
    assert alone.last() == ("attempt.create", ANN)
    ann.ok("task", "release", "T-1", "--reason", "no time")
    assert alone.last() == ("task.update", ANN)
    ann.ok("claim", "T-1")
    ann.ok("complete", "T-1", "--summary", "Nothing to do")
    assert alone.last() == ("agent.result", ANN)
    assert project.task("T-1").state == "in_progress"
    project.check()
    alone.come()
    project.esaa("run")
    assert project.task("T-1").state == "done"
    project.check()


def test_an_approver_decides_and_the_next_run_does_the_rest(alone: Alone) -> None:
    project, ben = alone.project, alone.ben
    ben.ok("review", "T-2", "--approve")
    assert alone.last() == ("approval.grant", BEN)
    ben.ok("review", "T-3", "--request-changes", "say more")
    assert alone.last() == ("approval.deny", BEN)
    assert {project.task(name).state for name in ("T-2", "T-3")} == {"in_progress"}
    said = ben.ok("status")
    for task_id, verdict in (("T-2", "granted"), ("T-3", "returned")):
        assert f"{task_id}: its review is {verdict} by {BEN}" in said
        assert f"is {verdict}, and waits for the orchestrator" in ben.ok("task", "show", task_id)
    assert "waits for a review" not in said
    project.check()
    alone.come()
    project.fails(DECISIONS, "run")
    assert project.task("T-2").state == "done"
    said = project.git("log", "--format=%(trailers:key=Reviewed-by,valueonly)", "-1", "main")
    assert said.strip() == f"{BEN} <{BEN}>"
    assert project.task("T-3").attempts_total == 2
    project.check()


def test_an_issue_has_its_consequences_with_the_orchestrators_next_event(alone: Alone) -> None:
    project, ben = alone.project, alone.ben
    ben.ok("issue", "report", "--task", "T-1", "--severity", "high", "--title", "It is broken")
    assert alone.last() == ("issue.report", BEN)
    assert project.task("T-1").state == "todo"
    alone.come()
    project.ok("task", "add", "T-9", "--kind", "impl", "--title", "x")
    assert [one.event.action for one in project.chain()[-3:]] == [
        "task.update",
        "task.update",
        "task.create",
    ]
    assert {project.task(name).state for name in ("T-1", "T-4")} == {"blocked"}
    # Once it was acted on, an unblocked task stays so.
    project.ok("task", "unblock", "T-1", "--reason", "it is not")
    project.ok("task", "add", "T-10", "--kind", "impl", "--title", "x")
    assert project.task("T-1").state == "todo"
    project.check()


def test_a_critical_issue_halts_with_the_orchestrators_next_run(alone: Alone) -> None:
    project, ben = alone.project, alone.ben
    ben.ok("issue", "report", "--task", "T-1", "--severity", "critical", "--title", "It burns")
    alone.come()
    said = project.esaa("run")
    assert "is halted: ISS-0001: It burns" in said.out + said.err
    assert "git esaa issue resolve" in said.out + said.err
    assert project.state().run.state == "halted"
    project.check()


def test_a_persons_key_alone_is_in_order_and_init_makes_no_other(alone: Alone) -> None:
    project, ben = alone.project, alone.ben
    said = ben.esaa("doctor")
    assert "a person's key alone" in said.out
    assert f"{BEN} signs with" in said.out
    assert "git esaa init" not in said.out + said.err
    before = project.git("config", "--list", "--local")
    refused = ben.esaa("init")
    assert refused.code == 7
    assert "git esaa key create" in refused.err
    assert project.git("config", "--list", "--local") == before


def test_whatever_comes_next_records_the_halt_and_is_then_refused(alone: Alone) -> None:
    project, ben = alone.project, alone.ben
    ben.ok("issue", "report", "--severity", "critical", "--title", "It burns")
    alone.come()
    said = project.esaa("claim", "T-1", "--as", "agent-impl")
    assert said.code != 0
    assert project.chain()[-1].event.action == "run.end"
    project.ok("issue", "resolve", "ISS-0001", "--reason", "out")
    project.check()


def test_what_is_the_orchestrators_is_not_done_without_its_key(alone: Alone) -> None:
    project = alone.project
    before = project.tip()
    project.fails(KEY, "task", "add", "T-9", "--kind", "impl", "--title", "x")
    project.fails(KEY, "run")
    alone.ann.ok("claim", "T-1")
    said = alone.ann.esaa("submit", "-", "--task", "T-1", stdin=b"no envelope")
    assert "rejected" in said.out + said.err
    assert alone.last() == ("attempt.create", ANN)
    assert project.tip() != before
    project.check()
