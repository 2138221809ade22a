"""Whether a decision document counts: it is for this event of this log, and its signature holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from esaa_git.core import limits
from esaa_git.core.canonical import digest
from esaa_git.core.decision import NAMESPACE, MalformedDocument, decode
from esaa_git.core.event import Event
from esaa_git.core.events.decided import DecisionPayload, document_of
from esaa_git.core.logid import origin_of
from esaa_git.errors import KeyUnavailable
from esaa_git.trust import sshsig
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.signer import Signer, SshKeySigner
from esaa_git.trust.signers import SignerSet, Verified


@dataclass(frozen=True, slots=True)
class CarriedDecision:
    """What `decision/` beside an event holds, and the log that it stands in.

    Attributes:
        log_id: the log that it is to be for; of an imported event the one that was exported, and
            None where an import does not know it.
    """

    document: bytes
    signature: bytes
    log_id: str | None


def carried_by(
    event: Event, log_id: str | None, read: Callable[[str, int], tuple[int, bytes]]
) -> CarriedDecision | None:
    """Return the decision that an event names; None for an event that carries none.

    Args:
        read: gives kind and content of an object that is no larger than so many bytes.
    """
    carried = document_of(event.payload)
    if carried is None:
        return None
    named = carried[0]
    document, signature = (
        read(blob, limits.DECISION)[1] for blob in (named.document, named.signature)
    )
    return CarriedDecision(document, signature, log_id)


def sign(signer: Signer, document: bytes) -> bytes:
    """Return a person's signature of a document, armoured.

    Raises:
        KeyUnavailable: if the key cannot sign, or is not an SSH key: OpenPGP has no namespaces.
    """
    if not isinstance(signer, SshKeySigner):
        raise KeyUnavailable(
            "a decision is signed with an SSH key",
            cause=f"'{signer.fingerprint}' is of type {signer.key_type}, which knows no namespaces",
            hint="set an SSH key of yours with 'git config esaa.approverKey PATH'; an admin gives "
            "it your roles with 'git esaa key trust KEY --role admin --as EMAIL'",
        )
    return signer.sign(document, namespace=NAMESPACE)


def is_made_by(decision: CarriedDecision, signer: Signer) -> bool:
    """Answer whether this key has signed the document, before anybody verifies it."""
    try:
        return sshsig.decode(decision.signature).public_key == signer.blob
    except sshsig.MalformedSignature:
        return False


def prove(decision: CarriedDecision | None, event: Event, signers: SignerSet) -> Verified:
    """Return the key that decided, if these signers name it and the decision is this event's.

    Raises:
        SignatureRefused: saying what is wrong with document or signature.
    """
    payload = event.payload
    assert isinstance(payload, DecisionPayload)
    assert payload.decision is not None
    if decision is None:
        raise SignatureRefused("malformed", "its decision is not beside it")
    if digest(decision.document) != payload.decision.sha256:
        raise SignatureRefused("malformed", "its decision has another SHA-256")
    if len(decision.signature) > limits.DECISION:
        raise SignatureRefused("malformed", "the signature of its decision is too long")
    known = signers.verify_in(NAMESPACE, decision.document, decision.signature)
    try:
        document = decode(decision.document)
    except MalformedDocument as error:
        raise SignatureRefused("malformed", f"its decision: {error}") from None
    meant = (document.log_id, origin_of(document.log_id))
    if decision.log_id is not None and decision.log_id not in meant:
        raise SignatureRefused("bad", f"its decision is for the log {document.log_id}")
    if document.action != event.action:
        raise SignatureRefused("bad", f"its decision is for {document.action}")
    if document.subject_sha256 != payload.about():
        raise SignatureRefused("bad", "its decision is about something else")
    return known
