"""Decisions as values: a state, the contracts and an intention in, events out.

No log, no repository and no clock is made here: what is decided is sealed and evolved, as a
transaction does it, so that the next intention finds the state that it left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

import pytest

from esaa_git.core.answer import Lesson
from esaa_git.core.approvals import subject
from esaa_git.core.canonical import digest
from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import Requirement
from esaa_git.core.event import Event, after, seal
from esaa_git.core.events import (
    AgentHeartbeat,
    AgentResult,
    AnyPayload,
    ApprovalDeny,
    ApprovalExpire,
    ApprovalGrant,
    ApprovalRequest,
    AttemptCreate,
    AttemptTimeout,
    Dispatch,
    EffectRelinked,
    EmergencyOverride,
    EventNote,
    FileWrite,
    Health,
    IssueReport,
    IssueResolved,
    LessonRecord,
    LessonWithdraw,
    OutputRejected,
    PolicyDecision,
    ReviewResult,
    ReviewReturned,
    RunEnd,
    RunInit,
    RunNote,
    TaskCreate,
    TaskNote,
    TaskUpdate,
    VerifyFail,
    VerifyOk,
    VerifyStart,
)
from esaa_git.core.events.base import decode
from esaa_git.core.events.base import replace as replace_record
from esaa_git.core.events.fields import (
    CheckResult,
    KeptPart,
    Raise,
    RefusedExchange,
    SpokenExchange,
    TaskChanges,
    TaskDefinition,
    Usage,
)
from esaa_git.core.events.file_write import FileAdd
from esaa_git.core.events.output_rejected import Output
from esaa_git.core.events.spec import APPROVER
from esaa_git.core.machine import Cause, RunState, TaskState
from esaa_git.core.policy_rules import check_policy
from esaa_git.core.projection import evolve, project, projection_hash
from esaa_git.core.rejection import RejectCode
from esaa_git.core.state import EMPTY, Carrier, State
from esaa_git.core.task import Task
from esaa_git.engine.calls import AgentVerdict, CallResult
from esaa_git.engine.decide import decide
from esaa_git.engine.intentions import (
    AcceptResult,
    ActOnIssue,
    AddNote,
    AddTask,
    Agree,
    ApplyResult,
    AskAgain,
    AskAgent,
    AskForBudget,
    AskForReview,
    AskQuestion,
    BeginUndo,
    ChangePlan,
    CloseTask,
    EndRun,
    ExpireApproval,
    ExpireAttempt,
    FailVerification,
    FollowQuestion,
    Hotfix,
    Intention,
    Judge,
    OpenAttempt,
    OpenUndo,
    Override,
    Prolong,
    RecordLesson,
    Reject,
    ReleaseAttempt,
    Relink,
    Repeat,
    ReportIssue,
    RequestChanges,
    ResolveIssue,
    ReturnDenied,
    ReturnReview,
    StartRun,
    StartVerification,
    StopRun,
    Unblock,
    WithdrawLesson,
)
from esaa_git.errors import RefusedError, RunHalted, UsageError
from esaa_git.ports.checks import Audit
from esaa_git.testing.contracts import Place, contracts, task
from tests.support.records import request_for, signed_by_nobody

START = "2026-01-31T09:00:00.000Z"
BASE, EFFECT, MERGE = "b" * 40, "e" * 40, "f" * 40
LOG_ID, NONCE = "0123456789abcdef" * 2, "0" * 32
ADA, AGENT, REVIEWER = "ada@example.com", "agent-x", "agent-qa"
POLICY = "RUNTIME_POLICY.yaml"


@dataclass
class World:
    """A state and the contracts in force, and what was asked of them."""

    contracts: Contracts
    state: State = EMPTY
    at: str = START
    events: list[Event] = field(default_factory=list)

    def ask(self, intention: Intention, most: int | None = None) -> list[AnyPayload]:
        """Have an intention decided, let the events pass as a transaction does, and return them.

        Args:
            most: let no more than so many of them pass.
        """
        before = self.state
        decided = decide(self.state, self.contracts, intention, self.at)[:most]
        assert self.state is before
        request = request_for(decided[0].payload, self.state.seq) if decided else None
        causation = None
        for new in decided if request is None else (request, *decided):
            caused = new if causation is None else replace(new, causation_id=causation)
            event = seal(caused, after_seq=self.state.seq, after_ts=self.state.ts, now=self.at)
            check_contract_rules(self.state, event, self.contracts)
            check_policy(self.state, event, self.contracts)
            self.state = evolve(self.state, event)
            self.events.append(event)
            causation = event.event_id if new is request else causation
        if decided:
            assert decided == decide(before, self.contracts, intention, self.at)[:most]
        return [event.payload for event in self.events[len(self.events) - len(decided) :]]

    def wait(self, milliseconds: int) -> None:
        self.at = after(self.at, milliseconds)

    def task(self, task_id: str = "T-1") -> Task:
        return self.state.tasks[task_id]

    # -- on the way to what a test is about -------------------------------------------------

    def opened(self, task_id: str = "T-1", agent: str = AGENT) -> str:
        """Open an attempt and return its id."""
        self.ask(OpenAttempt(task_id=task_id, agent=agent, mode="dispatch", base=BASE))
        attempt = self.task(task_id).attempt
        assert attempt is not None
        return attempt.attempt_id

    def closed(self, task_id: str = "T-1") -> None:
        """Bring a task to its end without a file."""
        attempt_id = self.opened(task_id)
        self.ask(AcceptResult(actor=AGENT, result=result(task_id, attempt_id)))
        assert self.task(task_id).is_done

    def awaiting(self) -> str:
        """Bring T-1, whose effect is written, before its reviewer, and return the approval's id."""
        attempt_id = self.opened()
        self.ask(
            AcceptResult(
                actor=AGENT,
                result=result("T-1", attempt_id, "docs/a.md"),
                write=effect("T-1", attempt_id),
            )
        )
        self.ask(AskForReview(task_id="T-1", log_id=LOG_ID, nonce=NONCE, started_by=ADA))
        pending = self.task().pending_approval
        assert pending is not None
        return pending

    def decided(self, verdict: str) -> None:
        """Have Ada decide on the approval that T-1 waits for."""
        asked = self.state.approvals[str(self.task().pending_approval)]
        about = {
            "approval_id": asked.approval_id,
            "subject_sha256": asked.subject_sha256,
            "nonce": asked.nonce,
            **signed_by_nobody(self.state.seq),
        }
        if verdict == "approve":
            said = decode(ApprovalGrant, {**about, "role": "approver"})
        else:
            said = decode(ApprovalDeny, {**about, "verdict": verdict})
        self.ask(Repeat(actor=ADA, payload=said))


