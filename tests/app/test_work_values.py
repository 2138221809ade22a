"""A project from its beginning to a reviewed result, by use cases alone; their one call back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from esaa_git.app import (
    agents,
    consent,
    forecast,
    hosts,
    init,
    issues,
    plan,
    remarks,
    reviews,
    run,
    status,
    tasks,
    work,
)
from esaa_git.app.observer import Notes
from esaa_git.app.project import Project as App
from esaa_git.app.roadmap import read_plan
from esaa_git.core.rejection import RejectCode
from esaa_git.errors import RefusedError, RepositoryError, UsageError
from esaa_git.store.maintenance import Housekeeper
from tests.conftest import Git
from tests.support.logs import PERSON
from tests.support.project import Project, make_project, result, task, write

ALICE = PERSON
BOB = "bob@example.com"


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    found = make_project(
        tmp_path / "project",
        git,
        task("T-1"),
        task("T-2", depends_on=["T-1"]),
        task("T-3", review=True),
    )
    found.person(BOB, "approver")
    found.answers(T_1=result("T-1", write("src/a.txt", "a\n")), T_2=result("T-2"))
    return found


@pytest.fixture
def app(project: Project, capfd: pytest.CaptureFixture[str]) -> App:
    capfd.readouterr()
    return App(project.path)


@pytest.fixture
def bob(project: Project) -> App:
    """The same project, with Bob's key."""
    found = App(project.path)
    found.sign_with = str(project.path / ".git/people" / BOB)
    return found


class Told(Notes):
    """A run's observer that keeps what it is told, in order."""

    def asking(self, attempt_id: str, agent: str) -> None:
        self.lines.append(f"{attempt_id} asks {agent}")

    def checking(self, attempt_id: str, names: Sequence[str]) -> None:
        self.lines.append(f"{attempt_id} checks {', '.join(names)}")

    def admitted(self, outcome: work.Outcome) -> None:
        self.lines.append(f"{outcome.attempt_id} {outcome.kind}")


