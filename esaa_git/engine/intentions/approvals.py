"""What people and reviewing agents are asked for, and what follows from their answer."""

from __future__ import annotations

from esaa_git.core.events.base import Record
from esaa_git.core.events.fields import Raise
from esaa_git.engine.calls import AgentVerdict


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
