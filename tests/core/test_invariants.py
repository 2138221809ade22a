"""The invariants, by number: a legal step is taken, then the violation is refused by its rule."""

from __future__ import annotations

import pytest

from esaa_git.core.event import after, decode
from esaa_git.core.events.base import encode
from esaa_git.core.invariants import INVARIANTS, Violation
from esaa_git.core.machine import Cause
from esaa_git.core.projection import evolve, project
from esaa_git.core.state import EMPTY
from tests.support.examples import EXAMPLES, OID, SHA256
from tests.support.story import AGENT, HALF_AN_HOUR, OUTPUT, REFUSED, Story, definition

PERSON = "person@example.com"


def story(**more: object) -> Story:
    """A run with one task, and another that waits for it."""
    return Story().started(definition(**more), definition("T-2", depends_on=["T-1"]))


def test_there_are_six() -> None:
    assert list(INVARIANTS) == [f"INV-00{number}" for number in range(1, 7)]


def test_a_violation_names_its_rule_and_what_the_rule_says() -> None:
    violation = Violation("INV-001", "task 'T-1' is done")
    assert violation.rule == "INV-001"
    assert str(violation) == "task 'T-1' is done (INV-001: done never regresses)"


# ---------------------------------------------------------------- INV-001: done never regresses


@pytest.mark.parametrize("cause", Cause)
def test_inv_001_no_update_touches_a_done_task(cause: Cause) -> None:
    told = story().attempt().result()
    told.closed()
    for to in ("todo", "in_progress", "blocked", "done"):
        violation = told.refused(
            "task.update",
            task_id="T-1",
            **{"from": "done"},
            to=to,
            cause=cause,
            attempt_id="T-1-A1",
        )
        assert violation.rule == "INV-001"


def test_inv_001_no_attempt_opens_on_a_done_task() -> None:
    told = story().done()
    violation = told.refused(
        "attempt.create",
        task_id="T-1",
        attempt_id="T-1-A2",
        number=2,
        agent=AGENT,
        mode="dispatch",
        base=OID,
        deadline=after(told.now, 1),
    )
    assert violation.rule == "INV-001"


def test_inv_001_a_remark_stands_beside_a_done_task() -> None:
    told = story().done()
    before = told.task()
    told.then("note.add", PERSON, on="task", task_id="T-1", text="look again")
    assert told.task() == before
    assert [one.text for one in told.state.notes_on("T-1")] == ["look again"]


def test_inv_001_an_override_and_a_successor_leave_the_record_as_it_was() -> None:
    told = story().done()
    before = told.task().to_json()
    told.then("emergency.override", task_id="T-1", reason="wrong", by=PERSON)
    told.then("task.create", task=definition("T-1-HF1"), supersedes="T-1")
    told.then("issue.report", PERSON, issue_id="ISS-0001", severity="medium", title="x")
    payload = {"severity": "medium", "title": "x", "task_id": "T-1"}
    told.then("issue.report", PERSON, issue_id="ISS-0002", **payload)
    assert told.task().to_json() == before
    assert told.state.supersessions.successor_of("T-1") == "T-1-HF1"


# ----------------------------- INV-002: an effect names a valid, current task and attempt


def test_inv_002_a_log_begins_with_a_run() -> None:
    health = {"status": "ok", "message": "alive"}
    story().then("orchestrator.health", **health)
    assert Story().refused("orchestrator.health", **health).rule == "INV-002"


@pytest.mark.parametrize("actor", ["agent-spec", PERSON, "policy-guard"])
def test_inv_002_nobody_speaks_for_the_orchestrator(actor: str) -> None:
    told = story()
    assert told.refused("task.create", actor, task=definition("T-3")).rule == "INV-002"
    told.then("task.create", task=definition("T-3"))


def test_inv_002_the_orchestrator_does_not_speak_for_an_agent() -> None:
    told = story().attempt()
    said = {**told.here(), "summary": "Done.", "output_sha256": SHA256, "paths": []}
    assert told.refused("agent.result", **said).rule == "INV-002"
    told.then("agent.result", AGENT, **said)


@pytest.mark.parametrize("action", ["agent.result", "agent.heartbeat"])
def test_inv_002_only_the_holder_answers_for_an_attempt(action: str) -> None:
    told = story().attempt()
    payload = {
        "agent.result": {"summary": "Done.", "output_sha256": SHA256, "paths": []},
        "agent.heartbeat": {"deadline": after(told.now, HALF_AN_HOUR)},
    }[action]
    violation = told.refused(action, "agent-impl", **told.here(), **payload)
    assert violation.rule == "INV-002"
    told.then(action, AGENT, **told.here(), **payload)