def test_a_project_begins_without_a_word(
    repo: Path, git: Git, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    app = App(repo)
    assert status.status(app) is None
    begun = init.init(app, name="Example")
    assert begun.made_key
    assert begun.written is not None
    assert "plan.yaml" in begun.written
    assert Path(begun.key).is_file()
    assert read_plan(app.repository).project == "Example"
    again = init.init(app, name="Another")
    assert (again.written, again.key, again.made_key) == ((), begun.key, False)
    assert again.lines == begun.lines
    assert (begun.made_persons_key, again.made_persons_key) == (True, False)
    assert (again.person, again.persons_key) == (PERSON, begun.persons_key)
    assert begun.lines[1].startswith(f"{PERSON},approver,admin ")
    assert git(repo, "config", "gpg.ssh.allowedSignersFile").startswith(str(repo))
    assert "AGENTS.md" in hosts.write_host_files(hosts.checkout_for_agents(app)).files
    assert "".join(capfd.readouterr()) == ""


def test_a_bare_repository_has_no_files_for_agents(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "bare.git")
    bare = App(tmp_path / "bare.git")
    with pytest.raises(RepositoryError, match="bare"):
        hosts.checkout_for_agents(bare)
    assert init.init(bare).written is None


def test_an_example_is_named_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        init.make_example("no-such", tmp_path / "here")
    assert "landing-page" in str(refused.value.hint)
    assert not (tmp_path / "here").exists()


def test_a_plan_is_compared_and_applied_as_values(
    project: Project, app: App, capfd: pytest.CaptureFixture[str]
) -> None:
    found = plan.difference(app)
    assert ([one["task_id"] for one in found.plan.new], found.contracts) == (
        ["T-1", "T-2", "T-3"],
        [],
    )
    done = plan.apply_plan(app, actor=ALICE)
    assert (done.started, done.created, done.amended) == (True, 3, 0)
    project.amend_yaml("RUNTIME_POLICY.yaml", attempts__ttl="PT2H")
    app.observer = heard = Notes()
    assert plan.apply_plan(App(project.path, heard), actor=ALICE).created == 0
    assert len(heard.lines) == 1
    assert "RUNTIME_POLICY.yaml" in heard.lines[0]
    assert plan.difference(App(project.path)).contracts == ["RUNTIME_POLICY.yaml"]
    with pytest.raises(UsageError, match="nothing for 'a-key' to sign"):
        plan.apply_plan(App(project.path), actor=ALICE, sign_with="a-key")
    assert "".join(capfd.readouterr()) == ""


def test_a_task_is_taken_answered_and_reviewed_as_values(
    project: Project, app: App, bob: App, capfd: pytest.CaptureFixture[str]
) -> None:
    plan.apply_plan(app, actor=ALICE)
    with pytest.raises(RefusedError, match="do not hold"):
        work.complete(app, "T-3", "early", actor=ALICE)
    given = work.claim(app, "T-3", actor=ALICE)
    assert json.loads(given.sent)["task"]["task_id"] == given.task_id == "T-3"
    state, contracts = status.at_tip(app)
    held, attempt = work.held_by(state, ALICE)[0]
    assert (held.task_id, attempt.attempt_id) == ("T-3", given.attempt_id)
    assert work.held_by(state, BOB) == []
    assert work.is_claim_of(attempt, ALICE)
    assert work.assignment(app, state, contracts, held, attempt) == given
    assert [one.task_id for one in work.open_to(app, state, contracts, BOB)] == ["T-1"]
    ahead, why_not = work.preview(app, state, contracts, state.tasks["T-2"], BOB)
    assert ahead.attempt_id == "T-2-A1"
    assert why_not == "'T-2' waits for T-1"
    project.write("src/b.txt", "b\n")
    waiting = work.complete(app, "T-3", "wrote b", ["src/b.txt"], actor=ALICE)
    assert (waiting.kind, waiting.effect_commit) == ("waiting", None)
    ref = f"refs/esaa/proposals/T-3/{given.attempt_id}"
    asked = reviews.proposed(app, "T-3")
    assert (asked.attempt_id, asked.result.summary, asked.ref) == (given.attempt_id, "wrote b", ref)
    assert project.git("log", "-1", "--format=%an %G?", ref) == f"{ALICE} G"
    with pytest.raises(RefusedError, match="own work"):
        reviews.review(app, "T-3", verdict="approve", actor=ALICE)
    back = reviews.review(bob, "T-3", verdict="request_changes", reason="say more", actor=BOB)
    assert (back.kind, back.message) == ("rejected", "say more")
    again = work.claim(app, "T-3", actor=ALICE)
    assert again.attempt_id == "T-3-A2"
    work.complete(app, "T-3", "wrote b, and more", ["src/b.txt"], actor=ALICE)
    done = reviews.review(bob, "T-3", verdict="approve", actor=BOB)
    assert (done.kind, done.effect_commit) == ("done", project.head())
    with pytest.raises(RefusedError, match="does not wait"):
        reviews.proposed(app, "T-3")
    assert "".join(capfd.readouterr()) == ""


def test_an_answer_that_breaks_a_rule_is_a_value(app: App) -> None:
    plan.apply_plan(app, actor=ALICE)
    given = work.claim(app, "T-1", actor=ALICE)
    refused = work.submit(app, b"no envelope", actor=ALICE)
    assert (refused.kind, refused.attempt_id) == ("rejected", given.attempt_id)
    assert refused.rejected is not None
    assert refused.rejected.code == RejectCode.INVALID_JSON
    unheld = work.submit(app, b"no envelope either", actor=BOB)
    assert (unheld.kind, unheld.attempt_id) == ("rejected", "")


def test_an_answer_given_twice_is_known(app: App) -> None:
    plan.apply_plan(app, actor=ALICE)
    given = work.claim(app, "T-1", actor=ALICE)
    answer = result("T-1", write("src/a.txt", "a\n"), attempt_id=given.attempt_id)
    output = json.dumps(answer).encode()
    state, contracts = status.at_tip(app)
    assert not work.was_admitted(app, ALICE, output, state, contracts)
    assert work.submit(app, output, actor=ALICE).kind == "done"
    assert work.was_admitted(app, ALICE, output, *status.at_tip(app))


def test_what_people_decide_is_returned(
    app: App, bob: App, capfd: pytest.CaptureFixture[str]
) -> None:
    plan.apply_plan(app, actor=ALICE)
    tasks.add(app, {"task_id": "T-9", "kind": "impl", "title": "More"}, ALICE)
    assert remarks.note(app, "T-9", "use the colours of the style guide", ALICE) == "T-9"
    work.claim(app, "T-9", actor=ALICE)
    tasks.release(app, "T-9", ALICE, "taken by mistake")
    reported = issues.report(bob, BOB, "high", "It is broken", task_id="T-9")
    assert reported.state.tasks["T-9"].state == "blocked"
    same = issues.reported_already(reported.state, BOB, "T-9", "high", "It is broken", "")
    assert same == reported.issue
    other = issues.reported_already(reported.state, ALICE, "T-9", "high", "It is broken", "")
    assert other is None
    assert tasks.unblock(app, "T-9", ALICE, "it is not") == ["T-9"]
    issues.resolve(app, reported.issue.issue_id, ALICE, "it is not")
    work.claim(app, "T-9", actor=ALICE)
    work.complete(app, "T-9", "did it", actor=ALICE)
    new = {"kind": "hotfix", "title": "Less"}
    assert tasks.hotfix(app, "T-9", new, ALICE, "too much") == "T-9-HF1"
    state = status.current_state(app)
    assert state.supersessions.successor_of("T-9") == "T-9-HF1"
    assert not state.issues[reported.issue.issue_id].is_open
    assert "".join(capfd.readouterr()) == ""


def test_a_run_tells_its_observer_and_returns_what_came_of_it(
    project: Project, app: App, capfd: pytest.CaptureFixture[str]
) -> None:
    project.plan(task("T-1"), task("T-2", depends_on=["T-1"]))
    project.commit("A plan")
    before = forecast.dry_run(app)
    assert (before.starts_run, before.new) == (True, 2)
    assert before.would_dispatch == [forecast.WouldAsk("T-1", "Do T-1", "agent-x")]
    assert (before.nothing, forecast.dry_run(app, task_id="T-2").nothing) == (
        None,
        "'T-2' waits for T-1",
    )
    app.observer = heard = Notes()
    run.start(app, actor=ALICE)
    assert heard.lines == ["RUN-0001 started on 'main' with 2 new tasks"]
    told = Told()
    found = run.work_through(app, run.Options(), observer=told)
    assert told.lines == [
        "T-1-A1 asks agent-x",
        "T-1-A1 done",
        "T-2-A1 asks agent-x",
        "T-2-A1 done",
    ]
    assert app.observer is heard
    assert (found.result, found.stopped, found.verify_status) == ("success", False, "ok")
    with pytest.raises(RefusedError, match="'T-2' is done"):  # and not that the run is over
        run.run(app, task_id="T-2")
    assert "'T-2' is done" in str(forecast.dry_run(app, task_id="T-2").nothing)
    assert forecast.dry_run(app).nothing == "every task of the plan is done"
    assert [one.attempt_id for one in found.attempts] == ["T-1-A1", "T-2-A1"]
    assert found.attempts[0].effect_commit is not None
    where = status.status(app)
    assert where is not None
    assert (where.state.seq, where.tip) == (found.events, project.tip())
    assert "".join(capfd.readouterr()) == ""


def test_a_run_that_is_told_to_stop_says_so(app: App) -> None:
    run.start(app, actor=ALICE)
    stop = run.Stop()
    stop.finish()
    found = run.work_through(app, run.Options(), stop=stop)
    assert (found.stopped, found.result, found.attempts) == (True, None, ())


def test_who_there_is_and_what_one_would_be_sent(project: Project, app: App) -> None:
    project.swarm(
        {
            "agent-x": {"adapter": "scripted", "folder": ".roadmap/answers"},
            "lost": {"adapter": "command", "command": ["./no-such-program"]},
        },
        {"impl": "agent-x"},
    )
    ready, lost = agents.members(app, "none")
    assert (ready.name, ready.kinds, ready.missing) == ("agent-x", ["impl"], None)
    assert lost.missing is not None
    assert "no-such-program" in lost.missing
    assert not lost.is_allowed
    consent.allow(app)
    assert all(one.is_allowed for one in agents.members(app, "none"))
    plan.apply_plan(app, actor=ALICE)
    shown = agents.request_of(app, "T-2", None)
    assert (shown.agent, shown.open) == ("agent-x", False)
    assert shown.notes == ("it would not be sent now: 'T-2' waits for T-1",)
    given = work.claim(app, "T-1", actor=ALICE)
    claimed = agents.request_of(app, "T-1", None)
    assert (claimed.adapter, claimed.open, claimed.request.sent) == ("claim", True, given.sent)


# -- the wiring -----------------------------------------------------------------------------------


def test_a_note_goes_to_the_observer_of_the_moment(app: App) -> None:
    app.note("nobody listens")
    app.observer = first = Notes()
    app.note("one")
    app.observer = second = Notes()
    app.engine.say("two")
    assert (first.lines, second.lines) == (["one"], ["two"])


def test_closing_a_project_waits_for_its_housekeepers(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[Housekeeper] = []
    real: Callable[[Housekeeper], None] = Housekeeper.close

    def close(keeper: Housekeeper) -> None:
        closed.append(keeper)
        real(keeper)

    monkeypatch.setattr(Housekeeper, "close", close)
    heard = Notes()
    with App(project.path, heard) as app:
        other = app.beside(project.path)
        assert other.observer is heard
        keepers = [app.engine.housekeeping, other.engine.housekeeping]
        assert closed == []
    assert sorted(map(id, closed)) == sorted(map(id, keepers))
    app.close()
    assert len(closed) == 2
