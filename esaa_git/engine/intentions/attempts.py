"""Attempts: opened, asked for, prolonged, given back, and ended by silence or a refusal."""

from __future__ import annotations

from typing import Literal

from esaa_git.core.answer import Lesson
from esaa_git.core.events.base import Record
from esaa_git.core.events.dispatch import Continues, Sandbox
from esaa_git.core.events.facts import Facts
from esaa_git.core.events.fields import (
    CheckResult,
    NotKept,
    Proposed,
    RefusedExchange,
    Reserves,
    Salted,
    Usage,
)
from esaa_git.core.events.output_rejected import Output
from esaa_git.core.policy.evaluate import Hit
from esaa_git.core.rejection import Filter, RejectCode
from esaa_git.engine.calls import NO_CALL, CallResult
from esaa_git.ports.agent import Ran


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
