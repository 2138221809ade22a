"""A person who decides: what they sign is a document, signed once, wherever it is recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from esaa_git.core import storage
from esaa_git.core.canonical import digest
from esaa_git.core.decision import NONCE_BYTES, SALT_BYTES, Document, salted
from esaa_git.core.events.decided import DecisionPayload
from esaa_git.core.events.fields import Decided, Said
from esaa_git.core.events.spec import is_person
from esaa_git.core.limits import DECISION_WORDS
from esaa_git.engine.engine import Engine
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import RefusedError

P = TypeVar("P", bound=DecisionPayload)

_NOWHERE = "0" * 40
_UNSIGNED = {
    "decision": Decided(sha256="0" * 64, document=_NOWHERE, signature=_NOWHERE),
    "said": Said(text=_NOWHERE, salt=_NOWHERE),
}
"""Stand in a payload while its subject is worked out, to which they do not belong."""


class Decider:
    """A person who decides; what they sign is signed once, however often it is tried to record it.

    Args:
        by: their principal.
        text: their words: the reason.

    Raises:
        RefusedError: if that is no person, or the words are longer than a verifier reads.
    """

    def __init__(self, engine: Engine, by: str, text: str) -> None:
        if not is_person(by):
            raise RefusedError(
                f"this is a person's to decide, and '{by}' is no person",
                hint="name yourself by the e-mail address that 'git esaa key list' shows",
            )
        self.by, self._text = by, text
        if len(text.encode()) > DECISION_WORDS:
            raise RefusedError(
                f"the reason has {len(text.encode()):,} bytes",
                cause=f"{DECISION_WORDS:,} are recorded with a decision at most",
                hint="say it shorter, and name a file of the branch for the rest",
            )
        self._engine = engine
        self._signed: dict[tuple[str, str, str], tuple[Decided, Said]] = {}

    def sign(self, tx: Transaction, made: Callable[..., P]) -> P:
        """Return what is decided with its document, which is signed the first time.

        Args:
            made: gives the payload, from its `decision` and `said`.

        Raises:
            KeyUnavailable: if the person's key is not at hand, or is no SSH key.
        """
        plain = made(**_UNSIGNED)
        subject = tx.log_id, plain.action, plain.about()
        if subject not in self._signed:
            self._signed[subject] = self._sign(tx, *subject)
        decision, said = self._signed[subject]
        return made(decision=decision, said=said)

    def _sign(self, tx: Transaction, log_id: str, action: str, about: str) -> tuple[Decided, Said]:
        engine, blobs = self._engine, self._engine.blobs
        salt, nonce = engine.draw(SALT_BYTES), engine.draw(NONCE_BYTES).hex()
        text = storage.redact(self._text, tx.contracts.storage).encode()
        document = Document(log_id, action, about, nonce, salted(salt, text)).encode()
        signature = tx.sign_decision(document, self.by)
        decision = Decided(
            sha256=digest(document),
            document=blobs.write(document),
            signature=blobs.write(signature),
        )
        return decision, Said(text=blobs.write(text), salt=blobs.write(salt))