def world(*tasks: Mapping[str, Any], changes: Mapping[Place, Any] | None = None) -> World:
    """Return a world whose run is open, with these tasks."""
    made = World(contracts(changes))
    made.ask(start(made, *(tasks or (task(),))))
    return made


def start(made: World, *tasks: Mapping[str, Any], base: str | None = BASE) -> StartRun:
    return StartRun(
        project="example",
        branch="main",
        base=base,
        contracts=made.contracts,
        tasks=definitions(*tasks),
        by=ADA,
    )


def definitions(*tasks: Mapping[str, Any]) -> tuple[TaskDefinition, ...]:
    return tuple(decode(TaskDefinition, one) for one in tasks)


def result(task_id: str, attempt_id: str, *paths: str) -> AgentResult:
    return AgentResult(
        task_id=task_id,
        attempt_id=attempt_id,
        summary="done",
        paths=paths,
    )


def effect(task_id: str, attempt_id: str) -> FileWrite:
    added = FileAdd(path="docs/a.md", mode="100644", after="a" * 40, sha256="0" * 64, bytes=3)
    return FileWrite(
        task_id=task_id, attempt_id=attempt_id, base=BASE, files=(added,), changed_lines=1
    )


KEPT = KeptPart(sha256="0" * 64, bytes=3, blob="a" * 40)


def refusal(attempt_id: str, *, closing: bool = False, approval_id: str | None = None) -> Reject:
    return Reject(
        task_id="T-1",
        attempt_id=attempt_id,
        code=RejectCode.INVALID_JSON,
        exchange=RefusedExchange(salt="a" * 40, refusal=KEPT),
        output=Output(bytes=2),
        call=CallResult(usage=Usage(input_tokens=3), latency_ms=5),
        results=(CheckResult(name="lint", passed=False, duration_ms=1),),
        approval_id=approval_id,
        closing=closing,
    )


def names(payloads: list[AnyPayload]) -> list[type]:
    return [type(payload) for payload in payloads]


# -- the run ----------------------------------------------------------------------------------


def test_a_run_starts_with_its_tasks_and_amends_those_of_before() -> None:
    made = world(task("T-1"), task("T-2"))
    began = made.events[0].payload
    assert isinstance(began, RunInit)
    assert (began.run_id, began.base, began.by) == ("RUN-0001", BASE, ADA)
    assert [pin.path for pin in began.contracts] == list(made.contracts.files)
    made.ask(StopRun(reason="enough", by=ADA))
    amended = (("T-1", TaskChanges(priority=5)),)
    again = StartRun(
        project="example",
        branch="main",
        base=BASE,
        contracts=made.contracts,
        tasks=definitions(task("T-3")),
        amended=amended,
    )
    second, changed = made.ask(again)
    assert isinstance(second, RunInit)
    assert second.run_id == "RUN-0002"
    assert isinstance(changed, TaskUpdate)
    assert (changed.cause, changed.reason, changed.from_, changed.to) == (
        Cause.AMENDED,
        "plan",
        TaskState.TODO,
        TaskState.TODO,
    )
    assert made.task().priority == 5


