"""What the contracts in force say of an event, on every append and again in `verify`.

`evolve` holds an event against the protocol, which never changes; `check_contract_rules` holds it
against the contracts, which people edit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import assert_never

from esaa_git.core import budgets
from esaa_git.core.agent_contract import Check, make_check
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event, after
from esaa_git.core.events import (
    AgentHeartbeat,
    AgentResult,
    ApprovalDeny,
    ApprovalExpire,
    ApprovalGrant,
    ApprovalRequest,
    AttemptCreate,
    AttemptTimeout,
    BudgetCorrect,
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
    QuestionAnswer,
    QuestionAsk,
    ReviewResult,
    ReviewReturned,
    RunEnd,
    RunHalt,
    RunInit,
    RunNote,
    RunResume,
    Settle,
    TaskCreate,
    TaskNote,
    TaskUpdate,
    VerifyFail,
    VerifyOk,
    VerifyStart,
)
from esaa_git.core.events.approval import requirement
from esaa_git.core.events.fields import Check as CheckDefinition
from esaa_git.core.events.fields import (
    TaskChanges,
    TaskDefinition,
    commands,
)
from esaa_git.core.events.file_write import AnyFile, FileAdd, FileDelete, FileRename
from esaa_git.core.events.operator_request import OperatorRequest
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.globs import GlobSet
from esaa_git.core.invariants import Violation
from esaa_git.core.judges import unpinned
from esaa_git.core.machine import Cause, RunState, TaskState
from esaa_git.core.proposal import Boundary
from esaa_git.core.rejection import RejectCode
from esaa_git.core.requirements import (
    is_own_work,
    needs_review,
    of_budgets,
    requirements,
    reviewer_of,
)
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.errors import ConfigurationError


def check_contract_rules(state: State, event: Event, contracts: Contracts) -> None:
    """Refuse an event that breaks the contracts, in the state before it.

    Raises:
        Violation: INV-002 for authority, attempts and time; INV-004 for boundaries.
    """
    payload = event.payload
    match payload:
        case AttemptCreate():
            _attempt(state, event, payload, contracts)
        case AgentHeartbeat():
            _lease(event, contracts, payload.deadline)
        case Dispatch():
            _reviewer(state, event, payload, contracts)
            fault = budgets.fault(state, payload, event.ts, contracts)
            if fault is not None:
                raise Violation("INV-002", fault)
        case ReviewResult():
            _verdict(state, payload, contracts)
        case ApprovalRequest():
            _asks_for_all(state, event, payload, contracts)
        case ApprovalGrant() | ApprovalDeny():
            _decision(state, event, payload, contracts)
        case QuestionAsk():
            _question(state, payload, contracts)
        case FileWrite():
            _effect(state, payload, contracts)
        case TaskUpdate():
            _update(state, event, payload, contracts)
        case RunInit():
            _definitions(payload.tasks, contracts)
            if event.actor == ORCHESTRATOR:  # and no admin, who pins what the tasks name
                for task in payload.tasks:
                    _pinned_only(task.task_id, task.checks, contracts)
            if payload.contracts != contracts.pins:
                raise Violation("INV-002", "run.init pins other contracts than those beside it")
            if payload.programs != contracts.program_pins:
                raise Violation("INV-002", "run.init lists other programs than those beside it")
            if (payload.foreign_logs or ()) != contracts.orchestrator.foreign_logs:
                raise Violation("INV-002", "run.init lists other foreign_logs than the contract")
        case TaskCreate() if payload.undoes is not None:
            pass  # What it may write, what it undoes says.
        case TaskCreate():
            _definitions([payload.task], contracts)
            _pinned_only(payload.task.task_id, payload.task.checks, contracts)
        case RunEnd():
            if payload.result == RunState.SUCCESS and not is_success(state, contracts):
                raise Violation("INV-002", "the criteria of success are not met")
        case (
            AgentResult()
            | ApprovalExpire()
            | AttemptTimeout()
            | BudgetCorrect()
            | EffectRelinked()
            | EmergencyOverride()
            | Health()
            | IssueReport()
            | IssueResolved()
            | LessonRecord()
            | LessonWithdraw()
            | EventNote()
            | RunNote()
            | RunHalt()
            | RunResume()
            | TaskNote()
            | OperatorRequest()
            | OutputRejected()
            | PolicyDecision()
            | QuestionAnswer()
            | ReviewReturned()
            | Settle()
            | VerifyFail()
            | VerifyOk()
            | VerifyStart()
        ):
            pass  # No contract says anything of these.
        case _:
            assert_never(payload)
    if event.actor != ORCHESTRATOR and event.attempt_id is not None:
        _intention(event, contracts)


def attempts_allowed(task: Task, contracts: Contracts) -> int:
    """Return how many attempts a task may use: its own limit, or the policy's."""
    return task.attempts_allowed or contracts.policy.max_attempts


