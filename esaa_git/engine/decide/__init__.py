"""Decisions: what a state and the contracts allow, and the events that follow from it.

`decide` is a function of its arguments and nothing else: it reads no clock, stores no object and
writes no event. The state machine itself is `esaa_git.core.machine`; here is what policy adds to
it. What an effect needs of git, the id of its commit, comes back as the next intention, so that
one transaction may ask more than once; `esaa_git.engine.transaction` seals, checks and writes
what is decided here.
"""

from __future__ import annotations

from typing import assert_never

from esaa_git.core.contracts import Contracts
from esaa_git.core.events import VerifyStart
from esaa_git.core.state import State
from esaa_git.engine.decide.again import repeat
from esaa_git.engine.decide.attempts import (
    dispatch,
    expire_attempt,
    heartbeat,
    open_attempt,
    open_undo,
    reject,
    release_attempt,
)
from esaa_git.engine.decide.events import Events, by_us, lesson_recorded
from esaa_git.engine.decide.issues import act_on_issue, report_issue, resolve_issue
from esaa_git.engine.decide.policy import judged_alone
from esaa_git.engine.decide.questions import ask, follow
from esaa_git.engine.decide.remarks import add_note, withdraw_lesson
from esaa_git.engine.decide.results import (
    accept_result,
    agreed,
    apply_result,
    approval_request,
    ask_again,
    budget_request,
    closed,
    expire_approval,
    request_changes,
    return_denied,
    return_review,
)
from esaa_git.engine.decide.run import (
    change_plan,
    end_run,
    fail_verification,
    start_run,
    stop_run,
)
from esaa_git.engine.decide.tasks import add_task, begin_undo, hotfix, override, relinked, unblock
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
from esaa_git.engine.schedule import find_task, require_run


def decide(state: State, contracts: Contracts, intention: Intention, at: str) -> Events:
    """Return the events that an intention amounts to, oldest first; none where nothing is to do.

    Args:
        contracts: those in force.
        at: the moment at which the events will be recorded, not before the last one.

    Raises:
        RefusedError, RunHalted: if policy or the state forbids it, saying what to do about it.
        UsageError: if it names something that there is not.
    """
    match intention:
        case StartRun():
            return start_run(state, intention)
        case ChangePlan():
            return change_plan(state, contracts, intention)
        case StopRun():
            require_run(state)
            return (stop_run(state, intention),)
        case StartVerification():
            require_run(state)
            return (by_us(VerifyStart(checked_from=1, checked_to=state.seq)),)
        case EndRun():
            return end_run(state, intention)
        case FailVerification():
            return fail_verification(state, intention)
        case AddTask():
            return add_task(state, contracts, intention)
        case Hotfix():
            return hotfix(state, contracts, intention)
        case BeginUndo():
            return (begin_undo(state, intention),)
        case OpenUndo():
            return (open_undo(state, contracts, intention, at),)
        case Override():
            return override(state, intention)
        case Unblock():
            return unblock(state, contracts, intention)
        case AddNote():
            return add_note(state, intention)
        case WithdrawLesson():
            return withdraw_lesson(state, intention)
        case Relink():
            return (relinked(intention),)
        case ReportIssue():
            return report_issue(state, contracts, intention)
        case ActOnIssue():
            return act_on_issue(state, contracts, intention)
        case AskQuestion():
            return ask(state, intention)
        case FollowQuestion():
            return follow(state, intention)
        case ResolveIssue():
            return resolve_issue(state, intention)
        case OpenAttempt():
            return open_attempt(state, contracts, intention, at)
        case ExpireAttempt():
            return expire_attempt(state, contracts, intention, at)
        case ReleaseAttempt():
            return release_attempt(state, intention)
        case AskAgent():
            return (dispatch(state, contracts, intention, at),)
        case Prolong():
            return (heartbeat(contracts, intention, at),)
        case RecordLesson():
            task = find_task(state, intention.task_id)
            said = intention.lesson, intention.agent
            return (lesson_recorded(state, 1, intention.actor, task, *said),)
        case Reject():
            return reject(state, contracts, intention, at)
        case AcceptResult():
            return accept_result(state, contracts, intention)
        case Judge():
            return judged_alone(find_task(state, intention.task_id), contracts, intention.facts)
        case ApplyResult():
            return apply_result(state, contracts, intention)
        case CloseTask():
            task = find_task(state, intention.task_id)
            return (closed(task, intention.effect_commit),)
        case AskForBudget():
            return (budget_request(state, intention),)
        case AskForReview():
            return (approval_request(state, contracts, intention, at),)
        case Agree():
            return (agreed(state, intention),)
        case ExpireApproval():
            return expire_approval(state, intention, at)
        case AskAgain():
            return ask_again(state, intention)
        case RequestChanges():
            return request_changes(state, contracts, intention, at)
        case ReturnDenied():
            return return_denied(state, contracts, intention, at)
        case ReturnReview():
            return return_review(state, intention)
        case Repeat():
            return repeat(state, contracts, intention, at)
        case _:
            assert_never(intention)
