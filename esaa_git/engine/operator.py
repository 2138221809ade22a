"""What people do by hand: claim, unblock, note, relink, review, resolve, hotfix, override.

Each is an intention with a reason, recorded under the name of its author, and each ends in
the same admission as an agent's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from esaa_git.core.contract_rules import is_own_work
from esaa_git.core.contracts import Contracts
from esaa_git.core.events import EventNote, RunNote, TaskNote
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.state import Approval, Carrier, State
from esaa_git.engine import requests
from esaa_git.engine.attempts import open_attempt
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import (
    AddNote,
    AddTask,
    DenyApproval,
    Hotfix,
    Intention,
    ReleaseAttempt,
    Relink,
    ReportIssue,
    ResolveIssue,
    WithdrawLesson,
)
from esaa_git.engine.request import branch_tip, build_request
from esaa_git.engine.schedule import find_task
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import RefusedError
from esaa_git.ports.agent import Request

if TYPE_CHECKING:
    from esaa_git.engine.exchange import Admission


def claim(engine: Engine, task_id: str, by: str, agent: str | None = None) -> Request:
    """Open an attempt for the actor that `by` names and return its request.

    Args:
        agent: who works under the key of that person; the request is by this agent's profile.
    """

    def step(tx: Transaction) -> Request:
        open_attempt(tx, task_id, by, mode="claim", base=branch_tip(engine, tx))
        return build_request(engine, tx, task_id, agent or by, has_checkout=True)

    return transact(engine, step)


def unclaim(engine: Engine, task_id: str, by: str, reason: str) -> None:
    """Give a claimed task back; the attempt does not count."""
    _record(engine, ReleaseAttempt(task_id=task_id, reason=reason, by=by))


def unblock(
    engine: Engine, task_id: str, by: str, reason: str, attempts: int | None = None
) -> list[str]:
    """Return a blocked task, and those blocked only because of it, to `todo`; name them.

    A task whose attempts are spent gets as many more as `attempts` says, or as the policy
    grants a new task; also one in `todo`, where a limit was lowered after they were used.
    None is named where the orchestrator's key is elsewhere, which carries it out.
    """
    return requests.unblock(engine, task_id, by, reason, attempts)


def add_note(engine: Engine, note: TaskNote | RunNote | EventNote, by: str) -> None:
    """Leave a remark; the next request of a task carries those that are on it."""
    _record(engine, AddNote(note=note, by=by))


def withdraw_lesson(engine: Engine, lesson_id: str, by: str, reason: str) -> None:
    """Take a lesson back: no request holds it from here on."""
    _record(engine, WithdrawLesson(lesson_id=lesson_id, by=by, reason=reason))


Link = tuple[str, str, Carrier]
"""A task, its effect commit, and what is to be said of the commit that carries it."""


def relink(engine: Engine, links: Sequence[Link], by: str) -> int:
    """Record which commits carry effects now, because a person asks for it; return how many."""
    found = _relinks(links)
    requests.relink(engine, found, by)
    return len(found)


def follow_moved(engine: Engine, links: Sequence[Link]) -> int:
    """Record which commits carry effects now, as an audit found it; return how many links.

    It takes no request: what is recorded is held against the commit whenever it counts. What an
    admin has to answer for is none of these.
    """
    found = _relinks(links)
    _record(engine, *found)
    return len(found)


def _relinks(links: Sequence[Link]) -> list[Relink]:
    return [
        Relink(
            task_id=task_id,
            effect_commit=effect,
            carrier=carrier,
            text=f"relinked: {carrier.how}",
        )
        for task_id, effect, carrier in links
    ]


def add_task(engine: Engine, definition: TaskDefinition, by: str) -> None:
    """Create one task outside of the plan."""
    _record(engine, AddTask(task=definition, by=by))


def report_issue(engine: Engine, report: ReportIssue) -> str:
    """Report an issue and return its id; the policy's consequence follows at once."""

    def step(tx: Transaction) -> str:
        tx.ask(report)
        return f"ISS-{tx.state.run.issues:04d}"

    return transact(engine, step)


def resolve_issue(engine: Engine, issue_id: str, by: str, reason: str) -> None:
    """Resolve an issue; tasks that it blocked stay blocked until a person unblocks them."""
    _record(engine, ResolveIssue(issue_id=issue_id, by=by, reason=reason))


def override(engine: Engine, task_id: str, by: str, reason: str) -> None:
    """Set a done task aside without touching it."""
    requests.override(engine, task_id, by, reason)


def hotfix(
    engine: Engine,
    superseded: str,
    definition: TaskDefinition,
    by: str,
    reason: str,
    issue_id: str | None = None,
) -> str:
    """Create the task that corrects a done one, and return its id.

    Args:
        definition: where its id is empty, the task gets the next free one.
    """
    wanted = Hotfix(superseded=superseded, task=definition, by=by, reason=reason, issue_id=issue_id)
    return requests.hotfix(engine, wanted)


def _record(engine: Engine, *intentions: Intention) -> None:
    def step(tx: Transaction) -> None:
        for intention in intentions:
            tx.ask(intention)

    transact(engine, step)


def review(engine: Engine, task_id: str, by: str, *, approve: bool, reason: str) -> Admission:
    """Grant or deny what a task waits for. An author does not approve their own work."""
    from esaa_git.engine.effect import Grant, apply_effect
    from esaa_git.engine.exchange import Admission

    _reviewable(*engine.log.load(), task_id, by)
    if approve:
        return apply_effect(engine, task_id, grant=Grant(by, reason))

    def step(tx: Transaction) -> Admission:
        approval = _reviewable(tx.state, tx.contracts, task_id, by)
        tx.ask(DenyApproval(approval_id=approval.approval_id, by=by, reason=reason))
        return Admission("rejected", task_id, approval.attempt_id, reason)

    return transact(engine, step)


def _reviewable(state: State, contracts: Contracts, task_id: str, by: str) -> Approval:
    """Return what the task waits for, if this actor may decide it."""
    task = find_task(state, task_id)
    if task.pending_approval is None or task.attempt is None:
        raise RefusedError(
            f"'{task_id}' does not wait for a review; it is {task.state}",
            hint="run 'git esaa status' to see what does",
        )
    if is_own_work(task, by, contracts):
        raise RefusedError(
            f"nobody approves their own work, and '{task.attempt.attempt_id}' is by {by}",
            hint="have somebody else run 'git esaa review'",
        )
    return state.approvals[task.pending_approval]
