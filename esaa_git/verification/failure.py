"""The numbered checks by name, and what verification raises where one is not passed."""

from __future__ import annotations

from collections.abc import Mapping

from esaa_git.core.event import event_id
from esaa_git.errors import ConfigurationError, CorruptedError, EsaaError, MismatchError

CHECKS: Mapping[int, str] = {
    1: "the anchor and the pin",
    2: "shape of the commit",
    3: "signature and role",
    4: "canonical bytes and schema",
    5: "sequence, ids, time, chain, log id",
    6: "contracts unchanged, or changed with authority",
    7: "legal transition, recorded state",
    8: "authority and boundaries of effects",
    9: "done is immutable",
    10: "recorded hashes",
    11: "effects on the branch",
}

CORRUPTED, MISMATCH = "corrupted", "mismatch"
NOT_EVALUATED = "not evaluated"
"""The outcome where all else holds, and what evaluates a pinned policy is not here."""
_KINDS: Mapping[str, type[EsaaError] | None] = {
    "ok": None,
    MISMATCH: MismatchError,
    NOT_EVALUATED: ConfigurationError,
}

_OF_BYTES = frozenset({2, 4})


def failure_of(outcome: str) -> type[EsaaError] | None:
    """Return the kind of error that an outcome amounts to; None where the record is intact."""
    return _KINDS.get(outcome, CorruptedError)


def check_name(number: int) -> str:
    """Return how messages name a check: its number, and what it looks at."""
    return f"check {number}, {CHECKS[number]}"


class Failure(Exception):
    """The first check that something did not pass.

    A check says what is wrong. Where it is wrong is added in one place for each kind of thing,
    with `at`: `EventChecker.check` for events, `Closed.locate` for effects, `check_branch` for
    the branch and the audit for the log as a whole.

    Attributes:
        outcome: `corrupted` for bytes that no honest writer produced, or that cannot be read,
            and `mismatch` for well-formed history that does not add up to what it claims.
            Without another word, checks 2 and 4 are about bytes, and all others about history.
        oid: the object that is at fault; empty until the address is known.
        seq: its event, where it belongs to one.
    """

    def __init__(
        self,
        check: int,
        message: str,
        outcome: str | None = None,
        hint: str | None = None,
        oid: str = "",
        seq: int | None = None,
    ) -> None:
        super().__init__(message)
        self.check = check
        self.message = message
        self.outcome = outcome or (CORRUPTED if check in _OF_BYTES else MISMATCH)
        self.hint = hint
        self.oid = oid
        self.seq = seq

    def __reduce__(self) -> tuple[object, ...]:
        parts = (self.check, self.message, self.outcome, self.hint, self.oid, self.seq)
        return (Failure, parts)

    @property
    def event_id(self) -> str | None:
        return None if self.seq is None else event_id(self.seq)

    def at(self, oid: str, seq: int | None = None, subject: str | None = None) -> Failure:
        """Return the failure with its address; one that has an address keeps it.

        Args:
            subject: what is at that address, in words that go before the message.
        """
        if not self.oid:
            self.oid, self.seq = oid, seq
            if subject is not None:
                self.message = f"{subject}: {self.message}"
                self.args = (self.message,)
        return self
