"""What agents took, dispatch by dispatch: what events report, and what the state has booked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from esaa_git.core.event import Event
from esaa_git.core.events import AgentResult, Dispatch, OutputRejected, ReviewResult, TaskUpdate
from esaa_git.core.events.fields import Usage
from esaa_git.core.events.settle import Settle
from esaa_git.core.ledger import reported
from esaa_git.core.state import State

By: TypeAlias = Literal["task", "agent", "model", "day"]
BY: Final[tuple[By, ...]] = ("task", "agent", "model", "day")


@dataclass
class Call:
    """One dispatch, or the `settle` of a superseded one, and what is known of its cost.

    Attributes:
        microdollars: None where nobody reported it and nothing was reserved.
        unknown: the part of it that counts because it was reserved and nobody reported it.
        reserved: what is held while it is open.
    """

    event_id: str
    task: str
    agent: str
    model: str
    day: str
    tokens: int = 0
    microdollars: int | None = None
    unknown: int = 0
    reserved: int = 0


@dataclass
class Row:
    """What the calls under one name took together; `unreported` counts those of unknown cost."""

    name: str
    calls: int = 0
    tokens: int = 0
    microdollars: int = 0
    unknown: int = 0
    reserved: int = 0
    unreported: int = 0

    def add(self, call: Call) -> None:
        self.calls += 1
        self.tokens += call.tokens
        self.microdollars += call.microdollars or 0
        self.unknown += call.unknown
        self.reserved += call.reserved
        self.unreported += call.microdollars is None and not call.reserved

    def to_json(self) -> Mapping[str, str | int]:
        return dict(vars(self))


@dataclass
class Costs:
    """The rows of a breakdown, in the order of their first call, and all together."""

    by: By
    rows: list[Row] = field(default_factory=list)
    total: Row = field(default_factory=lambda: Row("total"))


def costs(events: Iterable[Event], state: State, by: By) -> Costs:
    """Return what the calls in a log took, by task, agent, model or day (UTC).

    Args:
        events: oldest first.
        state: the one that they lead to.
    """
    found = Costs(by)
    rows: dict[str, Row] = {}
    for call in calls(events, state):
        name = str(getattr(call, by))
        rows.setdefault(name, Row(name)).add(call)
        found.total.add(call)
    found.rows = list(rows.values())
    return found


def calls(events: Iterable[Event], state: State) -> list[Call]:
    """Return every dispatch of a log, oldest first."""
    found: list[Call] = []
    last: dict[str, Call] = {}
    for event in events:
        payload = event.payload
        if isinstance(payload, Dispatch):
            call = Call(
                event.event_id, payload.task_id, payload.agent, payload.model or "-", event.ts[:10]
            )
            holder = payload.attempt_id if payload.review is None else payload.review.approval_id
            last[holder] = call
            found.append(call)
        elif isinstance(payload, Settle):
            found.append(Call(event.event_id, payload.task_id, payload.agent, "-", payload.ts[:10]))
        elif isinstance(payload, AgentResult | OutputRejected | ReviewResult | TaskUpdate):
            answered = last.get(event.approval_id or event.attempt_id or "")
            if answered is not None:
                _report(answered, payload.usage, getattr(payload, "model", None))
    for call in found:
        _book(call, state)
    return found


def _report(call: Call, usage: Usage | None, model: str | None) -> None:
    money, tokens = reported(usage)
    call.microdollars = call.microdollars if money is None else money
    call.tokens = call.tokens if tokens is None else tokens
    call.model = model or call.model


def _book(call: Call, state: State) -> None:
    """Take what the state has booked, which knows of corrections and of what nobody reported."""
    booked = state.reservations.get(call.event_id)
    if booked is None:
        return
    if booked.spent is None:
        call.reserved = booked.microdollars or 0
        return
    call.tokens = booked.spent.tokens
    if booked.microdollars is not None or booked.corrected_by is not None:
        call.microdollars = booked.spent.microdollars
        call.unknown = booked.spent.microdollars if booked.unknown else 0
