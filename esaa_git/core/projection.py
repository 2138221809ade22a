"""The projection: state is a pure left fold over events, and its hash is what `verify` compares.

`projection_hash` follows docs/FORMAT.md, "Projection and its hash": the SHA-256 of the canonical
JSON of `{schema_version, project, tasks, indexes}`. The run stays outside, so that recording the
hash in an event does not change what it is the hash of.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

from esaa_git.core import canonical
from esaa_git.core.draft import Draft
from esaa_git.core.entries import Decision
from esaa_git.core.event import Event, actor_is_entitled
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.invariants import Violation
from esaa_git.core.requests import carry_out
from esaa_git.core.settling import close_reservations
from esaa_git.core.state import EMPTY, SCHEMA_VERSION, State
from esaa_git.core.stopped import check_stop


def evolve(state: State, event: Event) -> State:
    """Return the state after the event.

    Raises:
        Violation: if the event is not the next one, its actor may not emit it, or an invariant
            or the state machine forbids it in this state.
    """
    if event.seq != state.seq + 1:
        raise Violation("INV-005", f"event {event.seq} does not follow event {state.seq}")
    if event.ts < state.ts:
        raise Violation("INV-005", f"{event.ts} is before its predecessor's {state.ts}")
    if event.seq == 1 and event.action != "run.init":
        raise Violation("INV-002", f"a log begins with run.init, not with {event.action}")
    if not actor_is_entitled(event.actor, event.payload):
        raise Violation("INV-002", f"'{event.actor}' has no authority for {event.action}")
    draft = Draft(state)
    check_stop(state, event)
    _take_decision(draft, event)
    event.payload.evolve(draft, event)
    carry_out(state, draft, event)
    close_reservations(draft, event)
    return draft.seal(event.seq, event.ts)


def _take_decision(draft: Draft, event: Event) -> None:
    """Note the document that an event carries, which a log takes once."""
    payload = event.payload
    if not isinstance(payload, DecisionPayload):
        return
    if (payload.decision is None) != (payload.said is None):
        raise Violation("INV-003", "a decision document and its words go together")
    if payload.decision is not None:
        taken = Decision(payload.decision.sha256, event.event_id, event.action, event.actor)
        draft.take_decision(taken)


def project(events: Iterable[Event], *, start: State = EMPTY) -> State:
    """Return the state after these events. `project(a + b) == project(b, start=project(a))`."""
    return reduce(evolve, events, start)


def roadmap(state: State) -> dict[str, Any]:
    """Return the read-model: what `.roadmap/roadmap.json` holds and the projection hash covers."""
    tasks = [state.tasks[task_id] for task_id in state.tasks]
    by_state: dict[str, list[str]] = {}
    by_kind: dict[str, list[str]] = {}
    for task in tasks:
        by_state.setdefault(task.state, []).append(task.task_id)
        by_kind.setdefault(task.kind, []).append(task.task_id)
    return {
        "schema_version": SCHEMA_VERSION,
        "project": state.project.to_json(),
        "tasks": [task.to_json() for task in tasks],
        "indexes": {"by_state": by_state, "by_kind": by_kind},
    }


def projection_hash(state: State) -> str:
    """Return `projection_hash_sha256` of the state, 64 hexadecimal digits."""
    return canonical.digest(canonical.encode(roadmap(state)))