def test_no_run_starts_without_its_branch_nor_over_a_critical_issue() -> None:
    made = World(contracts())
    with pytest.raises(RunHalted, match="there is no branch 'main' to work on"):
        made.ask(start(made, task(), base=None))
    made = world()
    made.ask(ReportIssue(actor=ADA, severity="critical", title="fire", task_id="T-1"))
    with pytest.raises(RunHalted, match="RUN-0001 was halted by ISS-0001: fire"):
        made.ask(start(made))
    made.ask(ResolveIssue(issue_id="ISS-0001", by=ADA, reason="out"))
    assert names(made.ask(start(made))) == [RunInit]


def test_the_plan_of_an_open_run_changes_in_order() -> None:
    made = world()
    tasks = definitions(task("T-2"), task("T-3", depends_on=["T-2"]))
    amended = (("T-1", TaskChanges(title="Better")),)
    found = made.ask(ChangePlan(tasks=tasks, amended=amended, by=ADA))
    assert names(found) == [TaskCreate, TaskCreate, TaskUpdate]
    assert made.task().title == "Better"
    assert made.ask(ChangePlan(tasks=(), amended=())) == []


def test_a_person_stops_the_run_that_is_open() -> None:
    made = world()
    (ended,) = made.ask(StopRun(reason="x" * 3000, by=ADA))
    assert isinstance(ended, RunEnd)
    assert (ended.result, ended.by, len(ended.reason)) == (RunState.HALTED, ADA, 2000)
    with pytest.raises(RunHalted, match="RUN-0001 is over: halted"):
        made.ask(StopRun(reason="again", by=ADA))
    with pytest.raises(RunHalted, match="no run has started"):
        World(contracts()).ask(StopRun(reason="at once", by=ADA))


def test_a_run_ends_after_an_audit_that_saw_everything() -> None:
    made = world()
    made.closed()
    (began,) = made.ask(StartVerification())
    assert isinstance(began, VerifyStart)
    seen = Audit("ok", 1, made.state.seq, projection_hash(made.state))
    end = EndRun(audit=seen, result=RunState.SUCCESS, reason="1 tasks done")
    made.ask(ReportIssue(actor=ADA, severity="low", title="meanwhile"))
    assert made.ask(end) == []
    seen = Audit("ok", 1, made.state.seq, projection_hash(made.state))
    verified, ended = made.ask(EndRun(audit=seen, result=RunState.SUCCESS, reason="1 tasks done"))
    assert isinstance(verified, VerifyOk)
    assert verified.checked_to == seen.checked_to
    assert isinstance(ended, RunEnd)
    assert made.state.run.state == RunState.SUCCESS


def test_an_audit_that_does_not_hold_halts_the_run() -> None:
    made = world()
    audit = Audit("mismatch", 1, made.state.seq, None, 7, "EV-00000001", "another state")
    failed, ended = made.ask(
        FailVerification(audit=audit, snapshots=("refs/esaa/snapshots/x/log",), recovery="go back")
    )
    assert isinstance(failed, VerifyFail)
    assert (failed.outcome, failed.check, failed.event_id) == ("mismatch", 7, "EV-00000001")
    assert isinstance(ended, RunEnd)
    assert ended.reason == "verification failed: another state"
    assert ended.recovery == "go back"


# -- tasks, by people -------------------------------------------------------------------------


def test_a_task_is_added_to_what_there_is() -> None:
    made = world()
    (added,) = definitions(task("T-2", depends_on=["T-1"]))
    assert made.ask(AddTask(task=added, by=ADA)) == [TaskCreate(task=added, by=ADA)]
    with pytest.raises(UsageError, match="task 'T-2' exists already"):
        made.ask(AddTask(task=added, by=ADA))
    (lost,) = definitions(task("T-3", depends_on=["T-9"]))
    with pytest.raises(UsageError, match="no task 'T-9'"):
        made.ask(AddTask(task=lost, by=ADA))


def test_a_hotfix_takes_the_place_of_what_is_done() -> None:
    made = world()
    (fix,) = definitions(task("", title="Mend"))
    wanted = Hotfix(superseded="T-1", task=fix, by=ADA, reason="wrong")
    with pytest.raises(RefusedError, match="only a done task can be superseded; 'T-1' is todo"):
        made.ask(wanted)
    made.closed()
    (created,) = made.ask(wanted)
    assert isinstance(created, TaskCreate)
    assert (created.task.task_id, created.supersedes) == ("T-1-HF1", "T-1")
    with pytest.raises(RefusedError, match="'T-1' is superseded by 'T-1-HF1'"):
        made.ask(wanted)


