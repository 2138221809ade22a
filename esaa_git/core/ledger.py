"""The ledger of a state being changed: reservations are opened, settled and corrected here."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from esaa_git.core.accounts import (
    NOTHING,
    Account,
    Amount,
    OpenReservations,
    Raised,
    Reservation,
    SettledElsewhere,
    agent_account,
)
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.state import State


class Usage(Protocol):
    """What an answer reports that it took, as far as it does."""

    @property
    def input_tokens(self) -> int | None: ...

    @property
    def output_tokens(self) -> int | None: ...

    @property
    def cost_microdollars(self) -> int | None: ...


class Ledger:
    """Accounts and reservations while one event changes them.

    Args:
        touched: takes the documents that change, as `State.touched` names them.
    """

    __slots__ = ("_touched", "accounts", "open_reservations", "reservations", "settled_elsewhere")

    def __init__(self, state: State, touched: set[tuple[str, str]]) -> None:
        self._touched = touched
        self.accounts = state.accounts
        self.reservations = state.reservations
        self.open_reservations = state.open_reservations
        self.settled_elsewhere = state.settled_elsewhere

    def reserve(self, holder: str, reservation: Reservation) -> None:
        """Hold what a dispatch may cost until it is settled."""
        self._put(reservation)
        self._put_open(self.open_reservations.with_dispatch(holder, reservation.event_id))
        self._book(reservation, NOTHING, reservation.reserved)

    def settle(self, holder: str, usage: Usage | None, ms: int | None, ts: str) -> None:
        """Settle all that is reserved for an attempt or a decision, in the order of dispatch.

        The last dispatch is the one that `usage` tells of. What ended without a reported cost
        counts at its whole reservation.
        """
        ids = self.open_reservations.of(holder)
        self._put_open(self.open_reservations.without(holder))
        for event_id in ids:
            is_last = event_id == ids[-1]
            reservation = self.reservations[event_id]
            lasted = elapsed_ms(reservation.ts, ts) if ms is None or not is_last else ms
            if reservation.ms is not None and not is_last:
                lasted = min(lasted, reservation.ms)
            self._settle(reservation, usage if is_last else None, lasted)

    def _settle(self, reservation: Reservation, usage: Usage | None, ms: int) -> None:
        money, tokens = reported(usage)
        unknown = money is None and bool(reservation.microdollars)
        spent = Amount(
            (reservation.microdollars or 0) if money is None else money,
            (reservation.tokens or 0) if tokens is None else tokens,
            1,
            reservation.attempts,
            ms,
        )
        self.enter(replace(reservation, spent=spent, unknown=unknown), reservation.reserved)

    def enter(self, settled: Reservation, released: Amount = NOTHING) -> None:
        """Book what a dispatch has cost, and give free what was held for it."""
        assert settled.spent is not None
        self._put(settled)
        self._book(settled, settled.spent, NOTHING.minus(released), overrun_of(settled))

    def enter_elsewhere(self, sha256: str, settled: Reservation) -> None:
        """Book what a dispatch of a superseded history has cost, once."""
        if sha256 in self.settled_elsewhere:
            first = self.settled_elsewhere[sha256].event_id
            raise Violation("INV-002", f"{first} has settled this dispatch already")
        self.settled_elsewhere = self.settled_elsewhere.with_record(
            sha256, SettledElsewhere(settled.event_id)
        )
        self._touched.add(("settled_elsewhere", sha256))
        self.enter(settled)

    def correct(self, event_id: str, microdollars: int, by_event: str) -> None:
        """Book what an admin says that a dispatch has cost, in the place of what is booked."""
        reservation = self.reservations.get(event_id)
        if reservation is None:
            raise Violation("INV-002", f"nothing was reserved or settled by '{event_id}'")
        if reservation.spent is None:
            raise Violation("INV-002", f"what '{event_id}' reserved is not settled yet")
        corrected = replace(
            reservation,
            spent=replace(reservation.spent, microdollars=microdollars),
            unknown=False,
            corrected_by=by_event,
        )
        self._put(corrected)
        for name in reservation.accounts:
            before = self.account(name)
            more = microdollars - reservation.spent.microdollars
            held = before.overrun_by if before.overrun_by != event_id else None
            self._put_account(
                name,
                replace(
                    before,
                    spent=before.spent.plus(Amount(more)),
                    unknown=before.unknown
                    - (reservation.spent.microdollars if reservation.unknown else 0),
                    overrun=before.overrun.plus(overrun_of(corrected)).minus(
                        overrun_of(reservation)
                    ),
                    overrun_by=held,
                ),
            )

    def ask(self, name: str, approval_id: str) -> None:
        """Note by which approval a higher limit is asked for on one account."""
        self._put_account(name, replace(self.account(name), asked=approval_id))

    def raise_limit(self, by: Raised) -> None:
        """Have a person's word allow more on one account."""
        account = self.account(by.account)
        granted = account.granted.plus(by.more)
        self._put_account(by.account, replace(account, granted=granted))

    def account(self, name: str) -> Account:
        return self.accounts.get(name) or Account()

    # -- writing ----------------------------------------------------------------------------------

    def _book(
        self, booked: Reservation, spent: Amount, reserved: Amount, overrun: Amount = NOTHING
    ) -> None:
        unknown = spent.microdollars if booked.unknown else 0
        for name in booked.accounts:
            before = self.account(name)
            over = before.overrun_by
            if overrun != NOTHING and name == agent_account(booked.run_id, booked.agent):
                over = booked.event_id
            self._put_account(
                name,
                replace(
                    before,
                    spent=before.spent.plus(spent),
                    reserved=before.reserved.plus(reserved),
                    unknown=before.unknown + unknown,
                    overrun=before.overrun.plus(overrun),
                    overrun_by=over,
                ),
            )

    def _put(self, reservation: Reservation) -> None:
        self.reservations = self.reservations.with_record(reservation.event_id, reservation)
        self._touched.add(("reservations", reservation.event_id))

    def _put_account(self, name: str, account: Account) -> None:
        self.accounts = self.accounts.with_record(name, account)
        self._touched.add(("accounts", name))

    def _put_open(self, reservations: OpenReservations) -> None:
        self.open_reservations = reservations
        self._touched.add(("", "open_reservations"))


def reported(usage: Usage | None) -> tuple[int | None, int | None]:
    """Return the cost and the tokens that an answer reports; None for what it does not."""
    if usage is None:
        return None, None
    counted = (usage.input_tokens, usage.output_tokens)
    tokens = None if None in counted else sum(one for one in counted if one is not None)
    return usage.cost_microdollars, tokens


def overrun_of(settled: Reservation) -> Amount:
    """Return by how much a dispatch has cost more money or tokens than it had reserved."""
    spent = settled.spent
    if spent is None:
        return NOTHING
    over = spent.beyond(settled.reserved)
    return Amount(
        0 if settled.microdollars is None else over.microdollars,
        0 if settled.tokens is None else over.tokens,
    )


def elapsed_ms(begin: str, end: str) -> int:
    """Return the milliseconds from one time to a later one, both RFC 3339."""
    passed = datetime.fromisoformat(end) - datetime.fromisoformat(begin)
    return passed // timedelta(milliseconds=1)