def test_inv_002_an_attempt_that_is_over_takes_no_result() -> None:
    told = story().attempt().rejected()
    said = {**told.here(), "summary": "Done.", "output_sha256": SHA256, "paths": []}
    assert told.refused("agent.result", AGENT, **said).rule == "INV-002"
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1").attempt()
    assert told.refused("agent.result", AGENT, **said).rule == "INV-002"
    told.result()
    assert told.refused("agent.result", AGENT, **{**said, **told.here()}).rule == "INV-002"


@pytest.mark.parametrize("action", sorted(EXAMPLES))
def test_inv_002_no_event_about_a_task_that_is_not_there(action: str) -> None:
    """Whatever the example of an action names, an empty run does not have it."""
    told = Story().started(definition("T-9"))
    example = EXAMPLES[action]
    payload = encode(example.payload)
    if action == "settle":
        return  # what was paid for a task of another history was paid, whatever became of it
    if payload.get("task_id") is None:
        assert action in {
            "approval.deny",
            "approval.expire",
            "approval.grant",
            "budget.correct",
            "lesson.withdraw",
            "orchestrator.health",
            "run.end",
            "run.halt",
            "run.resume",
            "run.init",
            "task.create",
            "verify.fail",
            "verify.ok",
            "verify.start",
        }
        return
    violation = told.refused(action, example.actor, **payload)
    assert violation.rule == "INV-002"
    assert "T-1" in violation.message


def test_inv_002_the_states_of_an_update_are_those_of_the_table() -> None:
    told = story()
    wrong = [
        {"from": "blocked", "to": "todo", "cause": "operator"},
        {"from": "todo", "to": "done", "cause": "accepted"},
        {"from": "todo", "to": "todo", "cause": "issue"},
        {"from": "todo", "to": "blocked", "cause": "attempts_spent"},
    ]
    for step in wrong:
        assert told.refused("task.update", task_id="T-1", **step).rule == "INV-002"
    told.update("T-1", "blocked", "issue")


def test_inv_002_a_task_does_not_leave_an_active_attempt_behind() -> None:
    told = story().attempt()
    step = {"task_id": "T-1", "from": "in_progress", "to": "todo", "attempt_id": "T-1-A1"}
    assert told.refused("task.update", **step, cause="rejected").rule == "INV-002"
    told.rejected().then("task.update", **step, cause="rejected")


def test_inv_002_an_update_names_the_current_attempt() -> None:
    told = story().attempt().rejected()
    step = {"task_id": "T-1", "from": "in_progress", "to": "todo", "cause": "rejected"}
    assert told.refused("task.update", **step, attempt_id="T-1-A2").rule == "INV-002"
    told.then("task.update", **step, attempt_id="T-1-A1")


def test_inv_002_a_task_waits_for_its_dependencies() -> None:
    told = story()
    with pytest.raises(Violation) as caught:
        told.attempt("T-2")
    assert caught.value.rule == "INV-002"
    told.done().attempt("T-2")


def test_inv_002_a_task_rests_until_its_cooldown_is_over() -> None:
    told = story().attempt().rejected()
    told.update("T-1", "todo", "rejected", not_before=after(told.now, 1000))
    with pytest.raises(Violation) as caught:
        told.later(999).attempt()
    assert caught.value.rule == "INV-002"
    told.later(1).attempt()


@pytest.mark.parametrize("result", ["success", "failed", "halted"])
def test_inv_002_nothing_begins_outside_of_a_run(result: str) -> None:
    told = Story().started()
    told.then("task.create", task=definition())
    told.ended(result)
    assert told.refused("task.create", task=definition("T-2")).rule == "INV-002"
    with pytest.raises(Violation) as caught:
        told.attempt()
    assert caught.value.rule == "INV-002"
    told.started().attempt()


def test_inv_002_a_run_ends_once_and_by_its_own_name() -> None:
    told = story()
    end = {"result": "halted", "reason": "enough"}
    assert told.refused("run.end", run_id="RUN-0002", **end).rule == "INV-002"
    told.then("run.end", run_id="RUN-0001", **end)
    assert told.refused("run.end", run_id="RUN-0001", **end).rule == "INV-002"


def test_inv_002_a_run_does_not_begin_within_a_run() -> None:
    told = story()
    with pytest.raises(Violation) as caught:
        told.started()
    assert caught.value.rule == "INV-002"
    told.ended("failed").started()