def test_what_is_done_is_undone_by_a_task_of_its_own() -> None:
    made = world()
    with pytest.raises(RefusedError, match="'T-1' cannot be undone") as caught:
        made.ask(BeginUndo(task_id="T-1", by=ADA))
    assert caught.value.cause == "only a done task is undone, and 'T-1' is todo"
    made.closed()
    (created,) = made.ask(BeginUndo(task_id="T-1", by=ADA))
    assert isinstance(created, TaskCreate)
    assert (created.task.task_id, created.undoes) == ("T-1-UN1", "T-1")
    with pytest.raises(RefusedError, match="'T-1' cannot be undone") as caught:
        made.ask(BeginUndo(task_id="T-1", by=ADA))
    assert caught.value.hint == "run 'git esaa undo' to go on with what is being undone"
    (opened,) = made.ask(OpenUndo(task_id="T-1-UN1", base=BASE))
    assert isinstance(opened, AttemptCreate)
    assert (opened.attempt_id, opened.mode) == ("T-1-UN1-A1", "undo")
    made.ask(CloseTask(task_id="T-1-UN1", effect_commit=None))
    with pytest.raises(RefusedError) as caught:
        made.ask(BeginUndo(task_id="T-1", by=ADA))
    assert caught.value.hint == "run 'git esaa undo T-1-UN1' to have 'T-1' back"


def test_an_override_sets_aside_what_is_done_once() -> None:
    made = world()
    made.closed()
    wanted = Override(task_id="T-1", by=ADA, reason="harmful")
    assert names(made.ask(wanted)) == [EmergencyOverride]
    with pytest.raises(RefusedError, match="'T-1' was overridden already"):
        made.ask(wanted)


def test_a_blocked_task_and_what_waits_for_it_are_freed_together() -> None:
    made = world(task("T-1"), task("T-2", depends_on=["T-1"]), task("T-3"))
    free = Unblock(task_id="T-1", by=ADA, reason="mended", attempts=2)
    with pytest.raises(RefusedError, match="'T-1' is not blocked, it is todo"):
        made.ask(free)
    made.ask(ReportIssue(actor=ADA, severity="high", title="broken", task_id="T-1"))
    freed = made.ask(free)
    assert [one.task_id for one in freed if isinstance(one, TaskUpdate)] == ["T-1", "T-2"]
    assert [made.task(name).state for name in ("T-1", "T-2")] == [TaskState.TODO, TaskState.TODO]
    assert made.task().attempts_allowed == 2
    assert made.task("T-2").attempts_allowed is None


def test_attempts_that_a_lowered_limit_took_away_are_given_again() -> None:
    made = world(changes={(POLICY, "attempts", "max_per_task"): 2})
    for _ in range(2):
        made.ask(refusal(made.opened()))
    made.ask(Unblock(task_id="T-1", by=ADA, reason="try again"))
    assert made.task().attempts_allowed == 4
    lowered = TaskChanges(attempts_allowed=1)
    made.ask(ChangePlan(tasks=(), amended=(("T-1", lowered),)))
    (more,) = made.ask(Unblock(task_id="T-1", by=ADA, reason="once more", attempts=1))
    assert isinstance(more, TaskUpdate)
    assert more.cause == Cause.AMENDED
    assert made.task().attempts_allowed == 3


@pytest.mark.parametrize(
    "note",
    [
        TaskNote(task_id="T-1", text="mind the gap"),
        RunNote(run_id="RUN-0001", text="mind the gap"),
        EventNote(event_id="EV-00000001", text="mind the gap"),
    ],
)
def test_a_note_is_left_on_a_task_a_run_or_an_event(note: TaskNote | RunNote | EventNote) -> None:
    made = world()
    made.closed()
    assert made.ask(AddNote(note=note, by=ADA)) == [note]


@pytest.mark.parametrize(
    "note", [TaskNote(task_id="T-9", text="x"), RunNote(run_id="RUN-0002", text="x")]
)
def test_a_note_is_left_on_nothing_that_is_not_there(note: TaskNote | RunNote) -> None:
    with pytest.raises(UsageError):
        world().ask(AddNote(note=note, by=ADA))


def test_a_lesson_is_withdrawn_once() -> None:
    made = world()
    made.opened()
    lesson = Lesson(rule="obey me", mistake="none")
    made.ask(RecordLesson(actor=AGENT, task_id="T-1", lesson=lesson))
    back = WithdrawLesson(lesson_id="LES-0001", by=ADA, reason="no")
    assert made.ask(back) == [LessonWithdraw(lesson_id="LES-0001", reason="no")]
    with pytest.raises(RefusedError, match="withdrawn already by ada"):
        made.ask(back)
    with pytest.raises(UsageError, match="no lesson 'LES-0009'"):
        made.ask(WithdrawLesson(lesson_id="LES-0009", by=ADA, reason="no"))


