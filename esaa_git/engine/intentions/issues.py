"""Issues that are reported and resolved, and questions that agents ask."""

from __future__ import annotations

from esaa_git.core.events.base import Record
from esaa_git.core.events.fields import Exchange, Severity, SpokenExchange
from esaa_git.engine.calls import CallResult


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
    exchange: SpokenExchange
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