def test_inv_002_a_lease_ends_when_it_ends() -> None:
    told = story().attempt()
    deadline = str(told.task().attempt.deadline)  # type: ignore[union-attr]
    here = told.here()
    assert told.refused("attempt.timeout", **here, deadline=deadline).rule == "INV-002"
    told.later(HALF_AN_HOUR)
    longer = after(told.now, HALF_AN_HOUR)
    assert told.refused("agent.heartbeat", AGENT, **here, deadline=longer).rule == "INV-002"
    assert told.refused("attempt.timeout", **here, deadline=longer).rule == "INV-002"
    told.then("attempt.timeout", **here, deadline=deadline)
    assert told.refused("attempt.timeout", **here, deadline=deadline).rule == "INV-002"


def test_inv_002_a_heartbeat_never_shortens_a_lease() -> None:
    told = story().attempt()
    sooner, later = (after(told.now, HALF_AN_HOUR + step) for step in (-1, +1))
    assert told.refused("agent.heartbeat", AGENT, **told.here(), deadline=sooner).rule == "INV-002"
    told.then("agent.heartbeat", AGENT, **told.here(), deadline=later)


def test_inv_002_a_lease_ends_after_it_began() -> None:
    told = story()
    with pytest.raises(Violation) as caught:
        told.attempt(deadline=told.now)
    assert caught.value.rule == "INV-002"
    told.attempt(deadline=after(told.now, 1))


@pytest.mark.parametrize("change", [{"agent": "agent-impl"}, {"attempt_id": "T-1-A2"}])
def test_inv_002_a_dispatch_goes_to_whom_the_attempt_was_opened_for(
    change: dict[str, str],
) -> None:
    told = story().attempt()
    sent = {**told.here(), "agent": AGENT, "adapter": "command", "request_sha256": SHA256}
    sent["sandbox"] = "none"
    assert told.refused("orchestrator.dispatch", **{**sent, **change}).rule == "INV-002"
    told.then("orchestrator.dispatch", **sent)


def test_inv_002_a_claim_is_not_dispatched() -> None:
    told = story().attempt(mode="claim")
    sent = {**told.here(), "agent": AGENT, "adapter": "command", "request_sha256": SHA256}
    assert told.refused("orchestrator.dispatch", **sent, sandbox="none").rule == "INV-002"


@pytest.mark.parametrize(
    ("action", "what"),
    [("approval.grant", {"role": "approver"}), ("approval.deny", {"verdict": "deny"})],
)
def test_inv_002_a_decision_is_made_once_and_by_somebody_else(
    action: str, what: dict[str, str]
) -> None:
    told = story().attempt().result().asked()
    unknown = told.answer("APR-0002", **what)
    assert told.refused(action, PERSON, **unknown).rule == "INV-002"
    assert told.refused(action, AGENT, **told.answer(**what)).rule == "INV-002"
    told.then(action, PERSON, **told.answer(**what))
    assert told.refused(action, PERSON, **told.answer(**what)).rule == "INV-002"


def test_inv_002_only_a_result_is_approved_and_once_at_a_time() -> None:
    told = story().attempt()
    with pytest.raises(Violation, match="INV-002"):
        told.asked()
    told.result().asked()
    with pytest.raises(Violation, match="INV-002"):
        told.asked()


def test_inv_002_only_a_done_task_is_superseded_and_once() -> None:
    told = story()
    fix = {"task": definition("T-1-HF1"), "supersedes": "T-1"}
    override = {"task_id": "T-1", "reason": "wrong", "by": PERSON}
    assert told.refused("task.create", **fix).rule == "INV-002"
    assert told.refused("emergency.override", **override).rule == "INV-002"
    told.done()
    told.then("emergency.override", **override)
    assert told.refused("emergency.override", **override).rule == "INV-002"
    told.then("task.create", **fix)
    again = {"task": definition("T-1-HF2"), "supersedes": "T-1"}
    assert told.refused("task.create", **again).rule == "INV-002"


def test_inv_002_an_issue_is_resolved_once() -> None:
    told = story()
    resolve = {"view": "issue", "issue_id": "ISS-0001", "by": PERSON, "text": "repaired"}
    assert told.refused("orchestrator.view.mutate", **resolve).rule == "INV-002"
    told.then("issue.report", PERSON, issue_id="ISS-0001", severity="low", title="x")
    told.then("orchestrator.view.mutate", **resolve)
    assert told.refused("orchestrator.view.mutate", **resolve).rule == "INV-002"


