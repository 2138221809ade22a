"""What can be known before anybody is paid is known before, and nothing is recorded then."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.app.needs import ahead
from esaa_git.core.plan import load_plan
from esaa_git.core.state import EMPTY
from esaa_git.engine.cycle import Options, cycle
from esaa_git.errors import ConflictError
from esaa_git.testing.answers import in_turn, oblige, result
from esaa_git.testing.contracts import contracts
from esaa_git.testing.contracts import task as memory_task
from esaa_git.testing.engine import MemoryEngine, engine
from tests.conftest import Git
from tests.support.project import Project, make_project, task, write
from tests.support.project import result as answer


class Found:
    """A look that finds something, from the second time on where it is asked more than once."""

    def __init__(self, lets: int = 0) -> None:
        self.looks: list[str] = []
        self._lets = lets

    def look(self, branch: str) -> None:
        self.looks.append(branch)
        if len(self.looks) > self._lets:
            raise ConflictError("a merge is under way")


def test_every_dispatch_is_looked_at_before_its_attempt_is_open() -> None:
    made: MemoryEngine = engine(oblige)
    made.apply(memory_task("T-1"), memory_task("T-2"))
    made.preflight = Found(lets=1)
    with pytest.raises(ConflictError, match="a merge is under way"):
        cycle(made)
    assert made.preflight.looks == ["main", "main"]
    assert made.task("T-1").is_done
    assert made.actions.count("attempt.create") == 1


def test_a_reviewer_is_not_asked_either() -> None:
    given = contracts(
        {
            ("AGENT_CONTRACT.yaml", "kinds", "spec", "review"): "agent",
            ("agents_swarm.yaml", "reviewers"): {"spec": "reviewer"},
            ("agents_swarm.yaml", "agents", "reviewer"): {"adapter": "scripted", "answers": "a"},
        }
    )
    made = engine(in_turn(oblige, result()), given=given)
    made.apply(memory_task())
    made.preflight = Found(lets=1)
    with pytest.raises(ConflictError):
        cycle(made, Options())
    assert made.actions.count("orchestrator.dispatch") == 1


def test_what_is_ahead_is_what_is_neither_done_nor_blocked() -> None:
    plan = load_plan(
        b"project: p\ntasks: [{task_id: T-1, kind: spec, title: One},"
        b" {task_id: T-2, kind: spec, title: Two, agent: other}]",
        "plan.yaml",
    )
    assert [one.task_id for one in ahead(plan, EMPTY)] == ["T-1", "T-2"]
    assert [one.agent for one in ahead(plan, EMPTY, "T-2")] == ["other"]
    made = engine(oblige)
    made.apply(memory_task("T-1"), memory_task("T-3"))
    cycle(made, Options(task_id="T-1"))
    assert [one.task_id for one in ahead(plan, made.state)] == ["T-2", "T-3"]


# -- a branch that is not what the log says of it ------------------------------------------------


@pytest.fixture
def worked(tmp_path: Path, git: Git) -> Project:
    """A project whose first task is done, and whose second is planned."""
    made = make_project(tmp_path / "project", git, task("T-1"))
    made.answers(T_1=answer("T-1", write("src/a.txt", "a\n")), T_2=answer("T-2"))
    made.commit()
    made.ok("run")
    made.plan(task("T-1"), task("T-2"))
    return made


def test_an_effect_that_was_amended_is_recorded_before_a_run_begins(worked: Project) -> None:
    worked.git("commit", "--quiet", "--amend", "--message", "Reworded")
    count = len(worked.chain())
    worked.ok("run")
    assert [one.event.action for one in worked.chain()[count:]][:2] == [
        "orchestrator.view.mutate",
        "run.init",
    ]
    assert worked.task("T-2").is_done


def test_an_effect_that_was_amended_with_more_is_found_before_a_run_begins(
    worked: Project,
) -> None:
    worked.write("src/b.txt", "b\n")
    worked.git("add", "src/b.txt")
    worked.git("commit", "--quiet", "--amend", "--message", "Reworded")
    before = worked.refs()
    said = worked.fails(9, "run")
    assert "log and branch do not agree" in said
    assert f"'git esaa verify --relink --record --accept {worked.head()[:12]}'" in said
    assert worked.refs() == before


def test_a_branch_that_was_set_back_is_found_before_a_run_begins(worked: Project) -> None:
    worked.git("reset", "--quiet", "--hard", "HEAD~1")
    worked.plan(task("T-1"), task("T-2"))
    before = worked.refs()
    assert "log and branch do not agree" in worked.fails(9, "run")
    assert worked.refs() == before


# -- only what is needed -----------------------------------------------------------------------


def test_a_run_asks_for_the_agents_that_it_may_come_to_and_for_no_others(
    tmp_path: Path, git: Git
) -> None:
    made = make_project(
        tmp_path / "project", git, task("T-1"), task("T-2", agent="gone"), task("T-3")
    )
    made.amend_yaml("agents_swarm.yaml", agents__gone={"adapter": "worktree", "command": ["gone"]})
    made.answers(T_1=answer("T-1"), T_3=answer("T-3"))
    made.commit()
    made.ok("run", "--task", "T-1")
    assert made.task("T-1").is_done
    for command in (["run"], ["run", "--task", "T-2"]):
        assert "no program 'gone'" in made.fails(11, *command)
    made.ok("run", "--task", "T-3")
    assert made.payloads("orchestrator.dispatch")[-1]["task_id"] == "T-3"


def test_a_reviewer_that_is_missing_is_named_before_its_author_is_asked(
    tmp_path: Path, git: Git
) -> None:
    made = make_project(tmp_path / "project", git, task("T-1"))
    made.amend_yaml("AGENT_CONTRACT.yaml", kinds__impl__review="agent")
    made.amend_yaml(
        "agents_swarm.yaml",
        agents__gone={"adapter": "command", "command": ["gone"]},
        reviewers={"impl": "gone"},
    )
    made.commit()
    assert "no program 'gone'" in made.fails(11, "run")
    assert made.tip() is None
