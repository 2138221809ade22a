"""What was recorded on another log, said again on this one."""

from __future__ import annotations

from typing import TypeAlias

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
from esaa_git.core.events.operator_request import AnyRequest

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
