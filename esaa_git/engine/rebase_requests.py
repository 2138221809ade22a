"""Deciding again what an admin asked for: the document stays as it was signed."""

from __future__ import annotations

from functools import partial

from esaa_git.core.events import AcceptRequest, RelinkRequest
from esaa_git.core.events.operator_request import AnyRequest
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import Repeat
from esaa_git.engine.requests import carry_out
from esaa_git.engine.tail import AGAIN, CONCLUDED, Ids, LeftOut
from esaa_git.engine.transaction import Transaction, transact


class RequestReplay:
    """The requests of one tail, recorded again and carried out anew.

    Args:
        first: the sequence number that the tail begins with.
    """

    def __init__(self, engine: Engine, first: int, ids: Ids) -> None:
        self._engine = engine
        self._first = first
        self._ids = ids

    def ask(self, actor: str, event_id: str, payload: AnyRequest) -> tuple[str, str]:
        """Record a request again; where it cannot be carried out any more, neither is recorded."""
        if isinstance(payload, RelinkRequest | AcceptRequest):
            raise LeftOut("it is about a branch that is no longer")

        def step(tx: Transaction) -> str:
            (asked,) = tx.ask(Repeat(actor=actor, payload=payload))
            if not tx.alone:
                carry_out(self._engine, asked.event.event_id, tx)
            return asked.event.event_id

        self._ids.put_request(event_id, transact(self._engine, step))
        return AGAIN, ""

    def carried_out(self, event_id: str) -> tuple[str, str]:
        """Return what became of an event that carries out a request."""
        now = self._ids.request(event_id)
        if now is None and int(event_id.removeprefix("EV-")) >= self._first:
            raise LeftOut(f"{event_id}, which it carries out, was left out")
        transact(self._engine, partial(carry_out, self._engine, now or event_id))
        return CONCLUDED, ""