def test_a_link_names_the_commit_that_carries_an_effect_now() -> None:
    made = world()
    made.ask(
        AcceptResult(
            actor=AGENT,
            result=result("T-1", made.opened(), "docs/a.md"),
            write=effect("T-1", "T-1-A1"),
        )
    )
    made.ask(CloseTask(task_id="T-1", effect_commit=EFFECT))
    link = Relink(
        task_id="T-1",
        effect_commit=EFFECT,
        carrier=Carrier(MERGE, ("T-1",), "squashed"),
        text="rebased",
    )
    assert names(made.ask(link)) == [EffectRelinked]


# -- issues -----------------------------------------------------------------------------------


def test_policy_says_what_an_issue_leads_to() -> None:
    made = world(task("T-1"), task("T-2", depends_on=["T-1"]), task("T-3", depends_on=["T-2"]))
    low = made.ask(ReportIssue(actor=ADA, severity="low", title="typo", task_id="T-1"))
    assert names(low) == [IssueReport]
    found = made.ask(ReportIssue(actor=ADA, severity="high", title="broken", task_id="T-1"))
    causes = [one.cause for one in found if isinstance(one, TaskUpdate)]
    assert causes == [Cause.ISSUE, Cause.DEPENDENCY, Cause.DEPENDENCY]
    halted = made.ask(ReportIssue(actor=ADA, severity="critical", title="fire"))
    assert names(halted) == [IssueReport, RunEnd]
    over = made.ask(ReportIssue(actor=ADA, severity="critical", title="still on fire"))
    assert names(over) == [IssueReport]


def test_the_third_medium_issue_of_a_task_is_a_high_one() -> None:
    made = world()
    for title in ("one", "two"):
        again = ReportIssue(actor=ADA, severity="medium", title=title, task_id="T-1")
        assert names(made.ask(again)) == [IssueReport]
    third = made.ask(ReportIssue(actor=ADA, severity="medium", title="three", task_id="T-1"))
    assert names(third) == [IssueReport, TaskUpdate]
    assert isinstance(third[0], IssueReport)
    assert (third[0].severity, third[0].reported_as) == ("high", "medium")
    with pytest.raises(UsageError, match="no task 'T-9'"):
        made.ask(ReportIssue(actor=ADA, severity="low", title="lost", task_id="T-9"))


def test_an_issue_is_resolved_once() -> None:
    made = world()
    made.ask(ReportIssue(actor=ADA, severity="low", title="typo"))
    resolve = ResolveIssue(issue_id="ISS-0001", by=ADA, reason="mended")
    assert names(made.ask(resolve)) == [IssueResolved]
    with pytest.raises(RefusedError, match=f"'ISS-0001' is resolved already by {ADA}"):
        made.ask(resolve)
    with pytest.raises(UsageError, match="no issue 'ISS-0002'"):
        made.ask(ResolveIssue(issue_id="ISS-0002", by=ADA, reason="?"))


# -- attempts ---------------------------------------------------------------------------------


def test_an_attempt_lasts_as_long_as_the_policy_says() -> None:
    made = world(changes={(POLICY, "attempts", "ttl"): "PT1M"})
    (opened,) = made.ask(OpenAttempt(task_id="T-1", agent=AGENT, mode="dispatch", base=BASE))
    assert opened == AttemptCreate(
        task_id="T-1",
        attempt_id="T-1-A1",
        number=1,
        agent=AGENT,
        mode="dispatch",
        base=BASE,
        deadline=after(made.at, 60_000),
    )
    with pytest.raises(RefusedError, match="'T-1' is in progress: agent-x holds it until"):
        made.opened()


def test_a_lease_that_ran_out_gives_the_task_back_or_spends_it() -> None:
    made = world(
        changes={(POLICY, "attempts", "ttl"): "PT1M", (POLICY, "attempts", "max_per_task"): 2}
    )
    for target in (TaskState.TODO, TaskState.BLOCKED):
        made.opened()
        made.wait(60_000)
        expired, back = made.ask(ExpireAttempt(task_id="T-1"))
        assert isinstance(expired, AttemptTimeout)
        assert isinstance(back, TaskUpdate)
        assert back.to == target
    assert made.ask(ExpireAttempt(task_id="T-1")) == []


def test_an_attempt_that_is_released_does_not_count() -> None:
    made = world()
    with pytest.raises(RefusedError, match="nobody holds 'T-1'"):
        made.ask(ReleaseAttempt(task_id="T-1", reason="not mine"))
    made.opened()
    assert made.ask(ReleaseAttempt(task_id="T-1", reason="gone", attempt_id="T-1-A9")) == []
    (released,) = made.ask(ReleaseAttempt(task_id="T-1", reason="gone", attempt_id="T-1-A1"))
    assert isinstance(released, TaskUpdate)
    assert (released.cause, released.attempt_id) == (Cause.RELEASED, "T-1-A1")
    assert made.task().attempts_used == 0


