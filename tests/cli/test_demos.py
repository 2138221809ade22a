"""`git esaa demo`: every example ends verified; one with four agents at once, one killed."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.checks import ConfinedChecker
from esaa_git.app.init import make_example
from esaa_git.core.events import ApprovalGrant, AttemptCreate, AttemptTimeout, TaskUpdate
from esaa_git.core.projection import projection_hash
from esaa_git.engine import atwork
from esaa_git.engine.pool import JobResult, Pause, WorkerPool
from esaa_git.errors import AgentError
from esaa_git.faults import Point
from esaa_git.ports.checks import CheckResult
from esaa_git.resources import resource_path
from esaa_git.sandbox.confinement import choose
from tests.conftest import Git
from tests.faults.kills import KILLED, Moment, copied, live
from tests.support.project import Clock, Project, fix_log_id, run


@pytest.fixture(scope="session")
def sandbox() -> str:
    """The confinement that there is here; what the demonstrations show is another matter."""
    try:
        choose("auto")
    except AgentError:
        return "none"
    return "auto"


@pytest.fixture
def our_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have checks use the Python that runs the tests, as `demo` has them use the one it runs on."""
    path = (str(Path(sys.executable).parent), os.environ["PATH"])
    monkeypatch.setenv("PATH", os.pathsep.join(path))


def demo(folder: Path, git: Git, *arguments: str) -> tuple[Project, str]:
    said = run("demo", *arguments, "--into", str(folder))
    assert said.code == 0, said
    assert said.out.count("verify_status: ok") == 2  # the last run's own audit, and `verify --full`
    project = Project(folder, git)
    project.check()
    assert project.git("status", "--porcelain") == ""
    return project, said.out


def rejections(project: Project) -> list[tuple[str, str]]:
    payloads = project.said("output.rejected")
    return sorted((one["attempt_id"], one["code"]) for one in payloads)


def test_the_landing_page_is_the_example_that_is_shown_by_default(tmp_path: Path, git: Git) -> None:
    project, out = demo(tmp_path / "demo", git)
    assert "run success: 9 tasks done (49 events, 0 rejected)" in out
    assert project.state().project.name == "Rainshelf landing page"


def test_the_calculator_corrects_what_a_check_and_a_reviewer_refused(
    tmp_path: Path, git: Git, sandbox: str
) -> None:
    project, out = demo(tmp_path / "demo", git, "calculator", "--sandbox", sandbox)
    assert "run success: 11 tasks done (86 events, 2 rejected)" in out
    assert rejections(project) == [
        ("T-1060-A1", "CHECK_FAILED"),
        ("T-1070-A1", "POLICY_DENIED"),
    ]
    (_, refused) = project.said("output.rejected")
    assert "test_r3_digits_before_the_point" in refused["detail"]["output"]
    assert [one["passed"] for one in refused["check_results"]] == [False]
    # A second person agrees to the settings and to more money, each with a key of their own.
    second = "second@example.com"
    assert [
        (one.event.actor, one.event.payload.approval_id)
        for one in project.chain()
        if isinstance(one.event.payload, ApprovalGrant)
    ] == [(second, "APR-0001"), (second, "APR-0004")]
    assert "for one of role approver beside demo@example.com (the policy asks for it" in out
    assert "0.180000 USD more for the budget of RUN-0001" in out
    merged = project.git("log", "--format=%s|%(trailers:key=Reviewed-by,valueonly)", "main")
    assert f"{second} <{second}>" in merged
    assert project.state().accounts["run.RUN-0001"].spent.microdollars == 2_610_000
    assert project.ok("policy", "test") == "2 of 2 cases are answered as they say\n"
    denied, agreed = project.said("review.result")
    assert "W4 is not met" in denied["text"]
    assert (denied["verdict"], agreed["verdict"]) == ("request_changes", "approve")
    assert {denied["reviewer"], agreed["reviewer"]} == {"agent-review"}
    assert [project.task(name).attempts_total for name in ("T-1060", "T-1080")] == [2, 2]
    asked = project.git("log", "-1", "--format=%an %s", "--", "calculator/keypad.py")
    assert asked.startswith("agent-impl T-1080: ")
    assert "examples" in {
        check["name"]
        for one in project.payloads("orchestrator.file.write")
        for check in one.get("check_results", ())
    }


@pytest.mark.timeout(600)
def test_four_agents_work_at_once_in_the_clinic(tmp_path: Path, git: Git, sandbox: str) -> None:
    project, out = demo(
        tmp_path / "demo", git, "clinic-asr", "--parallel", "4", "--sandbox", sandbox
    )
    assert "run success: 50 tasks done (274 events, 4 rejected)" in out
    assert max(at_work(project)) == 4
    assert rejections(project) == [
        ("T-1120-A1", "BOUNDARY_VIOLATION"),
        ("T-1250-A1", "INVALID_JSON"),
        ("T-1340-A1", "NO_RESULT"),
        ("T-1390-A1", "CHECK_FAILED"),
    ]
    state = project.state()
    (reported,) = state.issues.values()
    assert (reported.severity, reported.task_id) == ("low", "T-1340")
    assert {lesson.task_id for lesson in state.lessons.values()} == {"T-1120", "T-1250", "T-1390"}
    effects = project.git("log", "--format=%an", "--author=agent-").splitlines()
    assert len(effects) == 50
    assert set(effects) == {"agent-spec", "agent-impl", "agent-qa", "agent-ops"}