def test_inv_002_a_link_names_the_effect_that_the_task_has() -> None:
    told = story().done("T-1", "docs/a.md")
    link = {"view": "effect", "task_id": "T-1", "reached_by": OID, "text": "merged"}
    other = "c" * 40
    assert told.refused("orchestrator.view.mutate", **link, effect_commit=other).rule == "INV-002"
    told.then("orchestrator.view.mutate", **link, effect_commit=OID)


def test_inv_002_a_task_depends_on_tasks_that_exist() -> None:
    told = story()
    wrong = definition("T-3", depends_on=["T-4"])
    assert told.refused("task.create", task=wrong).rule == "INV-002"
    changes = {"depends_on": ["T-4"]}
    step = {"task_id": "T-1", "from": "todo", "to": "todo", "cause": "amended"}
    assert told.refused("task.update", **step, changes=changes).rule == "INV-002"
    told.then("task.create", task=definition("T-4"))
    told.then("task.create", task=wrong)
    with pytest.raises(Violation) as caught:
        Story().started(wrong)
    assert caught.value.rule == "INV-002"


# ------------- INV-003: no effect before the complete output is validated (fail closed)


def test_inv_003_nothing_is_written_without_a_result_that_proposes_it() -> None:
    told = story().attempt()
    file = {"path": "docs/a.md", "change": "delete", "before": OID}
    effect = {**told.here(), "base": OID, "files": [file], "changed_lines": 1}
    assert told.refused("orchestrator.file.write", **effect).rule == "INV-003"
    told.result(paths=("docs/a.md",)).then("orchestrator.file.write", **effect)


def test_inv_003_a_result_without_files_writes_none() -> None:
    told = story().attempt().result()
    file = {"path": "docs/a.md", "change": "delete", "before": OID}
    effect = {**told.here(), "base": OID, "files": [file], "changed_lines": 1}
    assert told.refused("orchestrator.file.write", **effect).rule == "INV-003"


def test_inv_003_a_rejected_output_writes_nothing() -> None:
    told = story().attempt().rejected()
    file = {"path": "docs/a.md", "change": "delete", "before": OID}
    effect = {**told.here(), "base": OID, "files": [file], "changed_lines": 1}
    assert told.refused("orchestrator.file.write", **effect).rule == "INV-003"


def test_inv_003_a_done_task_writes_no_more() -> None:
    told = story().done("T-1", "docs/a.md")
    with pytest.raises(Violation) as caught:
        told.written()
    assert caught.value.rule == "INV-003"


def closing(told: Story, **more: str) -> Violation:
    step = {"task_id": "T-1", "from": "in_progress", "to": "done", "cause": "accepted"}
    return told.refused("task.update", **{**step, "attempt_id": "T-1-A1", **more})


def test_inv_003_a_task_is_not_done_without_a_result() -> None:
    told = story().attempt()
    assert closing(told).rule == "INV-003"
    told.result().closed()


def test_inv_003_a_task_is_not_done_before_its_effect_is_written() -> None:
    told = story().attempt().result(paths=("docs/a.md",))
    assert closing(told).rule == "INV-003"
    assert closing(told, effect_commit=OID).rule == "INV-003"
    told.written()
    assert closing(told).rule == "INV-003"
    told.closed(effect_commit=OID)


def test_inv_003_a_task_without_an_effect_names_none() -> None:
    told = story().attempt().result()
    assert closing(told, effect_commit=OID).rule == "INV-003"
    told.closed()


def test_inv_003_a_task_that_waits_for_a_reviewer_is_not_done() -> None:
    told = story().attempt().result().asked()
    assert closing(told).rule == "INV-003"
    assert closing(told, cause="approved").rule == "INV-003"
    told.granted()
    assert closing(told).rule == "INV-003"
    told.closed(cause="approved")


def test_inv_003_a_denied_result_is_not_done() -> None:
    told = story().attempt().result().asked()
    told.denied()
    assert closing(told).rule == "INV-003"
    assert closing(told, cause="approved").rule == "INV-003"


def test_inv_003_nobody_approved_what_nobody_was_asked() -> None:
    told = story().attempt().result()
    assert closing(told, cause="approved").rule == "INV-003"


# INV-004 is decided where a proposal is admitted (tests/properties/test_boundary.py) and held
# against each stored effect (tests/core/test_contract_rules.py).

# ------------------------------------------------- INV-005: sequence monotonic, ids unique


def test_inv_005_events_follow_one_another_without_a_gap() -> None:
    events = story().attempt().result().events
    project(events)
    for broken in ([events[0], events[2]], [events[0], events[0]], events[1:]):
        with pytest.raises(Violation) as caught:
            project(broken)
        assert caught.value.rule == "INV-005"