def required_checks(task: Task, contracts: Contracts) -> tuple[Check, ...]:
    """Return what a proposal for the task has to pass: its kind's checks, then its own.

    Each comes with the setup of the kind, in which it runs.

    Raises:
        ConfigurationError: if two have one name, or a timeout is no time.
    """
    own = tuple(
        make_check(check.name, check.run, check.timeout, f"task {task.task_id}: checks")
        for check in task.checks
    )
    found = contracts.checks(task.kind, own)
    names = [check.name for check in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"task '{task.task_id}' has two checks called '{name}'",
                hint="give one of them another name, in the plan or under 'checks' of its kind",
            )
    return found


def _attempt(state: State, event: Event, payload: AttemptCreate, contracts: Contracts) -> None:
    task = state.tasks.get(payload.task_id)
    if task is not None and task.attempts_used >= attempts_allowed(task, contracts):
        raise Violation("INV-002", f"the attempts of '{task.task_id}' are spent")
    _lease(event, contracts, payload.deadline)


def _lease(event: Event, contracts: Contracts, deadline: str) -> None:
    if deadline > after(event.ts, contracts.policy.ttl_ms):
        raise Violation("INV-002", "the lease is longer than the policy's ttl")


def _reviewer(state: State, event: Event, payload: Dispatch, contracts: Contracts) -> None:
    """Refuse to ask an agent for a decision that is not its own to make."""
    task = state.tasks.get(payload.task_id)
    if task is None or payload.review is None:
        return
    if payload.agent != reviewer_of(task, contracts):
        raise Violation("INV-002", f"{payload.agent} is no reviewer of '{task.task_id}'")
    approval = state.approvals.get(payload.review.approval_id)
    if approval is not None and approval.tries >= contracts.policy.max_attempts:
        raise Violation("INV-002", f"the reviewer of '{task.task_id}' has had its tries")
    _lease(event, contracts, payload.review.deadline)


def _verdict(state: State, payload: ReviewResult, contracts: Contracts) -> None:
    """Refuse the verdict of an agent that is not the reviewer, or where a person has to agree."""
    task = state.tasks.get(payload.task_id)
    if task is None or payload.reviewer != reviewer_of(task, contracts):
        raise Violation("INV-002", f"{payload.reviewer} is no reviewer of '{payload.task_id}'")


def _asks_for_all(
    state: State, event: Event, payload: ApprovalRequest, contracts: Contracts
) -> None:
    """Refuse a request that asks for less than the contracts do, for more, or for longer."""
    task = state.tasks.get(payload.task_id)
    asked = tuple(map(requirement, payload.requirements))
    if payload.budget is not None:
        is_due = budgets.is_limit(state, contracts, payload.budget, payload.task_id, event.ts)
        if not is_due or asked != of_budgets() or payload.expires is not None:
            raise Violation("INV-002", f"'{payload.approval_id}' is about no budget in force")
        return
    if task is None or asked != requirements(task, contracts):
        raise Violation("INV-002", f"'{payload.approval_id}' asks for something else than is due")
    undo = None if task.undoes is None else state.undone.under_way(task.undoes)
    if undo is not None and payload.started_by != undo.by:
        raise Violation("INV-002", f"{undo.by} has asked for what '{payload.approval_id}' is about")
    due = contracts.policy.approval_ms
    if (payload.expires is None) != (due is None) or (
        due is not None and (payload.expires or "") > after(event.ts, due)
    ):
        raise Violation("INV-002", f"'{payload.approval_id}' expires at another time than is due")


def _decision(
    state: State, event: Event, payload: ApprovalGrant | ApprovalDeny, contracts: Contracts
) -> None:
    """Refuse a decision on one's own work; whether it is a person's to make, their key says."""
    approval = state.approvals.get(payload.approval_id)
    is_result = approval is not None and approval.raises is None
    task = state.tasks.get(approval.task_id) if approval is not None and is_result else None
    if task is not None and is_own_work(task, event.actor, contracts):
        raise Violation("INV-002", "nobody approves their own work")


def _question(state: State, payload: QuestionAsk, contracts: Contracts) -> None:
    task = state.tasks.get(payload.task_id)
    if task is not None and len(task.questions) >= contracts.policy.questions_per_task:
        raise Violation("INV-002", f"'{task.task_id}' has asked as often as the policy allows")


def _effect(state: State, payload: FileWrite, contracts: Contracts) -> None:
    task = state.tasks.get(payload.task_id)
    if task is None:
        raise Violation("INV-002", f"there is no task '{payload.task_id}'")
    if task.undoes is not None:
        return  # What is undone was within the boundary, and the event is the inverse of that.
    policy = contracts.policy
    if len(payload.files) > policy.max_files or payload.changed_lines > policy.max_patch_lines:
        raise Violation("INV-004", "the effect is larger than the policy allows")
    _known_kind(task.kind, contracts)
    passed = {one.name for one in payload.check_results or () if one.passed}
    for check in required_checks(task, contracts):
        if check.name not in passed:
            raise Violation("INV-003", f"'{check.name}' was not passed by '{task.task_id}'")
    boundary = Boundary.of(task, contracts)
    for file in payload.files:
        prohibited = _operations(file) & boundary.operations
        if prohibited:
            raise Violation("INV-004", f"'{file.path}': {min(prohibited)} is prohibited")
        paths = (file.from_, file.path) if isinstance(file, FileRename) else (file.path,)
        for path in paths:
            fault = boundary.check(path)
            if fault is not None:
                raise Violation("INV-004", fault.message)
        if not isinstance(file, FileDelete) and file.bytes > policy.max_file_bytes:
            raise Violation("INV-004", f"'{file.path}' is larger than the policy allows")


