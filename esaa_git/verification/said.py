"""Check 8 on `exchange/`: what was kept whole is that of which the event has the digest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from esaa_git.core import limits
from esaa_git.core.attachments import exchange_of
from esaa_git.core.decision import DOCUMENT, SALT, SALT_BYTES, salted
from esaa_git.core.decision import decode as decode_document
from esaa_git.core.event import Event
from esaa_git.core.events.fields import REFUSAL, TEXT
from esaa_git.core.said import MalformedRefusal
from esaa_git.core.said import decode as decode_refusal
from esaa_git.store.objects import Reader
from esaa_git.verification.failure import Failure

_MOST: Final = {SALT: limits.DECISION, TEXT: limits.DECISION_WORDS, REFUSAL: limits.REFUSAL}
"""How many bytes of a part are read; of another, what an exchange may have."""


def check_said(
    reader: Reader, event: Event, exchange: Mapping[str, str], decision: Mapping[str, str]
) -> None:
    """Read all that was kept, and compare what was kept whole.

    Args:
        exchange, decision: the blobs of these folders beside the event, by name; they are those
            that the event names.

    Raises:
        Failure: of check 8.
    """
    if decision:
        signed = decode_document(reader(decision[DOCUMENT], limits.DECISION)[1])
        salt = reader(exchange[SALT], limits.DECISION)[1]
        if salted(salt, reader(exchange[TEXT], limits.DECISION_WORDS)[1]) != signed.text_sha256:
            raise Failure(8, "the words of the decision are not those that were signed")
        return
    said = exchange_of(event.payload)
    if said is None:
        return
    content = {
        name: reader(blob, _MOST.get(name, limits.EXCHANGE_PART))[1]
        for name, blob in exchange.items()
    }
    if len(content[SALT]) != SALT_BYTES:
        raise Failure(8, f"'exchange/{SALT}' has not {SALT_BYTES} bytes")
    for name, part in said.parts.items():
        if part.blob is None or part.altered:
            continue
        whole = content[name]
        if len(whole) != part.bytes or salted(content[SALT], whole) != part.sha256:
            raise Failure(8, f"'exchange/{name}' is not what the event has the digest of")
    if REFUSAL in content:
        try:
            decode_refusal(content[REFUSAL])
        except MalformedRefusal as error:
            raise Failure(8, f"'exchange/{REFUSAL}' is no refusal: {error}") from error