def test_inv_005_time_does_not_run_backwards() -> None:
    told = story().later(1000).then("orchestrator.health", status="ok", message="alive")
    first, second = told.events
    earlier = decode(second.data.replace(second.ts.encode(), after(first.ts, -1).encode()))
    with pytest.raises(Violation) as caught:
        evolve(evolve(EMPTY, first), earlier)
    assert caught.value.rule == "INV-005"
    same = decode(second.data.replace(second.ts.encode(), first.ts.encode()))
    assert evolve(evolve(EMPTY, first), same).seq == 2


@pytest.mark.parametrize(
    ("action", "actor", "payload"),
    [
        ("issue.report", PERSON, {"issue_id": "ISS-000{}", "severity": "low", "title": "x"}),
        ("lesson.record", PERSON, {"lesson_id": "LES-000{}", "rule": "r", "mistake": "m"}),
    ],
)
def test_inv_005_numbers_are_given_in_order(
    action: str, actor: str, payload: dict[str, str]
) -> None:
    def numbered(number: int) -> dict[str, str]:
        return {key: value.format(number) for key, value in payload.items()}

    told = story()
    assert told.refused(action, actor, **numbered(2)).rule == "INV-005"
    told.then(action, actor, **numbered(1))
    assert told.refused(action, actor, **numbered(1)).rule == "INV-005"
    told.then(action, actor, **numbered(2))


def test_inv_005_approvals_are_numbered_in_order() -> None:
    told = story().attempt().result()
    with pytest.raises(Violation, match="INV-005"):
        told.asked(approval_id="APR-0002")
    told.asked()


@pytest.mark.parametrize("change", [{"attempt_id": "T-1-A2"}, {"number": 2}])
def test_inv_005_attempts_are_numbered_in_order(change: dict[str, object]) -> None:
    told = story()
    with pytest.raises(Violation) as caught:
        told.attempt(**change)
    assert caught.value.rule == "INV-005"
    told.attempt()


def test_inv_005_runs_are_numbered_in_order() -> None:
    told = story().ended("failed")
    first = encode(told.events[0].payload)
    for run_id in ("RUN-0001", "RUN-0003"):
        again = {**first, "tasks": [], "run_id": run_id}
        assert told.refused("run.init", **again).rule == "INV-005"
    told.started()


def test_inv_005_a_task_is_created_once() -> None:
    told = story()
    assert told.refused("task.create", task=definition()).rule == "INV-005"
    with pytest.raises(Violation) as caught:
        Story().started(definition(), definition())
    assert caught.value.rule == "INV-005"
    told.ended("failed")
    with pytest.raises(Violation) as caught:
        told.started(definition())
    assert caught.value.rule == "INV-005"


@pytest.mark.parametrize("paths", [("a", "a"), ("b", "a")])
def test_inv_005_an_effect_names_every_path_once_and_in_order(paths: tuple[str, ...]) -> None:
    told = story().attempt().result(paths=paths)
    with pytest.raises(Violation) as caught:
        told.written()
    assert caught.value.rule == "INV-005"


# --------- INV-006: the read-model is verifiable by replay, divergence halts the run


def test_inv_006_a_run_succeeds_only_after_a_verification_of_its_own() -> None:
    told = Story().started()
    end = {"result": "success", "reason": "enough"}
    assert told.refused("run.end", run_id="RUN-0001", **end).rule == "INV-006"
    told.ended().started()
    assert told.refused("run.end", run_id="RUN-0002", **end).rule == "INV-006"
    told.ended()


@pytest.mark.parametrize("result", ["failed", "halted"])
def test_inv_006_a_run_that_did_not_succeed_ends_without_one(result: str) -> None:
    assert Story().started().ended(result).state.run.state == result


def test_inv_006_a_verification_covers_the_past() -> None:
    told = story()
    found = {"checked_from": 1, "projection_hash_sha256": SHA256}
    assert told.refused("verify.ok", **found, checked_to=2).rule == "INV-006"
    told.then("verify.ok", **found, checked_to=1)


# ------------------------------------------------------------------------------- all of them


def test_an_output_that_comes_too_late_changes_nothing_but_the_count() -> None:
    told = story().attempt().rejected()
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1").attempt()
    before = told.task()
    late = {"code": "STALE_ATTEMPT", "output": OUTPUT, "exchange": REFUSED}
    told.then("output.rejected", task_id="T-1", attempt_id="T-1-A1", **late)
    assert told.task() == before
    assert told.state.run.rejected == 2
