"""OpenPGP: what starts `gpg`, and the pinned keys and signatures that verification takes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from esaa_git.core.contracts import OPENPGP_SIGNERS
from esaa_git.core.documents import Lined, YamlFault, decode_yaml_texts
from esaa_git.trust.allowed_signers import patterns_of, unusable
from esaa_git.trust.oneform import Unacceptable
from esaa_git.trust.openpgp_form import PgpKey, public_keys

if TYPE_CHECKING:
    from subprocess import CompletedProcess


def run_gpg(
    program: str, arguments: Sequence[str], data: bytes = b"", *, timeout: float | None = None
) -> CompletedProcess[bytes]:
    """Run gpg to its end, with `data` on its standard input.

    Raises:
        OSError: if it cannot be started, or takes more than `timeout` seconds.
    """
    import subprocess

    try:
        return subprocess.run(
            [program, *arguments], input=data, capture_output=True, check=False, timeout=timeout
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(str(error)) from None


# It stays text, and compiles where it is first used.
_PGP_KEY: Final = r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n[^-]+-----END PGP PUBLIC KEY BLOCK-----\n"


@dataclass(frozen=True, slots=True)
class PinnedOpenPgpKey:
    """One entry of `openpgp_signers.yaml`: a primary key by its fingerprint, and the key itself.

    `keys` are those in it that may sign, by their fingerprints.
    """

    principals: tuple[str, ...]
    fingerprint: str
    public_key: str
    keys: Mapping[str, PgpKey]


def remove_home(home: str, owner: int) -> None:
    # A forked worker inherits the object, and must not take the home away from its parent.
    if os.getpid() == owner:
        from shutil import rmtree

        rmtree(home, ignore_errors=True)


def parse_openpgp_signers(content: bytes) -> Iterator[PinnedOpenPgpKey]:
    """Read the entries, with every scalar as text: an unquoted fingerprint is no number."""
    try:
        entries = decode_yaml_texts(content)
    except YamlFault as fault:
        # libyaml puts the end of a text on a line of its own.
        line = min(fault.line or 1, content.rstrip(b"\n").count(b"\n") + 1)
        raise unusable(OPENPGP_SIGNERS, line, f"not YAML: {fault}") from None
    if entries is None:
        return
    if not isinstance(entries, list):
        raise unusable(OPENPGP_SIGNERS, 1, "expected a list of keys")
    for entry in entries:
        number = entry.line if isinstance(entry, Lined) else 1
        fields = entry if isinstance(entry, Lined) else {}
        if set(fields) != {"principals", "fingerprint", "public_key"}:
            cause = "expected principals, fingerprint and public_key, each of them once"
            raise unusable(OPENPGP_SIGNERS, number, cause)
        names, fingerprint = fields["principals"], str(fields["fingerprint"])
        public_key = str(fields["public_key"]).strip() + "\n"
        is_list = isinstance(names, list) and all(isinstance(name, str) for name in names)
        if not names or not is_list:
            raise unusable(OPENPGP_SIGNERS, number, "principals is not a list of names")
        if re.fullmatch("[0-9A-Fa-f]{40}", fingerprint) is None:
            raise unusable(OPENPGP_SIGNERS, number, "fingerprint is not 40 hexadecimal digits")
        if re.fullmatch(_PGP_KEY, public_key) is None:
            raise unusable(OPENPGP_SIGNERS, number, "public_key is not one armoured public key")
        try:
            patterns = patterns_of("principals", ",".join(names))
            keys = public_keys(public_key)
        except ValueError as error:
            cause = f"public_key: {error}" if isinstance(error, Unacceptable) else str(error)
            raise unusable(OPENPGP_SIGNERS, number, cause) from None
        yield PinnedOpenPgpKey(patterns, fingerprint.upper(), public_key, keys)
