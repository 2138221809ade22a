"""Digests of what was said: taken under a salt that lies beside the event, and compared under it.

An event holds the SHA-256 of salt and bytes. So whoever has the bytes and the salt can prove what
was said, and where either is erased, nobody can find it out by trying what it may have been.
"""

from __future__ import annotations

from collections.abc import Callable

from esaa_git.core.contracts import StoragePolicy
from esaa_git.core.decision import SALT_BYTES, salted
from esaa_git.core.events import AgentResult
from esaa_git.core.events.fields import Exchange, KeptPart, Salted
from esaa_git.ports.files import BlobStore
from esaa_git.ports.log import EventLog


def opened(
    blobs: BlobStore, exchange: Exchange | None, salt: bytes | None, draw: Callable[[int], bytes]
) -> tuple[Exchange, bytes]:
    """Return an exchange to add to, and the salt of what is added.

    Where nothing was recorded yet, or its salt is not here any more, that is `salt`, or a new one.
    """
    before = salt_of(blobs, exchange)
    if exchange is not None and before is not None:
        return exchange, before
    salt = salt or draw(SALT_BYTES)
    return Exchange(salt=blobs.write(salt)), salt


def kept_part(blobs: BlobStore, salt: bytes, said: bytes) -> KeptPart:
    """Keep what was said whole, and return how an event names it."""
    return KeptPart(sha256=salted(salt, said), bytes=len(said), blob=blobs.write(said))


def salt_for(policy: StoragePolicy, draw: Callable[[int], bytes]) -> bytes | None:
    """Return a new salt; None where the policy has not even digests recorded."""
    return None if policy.request == policy.response == "none" else draw(SALT_BYTES)


def is_of(
    blobs: BlobStore, exchange: Exchange | Salted | None, sha256: str | None, said: bytes
) -> bool:
    """Answer whether a recorded digest is that of these bytes.

    Where no digest was recorded, or its salt is not here any more, it is not comparable, and taken
    for another.
    """
    salt = salt_of(blobs, exchange)
    return salt is not None and sha256 == salted(salt, said)


def salt_of(blobs: BlobStore, exchange: Exchange | Salted | None) -> bytes | None:
    """Return the salt of what was said; None where there is none, or it is not here any more."""
    if exchange is None:
        return None
    try:
        return blobs.read(exchange.salt)
    except KeyError:
        return None


def recorded_result(log: EventLog, attempt_id: str) -> AgentResult | None:
    """Return the result that an attempt has on record."""
    for stored in log.events(newest_first=True):
        payload = stored.event.payload
        if isinstance(payload, AgentResult) and payload.attempt_id == attempt_id:
            return payload
    return None
