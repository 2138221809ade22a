"""Intentions: what a person, an agent or the engine wants; `decide` makes events of them.

The union is closed. An intention holds what its author knows and no more: ids, deadlines and what
follows by policy are worked out by `decide`, on the state that holds when it is asked.

An intention is a record, as what it leads to is: thirty dataclasses would take every command that
records something 10 ms to define (decision 0044).
"""

from __future__ import annotations

from typing import TypeAlias

from esaa_git.engine.intentions.approvals import (
    Agree,
    AskAgain,
    AskForBudget,
    AskForReview,
    ExpireApproval,
    RequestChanges,
    ReturnDenied,
    ReturnReview,
)
from esaa_git.engine.intentions.attempts import (
    AskAgent,
    ExpireAttempt,
    OpenAttempt,
    Prolong,
    RecordLesson,
    Reject,
    ReleaseAttempt,
)
from esaa_git.engine.intentions.elsewhere import Repeat, Repeatable
from esaa_git.engine.intentions.issues import (
    ActOnIssue,
    AskQuestion,
    FollowQuestion,
    ReportIssue,
    ResolveIssue,
)
from esaa_git.engine.intentions.people import (
    AddNote,
    AddTask,
    BeginUndo,
    Hotfix,
    OpenUndo,
    Override,
    Relink,
    Unblock,
    WithdrawLesson,
)
from esaa_git.engine.intentions.results import AcceptResult, ApplyResult, CloseTask, Judge
from esaa_git.engine.intentions.runs import (
    ChangePlan,
    EndRun,
    FailVerification,
    StartRun,
    StartVerification,
    StopRun,
)

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

__all__ = [
    "AcceptResult",
    "ActOnIssue",
    "AddNote",
    "AddTask",
    "Agree",
    "ApplyResult",
    "AskAgain",
    "AskAgent",
    "AskForBudget",
    "AskForReview",
    "AskQuestion",
    "BeginUndo",
    "ChangePlan",
    "CloseTask",
    "EndRun",
    "ExpireApproval",
    "ExpireAttempt",
    "FailVerification",
    "FollowQuestion",
    "Hotfix",
    "Intention",
    "Judge",
    "OpenAttempt",
    "OpenUndo",
    "Override",
    "Prolong",
    "RecordLesson",
    "Reject",
    "ReleaseAttempt",
    "Relink",
    "Repeat",
    "Repeatable",
    "ReportIssue",
    "RequestChanges",
    "ResolveIssue",
    "ReturnDenied",
    "ReturnReview",
    "StartRun",
    "StartVerification",
    "StopRun",
    "Unblock",
    "WithdrawLesson",
]
