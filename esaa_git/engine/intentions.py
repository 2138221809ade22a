"""Intentions: what a person, an agent or the engine wants; `decide` makes events of them.

The union is closed. An intention holds what its author knows and no more: ids, deadlines and what
follows by policy are worked out by `decide`, on the state that holds when it is asked.

An intention is a record, as what it leads to is: thirty dataclasses would take every command that
records something 10 ms to define (decision 0044).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from esaa_git.core.answer import Lesson
from esaa_git.core.contracts import Contracts
from esaa_git.core.events import (
    AgentHeartbeat,
    AgentResult,
    ApprovalDeny,
    ApprovalGrant,
    BudgetCorrect,
    Dispatch,
    EffectRelinked,
    EmergencyOverride,
    EventNote,
    FileWrite,
    Health,
    IssueResolved,
    LessonRecord,
    LessonWithdraw,
    QuestionAnswer,
    ReviewReturned,
    RunHalt,
    RunInit,
    RunNote,
    RunResume,
    Settle,
    TaskCreate,
    TaskNote,
    TaskUpdate,
)
from esaa_git.core.events.base import Record
from esaa_git.core.events.dispatch import Continues, Sandbox
from esaa_git.core.events.facts import Facts
from esaa_git.core.events.fields import (
    CheckResult,
    Exchange,
    NotKept,
    Proposed,
    Raise,
    RefusedExchange,
    Reserves,
    Salted,
    Severity,
    TaskChanges,
    TaskDefinition,
    Usage,
)
from esaa_git.core.events.operator_request import AnyRequest
from esaa_git.core.events.output_rejected import Output
from esaa_git.core.events.run_end import RunResult
from esaa_git.core.policy.evaluate import Hit
from esaa_git.core.rejection import Filter, RejectCode
from esaa_git.core.state import Carrier
from esaa_git.engine.calls import NO_CALL, AgentVerdict, CallResult
from esaa_git.ports.agent import Ran
from esaa_git.ports.checks import Audit

# -- the run ----------------------------------------------------------------------------------


class StartRun(Record):
    """Open a run on a branch, with the tasks that are new, and amend those of before.

    Attributes:
        base: the branch's tip, None where there is no such branch.
        contracts: what the run is to pin.
        tasks: each after those of them that it depends on.
        amended: task and changes.
        signer: the person who begins it; None where it is the orchestrator's to begin.
    """

    project: str
    branch: str
    base: str | None
    contracts: Contracts
    tasks: tuple[TaskDefinition, ...]
    amended: tuple[tuple[str, TaskChanges], ...] = ()
    by: str | None = None
    signer: str | None = None


class ChangePlan(Record):
    """Add tasks to the open run, and amend others."""

    tasks: tuple[TaskDefinition, ...]
    amended: tuple[tuple[str, TaskChanges], ...]
    by: str | None = None


class StopRun(Record):
    """End the open run as halted, because a person says so.

    `signer` is that person where no orchestrator's key is at hand that could record it.
    """

    reason: str
    by: str
    signer: str | None = None


class StartVerification(Record):
    """Begin to verify the log up to here, before the run ends."""


class EndRun(Record):
    """End the run after an audit that holds."""

    audit: Audit
    result: RunResult
    reason: str


class FailVerification(Record):
    """Halt the run after an audit that does not hold.

    Attributes:
        snapshots: the refs that keep log and branch as they were found.
        recovery: the command that goes back to the last verified point.
    """

    audit: Audit
    snapshots: Sequence[str]
    recovery: str


# -- tasks, by people -------------------------------------------------------------------------


class AddTask(Record):
    """Create one task outside of the plan."""

    task: TaskDefinition
    by: str


class Hotfix(Record):
    """Create the task that corrects a done one; an empty id stands for the next free one."""

    superseded: str
    task: TaskDefinition
    by: str
    reason: str
    issue_id: str | None = None


class BeginUndo(Record):
    """Create the task that undoes a done one."""

    task_id: str
    by: str


class OpenUndo(Record):
    """Open the attempt of a task that undoes another one."""

    task_id: str
    base: str


class Override(Record):
    """Set a done task aside without touching it."""

    task_id: str
    by: str
    reason: str


class Unblock(Record):
    """Return a blocked task, and those blocked only because of it, to `todo`.

    Attributes:
        attempts: how many more it gets; where all are spent, by default as many as a new task.
    """

    task_id: str
    by: str
    reason: str
    attempts: int | None = None


class AddNote(Record):
    """Leave a remark on a task, a run or an event."""

    note: TaskNote | RunNote | EventNote
    by: str


class WithdrawLesson(Record):
    """Take a lesson back, so that no request holds it."""

    lesson_id: str
    by: str
    reason: str


class Relink(Record):
    """Record that a commit of the branch carries an effect now; `text` says how that is known.

    Where a commit carries several, the last one says what it changes beside them.
    """

    task_id: str
    effect_commit: str
    carrier: Carrier
    text: str


class ReportIssue(Record):
    """Report an issue; what the policy says of its severity follows at once."""

    actor: str
    severity: Severity
    title: str
    description: str | None = None
    task_id: str | None = None
    attempt_id: str | None = None
    exchange: Exchange | None = None
    agent: str | None = None


class ActOnIssue(Record):
    """Do what the policy says of an issue that a person reported alone."""

    issue_id: str


class AskQuestion(Record):
    """End an attempt with a question, which blocks its task until a person answers it."""

    actor: str
    task_id: str
    attempt_id: str
    text: str
    call: CallResult
    agent: str | None = None


class FollowQuestion(Record):
    """Do what follows from a question, or an answer, that a person recorded alone."""

    task_id: str


class ResolveIssue(Record):
    """Resolve an issue; tasks that it blocked stay blocked."""

    issue_id: str
    by: str
    reason: str


# -- attempts ---------------------------------------------------------------------------------


class OpenAttempt(Record):
    """Give a task to an agent, or to a person who claims it, for one lease."""

    task_id: str
    agent: str
    mode: Literal["dispatch", "claim"]
    base: str


class ExpireAttempt(Record):
    """Close an attempt whose lease ran out."""

    task_id: str


class ReleaseAttempt(Record):
    """Give a task back before there is an answer; the attempt does not count.

    Attributes:
        attempt_id: only this attempt, else nothing is to be done; None for the one that is held.
        until, usage: of an attempt whose service was `unavailable`, as the event has them.
    """

    task_id: str
    reason: str
    attempt_id: str | None = None
    by: str | None = None
    unavailable: bool = False
    until: str | None = None
    usage: Usage | None = None


class AskAgent(Record):
    """Record who is asked, and the salted digest of exactly what is sent.

    Attributes:
        approval_id: the decision that is lent to a reviewer, None for an attempt.
        continues: the attempt whose files it goes on from.
        reserves: what it may cost at most, where a budget is in force for it.
    """

    task_id: str
    attempt_id: str
    agent: str
    adapter: str
    sandbox: Sandbox
    request_sha256: str | None = None
    exchange: Salted | None = None
    model: str | None = None
    template: str | None = None
    approval_id: str | None = None
    ran: Ran = Ran()
    continues: Continues | None = None
    reserves: Reserves | None = None


class Prolong(Record):
    """Begin the lease of an attempt anew: its holder is alive."""

    actor: str
    task_id: str
    attempt_id: str
    note: str | None = None
    agent: str | None = None


class RecordLesson(Record):
    """Record a lesson from the work on a task."""

    actor: str
    task_id: str
    lesson: Lesson
    agent: str | None = None


class Reject(Record):
    """Refuse an answer; where that ends the current attempt, the task goes on by policy.

    Attributes:
        exchange: what was said, and why it is refused.
        output: what was refused.
        filter: as in `output.rejected`.
        call: how the answer came about.
        results: how the checks ended that were run before the refusal.
        proposal: what was kept of its files, and `not_kept` what no rule lets be kept.
        approval_id: what a reviewer was asked to decide, whose answer this was.
        facts: what policy sees of the proposal, where it was made for the branch's tip.
        denied: the rules that deny it.
        closing: give up a result that was admitted already and cannot be applied any more. What
            its agent says after it never does that.
    """

    task_id: str
    attempt_id: str
    code: RejectCode
    exchange: RefusedExchange
    output: Output
    filter: Filter | None = None
    call: CallResult = NO_CALL
    results: tuple[CheckResult, ...] = ()
    proposal: Proposed | None = None
    not_kept: tuple[NotKept, ...] = ()
    approval_id: str | None = None
    facts: Facts | None = None
    denied: tuple[Hit, ...] = ()
    closing: bool = False


# -- results ----------------------------------------------------------------------------------


class AcceptResult(Record):
    """Record a valid result, and what follows: its effect, a review, or the end of the task.

    Where the effect needs no review, its commit comes next, and `CloseTask` after it.
    """

    actor: str
    result: AgentResult
    lessons: tuple[Lesson, ...] = ()
    write: FileWrite | None = None


class Judge(Record):
    """Record what policy decides of a result that stands in the log and writes nothing.

    Attributes:
        facts: what policy sees of it.
    """

    task_id: str
    facts: Facts


class ApplyResult(Record):
    """Finish a task whose result is recorded, as far as no commit is needed for it.

    Attributes:
        write: the effect as the branch takes it now, where that is another than the recorded one.
    """

    task_id: str
    write: FileWrite | None = None


class CloseTask(Record):
    """Close a task whose effect stands in a commit, which nothing refers to yet."""

    task_id: str
    effect_commit: str


class AskForReview(Record):
    """Have others agree before a task with a result is done.

    Attributes:
        log_id: of the log in which they are asked.
        nonce: 32 hexadecimal digits.
        started_by: the person who started the agent.
    """

    task_id: str
    log_id: str
    nonce: str
    started_by: str | None = None


class AskForBudget(Record):
    """Have a person agree to more of a budget than the contracts allow.

    Attributes:
        task_id: the first task that has no room.
        log_id, nonce: as `AskForReview` has them.
    """

    task_id: str
    log_id: str
    nonce: str
    raised: Raise


class ExpireApproval(Record):
    """Close a request that nobody decided on in time; its task is blocked."""

    approval_id: str


class AskAgain(Record):
    """Take a task up again for whose result nobody decided; what it has is asked for anew."""

    task_id: str
    by: str


class Agree(Record):
    """Record that the agent agrees to a result which was asked."""

    approval_id: str
    verdict: AgentVerdict


class RequestChanges(Record):
    """Give back a result that the agent does not agree to which was asked."""

    approval_id: str
    verdict: AgentVerdict


class ReturnDenied(Record):
    """Do with a task what follows from a person's denial of its result."""

    approval_id: str


