"""What signs: the protocol, which key is meant, and what the SSH signers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Literal, Protocol

from esaa_git.core.events.spec import is_person
from esaa_git.errors import KeyUnavailable
from esaa_git.trust import sshsig


def new_key(*roles: str) -> str:
    """Return in words how a key is made that the contracts do not name yet, for hints."""
    if not roles:
        return (
            "'git esaa key create --role contributor' makes one for claims and results, '--role "
            "approver' one for reviews, notes and issues too, and says what comes next"
        )
    wanted = "".join(f" --role {role}" for role in roles)
    return f"'git esaa key create{wanted}' makes another and says what comes next"


class Signer(Protocol):
    """What signs for us; `sign` returns armoured text whose lines, the last too, end in LF."""

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

    `format` names a kind of signer: `ssh`, `openpgp`, or one that a package brings. `key` is a
    path, `key::` or a public key itself for SSH, any name that gpg understands for OpenPGP, and
    what its package says for another kind; `gpg_program` is git's `gpg.program`.
    """

    format: str
    key: str
    gpg_program: str = "gpg"


@dataclass(frozen=True, slots=True)
class SignerKind:
    """One way of signing: an entry of the group `esaa_git.signers`, named by `esaa.keyFormat`.

    It says where the private half is: in a file, with gpg, in a device, with a service. What comes
    out is a signature that verification takes in any clone, which is one of two formats.

    Attributes:
        format: the format of its signatures.
        load: gives what signs with a key; raises `KeyUnavailable` where it cannot be used.
        api: the version of the interface that it is made for (`esaa_git.plugins.API`).
    """

    format: Literal["ssh", "openpgp"]
    load: Callable[[KeySpec], Signer]
    api: int = 1


class SigningKeys:
    """The keys that this machine signs a log with, each made when it is first needed.

    Args:
        sign: gives the orchestrator's key.
        person: gives the key of the person who works here, which signs what they say.
        alone: only the person's key is at hand.
        following: gives the key that is to follow the orchestrator's. It signs once contracts
            are in force that have forgotten the present one.
    """

    def __init__(
        self,
        sign: Callable[[], Signer],
        *,
        person: Callable[[], Signer] | None = None,
        following: Callable[[], Signer] | None = None,
        alone: bool = False,
    ) -> None:
        self._sign = sign
        self._person = person
        self._following = following
        self.alone = alone

    @cached_property
    def signer(self) -> Signer:
        return self._sign()

    @cached_property
    def following(self) -> Signer | None:
        return None if self._following is None else self._following()

    @cached_property
    def person(self) -> Signer | None:
        """The key of the person who works here; None where none is configured.

        Raises:
            KeyUnavailable: if it is configured and cannot be used: no other key takes its place.
        """
        return None if self._person is None else self._person()

    def of(self, actor: str) -> Signer:
        """Return the key that signs what an actor says: a person's own, or the orchestrator's.

        Raises:
            KeyUnavailable: if it is not at hand.
        """
        if not is_person(actor):
            return self.signer
        if self.person is None:
            raise KeyUnavailable(
                f"what {actor} says is signed with a key of their own, and none is configured here",
                cause="the orchestrator's key signs for agents, and for no person",
                hint="run 'git config esaa.approverKey PATH' with the key that 'git esaa key list' "
                f"shows for them; where it shows none, {new_key()}",
            )
        return self.person


class SshKeySigner(ABC):
    """What signs with an SSH key, for a namespace; its public half in each form that is wanted."""

    def __init__(self, blob: bytes) -> None:
        self.blob = blob
        self.key_type = sshsig.key_type(blob)
        self.fingerprint = sshsig.fingerprint(blob)
        self.public_key_line = sshsig.encode_public_key(blob)

    @abstractmethod
    def sign(self, payload: bytes, *, namespace: str = sshsig.NAMESPACE) -> bytes:
        """Return the signature over `payload` as armoured text; raises `KeyUnavailable`."""


class SshSigner(SshKeySigner):
    """What those share that have raw signatures: the public key, and the wrapping."""

    def sign(self, payload: bytes, *, namespace: str = sshsig.NAMESPACE) -> bytes:
        """Return the signature over `payload` as armoured text; raises `KeyUnavailable`."""
        try:
            # A device or an agent may have made the larger s, which is no signature here.
            inner = sshsig.normalised(self._sign(sshsig.signed_data(payload, namespace)))
        except sshsig.MalformedSignature as error:
            raise KeyUnavailable(
                f"the key '{self.fingerprint}' gave a bad signature", cause=str(error)
            ) from None
        signature = sshsig.SshSignature(self.blob, namespace, sshsig.HASH_ALGORITHM, inner)
        return sshsig.encode(signature)

    @abstractmethod
    def _sign(self, data: bytes) -> bytes:
        """Return the raw signature of the data, in SSH's wire form."""


# A person may have to type a passphrase, confirm, or touch a security key.
SIGN_TIMEOUT_SECONDS: Final = 60.0