def asks(attempt_id: str, agent: str = AGENT, approval_id: str | None = None) -> AskAgent:
    return AskAgent(
        task_id="T-1",
        attempt_id=attempt_id,
        agent=agent,
        adapter="scripted",
        sandbox="in-process",
        request_sha256="2" * 64,
        approval_id=approval_id,
    )


def test_who_is_asked_is_on_record_with_what_was_sent() -> None:
    made = world()
    (sent,) = made.ask(asks(made.opened()))
    assert isinstance(sent, Dispatch)
    assert (sent.request_sha256, sent.review) == ("2" * 64, None)


def test_a_heartbeat_begins_the_lease_anew() -> None:
    made = world()
    attempt_id = made.opened()
    made.wait(1000)
    beat = Prolong(actor=AGENT, task_id="T-1", attempt_id=attempt_id, note="at it")
    (alive,) = made.ask(beat)
    assert isinstance(alive, AgentHeartbeat)
    assert alive.deadline == after(made.at, made.contracts.policy.ttl_ms)


def test_lessons_are_numbered() -> None:
    made = world()
    made.opened()
    lesson = Lesson(rule="look first", mistake="did not look", kinds=("spec",))
    for number in (1, 2):
        (learnt,) = made.ask(RecordLesson(actor=AGENT, task_id="T-1", lesson=lesson))
        assert isinstance(learnt, LessonRecord)
        assert learnt.lesson_id == f"LES-{number:04d}"


def test_a_refused_answer_goes_back_by_policy() -> None:
    made = world(changes={(POLICY, "attempts", "cooldown"): "PT5S"})
    refused, back = made.ask(refusal(made.opened()))
    assert isinstance(refused, OutputRejected)
    assert (refused.code, refused.latency_ms) == (RejectCode.INVALID_JSON, 5)
    assert isinstance(back, TaskUpdate)
    assert (back.cause, back.not_before) == (Cause.REJECTED, after(made.at, 5000))
    assert back.reason == "INVALID_JSON"
    assert names(made.ask(refusal("T-1-A1"))) == [OutputRejected]
    with pytest.raises(RefusedError, match="'T-1' cools down until"):
        made.opened()


# -- results ----------------------------------------------------------------------------------


def test_a_result_without_files_closes_its_task() -> None:
    made = world()
    lessons = (Lesson(rule="a", mistake="b"), Lesson(rule="c", mistake="d"))
    done = AcceptResult(actor=AGENT, result=result("T-1", made.opened()), lessons=lessons)
    found = made.ask(done)
    assert names(found) == [AgentResult, LessonRecord, LessonRecord, TaskUpdate]
    assert [one.lesson_id for one in found if isinstance(one, LessonRecord)] == [
        "LES-0001",
        "LES-0002",
    ]
    assert made.task().is_done


def test_an_effect_is_closed_by_the_commit_that_it_became() -> None:
    made = world()
    attempt_id = made.opened()
    done = AcceptResult(
        actor=AGENT,
        result=result("T-1", attempt_id, "docs/a.md"),
        write=effect("T-1", attempt_id),
    )
    assert names(made.ask(done)) == [AgentResult, FileWrite]
    (closed,) = made.ask(CloseTask(task_id="T-1", effect_commit=EFFECT))
    assert isinstance(closed, TaskUpdate)
    assert (closed.cause, closed.effect_commit) == (Cause.ACCEPTED, EFFECT)


def reviewed() -> World:
    return world(task(review=True))


def test_a_task_that_needs_a_review_waits_for_consent() -> None:
    made = reviewed()
    made.awaiting()
    assert names([event.payload for event in made.events[-3:]]) == [
        AgentResult,
        FileWrite,
        ApprovalRequest,
    ]
    made.decided("approve")
    assert made.ask(ApplyResult(task_id="T-1")) == []
    (closed,) = made.ask(CloseTask(task_id="T-1", effect_commit=EFFECT))
    assert isinstance(closed, TaskUpdate)
    assert closed.cause == Cause.APPROVED


def test_a_result_without_files_is_closed_after_the_consent() -> None:
    made = reviewed()
    asked = made.ask(AcceptResult(actor=AGENT, result=result("T-1", made.opened())))
    assert names(asked) == [AgentResult]
    made.ask(AskForReview(task_id="T-1", log_id=LOG_ID, nonce=NONCE))
    made.decided("approve")
    assert names(made.ask(ApplyResult(task_id="T-1"))) == [TaskUpdate]
    assert made.task().is_done