def at_work(project: Project) -> Iterator[int]:
    """How many attempts were open after each event."""
    held: dict[str, str] = {}
    for one in project.chain():
        payload = one.event.payload
        if isinstance(payload, AttemptCreate):
            held[payload.task_id] = payload.attempt_id
        elif isinstance(payload, TaskUpdate | AttemptTimeout):
            held.pop(payload.task_id, None)
        yield len(held)


def test_an_example_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    for name in ("spreadsheet", "default", "agents", ".."):
        said = run("demo", name, "--into", str(tmp_path / "demo"))
        assert said.code == 2
        assert f"no template '{name}'" in said.err
        assert "choose one of: calculator, clinic-asr, landing-page" in said.err
    assert not (tmp_path / "demo").exists()


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    said = run("demo", "--into", str(tmp_path))
    assert (said.code, "is not empty" in said.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_path_of_the_person_is_as_it_was(tmp_path: Path) -> None:
    before = os.environ["PATH"]
    assert run("demo", "--into", str(tmp_path / "demo")).code == 0
    assert os.environ["PATH"] == before


# ---------------------------------------------------------------------- killed, and as if not


class InOrder(WorkerPool):
    """Hands out what ended in the order in which it was begun, whichever ends first."""

    def __init__(self) -> None:
        super().__init__()
        self._ranks: dict[str, int] = {}
        self._ended: dict[str, JobResult] = {}

    def __len__(self) -> int:
        return super().__len__() + len(self._ended)

    def start(self, key: str, job: Callable[[Pause], Any]) -> None:
        self._ranks.setdefault(key, len(self._ranks))
        super().start(key, job)

    def next(self, seconds: float) -> JobResult | None:
        while True:
            under_way = [key for key in self._ranks if key in self or key in self._ended]
            first = min(under_way, key=self._ranks.__getitem__, default=None)
            if first in self._ended:
                return self._ended.pop(first)
            ended = super().next(seconds)
            if ended is None:
                return None
            self._ended[ended.key] = ended


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let a run depend on nothing but what it is given.

    The time stands still, so no lease runs out; what a check took is not told, nor what a test
    suite says of it; and answers arrive in the order in which they were asked for.
    """
    Clock().install(monkeypatch)
    fix_log_id(monkeypatch, "0123456789abcdef" * 2, draw=bytes)
    monkeypatch.setattr(atwork, "WorkerPool", InOrder)
    timed = ConfinedChecker.run

    def untimed(self: ConfinedChecker, *arguments: Any) -> list[CheckResult]:
        return [
            replace(one, duration_ms=0, output=re.sub(r"in [0-9.]+s", "in no time", one.output))
            for one in timed(self, *arguments)
        ]

    monkeypatch.setattr(ConfinedChecker, "run", untimed)
    # What the dead leave behind goes with the test.
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_three_times_ends_with_the_hash_of_one_that_is_not(
    tmp_path: Path, git: Git, sandbox: str, our_python: None, given: None
) -> None:
    make_example("calculator", tmp_path / "calm")
    calm = Project(tmp_path / "calm", git)
    for name in ("POLICY.yaml", "RUNTIME_POLICY.yaml"):  # so that nobody has to decide
        default = resource_path("templates", "default", name)
        calm.write(f".roadmap/{name}", default.read_text())
    calm.commit("Without rules and budgets")
    killed = copied(calm, tmp_path / "killed", git)
    # Checks on the base wait until nobody is at work, and a new process looks again: with them
    # the order of what is at work at once depends on where a run was killed.
    arguments = ("run", "--parallel", "4", "--sandbox", sandbox, "--base-may-fail")
    assert live(lambda: calm.esaa(*arguments)).status == 0
    moments: tuple[Moment, ...] = (
        (Point.LOG_MOVED, 7),
        (Point.FILES_WRITTEN, 3),
        (Point.OBJECTS_SYNCED, 8),
    )
    seen = 0
    at_once: list[int] = []
    for moment in moments:
        life = live(lambda: killed.esaa(*arguments), until=moment)
        assert life.status == KILLED
        state = killed.state()
        done = dict(state.run.by_state)["done"]
        assert seen < done < 11
        at_once.append(len(state.run.in_progress))
        seen = done
    assert max(at_once) > 1
    assert live(lambda: killed.esaa(*arguments)).status == 0
    for project in (calm, killed):
        project.check()
        assert project.state().run.state == "success"
        assert project.payloads("verify.ok")[-1]["projection_hash_sha256"] == projection_hash(
            project.state()
        )
        assert project.status() == ""
    assert projection_hash(killed.state()) == projection_hash(calm.state())
    # No attempt was lost, nothing was asked twice that is on record, and the log is the same.
    assert killed.refs() == calm.refs()
