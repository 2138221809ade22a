"""What signs: the protocol, which key is meant, and what the SSH signers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from esaa_git.trust import sshsig


class Signer(Protocol):
    """Whoever signs for us; `sign` returns armoured text whose lines, the last too, end in LF."""

    @property
    def public_key_line(self) -> str:
        """The public key as `ssh-ed25519 AAAA...`, or the fingerprint of an OpenPGP key."""

    @property
    def key_type(self) -> str:
        """The type as SSH names it, or `openpgp`."""

    @property
    def fingerprint(self) -> str:
        """`SHA256:...`, or 40 hexadecimal digits for an OpenPGP key."""

    @property
    def blob(self) -> bytes | None:
        """The SSH public key on the wire; None for an OpenPGP key."""

    def sign(self, payload: bytes) -> bytes:
        """Sign `payload` in git's namespace; raises `KeyUnavailable`."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """Which key to sign with, in the terms of git's `gpg.format` and `user.signingKey`.

    `key` is a path, `key::` or a public key itself for SSH, and any name that gpg understands
    for OpenPGP; `gpg_program` is git's `gpg.program`.
    """

    format: Literal["ssh", "openpgp"]
    key: str
    gpg_program: str = "gpg"


class SshSigner(ABC):
    """What the two SSH signers share: the public key, and the wrapping of raw signatures."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.key_type = sshsig.key_type(blob)
        self.fingerprint = sshsig.fingerprint(blob)
        self.public_key_line = sshsig.encode_public_key(blob)

    def sign(self, payload: bytes, *, namespace: str = sshsig.NAMESPACE) -> bytes:
        """Return the signature over `payload` as armoured text; raises `KeyUnavailable`."""
        inner = self._sign(sshsig.signed_data(payload, namespace))
        signature = sshsig.SshSignature(self.blob, namespace, sshsig.HASH_ALGORITHM, inner)
        return sshsig.encode(signature)

    @abstractmethod
    def _sign(self, data: bytes) -> bytes:
        """Return the raw signature of the data, in SSH's wire form."""


# A person may have to type a passphrase, confirm, or touch a security key.
SIGN_TIMEOUT_SECONDS: Final = 60.0
