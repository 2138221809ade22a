"""What travels in an event's tree beside the event: exactly what the event names."""

from __future__ import annotations

from collections.abc import Mapping

from esaa_git.core.decision import DOCUMENT, SALT, SIGNATURE
from esaa_git.core.event import Event
from esaa_git.core.events import AgentResult, AnyPayload, Dispatch, FileWrite, OutputRejected
from esaa_git.core.events.decided import document_of
from esaa_git.core.events.fields import TEXT, Exchange, Salted
from esaa_git.core.events.file_write import images
from esaa_git.core.events.output_rejected import Output
from esaa_git.core.invariants import Violation


def check_attachments(
    event: Event,
    files: Mapping[str, tuple[str, str]],
    exchange: Mapping[str, str],
    decision: Mapping[str, str],
) -> None:
    """Refuse attachments that are not exactly those that the event names (path to blob id).

    Raises:
        Violation: INV-003, if the event's tree carries more, less or something else.
    """
    wanted: dict[str, tuple[str, str]] = {}
    if isinstance(event.payload, FileWrite):
        wanted = {
            path: after for path, _, after in images(event.payload.files) if after is not None
        }
    if dict(files) != wanted:
        raise Violation("INV-003", "the after-images are not those that the event names")
    _check_salted(event.payload)
    if dict(exchange) != kept_exchange(event.payload):
        raise Violation("INV-003", "the exchange is not the one that the event names")
    if dict(decision) != kept_decision(event.payload):
        raise Violation("INV-003", "the decision is not the one that the event names")


def _check_salted(payload: AnyPayload) -> None:
    """Refuse a digest of what was said that stands without its salt, or is not its exchange's."""
    match payload:
        case Dispatch(request_sha256=str()):
            said = payload.exchange is not None
        case AgentResult(output_sha256=str(sha256)):
            said = _is_of_response(payload.exchange, sha256)
        case AgentResult(idempotency_sha256=str()):
            said = payload.exchange is not None
        case OutputRejected(output=Output(sha256=str(sha256))):
            said = _is_of_response(payload.exchange, sha256)
        case _:
            return
    if not said:
        raise Violation("INV-003", "a digest of what was said is without its salt")


def _is_of_response(exchange: Exchange | None, sha256: str) -> bool:
    response = None if exchange is None else exchange.response
    return response is not None and response.sha256 == sha256


def kept_exchange(payload: AnyPayload) -> dict[str, str]:
    """Return the files of an event's exchange that were kept, by their names beside the event."""
    carried = document_of(payload)
    if carried is not None:
        words = carried[1]
        return {TEXT: words.text, SALT: words.salt}
    said = exchange_of(payload)
    if said is None:
        return {}
    kept = {name: part.blob for name, part in said.parts.items() if part.blob is not None}
    return {SALT: said.salt, **kept}


def exchange_of(payload: AnyPayload) -> Exchange | Salted | None:
    """Return what an event records of what was said; None where it records nothing of it."""
    said: Exchange | Salted | None = getattr(payload, "exchange", None)
    return said


def kept_decision(payload: AnyPayload) -> dict[str, str]:
    """Return the files of an event's decision, by their names beside the event."""
    carried = document_of(payload)
    if carried is None:
        return {}
    decided = carried[0]
    return {DOCUMENT: decided.document, SIGNATURE: decided.signature}