def test_more_of_a_budget_is_asked_of_an_approver_for_as_long_as_it_takes() -> None:
    made = world(task(), changes={(POLICY, "budgets"): {"run": {"calls": 1}}})
    raised = Raise(account="run.RUN-0001", unit="calls", amount=2)
    (asked,) = made.ask(AskForBudget(task_id="T-1", log_id=LOG_ID, nonce=NONCE, raised=raised))
    assert isinstance(asked, ApprovalRequest)
    assert (asked.kind, asked.budget, asked.attempt_id, asked.expires) == (
        "budget",
        raised,
        None,
        None,
    )
    assert [one.role for one in asked.requirements] == ["approver"]


def test_a_request_says_what_is_to_be_decided_by_whom_and_until_when() -> None:
    made = world(task(review=True), changes={(POLICY, "approvals", "expire_after"): "PT1H"})
    approval_id = made.awaiting()
    asked = made.state.approvals[approval_id]
    before = project(made.events[:-1])
    about = subject(LOG_ID, before, "T-1", asked.requirements)
    assert asked.subject_sha256 == digest(about)
    assert asked.requirements == (Requirement("the plan requires a review of this task", APPROVER),)
    assert (asked.nonce, asked.started_by) == (NONCE, ADA)
    assert asked.expires == after(made.state.ts, 3_600_000)


def test_what_a_person_said_alone_is_acted_on_once() -> None:
    made = reviewed()
    approval_id = made.awaiting()
    denied = ReturnDenied(approval_id=approval_id)
    assert made.ask(denied) == []
    made.decided("request_changes")
    (back,) = made.ask(denied)
    assert isinstance(back, TaskUpdate)
    assert (back.cause, back.reason) == (Cause.CHANGES_REQUESTED, f"{ADA} requests changes")
    assert made.ask(denied) == []
    report = ReportIssue(actor=ADA, severity="high", title="It leaks", task_id="T-1")
    made.ask(report, most=1)
    (blocked,) = made.ask(ActOnIssue(issue_id="ISS-0001"))
    assert isinstance(blocked, TaskUpdate)
    assert (blocked.cause, blocked.to) == (Cause.ISSUE, TaskState.BLOCKED)
    assert made.ask(ActOnIssue(issue_id="ISS-0001")) == []


def test_what_follows_from_a_question_recorded_alone_is_recorded_once() -> None:
    made = world(task())
    said = SpokenExchange(salt="a" * 40, text=KEPT)
    question = AskQuestion(
        actor=AGENT, task_id="T-1", attempt_id=made.opened(), exchange=said, call=CallResult()
    )
    follow = FollowQuestion(task_id="T-1")
    made.ask(question, most=1)
    (blocked,) = made.ask(follow)
    assert isinstance(blocked, TaskUpdate)
    assert (blocked.cause, blocked.reason) == (Cause.QUESTION, "asks Q-0001")
    assert made.ask(follow) == []


def test_a_denial_blocks_the_task() -> None:
    made = reviewed()
    approval_id = made.awaiting()
    made.decided("deny")
    (blocked,) = made.ask(ReturnDenied(approval_id=approval_id))
    assert isinstance(blocked, TaskUpdate)
    assert (blocked.cause, blocked.to, blocked.by) == (Cause.DENIED, TaskState.BLOCKED, ADA)


def test_what_nobody_decided_on_is_kept_and_asked_for_again() -> None:
    made = world(task(review=True), changes={(POLICY, "approvals", "expire_after"): "PT1H"})
    approval_id = made.awaiting()
    assert made.ask(ExpireApproval(approval_id=approval_id)) == []
    made.wait(7_200_000)
    expired, blocked = made.ask(ExpireApproval(approval_id=approval_id))
    assert isinstance(expired, ApprovalExpire)
    assert isinstance(blocked, TaskUpdate)
    assert (blocked.cause, made.task().effect) == (Cause.UNANSWERED, "written")
    (again,) = made.ask(AskAgain(task_id="T-1", by=ADA))
    assert isinstance(again, TaskUpdate)
    assert (again.cause, made.task().attempts_total) == (Cause.ASKED_AGAIN, 1)
    made.ask(AskForReview(task_id="T-1", log_id=LOG_ID, nonce="1" * 32))
    assert made.task().pending_approval == "APR-0002"


def lent() -> tuple[World, str]:
    """Bring T-1 before the agent that reviews it."""
    made = world(
        task("T-1"),
        changes={
            ("AGENT_CONTRACT.yaml", "kinds", "spec", "review"): "agent",
            ("agents_swarm.yaml", "reviewers"): {"spec": REVIEWER},
        },
    )
    approval_id = made.awaiting()
    made.ask(asks("T-1-A1", REVIEWER, approval_id))
    return made, approval_id


