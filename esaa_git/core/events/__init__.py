"""The vocabulary: one module an event type, gathered here into one closed union.

An awkward word of the protocol is kept (`orchestrator.view.mutate`), with a comment where it is
defined.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias, get_args

from esaa_git.core.events.agent_heartbeat import AgentHeartbeat
from esaa_git.core.events.agent_result import AgentResult
from esaa_git.core.events.approval import (
    ApprovalDeny,
    ApprovalExpire,
    ApprovalGrant,
    ApprovalRequest,
)
from esaa_git.core.events.attempt_create import AttemptCreate
from esaa_git.core.events.attempt_timeout import AttemptTimeout
from esaa_git.core.events.base import Payload
from esaa_git.core.events.budget_correct import BudgetCorrect
from esaa_git.core.events.dispatch import Dispatch
from esaa_git.core.events.emergency_override import EmergencyOverride
from esaa_git.core.events.file_write import FileWrite
from esaa_git.core.events.halting import RunHalt, RunResume
from esaa_git.core.events.health import Health
from esaa_git.core.events.issue_report import IssueReport
from esaa_git.core.events.lesson_record import LessonRecord
from esaa_git.core.events.lesson_withdraw import LessonWithdraw
from esaa_git.core.events.note_add import EventNote, RunNote, TaskNote
from esaa_git.core.events.operator_request import (
    AcceptRequest,
    HotfixRequest,
    OverrideRequest,
    RelinkRequest,
    UnblockRequest,
    UndoRequest,
)
from esaa_git.core.events.output_rejected import OutputRejected
from esaa_git.core.events.policy_decision import PolicyDecision
from esaa_git.core.events.question import QuestionAnswer, QuestionAsk
from esaa_git.core.events.review_result import ReviewResult
from esaa_git.core.events.run_end import RunEnd
from esaa_git.core.events.run_init import RunInit
from esaa_git.core.events.settle import Settle
from esaa_git.core.events.task_create import TaskCreate
from esaa_git.core.events.task_update import TaskUpdate
from esaa_git.core.events.verification import VerifyFail, VerifyOk, VerifyStart
from esaa_git.core.events.view_mutate import (
    EffectRelinked,
    IssueResolved,
    ReviewReturned,
)

AnyPayload: TypeAlias = (
    RunInit
    | TaskCreate
    | TaskUpdate
    | AttemptCreate
    | AttemptTimeout
    | Dispatch
    | AgentResult
    | IssueReport
    | AgentHeartbeat
    | LessonRecord
    | LessonWithdraw
    | OutputRejected
    | FileWrite
    | IssueResolved
    | ReviewReturned
    | EffectRelinked
    | VerifyStart
    | VerifyOk
    | VerifyFail
    | RunEnd
    | EmergencyOverride
    | Health
    | PolicyDecision
    | ApprovalRequest
    | ApprovalGrant
    | ApprovalDeny
    | ApprovalExpire
    | ReviewResult
    | QuestionAsk
    | QuestionAnswer
    | TaskNote
    | RunNote
    | EventNote
    | UnblockRequest
    | UndoRequest
    | HotfixRequest
    | OverrideRequest
    | RelinkRequest
    | AcceptRequest
    | RunHalt
    | RunResume
    | Settle
    | BudgetCorrect
)
"""What an event may say. A `match` on it ends in `assert_never`, so that none is forgotten."""

ACTIONS: Mapping[str, type[Payload]] = MappingProxyType(
    {form.action: form.of_action for form in get_args(AnyPayload)}
)
"""The class of each action by its name, in the order of the union."""

__all__ = [
    "ACTIONS",
    "AcceptRequest",
    "AgentHeartbeat",
    "AgentResult",
    "AnyPayload",
    "ApprovalDeny",
    "ApprovalExpire",
    "ApprovalGrant",
    "ApprovalRequest",
    "AttemptCreate",
    "AttemptTimeout",
    "BudgetCorrect",
    "Dispatch",
    "EffectRelinked",
    "EmergencyOverride",
    "EventNote",
    "FileWrite",
    "Health",
    "HotfixRequest",
    "IssueReport",
    "IssueResolved",
    "LessonRecord",
    "LessonWithdraw",
    "OutputRejected",
    "OverrideRequest",
    "PolicyDecision",
    "QuestionAnswer",
    "QuestionAsk",
    "RelinkRequest",
    "ReviewResult",
    "ReviewReturned",
    "RunEnd",
    "RunHalt",
    "RunInit",
    "RunNote",
    "RunResume",
    "Settle",
    "TaskCreate",
    "TaskNote",
    "TaskUpdate",
    "UnblockRequest",
    "UndoRequest",
    "VerifyFail",
    "VerifyOk",
    "VerifyStart",
]
