"""`git esaa context` shows what would be sent to an agent, to the byte, and changes nothing."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from esaa_git.app.project import Project as OpenProject
from esaa_git.core.decision import salted
from esaa_git.core.event import NewEvent
from esaa_git.core.events import Dispatch
from esaa_git.core.events.fields import Salted
from esaa_git.engine import operator
from esaa_git.engine.attempts import open_attempt
from esaa_git.engine.proposer import agent_for
from esaa_git.engine.request import branch_tip, build_request
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import ConfigurationError, RepositoryError, UsageError
from tests.conftest import Git
from tests.support.logs import PERSON
from tests.support.project import KINDS, Clock, Project, make_project, result, task, write


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock().install(monkeypatch)


@pytest.fixture
def project(tmp_path: Path, git: Git, clock: Clock) -> Project:
    made = make_project(
        tmp_path / "project",
        git,
        task("T-1", acceptance=["it runs"]),
        task("T-2", depends_on=["T-1"]),
        seed={"src/a.py": "a = 1\n"},
    )
    made.ok("plan", "apply")
    return made


def dispatched(project: Project, task_id: str) -> bytes:
    """Open the attempt as `git esaa run` does, and return what is sent with it."""
    engine = OpenProject(str(project.path)).engine

    def decided(tx: Transaction) -> bytes:
        contracts = tx.contracts
        adapter = engine.make_agent(agent_for(tx.state.tasks[task_id], contracts, None), contracts)
        base = branch_tip(engine, tx)
        open_attempt(tx, task_id, adapter.name, mode="dispatch", base=base)
        built = build_request(engine, tx, task_id, adapter.name, has_checkout=adapter.has_checkout)
        return adapter.prepare(built).sent

    return transact(engine, decided)


def test_the_preview_is_what_is_sent_to_the_byte(project: Project) -> None:
    shown = project.esaa("context", "T-1")
    assert shown.code == 0, shown.err
    assert shown.out.encode() == dispatched(project, "T-1")


def test_an_agent_without_a_checkout_is_shown_with_the_files_that_it_gets(
    project: Project,
) -> None:
    project.program("print(1)")
    project.commit("another agent")
    project.ok("plan", "apply", "--restart")
    shown = project.esaa("context", "T-1")
    assert shown.out.encode() == dispatched(project, "T-1")


def test_a_prompt_is_shown_as_the_service_gets_it_and_no_service_is_asked(
    project: Project,
) -> None:
    model = {
        "adapter": "http",
        "dialect": "chat",
        "url": "http://127.0.0.1:9/v1",
        "model": "some-model",
    }
    project.swarm({"model": model}, dict.fromkeys(KINDS, "model"))
    project.commit("a model")
    project.ok("plan", "apply", "--restart")
    shown = project.esaa("context", "T-1")
    assert "template model@" in shown.err
    assert "Do T-1" in shown.out
    assert json.loads(shown.out)["model"] == "some-model"
    assert shown.out.encode() == dispatched(project, "T-1")


def test_nothing_is_recorded_or_written(project: Project) -> None:
    before = project.refs(), project.files(inside_git=("hooks", "config", "esaa"))
    project.ok("context", "T-1")
    project.ok("context", "T-2", "--json")
    assert (project.refs(), project.files(inside_git=("hooks", "config", "esaa"))) == before


def test_who_is_asked_and_the_digest_are_said_beside_it(project: Project) -> None:
    shown = project.esaa("context", "T-1")
    digest = hashlib.sha256(shown.out.encode()).hexdigest()
    assert shown.err.startswith("T-1-A1: agent agent-x, adapter scripted, bytes ")
    assert f"sha256 {digest}" in shown.err


def test_json_says_the_same_in_one_object(project: Project) -> None:
    said = project.esaa("context", "T-1", "--json")
    document: dict[str, Any] = said.json
    assert document["sent"] == project.esaa("context", "T-1").out
    assert document["attempt_id"] == "T-1-A1"
    assert document["open"] is False
    assert document["base"] == project.head()
    assert document["sha256"] == hashlib.sha256(document["sent"].encode()).hexdigest()


def test_the_next_attempt_is_shown_with_what_the_last_one_was_rejected_for(
    project: Project,
) -> None:
    project.answers(T_1=result("T-1", write(".github/x", "1\n")))
    project.esaa("run", "--task", "T-1")
    view = json.loads(project.ok("context", "T-1"))
    assert view["last_rejection"]["code"] == "PATH_PROTECTED"
    assert view["attempt_id"].startswith("T-1-A")
    assert view["attempt_id"] != "T-1-A1"


def test_an_attempt_under_way_is_shown_as_it_is(project: Project, clock: Clock) -> None:
    sent = dispatched(project, "T-1")
    clock.advance(60)
    said = project.esaa("context", "T-1", "--json")
    assert said.json["open"] is True
    assert said.json["sent"].encode() == sent


def test_a_claimed_task_is_shown_as_its_holder_got_it(project: Project, clock: Clock) -> None:
    request = operator.claim(OpenProject(str(project.path)).engine, "T-1", PERSON)
    clock.advance(60)
    said = project.esaa("context", "T-1", "--json").json
    assert said["sent"].encode() == request.sent
    assert (said["agent"], said["adapter"]) == (PERSON, "claim")


def test_another_agent_is_shown_as_if_it_came_next(project: Project) -> None:
    operator.claim(OpenProject(str(project.path)).engine, "T-1", PERSON)
    said = project.esaa("context", "T-1", "--agent", "agent-x", "--json").json
    assert (said["agent"], said["attempt_id"], said["open"]) == ("agent-x", "T-1-A2", False)
    assert f"{PERSON} holds it" in said["notes"][0]


def test_what_keeps_a_task_from_being_sent_now_is_noted(project: Project) -> None:
    said = project.esaa("context", "T-2")
    assert said.code == 0
    assert "note: it would not be sent now: 'T-2' waits for T-1" in said.err


def test_a_request_that_would_be_another_by_now_is_noted(
    tmp_path: Path, git: Git, clock: Clock
) -> None:
    made = make_project(tmp_path / "p", git, task("T-1"))
    made.ok("plan", "apply")
    engine = OpenProject(str(made.path)).engine

    def decided(tx: Transaction) -> None:
        base = branch_tip(engine, tx)
        attempt_id = open_attempt(tx, "T-1", "agent-x", mode="dispatch", base=base)
        built = build_request(engine, tx, "T-1", "agent-x", has_checkout=True)
        payload = Dispatch(
            task_id="T-1",
            attempt_id=attempt_id,
            agent="agent-x",
            adapter="scripted",
            request_sha256=salted(bytes(32), built.sent),
            sandbox="none",
            exchange=Salted(salt=engine.blobs.write(bytes(32))),
        )
        tx.record(NewEvent("orchestrator", payload))

    transact(engine, decided)
    assert "note" not in made.esaa("context", "T-1").err
    made.ok("task", "note", "T-1", "mind the gap")
    assert "note: the log went on since" in made.esaa("context", "T-1").err


def test_mistakes_are_named(project: Project, tmp_path: Path, git: Git) -> None:
    assert "no task 'T-9'" in project.fails(UsageError.exit_code, "context", "T-9")
    code = ConfigurationError.exit_code
    assert "unknown agent 'nobody'" in project.fails(code, "context", "T-1", "--agent", "nobody")
    empty = make_project(tmp_path / "empty", git, task("T-1"))
    empty.fails(RepositoryError.exit_code, "context", "T-1")
