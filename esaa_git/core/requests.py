"""Carrying out what an admin asked for: which events a request makes lawful, once.

The state keeps every request with its arguments. An event that carries one out names it as its
`causation_id`, is held against its kind and arguments, and follows directly after the event before
that carried it out; so a request is spent with the first event that does not belong to it, and
nothing brings it back.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from esaa_git.core import undo
from esaa_git.core.entries import Request
from esaa_git.core.events import (
    AnyPayload,
    EffectRelinked,
    EmergencyOverride,
    TaskCreate,
    TaskUpdate,
)
from esaa_git.core.events.base import encode
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import Cause
from esaa_git.core.state import State

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft
    from esaa_git.core.event import Event


ACCEPTED = frozenset({"accepted", "lost"})
"""How a commit is linked that changes more than its effects, or less: an admin answers for it."""


def carry_out(state: State, draft: Draft, event: Event) -> None:
    """Hold an event against the request that it names, and note that it is carried out.

    Args:
        state: before the event.

    Raises:
        Violation: INV-002, where the event may be recorded at an admin's request alone and names
            none, or names one that asks for something else or was carried out already.
    """
    payload = event.payload
    if not carries_out(payload):
        return
    if event.causation_id is None:
        if _needs_request(payload):
            raise Violation("INV-002", "nobody has asked for this: no operator.request is named")
        return
    request = state.requests.get(event.causation_id)
    if request is None:
        raise Violation("INV-002", f"there is no request '{event.causation_id}'")
    spent = request.carried_out
    if spent is not None and spent != event.seq - 1:
        raise Violation("INV-002", f"the request {request.event_id} was carried out already")
    fault = _fault(state, payload, request)
    if fault is not None:
        raise Violation("INV-002", f"the request {request.event_id} is another one: {fault}")
    draft.put_request(replace(request, carried_out=event.seq))


def carries_out(payload: AnyPayload) -> bool:
    """Answer whether an event of this kind may carry out a request."""
    return isinstance(payload, TaskUpdate | TaskCreate | EmergencyOverride | EffectRelinked)


def _needs_request(payload: AnyPayload) -> bool:
    """Answer whether no rule leads to this event, but a person's word alone.

    A link between an effect and the branch may follow by rule: a merge after an interruption.
    """
    if isinstance(payload, TaskUpdate):
        return payload.cause == Cause.OPERATOR
    if isinstance(payload, TaskCreate):
        return payload.supersedes is not None or payload.undoes is not None
    if isinstance(payload, EffectRelinked):
        return payload.how in ACCEPTED
    return isinstance(payload, EmergencyOverride)


def _fault(state: State, payload: AnyPayload, request: Request) -> str | None:
    """Return in what an event differs from what was asked for."""
    match payload, request.kind:
        case TaskUpdate(), "unblock":
            return _unblock_fault(state, payload, request)
        case TaskCreate(), "hotfix":
            wanted = request.arguments
            asked = wanted["supersedes"], wanted["task"], wanted.get("issue_id"), request.by, None
            got = (
                payload.supersedes,
                encode(payload.task),
                payload.issue_id,
                payload.by,
                payload.undoes,
            )
            once = "it is one task" if request.carried_out is not None else None
            return once if asked == got else "it is for another task"
        case TaskCreate(), undo.KIND:
            return _undo_fault(state, payload, request)
        case EmergencyOverride(), "override":
            same = (payload.task_id, payload.by) == (request.arguments["task_id"], request.by)
            return None if same else "it is about another task"
        case EffectRelinked(), "relink":
            link = {
                "task_id": payload.task_id,
                "effect_commit": payload.effect_commit,
                "reached_by": payload.reached_by,
            }
            if payload.how in ACCEPTED:
                return "it accepts nothing"
            return None if link in request.arguments["links"] else "it names no such link"
        case EffectRelinked(), "accept":
            if payload.accepted_by not in (None, request.by):
                return f"it is by {request.by}"
            same = payload.reached_by == request.arguments["commit"]
            return None if same else "it is about another commit"
        case _:
            return f"it asks to {request.kind}"


def _undo_fault(state: State, payload: TaskCreate, request: Request) -> str | None:
    """One task after the other, in the order that was asked for."""
    wanted = undo.next_task(state, request)
    if payload.by != request.by:
        return f"it is by {request.by}"
    if payload.undoes is None or payload.undoes != wanted:
        return f"'{wanted}' is to be undone next" if wanted else "it asks for no more"
    if payload.task != undo.definition(state, wanted):
        return f"'{payload.task_id}' is not what undoes '{wanted}'"
    return None


def _unblock_fault(state: State, payload: TaskUpdate, request: Request) -> str | None:
    """The task itself comes first, then those that were blocked because of it alone."""
    asked = request.arguments["task_id"]
    task = state.tasks[payload.task_id]
    if payload.by != request.by:
        return f"it is by {request.by}"
    if payload.task_id != asked:
        blocked = task.blocked
        because = blocked is not None and (blocked.cause, blocked.task_id) == (
            Cause.DEPENDENCY,
            asked,
        )
        first = request.carried_out is None
        same = because and not first and payload.cause == Cause.OPERATOR
        return None if same else f"it is about '{asked}'"
    if request.carried_out is not None:
        return f"'{asked}' was freed already"
    allowed = payload.attempts_allowed
    if payload.cause == Cause.AMENDED:
        changes = {} if payload.changes is None else payload.changes.given()
        if changes.keys() != {"attempts_allowed"}:
            return "it changes no definition"
        allowed = changes["attempts_allowed"]
    elif payload.cause != Cause.OPERATOR:
        return f"it does not ask for '{payload.cause}'"
    more = request.arguments.get("attempts")
    if more is not None and allowed != task.attempts_used + more:
        return f"it grants {more} attempts"
    return None
