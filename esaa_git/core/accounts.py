"""Records of money and effort in the state: what is reserved, what was spent, and by whose word.

They stand under `budget/` in the state tree, outside of project, tasks and indexes, so that the
projection hash of a run does not depend on how often it was killed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Self

from esaa_git.core.record import JsonRecord


@dataclass(frozen=True, slots=True)
class Amount(JsonRecord):
    """Money in micro-dollars, tokens, calls, attempts, and time in milliseconds."""

    microdollars: int = 0
    tokens: int = 0
    calls: int = 0
    attempts: int = 0
    ms: int = 0

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)

    def plus(self, other: Amount) -> Amount:
        """Return both together."""
        return Amount(*(getattr(self, name) + getattr(other, name) for name in UNITS))

    def minus(self, other: Amount) -> Amount:
        """Return this without the other."""
        return Amount(*(getattr(self, name) - getattr(other, name) for name in UNITS))

    def beyond(self, other: Amount) -> Amount:
        """Return by how much this is more than the other, unit by unit; 0 where it is not."""
        return Amount(*(max(0, getattr(self, name) - getattr(other, name)) for name in UNITS))


UNITS: Final = tuple(one.name for one in fields(Amount))
NOTHING: Final = Amount()


@dataclass(frozen=True, slots=True)
class Budget(JsonRecord):
    """How much may be spent; None where a unit has no limit."""

    microdollars: int | None = None
    tokens: int | None = None
    calls: int | None = None
    attempts: int | None = None
    minutes: int | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)

    def limits(self) -> dict[str, int]:
        """Return the limits that there are, by the units of `Amount`."""
        found = {name: getattr(self, name) for name in UNITS if name != "ms"}
        found["ms"] = None if self.minutes is None else self.minutes * 60_000
        return {name: limit for name, limit in found.items() if limit is not None}


@dataclass(frozen=True, slots=True)
class Reservation(JsonRecord):
    """What one dispatch may cost at most, and what it has cost once it is settled.

    Attributes:
        event_id: of the dispatch, or of the `settle` that tells of a superseded one.
        ts: when it was asked (RFC 3339), by which the day is told.
        attempts: 1 where it was the first dispatch of an attempt.
        microdollars, tokens, ms: what is reserved; None where no budget asked for it.
        spent: what it has cost; None while it is open.
        unknown: nobody reported the cost, so that the whole reservation counts as spent.
        corrected_by: the event by which an admin said what it has cost.
    """

    event_id: str
    ts: str
    run_id: str
    task_id: str
    kind: str
    agent: str
    attempts: int = 0
    microdollars: int | None = None
    tokens: int | None = None
    ms: int | None = None
    spent: Amount | None = None
    unknown: bool = False
    corrected_by: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        values = dict(document)
        if "spent" in values:
            values["spent"] = Amount.from_json(values["spent"])
        return cls(**values)

    @property
    def reserved(self) -> Amount:
        """What is held for it while it is open."""
        return Amount(self.microdollars or 0, self.tokens or 0, 1, self.attempts, self.ms or 0)

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that it is booked on."""
        return (
            run_account(self.run_id),
            day_account(self.ts),
            kind_account(self.run_id, self.kind),
            agent_account(self.run_id, self.agent),
            task_account(self.task_id),
        )


@dataclass(frozen=True, slots=True)
class Raised(JsonRecord):
    """By how much a budget is to be raised: its account, the unit, and the sum."""

    account: str
    unit: str
    amount: int

    @property
    def more(self) -> Amount:
        """The sum as an amount."""
        return replace(NOTHING, **{self.unit: self.amount})


@dataclass(frozen=True, slots=True)
class Account(JsonRecord):
    """All that was spent and is reserved of one run, day, kind, agent or task.

    Attributes:
        unknown: the part of `spent` in micro-dollars that nobody reported.
        overrun: by how much settlements were more than what was reserved for them.
        granted: by how much people have raised the limits.
        overrun_by: the event of an overrun that nobody has looked at yet.
        asked: the last approval by which a higher limit was asked for.
    """

    spent: Amount = NOTHING
    reserved: Amount = NOTHING
    unknown: int = 0
    overrun: Amount = NOTHING
    granted: Amount = NOTHING
    overrun_by: str | None = None
    asked: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        values = dict(document)
        for name in ("spent", "reserved", "overrun", "granted"):
            if name in values:
                values[name] = Amount.from_json(values[name])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class OpenReservations(JsonRecord):
    """The dispatches that are not settled yet, by the attempt or approval they are for."""

    by_holder: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {holder: list(ids) for holder, ids in self.by_holder}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(tuple(sorted((holder, tuple(ids)) for holder, ids in document.items())))

    def of(self, holder: str) -> tuple[str, ...]:
        """Return the dispatches of an attempt or approval, oldest first."""
        return dict(self.by_holder).get(holder, ())

    def with_dispatch(self, holder: str, event_id: str) -> OpenReservations:
        held = {**dict(self.by_holder), holder: (*self.of(holder), event_id)}
        return replace(self, by_holder=tuple(sorted(held.items())))

    def without(self, holder: str) -> OpenReservations:
        return replace(self, by_holder=tuple(one for one in self.by_holder if one[0] != holder))


NONE_OPEN: Final = OpenReservations()


@dataclass(frozen=True, slots=True)
class SettledElsewhere(JsonRecord):
    """A dispatch of a superseded history, by the SHA-256 of its event: it is settled once."""

    event_id: str

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


def run_account(run_id: str) -> str:
    return f"run.{run_id}"


def day_account(ts: str) -> str:
    """Return the account of a day: the UTC date of a time."""
    return f"day.{ts[:10]}"


def kind_account(run_id: str, kind: str) -> str:
    return f"kind.{run_id}.{kind}"


def agent_account(run_id: str, agent: str) -> str:
    return f"agent.{run_id}.{agent}"


def task_account(task_id: str) -> str:
    return f"task.{task_id}"


def account_words(name: str) -> str:
    """Return whose account it is, for people."""
    what, _, of = name.partition(".")
    if what in ("kind", "agent"):
        return f"{what} '{of.partition('.')[2]}'"
    return {"run": of, "day": f"{of} (UTC)"}.get(what, f"{what} '{of}'")