def _update(state: State, event: Event, payload: TaskUpdate, contracts: Contracts) -> None:
    task = state.tasks.get(payload.task_id)
    if task is None:
        raise Violation("INV-002", f"there is no task '{payload.task_id}'")
    cause = payload.cause
    if cause == Cause.AMENDED:
        changes = payload.changes or TaskChanges()
        kind = task.kind if changes.kind is None else changes.kind
        _known_kind(kind, contracts)
        _usable(changes, Task("", kind, ""), contracts)
        _pinned_only(payload.task_id, changes.checks, contracts)
    if cause == Cause.ACCEPTED and needs_review(task, contracts):
        raise Violation("INV-002", f"'{task.task_id}' needs a review")
    spent = task.attempts_used >= attempts_allowed(task, contracts)
    if cause in (Cause.REJECTED, Cause.TIMED_OUT) and spent:
        raise Violation("INV-002", f"the attempts of '{task.task_id}' are spent")
    if cause == Cause.ATTEMPTS_SPENT and not spent:
        raise Violation("INV-002", f"'{task.task_id}' has attempts left")
    cooldown = contracts.policy.cooldown_ms
    cools = cooldown > 0 and cause in (Cause.REJECTED, Cause.TIMED_OUT)
    if cools and (payload.not_before or "") < after(event.ts, cooldown):
        raise Violation("INV-002", f"'{task.task_id}' cools down longer than that")


def is_success(state: State, contracts: Contracts) -> bool:
    """Answer whether the run may end in success by the policy's criteria."""
    counts = dict(state.run.by_state)
    open_tasks = counts.get(TaskState.TODO, 0) + counts.get(TaskState.IN_PROGRESS, 0)
    if contracts.policy.success_when == "all_done":
        open_tasks += counts.get(TaskState.BLOCKED, 0)
    return open_tasks == 0


def _operations(file: AnyFile) -> set[str]:
    """Return what a contract may prohibit of the change of one file."""
    found: set[str] = {file.change}
    if isinstance(file, FileDelete):
        return found
    before = "100644" if isinstance(file, FileAdd) else file.before_mode or file.mode
    if file.mode == "100755" != before:
        found.add("executable")
    return found


def _definitions(definitions: Iterable[TaskDefinition], contracts: Contracts) -> None:
    """Refuse tasks whose boundary could not be told: an unknown kind, a glob that is none."""
    known: set[str] = set()
    for definition in definitions:
        if definition.kind not in known:
            _known_kind(definition.kind, contracts)
            known.add(definition.kind)
        _usable(definition, Task(definition.task_id, definition.kind, ""), contracts)


def _pinned_only(
    task_id: str, checks: Iterable[CheckDefinition] | None, contracts: Contracts
) -> None:
    """Refuse a program of the tree that nobody has pinned, outside of a `run.init`."""
    for check in checks or ():
        for path in unpinned(check.run, contracts):
            raise Violation("INV-002", not_pinned(f"'{task_id}': check '{check.name}'", path))


def not_pinned(who: str, path: str) -> str:
    """Return the words for a program that somebody names and no `run.init` has pinned."""
    return f"{RejectCode.PLAN_PROGRAM_NOT_PINNED}: {who} names '{path}', which is not pinned"


def _known_kind(kind: str, contracts: Contracts) -> None:
    try:
        contracts.agent.kind(kind)
    except ConfigurationError as error:
        raise Violation("INV-004", error.message) from error


def _usable(given: TaskDefinition | TaskChanges, task: Task, contracts: Contracts) -> None:
    """Refuse globs that are none, and checks that a task of this id and kind cannot have."""
    try:
        for globs in (given.writes, given.context):
            if globs:
                GlobSet(globs)
        if given.checks:
            required_checks(replace(task, checks=commands(given.checks)), contracts)
    except ConfigurationError as error:
        raise Violation("INV-004", error.message) from error
    except ValueError as error:
        raise Violation("INV-004", f"a glob of a task: {error}") from error


def _intention(event: Event, contracts: Contracts) -> None:
    allowed = contracts.agent.actions
    of_agents = ("agent.", "issue.", "lesson.", "question.")
    if event.action.startswith(of_agents) and event.action not in allowed:
        raise Violation("INV-002", f"the contract does not allow agents {event.action}")


def attribution(task: Task, contracts: Contracts) -> str | None:
    """Return the `AGENT:MODEL` of a task's effect; None for a person's, or where it is off."""
    attempt = task.attempt
    if attempt is None or attempt.mode != "dispatch" or not contracts.orchestrator.assisted_by:
        return None
    entry = contracts.swarm.agents.get(attempt.agent)
    return f"{attempt.agent}:{(entry.model if entry is not None else None) or 'unspecified'}"
