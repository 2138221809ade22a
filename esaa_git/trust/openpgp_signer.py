"""OpenPGP's signing half, through `gpg`; `esaa_git.trust.openpgp` is what verification takes.

It stands behind the same door as a signer of another package, and nothing but the door knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from typing import Final

from esaa_git.errors import KeyUnavailable
from esaa_git.trust.oneform import Unacceptable
from esaa_git.trust.openpgp import run_gpg
from esaa_git.trust.openpgp_form import PgpKey, normalised, public_keys
from esaa_git.trust.signer import SIGN_TIMEOUT_SECONDS, SignerKind


class OpenPgpSigner:
    """Signs with `gpg` as git does, so the user's own gpg settings, agent and cards apply."""

    key_type = "openpgp"
    blob = None

    def __init__(self, key: str, gpg_program: str = "gpg") -> None:
        self._key = key
        self._program = gpg_program
        if not key:
            raise KeyUnavailable(
                "no OpenPGP key is named", hint="run 'git config user.signingKey FINGERPRINT'"
            )
        listing, complaint = self._gpg(
            ["--batch", "--with-colons", "--list-secret-keys", "--", key]
        )
        rows = [line.split(":") for line in listing.decode("utf-8", "replace").split("\n")]
        # A primary key is a 'sec' row, with its fingerprint in the row below.
        found = [fpr[9] for sec, fpr in pairwise(rows) if (sec[0], fpr[0]) == ("sec", "fpr")]
        if len(found) != 1:
            raise KeyUnavailable(
                f"'{key}' names {len(found)} OpenPGP secret keys instead of one",
                cause=complaint or None,
                hint=f"run '{gpg_program} --list-secret-keys' and set the fingerprint of one",
            )
        self.fingerprint = self.public_key_line = found[0]

    def sign(self, payload: bytes) -> bytes:
        """Return the signature over `payload` as armoured text; raises `KeyUnavailable`."""
        armored, complaint = self._gpg(["--status-fd=2", "-bsau", self._key], payload)
        # As git does: what counts is that gpg says so, not that it printed something.
        if "\n[GNUPG:] SIG_CREATED " not in f"\n{complaint}" or not armored:
            raise KeyUnavailable(
                f"gpg did not sign with the key '{self._key}'",
                cause=complaint or None,
                hint=f"run 'echo | {self._program} -bsau {self._key}' to see gpg's reason",
            )
        try:
            return normalised(armored.replace(b"\r\n", b"\n"), self._public_keys.values())
        except Unacceptable as error:
            raise KeyUnavailable(
                f"what gpg signed with the key '{self._key}' is no signature that counts",
                cause=str(error),
                hint=f"run '{self._program} --version', and name an Ed25519, RSA or NIST key",
            ) from None

    @cached_property
    def _public_keys(self) -> Mapping[str, PgpKey]:
        options = ["--batch", "--armor", "--export-options=export-minimal"]
        exported, _ = self._gpg([*options, "--export", f"0x{self.fingerprint}"])
        return public_keys(exported.decode("ascii", "replace").replace("\r\n", "\n"))

    def _gpg(self, arguments: list[str], data: bytes = b"") -> tuple[bytes, str]:
        try:
            run = run_gpg(self._program, arguments, data, timeout=SIGN_TIMEOUT_SECONDS)
        except OSError as error:
            raise KeyUnavailable(
                f"cannot run '{self._program}'",
                cause=str(error),
                hint="install GnuPG, or run 'git config gpg.program PATH'",
            ) from None
        complaint = run.stderr.decode("utf-8", "replace").strip()
        return (b"" if run.returncode else run.stdout), complaint


OPENPGP: Final = SignerKind("openpgp", lambda spec: OpenPgpSigner(spec.key, spec.gpg_program))