def test_a_verdict_is_recorded_by_the_orchestrator_with_who_gave_it() -> None:
    made, approval_id = lent()
    said = AgentVerdict(reviewer=REVIEWER, exchange=SpokenExchange(salt="a" * 40, text=KEPT))
    verdict, back = made.ask(RequestChanges(approval_id=approval_id, verdict=said))
    assert isinstance(verdict, ReviewResult)
    assert (verdict.reviewer, verdict.verdict) == (REVIEWER, "request_changes")
    assert made.events[-2].actor == "orchestrator"
    assert isinstance(back, TaskUpdate)
    assert (back.cause, back.to) == (Cause.CHANGES_REQUESTED, TaskState.TODO)
    made, approval_id = lent()
    (agreed,) = made.ask(Agree(approval_id=approval_id, verdict=said))
    assert isinstance(agreed, ReviewResult)
    assert (agreed.attempt_id, agreed.verdict) == ("T-1-A1", "approve")
    (closed,) = made.ask(CloseTask(task_id="T-1", effect_commit=EFFECT))
    assert isinstance(closed, TaskUpdate)
    assert closed.cause == Cause.APPROVED


def test_a_decision_is_lent_to_a_reviewer_and_given_back() -> None:
    made = world(
        task("T-1"),
        changes={
            ("AGENT_CONTRACT.yaml", "kinds", "spec", "review"): "agent",
            ("agents_swarm.yaml", "reviewers"): {"spec": REVIEWER},
        },
    )
    approval_id = made.awaiting()
    assert made.ask(ReturnReview(approval_id=approval_id, reason="nobody has it")) == []
    (lent,) = made.ask(asks("T-1-A1", REVIEWER, approval_id))
    assert isinstance(lent, Dispatch)
    assert lent.review is not None
    assert lent.review.deadline == after(made.at, made.contracts.policy.ttl_ms)
    (refused,) = made.ask(refusal("T-1-A1", approval_id=approval_id))
    assert isinstance(refused, OutputRejected)
    assert made.task().state == TaskState.IN_PROGRESS
    made.ask(asks("T-1-A1", REVIEWER, approval_id))
    (returned,) = made.ask(ReturnReview(approval_id=approval_id, reason="it is gone"))
    assert returned == ReviewReturned(approval_id=approval_id, text="it is gone")


# -- what was recorded elsewhere --------------------------------------------------------------


def test_what_is_said_again_gets_the_ids_and_times_of_this_log() -> None:
    made = world()
    attempt_id = made.opened()
    made.ask(RecordLesson(actor=AGENT, task_id="T-1", lesson=Lesson(rule="here", mistake="first")))
    learnt = LessonRecord(lesson_id="LES-0001", rule="a", mistake="b", task_id="T-1")
    (again,) = made.ask(Repeat(actor=ADA, payload=learnt))
    assert isinstance(again, LessonRecord)
    assert again.lesson_id == "LES-0002"
    old = AgentHeartbeat(task_id="T-1", attempt_id=attempt_id, deadline="2020-01-01T00:00:00.000Z")
    (alive,) = made.ask(Repeat(actor=AGENT, payload=old))
    assert isinstance(alive, AgentHeartbeat)
    assert alive.deadline == after(made.at, made.contracts.policy.ttl_ms)
    fine = Health(status="ok", message="fine")
    assert made.ask(Repeat(actor="orchestrator", payload=fine)) == [fine]


def test_a_limit_that_is_said_again_still_leaves_an_attempt() -> None:
    made = world(changes={(POLICY, "attempts", "max_per_task"): 2})
    for _ in range(2):
        made.ask(refusal(made.opened()))
    freed = TaskUpdate(
        task_id="T-1",
        from_=TaskState.BLOCKED,
        to=TaskState.TODO,
        cause=Cause.OPERATOR,
        by=ADA,
        attempts_allowed=2,
    )
    (again,) = made.ask(Repeat(actor="orchestrator", payload=freed))
    assert isinstance(again, TaskUpdate)
    assert again.attempts_allowed == 4


def test_what_policy_decides_of_the_same_facts_is_recorded_once() -> None:
    """A consent is asked for to a result without files, which stands in the log already."""
    rule = {"name": "every-word", "effect": {"require": {"role": "approver"}}}
    made = world(changes={("POLICY.yaml", "rules"): [rule]})
    given = result("T-1", made.opened())
    found = made.ask(AcceptResult(actor=AGENT, result=given), most=2)  # cut before the request
    assert [type(one).__name__ for one in found] == ["PolicyDecision", "AgentResult"]
    facts = found[1].facts  # type: ignore[union-attr]
    assert made.ask(Judge(task_id="T-1", facts=facts)) == []
    (again,) = made.ask(Judge(task_id="T-1", facts=replace_record(facts, lines=3)))
    assert isinstance(again, PolicyDecision)
    assert again.rule == "every-word"


def test_every_intention_is_asked_here() -> None:
    text = Path(__file__).read_text("utf-8")
    assert [one.__name__ for one in get_args(Intention) if f"{one.__name__}(" not in text] == []
