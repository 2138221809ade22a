"""OpenPGP: what starts `gpg`, and the pinned keys and signatures that verification takes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from esaa_git.core.contracts import OPENPGP_SIGNERS
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
    """Read the entries from YAML's nodes, where an unquoted fingerprint is not yet a number."""
    import yaml

    try:
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise unusable(OPENPGP_SIGNERS, mark.line + 1 if mark else 1, "not YAML") from None
    if root is None:
        return
    if not isinstance(root, yaml.SequenceNode):
        raise unusable(OPENPGP_SIGNERS, 1, "expected a list of keys")
    for entry in root.value:
        number = entry.start_mark.line + 1
        pairs = entry.value if isinstance(entry, yaml.MappingNode) else []
        fields = {key.value: value for key, value in pairs if isinstance(key, yaml.ScalarNode)}
        if len(pairs) != 3 or set(fields) != {"principals", "fingerprint", "public_key"}:
            cause = "expected principals, fingerprint and public_key, each of them once"
            raise unusable(OPENPGP_SIGNERS, number, cause)
        principals, fingerprint = fields["principals"], str(fields["fingerprint"].value)
        public_key = str(fields["public_key"].value).strip() + "\n"
        names = principals.value if isinstance(principals, yaml.SequenceNode) else []
        if not names or not all(isinstance(name, yaml.ScalarNode) for name in names):
            raise unusable(OPENPGP_SIGNERS, number, "principals is not a list of names")
        if re.fullmatch("[0-9A-Fa-f]{40}", fingerprint) is None:
            raise unusable(OPENPGP_SIGNERS, number, "fingerprint is not 40 hexadecimal digits")
        if re.fullmatch(_PGP_KEY, public_key) is None:
            raise unusable(OPENPGP_SIGNERS, number, "public_key is not one armoured public key")
        try:
            patterns = patterns_of("principals", ",".join(name.value for name in names))
            keys = public_keys(public_key)
        except ValueError as error:
            cause = f"public_key: {error}" if isinstance(error, Unacceptable) else str(error)
            raise unusable(OPENPGP_SIGNERS, number, cause) from None
        yield PinnedOpenPgpKey(patterns, fingerprint.upper(), public_key, keys)
