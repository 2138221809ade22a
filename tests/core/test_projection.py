"""The projection: what every event does to the state, the read-model, and its hash."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from esaa_git.core import canonical
from esaa_git.core.accounts import Account, OpenReservations, Reservation, SettledElsewhere
from esaa_git.core.entries import (
    AcceptedLessons,
    Approval,
    Consent,
    Decision,
    Lesson,
    Notes,
    Rejection,
    Request,
    Requirement,
)
from esaa_git.core.event import after
from esaa_git.core.projection import evolve, project, projection_hash, roadmap
from esaa_git.core.state import EMPTY, Issue, Project, Run, State, Supersessions
from esaa_git.core.table import Table
from esaa_git.core.task import Blocked, Result, Task
from tests.support.examples import LATER, OID, SHA256, TS
from tests.support.story import AGENT, HALF_AN_HOUR, Story, added, definition

PERSON = "person@example.com"
FULL: dict[str, Any] = {
    "description": "All of it.",
    "acceptance": ["One.", "Two."],
    "depends_on": ["T-0"],
    "writes": ["docs/**"],
    "agent": "agent-qa",
    "priority": 3,
    "review": True,
    "attempts_allowed": 2,
}


def story() -> Story:
    return Story().started(definition("T-0", "impl"), definition())


# ------------------------------------------------------------------------- what each event does


def test_a_run_starts_with_its_branch_and_its_tasks() -> None:
    told = Story().started(definition("T-0"), definition("T-1", "impl", **FULL))
    run = told.state.run
    assert (run.state, run.run_id, run.number) == ("initialized", "RUN-0001", 1)
    assert (run.branch, run.base, run.first_seq) == ("main", OID, 1)
    assert told.state.project == Project("example")
    task = told.task()
    assert task.to_json() == {**definition("T-1", "impl", **FULL), "state": "todo"}
    assert (task.acceptance, task.depends_on) == (("One.", "Two."), ("T-0",))


def test_a_second_run_counts_afresh_and_keeps_the_tasks() -> None:
    told = story().done("T-0").attempt().rejected()
    told.update("T-1", "blocked", "attempts_spent").ended("failed")
    before = told.state.run
    assert (before.state, before.reason) == ("failed", "enough")
    assert (before.accepted, before.rejected) == (1, 1)
    run = told.started(definition("T-2")).state.run
    assert (run.state, run.run_id, run.reason) == ("initialized", "RUN-0002", "")
    assert (run.accepted, run.rejected, run.verified_seq) == (0, 0, 0)
    assert run.first_seq == told.state.seq
    assert run.by_state == (("blocked", 1), ("done", 1), ("todo", 1))
    assert run.blocked == ("T-1",)


def test_a_subtask_appears_within_a_run() -> None:
    told = story().then("task.create", task=definition("T-2", "qa"), by=PERSON, reason="more")
    assert told.task("T-2") == Task("T-2", "qa", "Task T-2")
    assert told.state.run.by_kind == (("impl", 1), ("qa", 1), ("spec", 1))


def test_a_hotfix_names_what_it_corrects_and_why() -> None:
    told = story().done()
    told.then("issue.report", PERSON, issue_id="ISS-0001", severity="high", title="x")
    fix = definition("T-1-HF1")
    told.then("task.create", task=fix, supersedes="T-1", issue_id="ISS-0001")
    assert told.task("T-1-HF1").supersedes == "T-1"
    assert told.task("T-1-HF1").issue_id == "ISS-0001"
    assert told.state.supersessions.by_task == (("T-1", "T-1-HF1"),)


def test_an_override_leaves_the_place_open_for_a_successor() -> None:
    told = story().done().then("emergency.override", task_id="T-1", reason="no", by=PERSON)
    assert told.state.supersessions.by_task == (("T-1", "-"),)
    told.then("task.create", task=definition("T-1-HF1"), supersedes="T-1")
    assert told.state.supersessions.by_task == (("T-1", "T-1-HF1"),)


def test_an_attempt_is_a_lease_and_starts_the_run() -> None:
    told = story().attempt()
    task, run = told.task(), told.state.run
    assert task.attempt is not None
    assert task.attempt.to_json() == {
        "attempt_id": "T-1-A1",
        "number": 1,
        "agent": AGENT,
        "state": "active",
        "opened": TS,
        "deadline": LATER,
        "base": OID,
        "mode": "dispatch",
    }
    assert (task.state, task.attempts_used, task.attempts_total) == ("in_progress", 1, 1)
    assert (run.state, run.in_progress) == ("running", ("T-1",))


def test_a_heartbeat_extends_the_lease_and_nothing_else() -> None:
    told = story().attempt()
    before = told.task().to_json()
    deadline = after(LATER, 1000)
    told.then("agent.heartbeat", AGENT, **told.here(), deadline=deadline, note="still here")
    assert told.task().to_json() == {
        **before,
        "attempt": {**before["attempt"], "deadline": deadline},
    }


def test_a_dispatch_and_a_sign_of_life_change_no_task() -> None:
    told = story().attempt()
    before = told.state.tasks
    sent = {"agent": AGENT, "adapter": "command", "request_sha256": SHA256, "sandbox": "none"}
    told.then("orchestrator.dispatch", **told.here(), **sent)
    told.then("orchestrator.health", status="ok", message="alive")
    told.then("verify.start", checked_from=1, checked_to=2)
    told.then("verify.fail", outcome="mismatch", check=7, message="differs")
    assert told.state.tasks is before


def test_a_timeout_ends_the_attempt_and_tells_the_next() -> None:
    told = story().attempt().later(HALF_AN_HOUR)
    told.then("attempt.timeout", **told.here(), deadline=LATER)
    task = told.task()
    assert task.attempt is not None
    assert task.attempt.state == "timed_out"
    assert task.rejection == Rejection("T-1-A1", "AGENT_TIMEOUT")
    told.update("T-1", "todo", "timed_out", attempt_id="T-1-A1")
    assert told.task().attempts_used == 1


def test_a_rejection_ends_the_attempt_and_tells_the_next() -> None:
    told = story().attempt().rejected()
    task = told.task()
    assert task.attempt is not None
    assert (task.state, task.attempt.state) == ("in_progress", "rejected")
    assert task.rejection == Rejection("T-1-A1", "INVALID_JSON", refusal=OID)
    assert told.state.run.rejected == 1
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1", not_before=LATER)
    assert (told.task().state, told.task().not_before) == ("todo", LATER)
    told.later(HALF_AN_HOUR).attempt()
    assert told.task().not_before is None


def test_a_rejection_for_a_filter_says_so_to_the_next() -> None:
    told = story().attempt().rejected(code="PATH_PROTECTED", filter="there")
    assert told.task().rejection == Rejection(
        "T-1-A1", "PATH_PROTECTED", refusal=OID, filter="there"
    )


def test_a_result_waits_to_be_written_and_is_closed_with_its_commit() -> None:
    told = story().attempt().result(paths=("a", "b"), idempotency_sha256=SHA256)
    expected = Result("T-1-A1", AGENT, "Done.", ("a", "b"))
    assert (told.task().result, told.task().effect) == (expected, "pending")
    told.written()
    assert (told.task().result, told.task().effect) == (expected, "written")
    told.closed()
    task = told.task()
    wrote = canonical.digest(canonical.encode([added("a"), added("b")]))
    assert task.result == Result("T-1-A1", AGENT, "Done.", ("a", "b"), OID, wrote=wrote)
    assert (task.state, task.effect, told.state.run.accepted) == ("done", None, 1)


def test_a_result_without_files_is_closed_at_once() -> None:
    told = story().attempt().result().closed()
    assert told.task().result == Result("T-1-A1", AGENT, "Done.")


def test_the_salts_of_what_was_said_are_in_no_state() -> None:
    def hashed(salt: str, sha256: str) -> str:
        said = {"salt": salt, "response": {"sha256": sha256, "bytes": 3}}
        told = story().attempt().result(output_sha256=sha256, exchange=said)
        return projection_hash(told.state)

    assert hashed("a" * 40, "b" * 64) == hashed("c" * 40, "d" * 64)


def test_a_done_task_forgets_what_was_in_its_way() -> None:
    told = story().attempt().rejected()
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1").attempt().result().closed()
    task = told.task()
    assert (task.rejection, task.not_before, task.pending_approval) == (None, None, None)
    assert (task.attempts_used, task.attempts_total) == (2, 2)


def test_a_released_attempt_does_not_count_but_keeps_its_number() -> None:
    told = story().attempt()
    told.update("T-1", "todo", "released", attempt_id="T-1-A1", reason="interrupted")
    task = told.task()
    assert task.attempt is not None
    assert (task.attempt.state, task.attempts_used, task.attempts_total) == ("cancelled", 0, 1)
    told.attempt()
    assert told.here()["attempt_id"] == "T-1-A2"


@pytest.mark.parametrize("cause", ["issue", "dependency"])
def test_an_attempt_that_an_issue_cut_off_counts(cause: str) -> None:
    told = story().attempt()
    told.update("T-1", "blocked", cause, reason="x", issue_id="ISS-0001", blocked_by="T-0")
    task = told.task()
    assert task.attempt is not None
    assert (task.attempt.state, task.attempts_used) == ("cancelled", 1)
    assert task.blocked == Blocked(cause, "x", "ISS-0001", "T-0")
    assert told.state.run.blocked == ("T-1",)
    assert told.state.run.in_progress == ()


def test_a_person_unblocks_and_may_grant_attempts() -> None:
    told = story().update("T-1", "blocked", "issue", reason="x")
    told.update("T-1", "todo", "operator", reason="looked at", attempts_allowed=7)
    assert told.task().blocked is None
    assert told.task().attempts_allowed == 7


def test_what_is_sent_back_loses_its_result() -> None:
    told = story().attempt().result(paths=("a",)).written().asked()
    told.denied()
    told.update("T-1", "todo", "changes_requested")
    task = told.task()
    assert (task.result, task.effect, task.pending_approval) == (None, None, None)
    assert task.rejection == Rejection("T-1-A1", "REVIEW_CHANGES_REQUESTED", text="0" * 40)


def test_a_reviewer_s_words_outlast_the_last_attempt() -> None:
    told = story().attempt().result().asked()
    told.denied()
    told.update("T-1", "blocked", "attempts_spent")
    told.update("T-1", "todo", "operator", reason="once more").attempt()
    assert told.task().rejection == Rejection("T-1-A1", "REVIEW_CHANGES_REQUESTED", text="0" * 40)


def pending(**more: Any) -> Approval:
    by_contract = (Requirement("by contract", "approver"),)
    asked = Approval("APR-0001", "T-1", "T-1-A1", "pending", SHA256, "0" * 32, by_contract)
    return replace(asked, **more)


def test_a_consent_is_kept_with_who_gave_it() -> None:
    told = story().attempt().result().asked()
    assert told.state.approvals["APR-0001"] == pending()
    assert told.task().pending_approval == "APR-0001"
    told.granted()
    assert told.state.approvals["APR-0001"] == pending(
        state="granted", grants=(Consent(PERSON, "approver"),), decided_by=PERSON, text="0" * 40
    )


@pytest.mark.parametrize(
    ("verdict", "state"), [("deny", "denied"), ("request_changes", "returned")]
)
def test_a_denial_is_kept_with_who_made_it(verdict: str, state: str) -> None:
    told = story().attempt().result().asked().denied(verdict=verdict)
    decided = pending(state=state, decided_by=PERSON, text="0" * 40)
    assert told.state.approvals["APR-0001"] == decided


def test_an_amendment_changes_what_it_names_and_keeps_the_rest() -> None:
    told = story()
    before = told.task()
    changes = {"kind": "qa", "acceptance": ["One."], "review": True}
    told.update("T-1", "todo", "amended", changes=changes)
    task = told.task()
    assert (task.kind, task.acceptance, task.review) == ("qa", ("One.",), True)
    assert task.title == before.title
    assert told.state.run.by_kind == (("impl", 1), ("qa", 1))


def test_issues_are_counted_while_they_are_open() -> None:
    told = story()
    report = {"title": "x", "task_id": "T-1"}
    told.then("issue.report", PERSON, issue_id="ISS-0001", severity="medium", **report)
    told.then(
        "issue.report",
        PERSON,
        issue_id="ISS-0002",
        severity="high",
        reported_as="medium",
        **report,
    )
    told.then("issue.report", PERSON, issue_id="ISS-0003", severity="high", title="y")
    assert told.state.run.open_issues == (("high", 2), ("medium", 1))
    assert told.task().medium_issues == 2
    solved = {"view": "issue", "issue_id": "ISS-0002", "by": PERSON, "text": "repaired"}
    told.then("orchestrator.view.mutate", **solved)
    assert told.state.run.open_issues == (("high", 1), ("medium", 1))
    assert told.state.issues["ISS-0002"] == Issue(
        "ISS-0002",
        "high",
        "x",
        PERSON,
        task_id="T-1",
        reported_as="medium",
        resolution="repaired",
        resolved_by=PERSON,
    )
    assert told.state.run.issues == 3


def test_a_lesson_is_kept_for_the_kinds_it_names() -> None:
    told = story().then(
        "lesson.record",
        AGENT,
        lesson_id="LES-0001",
        rule="Read.",
        mistake="Wrote.",
        kinds=["qa"],
        task_id="T-1",
    )
    assert told.state.lessons["LES-0001"] == Lesson(
        "LES-0001", "Read.", "Wrote.", AGENT, ("qa",), "T-1"
    )
    assert not told.state.accepted_lessons.by_author
    assert told.state.run.lessons == 1


def test_notes_are_kept_in_order() -> None:
    told = story()
    for text in ("first", "second"):
        told.later(1).then("note.add", PERSON, on="task", task_id="T-1", text=text)
    notes = told.state.notes_on("T-1")
    assert [(note.text, note.by) for note in notes] == [
        ("first", PERSON),
        ("second", PERSON),
    ]
    assert notes[0].ts < notes[1].ts


def test_a_verification_is_noted_by_the_run() -> None:
    told = story().then("verify.ok", checked_from=1, checked_to=1, projection_hash_sha256=SHA256)
    assert told.state.run.verified_seq == 2


# ------------------------------------------------------------------------------- how it is folded


def everything() -> Story:
    """A story in which every table has records."""
    told = story().done("T-0", "a").attempt()
    told.then(
        "orchestrator.dispatch",
        **told.here(),
        agent=AGENT,
        adapter="command",
        request_sha256=SHA256,
        sandbox="none",
        reserves={"microdollars": 5, "tokens": 4, "ms": 3},
    )
    told.then(
        "settle",
        source_sha256=SHA256,
        agent=AGENT,
        ts=TS,
        kind="spec",
        task_id="T-1",
        microdollars=7,
        reserves={"microdollars": 5},
    )
    told.rejected()
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1")
    told.then("issue.report", PERSON, issue_id="ISS-0001", severity="low", title="x")
    told.then("lesson.record", PERSON, lesson_id="LES-0001", rule="r", mistake="m")
    told.then("task.create", task=definition("T-2")).attempt("T-2")
    more = {"rule": "r", "mistake": "m", **told.here("T-2")}
    told.then("lesson.record", AGENT, lesson_id="LES-0002", **more)
    told.result("T-2").closed("T-2")
    told.then("emergency.override", task_id="T-0", reason="no", by=PERSON)
    told.attempt().result().asked()
    return told.then("note.add", PERSON, on="task", task_id="T-1", text="look")


def test_a_state_is_what_its_events_make_of_nothing() -> None:
    told = everything()
    assert project(told.events) == told.state
    assert project([]) == EMPTY


def test_where_the_fold_is_interrupted_does_not_matter() -> None:
    told = everything()
    for at in range(len(told.events) + 1):
        first, second = told.events[:at], told.events[at:]
        assert project(second, start=project(first)) == told.state


def test_an_event_leaves_the_state_before_it_alone() -> None:
    told = everything()
    states = [EMPTY]
    for event in told.events:
        states.append(evolve(states[-1], event))
    shown = [documents(state) for state in states]
    for state, event in zip(states, told.events, strict=False):
        evolve(state, event)
    assert [documents(state) for state in states] == shown


def documents(state: State) -> dict[tuple[str, str], Any]:
    """Return every document of a state, as it is stored."""
    found = {("", name): state.document("", name).to_json() for name in SINGLE}
    for table in (
        "tasks",
        "issues",
        "lessons",
        "approvals",
        "notes",
        "decisions",
        "requests",
        *MONEY,
    ):
        for key in getattr(state, table):
            found[table, key] = state.document(table, key).to_json()
    return found


MONEY = ("accounts", "reservations", "settled_elsewhere")
SINGLE = ("project", "run", "supersessions", "accepted_lessons", "open_reservations")


def test_a_state_names_exactly_the_documents_that_its_last_event_changed() -> None:
    state = EMPTY
    for event in everything().events:
        before, state = documents(state), evolve(state, event)
        after_it = documents(state)
        changed = {key for key in after_it if after_it[key] != before.get(key)}
        # An event may write a document as it was; what it changes, it names.
        assert changed <= state.touched, event.subject
        assert state.touched <= set(after_it), event.subject


def test_every_document_comes_back_from_its_json() -> None:
    state = everything().state
    builders = {
        "project": Project,
        "run": Run,
        "supersessions": Supersessions,
        "accepted_lessons": AcceptedLessons,
        "tasks": Task,
        "issues": Issue,
        "lessons": Lesson,
        "approvals": Approval,
        "notes": Notes,
        "decisions": Decision,
        "requests": Request,
        "open_reservations": OpenReservations,
        "accounts": Account,
        "reservations": Reservation,
        "settled_elsewhere": SettledElsewhere,
    }
    seen = set()
    for (table, key), document in documents(state).items():
        builder = builders[table or key]
        stored = canonical.decode(canonical.encode(document))
        assert builder.from_json(stored) == state.document(table, key)
        seen.add(builder)
    assert seen == set(builders.values())


# ---------------------------------------------------------------------- the read-model and its hash


def test_the_read_model_has_tasks_in_order_of_id_and_two_indexes() -> None:
    told = Story().started(definition("T-2", "qa"), definition("T-10"), definition("T-1"))
    told.attempt("T-10")
    model = roadmap(told.state)
    assert list(model) == ["schema_version", "project", "tasks", "indexes"]
    assert model["schema_version"] == "0.3.0"
    assert model["project"] == {"name": "example"}
    assert [task["task_id"] for task in model["tasks"]] == ["T-1", "T-10", "T-2"]
    assert model["indexes"] == {
        "by_state": {"in_progress": ["T-10"], "todo": ["T-1", "T-2"]},
        "by_kind": {"qa": ["T-2"], "spec": ["T-1", "T-10"]},
    }


def test_the_hash_is_that_of_the_read_model_s_canonical_json() -> None:
    state = everything().state
    text = json.dumps(roadmap(state), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert projection_hash(state) == canonical.digest(f"{text}\n".encode())


def test_the_hash_of_a_known_state_is_the_one_that_logs_hold() -> None:
    assert projection_hash(EMPTY) == (
        "9a6424e94a29cdb08ed30547c3f4fb084509a5054451edea97426e8f9ed520f2"
    )
    assert projection_hash(everything().state) == (
        "30bbd67edfe0a470d77b5c85305626e1a16887354de5c66f5ad7eed130bff88e"
    )


def test_the_run_the_issues_and_the_lessons_stay_outside_of_the_hash() -> None:
    told = story()
    before = projection_hash(told.state)
    told.then("verify.ok", checked_from=1, checked_to=1, projection_hash_sha256=before)
    told.then("issue.report", PERSON, issue_id="ISS-0001", severity="low", title="x")
    told.then("lesson.record", PERSON, lesson_id="LES-0001", rule="r", mistake="m")
    told.then("run.end", run_id="RUN-0001", result="halted", reason="enough")
    assert projection_hash(told.state) == before


def test_every_change_of_a_task_changes_the_hash() -> None:
    told = story().attempt()
    hashes = [projection_hash(told.state)]
    told.rejected()
    hashes.append(projection_hash(told.state))
    told.update("T-1", "todo", "rejected", attempt_id="T-1-A1")
    hashes.append(projection_hash(told.state))
    told.update("T-1", "todo", "amended", changes={"title": "Another"})
    hashes.append(projection_hash(told.state))
    assert len(set(hashes)) == len(hashes)


def test_what_is_created_in_another_order_has_the_same_hash() -> None:
    one = Story().started(definition("T-1"), definition("T-2"))
    other = Story().started(definition("T-2")).then("task.create", task=definition("T-1"))
    assert projection_hash(one.state) == projection_hash(other.state)


# -------------------------------------------------------------------------------------- the tables


class Source(dict[str, Task]):
    """Records that are counted when they are read."""

    reads = 0

    def __getitem__(self, key: str) -> Task:
        self.reads += 1
        return super().__getitem__(key)


def test_a_table_reads_only_what_is_asked_for() -> None:
    source = Source({name: Task(name, "spec", name) for name in ("b", "a", "c")})
    table = Table(source)
    assert list(table) == ["a", "b", "c"]
    assert len(table) == 3
    assert "d" not in table
    assert source.reads == 0
    assert table["b"].title == "b"
    assert source.reads == 1


def test_a_table_with_another_record_leaves_the_first_as_it_was() -> None:
    table = Table({"a": Task("a", "spec", "old")})
    changed = table.with_record("a", Task("a", "spec", "new")).with_record(
        "b", Task("b", "spec", "b")
    )
    assert (table["a"].title, list(table)) == ("old", ["a"])
    assert (changed["a"].title, list(changed)) == ("new", ["a", "b"])
    with pytest.raises(KeyError):
        table["b"]
