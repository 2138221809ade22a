"""What an admin decides: signed once as a document, recorded, and carried out.

Where the orchestrator's key is at hand, the request and what carries it out are one transaction.
Elsewhere the request stands in the log, and the orchestrator's next run carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from esaa_git.core import undo as undo_tasks
from esaa_git.core.entries import Request
from esaa_git.core.event import NewEvent, StoredEvent
from esaa_git.core.events import (
    AcceptRequest,
    HotfixRequest,
    OverrideRequest,
    RelinkRequest,
    TaskCreate,
    TaskUpdate,
    UnblockRequest,
    UndoRequest,
)
from esaa_git.core.events.base import decode
from esaa_git.core.events.fields import TaskDefinition
from esaa_git.core.events.operator_request import AnyRequest, RequestedLink
from esaa_git.core.requests import ACCEPTED
from esaa_git.core.said import GONE, words
from esaa_git.engine.decide import decide
from esaa_git.engine.decide.tasks import require_undoable
from esaa_git.engine.decider import Decider
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import BeginUndo, Hotfix, Intention, Override, Relink, Unblock
from esaa_git.engine.transaction import Transaction, transact, without_secrets
from esaa_git.errors import EsaaError, RefusedError

Made = Callable[..., AnyRequest]
"""Gives the request, from its `decision` and `said`."""


def _ask(tx: Transaction, decider: Decider, made: Made, planned: Sequence[NewEvent]) -> bool:
    """Record a request, and what carries it out where the orchestrator's key is at hand.

    Args:
        planned: what carries it out.

    Returns:
        Whether it is carried out.
    """
    asked = tx.record(NewEvent(decider.by, decider.sign(tx, made)))
    if tx.alone:
        return False
    for event in planned:
        tx.record(replace(event, causation_id=asked.event.event_id))
    return True


def unblock(
    engine: Engine, task_id: str, by: str, reason: str, attempts: int | None = None
) -> list[str]:
    """Ask for a blocked task to go on; name those that go on already."""
    decider = Decider(engine, by, reason)
    wanted = Unblock(task_id=task_id, by=by, reason=reason, attempts=attempts)
    made = partial(UnblockRequest, task_id=task_id, attempts=attempts)

    def step(tx: Transaction) -> list[str]:
        planned = _planned(tx, wanted)
        freed = [one.payload.task_id for one in planned if isinstance(one.payload, TaskUpdate)]
        return freed if _ask(tx, decider, made, planned) else []

    return transact(engine, step)


def override(engine: Engine, task_id: str, by: str, reason: str) -> bool:
    """Ask for a done task to be set aside."""
    decider = Decider(engine, by, reason)
    wanted = Override(task_id=task_id, by=by, reason=reason)
    made = partial(OverrideRequest, task_id=task_id)
    return transact(engine, lambda tx: _ask(tx, decider, made, _planned(tx, wanted)))


def hotfix(engine: Engine, wanted: Hotfix) -> str:
    """Ask for the task that corrects a done one, and return its id."""
    decider = Decider(engine, wanted.by, wanted.reason)

    def step(tx: Transaction) -> str:
        (created,) = (without_secrets(one, tx.contracts) for one in _planned(tx, wanted))
        assert isinstance(created.payload, TaskCreate)
        task = created.payload.task
        made = partial(
            HotfixRequest, supersedes=wanted.superseded, task=task, issue_id=wanted.issue_id
        )
        _ask(tx, decider, made, [created])
        return task.task_id

    return transact(engine, step)


def undo(engine: Engine, task_ids: Sequence[str], by: str, reason: str) -> bool:
    """Ask for done tasks to be undone, in this order, and create the tasks that do it.

    Returns:
        Whether these are created.
    """
    decider = Decider(engine, by, reason)
    made = partial(UndoRequest, tasks=tuple(task_ids))

    def step(tx: Transaction) -> bool:
        require_undoable(tx.state, task_ids)
        asked = tx.record(NewEvent(decider.by, decider.sign(tx, made)))
        if tx.alone:
            return False
        for task_id in task_ids:
            tx.ask(BeginUndo(task_id=task_id, by=by), causation=asked.event.event_id)
        return True

    return transact(engine, step)


def relink(engine: Engine, links: Sequence[Relink], by: str) -> None:
    """Ask for effects to be found in other commits from now on, and have it recorded.

    A commit that is accepted as it is takes a request of its own.

    Raises:
        RefusedError: where the orchestrator's key is not at hand: what a commit is, an audit has
            found here and now, and a request does not say.
    """
    decider = Decider(engine, by, "the branch was rewritten")
    accepted = sorted({one.carrier.commit for one in links if one.carrier.how in ACCEPTED})
    plain = [one for one in links if one.carrier.commit not in accepted]

    def step(tx: Transaction) -> None:
        if tx.alone:
            raise RefusedError(
                "links are recorded where the orchestrator's key is",
                hint="run 'git esaa verify --relink --record' there, with an admin's key as well",
            )
        if plain:
            asked = tuple(
                RequestedLink(
                    task_id=one.task_id,
                    effect_commit=one.effect_commit,
                    reached_by=one.carrier.commit,
                )
                for one in plain
            )
            _ask(tx, decider, partial(RelinkRequest, links=asked), _links(tx, plain))
        for commit in accepted:
            carried = [one for one in links if one.carrier.commit == commit]
            _ask(tx, decider, partial(AcceptRequest, commit=commit), _links(tx, carried))

    transact(engine, step)


def _links(tx: Transaction, links: Sequence[Relink]) -> list[NewEvent]:
    return [event for one in links for event in _planned(tx, one)]


def _planned(tx: Transaction, wanted: Intention) -> tuple[NewEvent, ...]:
    return decide(tx.state, tx.contracts, wanted, tx.at)


# -- what was asked for elsewhere -------------------------------------------------------------


def carry_out_open(engine: Engine, only: str | None = None) -> None:
    """Carry out what admins have asked for where the orchestrator's key was not at hand.

    What cannot be carried out as things are is named, and stays open.

    Args:
        only: requests of this kind.
    """
    state, _ = engine.log.load()
    for event_id in state.run.requests:
        if only not in (None, state.requests[event_id].kind):
            continue
        try:
            transact(engine, partial(carry_out, engine, event_id))
        except EsaaError as error:
            why = ": ".join(filter(None, (error.message, error.cause)))
            engine.say(f"{event_id} asks for what cannot be done now: {why}")
        else:
            engine.say(f"{event_id} is carried out")


def carry_out(engine: Engine, event_id: str, tx: Transaction) -> tuple[StoredEvent, ...]:
    """Do what a request asks for; nothing where it was done meanwhile.

    Raises:
        RefusedError, UsageError: if it cannot be done as things are.
    """
    request = tx.state.requests[event_id]
    if request.carried_out is not None:
        return ()
    reason = words(request.text, engine.blobs.read) or GONE
    done: list[StoredEvent] = []
    for wanted in _wanted(request, reason):
        done += tx.ask(wanted, causation=event_id)
    return tuple(done)


def _wanted(request: Request, reason: str) -> list[Intention]:
    given, by = request.arguments, request.by
    match request.kind:
        case "unblock":
            more = given.get("attempts")
            return [Unblock(task_id=given["task_id"], by=by, reason=reason, attempts=more)]
        case "override":
            return [Override(task_id=given["task_id"], by=by, reason=reason)]
        case undo_tasks.KIND:
            return [BeginUndo(task_id=name, by=by) for name in given["tasks"]]
        case "hotfix":
            return [
                Hotfix(
                    superseded=given["supersedes"],
                    task=decode(TaskDefinition, given["task"]),
                    by=by,
                    reason=reason,
                    issue_id=given.get("issue_id"),
                )
            ]
        case _:
            raise RefusedError(
                f"{request.event_id} asks to {request.kind}, and an audit has to find what",
                hint="run 'git esaa verify --relink --record'",
            )