class ReturnReview(Record):
    """Take a decision back from a reviewer who was never really asked; no try is spent."""

    approval_id: str
    reason: str


# -- what was recorded elsewhere --------------------------------------------------------------

Repeatable: TypeAlias = (
    RunInit
    | TaskCreate
    | TaskUpdate
    | Dispatch
    | AgentResult
    | AgentHeartbeat
    | LessonRecord
    | LessonWithdraw
    | FileWrite
    | TaskNote
    | RunNote
    | EventNote
    | IssueResolved
    | ReviewReturned
    | EffectRelinked
    | EmergencyOverride
    | Health
    | ApprovalGrant
    | ApprovalDeny
    | AnyRequest
    | RunHalt
    | QuestionAnswer
    | RunResume
    | Settle
    | BudgetCorrect
)
"""What can be said again as it was, but for the ids that are given out anew."""


class Repeat(Record):
    """Say again what was recorded on another log, with the ids and times of this one."""

    actor: str
    payload: Repeatable


Intention: TypeAlias = (
    StartRun
    | ChangePlan
    | StopRun
    | StartVerification
    | EndRun
    | FailVerification
    | AddTask
    | Hotfix
    | BeginUndo
    | OpenUndo
    | Override
    | Unblock
    | AddNote
    | WithdrawLesson
    | Relink
    | ReportIssue
    | AskQuestion
    | FollowQuestion
    | ActOnIssue
    | ResolveIssue
    | OpenAttempt
    | ExpireAttempt
    | ReleaseAttempt
    | AskAgent
    | Prolong
    | RecordLesson
    | Reject
    | AcceptResult
    | Judge
    | ApplyResult
    | CloseTask
    | AskForBudget
    | AskForReview
    | ExpireApproval
    | AskAgain
    | Agree
    | RequestChanges
    | ReturnDenied
    | ReturnReview
    | Repeat
)
"""What may be wanted. `decide` matches on it and ends in `assert_never`."""
