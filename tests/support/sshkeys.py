"""SSH keys with the same bytes in every run, for tests of who may sign what."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from esaa_git.trust import sshsig
from esaa_git.trust.sshsig import SshSignature
from esaa_git.trust.wire import encode_string

PAYLOAD = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\ndone T-1000\n"


class Key:
    """An Ed25519 key with the same bytes in every run."""

    def __init__(self, seed: int) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        public = self._private.public_key().public_bytes_raw()
        self.blob = encode_string(b"ssh-ed25519") + encode_string(public)
        self.line = sshsig.encode_public_key(self.blob)
        self.fingerprint = sshsig.fingerprint(self.blob)

    def sign(self, payload: bytes = PAYLOAD, namespace: str = "git") -> bytes:
        raw = self._private.sign(sshsig.signed_data(payload, namespace))
        inner = encode_string(b"ssh-ed25519") + encode_string(raw)
        return sshsig.encode(SshSignature(self.blob, namespace, "sha512", inner))


ALICE, BOB, STRANGER = Key(1), Key(2), Key(3)
