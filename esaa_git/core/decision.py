"""The decision document: what a person signs, once, apart from any place in the log.

It says which log, which action, about what (the digest of the subject), and with which words (a
salted digest, so that the words can be erased and the signature stands). The signature is an SSH
signature in a namespace of its own, over the document's bytes; whether it holds, and who made it,
`esaa_git.trust.roles` says (docs/FORMAT.md, "Decisions").
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from esaa_git.core import canonical, limits
from esaa_git.core.events.spec import NONCE, SHA256, choice, line, record

NAMESPACE: Final = "git-esaa-decision"
"""The namespace of the signature (OpenSSH's PROTOCOL.sshsig)."""

SCHEMA: Final = "git-esaa/decision/1"

DOCUMENT: Final = "document.json"
SIGNATURE: Final = "signature"
"""The two files of `decision/` beside an event."""

SALT: Final = "salt"
"""The file of `exchange/` that holds the salt of each digest of what was said."""

SALT_BYTES: Final = 32
NONCE_BYTES: Final = 16
_FORM: Final = record(
    {
        "schema": choice(SCHEMA),
        "log_id": line(100),
        "action": line(50),
        "subject_sha256": SHA256,
        "nonce": NONCE,
        "text_sha256": SHA256,
    }
)


class MalformedDocument(ValueError):
    """The bytes are no decision document."""


@dataclass(frozen=True, slots=True)
class Document:
    """One decision.

    Attributes:
        log_id: of the log that it is for.
        action: of the event that carries it.
        subject_sha256: of what is decided, 64 hexadecimal digits.
        nonce: 128 random bits, 32 hexadecimal digits.
        text_sha256: SHA-256 of the salt followed by the words, in UTF-8.
    """

    log_id: str
    action: str
    subject_sha256: str
    nonce: str
    text_sha256: str

    def encode(self) -> bytes:
        """Return the bytes that are signed: canonical JSON, its LF included."""
        fields = {
            "schema": SCHEMA,
            "log_id": self.log_id,
            "action": self.action,
            "subject_sha256": self.subject_sha256,
            "nonce": self.nonce,
            "text_sha256": self.text_sha256,
        }
        return canonical.encode(fields)


def decode(data: bytes) -> Document:
    """Return the document in these canonical bytes.

    Raises:
        MalformedDocument: if they are of another form.
    """
    import jsonschema_rs  # 18 ms that a log without decisions need not pay

    if len(data) > limits.DECISION:
        raise MalformedDocument(f"it has more than {limits.DECISION} bytes")
    try:
        value: Any = canonical.decode(data)
    except canonical.NotCanonical as error:
        raise MalformedDocument(f"not canonical JSON: {error}") from error
    if not jsonschema_rs.is_valid(_FORM, value):
        raise MalformedDocument("it has not exactly the fields of a decision")
    return Document(**{name: item for name, item in value.items() if name != "schema"})


def salted(salt: bytes, text: bytes) -> str:
    """Return the digest of what was said that an event holds, 64 hexadecimal digits."""
    return sha256(salt + text).hexdigest()
