"""What people do by hand: claim, unblock, note, relink, review, resolve, hotfix, override.

Each is an intention with a reason, recorded under the name of its author, and each ends in
the same admission as an agent's work.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import GRANTED, PENDING, Approval
from esaa_git.core.event import NewEvent
from esaa_git.core.events import ApprovalDeny, ApprovalGrant, EventNote, RunNote, TaskNote
from esaa_git.core.events.approval import PersonsRole, lacks
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.events.spec import ADMIN
from esaa_git.core.requirements import is_own_work
from esaa_git.core.state import Carrier, State
from esaa_git.engine import requests
from esaa_git.engine.alone import LATER
from esaa_git.engine.attempts import open_attempt
from esaa_git.engine.decider import Decider
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission
from esaa_git.engine.intentions import (
    AddNote,
    AddTask,
    AskAgain,
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

Answer: TypeAlias = Literal["approve", "deny", "request_changes"]


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


def review(engine: Engine, task_id: str, by: str, verdict: Answer, reason: str = "") -> Admission:
    """Record what a person decides on what a task waits for, and carry it out if that is ours.

    An author does not decide on their own work. Where the orchestrator's key is at hand as well,
    what follows is a transaction of its own: a check that fails here undoes no decision.
    """
    from esaa_git.engine.effect import apply_granted
    from esaa_git.engine.halting import RESUME, told
    from esaa_git.engine.undo import carry_on

    decider = Decider(engine, by, reason)

    def step(tx: Transaction) -> tuple[Approval, bool]:
        asked = _reviewable(tx.state, tx.contracts, task_id, by)
        about: dict[str, Any] = {
            "approval_id": asked.approval_id,
            "subject_sha256": asked.subject_sha256,
            "nonce": asked.nonce,
        }
        payload: ApprovalGrant | ApprovalDeny
        if verdict == "approve":
            role: PersonsRole = "admin" if ADMIN in tx.roles(by) else "approver"
            payload = decider.sign(tx, partial(ApprovalGrant, **about, role=role))
        else:
            payload = decider.sign(tx, partial(ApprovalDeny, **about, verdict=verdict))
        tx.record(NewEvent(by, payload))
        return tx.state.approvals[asked.approval_id], tx.alone

    approval, alone = transact(engine, step)
    name, attempt_id = approval.approval_id, approval.attempt_id
    if approval.state == PENDING:
        words = f"{name} has your approval, and waits for {lacks(approval)}"
        return Admission("waiting", task_id, attempt_id, words)
    if approval.kind == "undo" and approval.state == GRANTED and not alone:
        # Lawful in a stopped log, and without a run; and others may have waited for it.
        came = [one for one in carry_on(engine) if one.task_id == task_id]
        return came[0] if came else Admission("waiting", task_id, attempt_id, LATER)
    state, _ = engine.log.load()
    if approval.state == GRANTED and state.stop.by is not None:
        words = f"{name} has your approval; everything is {told(engine.blobs, state.stop)}"
        return Admission("waiting", task_id, attempt_id, f"{words}; {RESUME}")
    if alone or not (state.run.is_open or approval.kind == "undo"):
        return Admission("waiting", task_id, attempt_id, LATER)
    if approval.raises is not None:
        words = "the budget has more room, and 'git esaa run' goes on"
        said = words if approval.state == GRANTED else "the budget stays as it is"
        return Admission("waiting", task_id, attempt_id, said)
    if approval.state == GRANTED:
        return apply_granted(engine, task_id)
    transact(engine, lambda _: None)  # begins with what follows from the denial
    return Admission("rejected", task_id, attempt_id, reason)


def ask_again(engine: Engine, task_id: str, by: str) -> Admission:
    """Ask anew for a decision that nobody made in time, on the same result."""
    from esaa_git.engine.effect import ask_for_review

    def step(tx: Transaction) -> Admission:
        if tx.alone:
            raise RefusedError(
                "a decision is asked for where the orchestrator's key is",
                hint=f"have whoever runs the plan call 'git esaa review {task_id} --ask-again'",
            )
        tx.ask(AskAgain(task_id=task_id, by=by))
        return ask_for_review(engine, tx, task_id)

    return transact(engine, step)


def _reviewable(state: State, contracts: Contracts, task_id: str, by: str) -> Approval:
    """Return what the task waits for, if this actor may decide it."""
    asked = state.approvals.get(task_id)
    if asked is not None and asked.raises is not None and task_id not in state.tasks:
        if asked.state != PENDING:
            raise RefusedError(
                f"'{task_id}' is {asked.state} already, by {asked.decided_by}",
                hint="run 'git esaa review' to see what waits for a decision",
            )
        return asked
    task = find_task(state, task_id)
    if task.pending_approval is None or task.attempt is None:
        raise RefusedError(
            f"'{task_id}' does not wait for a review; it is {task.state}",
            hint="run 'git esaa review' to see what does",
        )
    if is_own_work(task, by, contracts):
        raise RefusedError(
            f"nobody approves their own work, and '{task.attempt.attempt_id}' is by {by}",
            hint="have somebody else run 'git esaa review'",
        )
    return state.approvals[task.pending_approval]
