"""OpenPGP: what starts `gpg`, and the pinned keys and signatures that verification takes."""

from __future__ import annotations

import os
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from esaa_git.core.contracts import OPENPGP_SIGNERS
from esaa_git.trust.allowed_signers import SignatureRefused, patterns_of, unusable

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


BEGIN_SIGNATURE: Final = b"-----BEGIN PGP SIGNATURE-----\n"

_PGP_END: Final = b"-----END PGP SIGNATURE-----\n"

_PGP_MAXIMUM_BYTES: Final = 65536


# Patterns stay text, and compile where they are first used: that is half of this import's time.
_PGP_ARMOR: Final = (
    rb"(?:[A-Za-z]+: [^\n]*\n)*\n((?:[A-Za-z0-9+/]+={0,2}\n)+)(?:=[A-Za-z0-9+/]{4}\n)?"
)

_PGP_KEY: Final = r"-----BEGIN PGP PUBLIC KEY BLOCK-----\n[^-]+-----END PGP PUBLIC KEY BLOCK-----\n"


@dataclass(frozen=True, slots=True)
class PinnedOpenPgpKey:
    """One entry of `openpgp_signers.yaml`: a primary key by its fingerprint, and the key itself."""

    principals: tuple[str, ...]
    fingerprint: str
    public_key: str


def remove_home(home: str, owner: int) -> None:
    # A forked worker inherits the object, and must not take the home away from its parent.
    if os.getpid() == owner:
        from shutil import rmtree

        rmtree(home, ignore_errors=True)


def signature_packet(armored: bytes) -> bytes:
    """Return the one signature packet of an armour (RFC 4880, sections 4.2 and 6.2).

    gpg also takes signed messages where a detached signature should be, and then verifies the
    text inside instead of ours; so it never sees anything but a single signature packet.
    """
    armor = re.fullmatch(_PGP_ARMOR, armored[len(BEGIN_SIGNATURE) : -len(_PGP_END)])
    whole = armored.endswith(_PGP_END) and len(armored) <= _PGP_MAXIMUM_BYTES
    if armor is None or not whole:
        raise SignatureRefused("malformed", "not one armoured OpenPGP signature")
    try:
        packet = a2b_base64(armor[1].replace(b"\n", b""), strict_mode=True)
    except Base64Error:
        raise SignatureRefused("malformed", "not base64") from None
    if _packet_size(packet.ljust(6, b"\0")) != len(packet):
        raise SignatureRefused("malformed", "not a single OpenPGP signature packet")
    return packet


def _packet_size(data: bytes) -> int:
    """Return the size that a signature packet at the start gives itself, header included."""
    tag, first = data[0], data[1]
    if tag in (0x88, 0x89, 0x8A):  # the old format, with a length of 1, 2 or 4 octets
        start = 1 + (1 << (tag & 3))
        return start + int.from_bytes(data[1:start], "big")
    if tag != 0xC2:
        return 0
    if first < 192:
        return 2 + first
    if first < 224:
        return 3 + ((first - 192) << 8) + data[2] + 192
    return 6 + int.from_bytes(data[2:6], "big") if first == 255 else 0


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
        except ValueError as error:
            raise unusable(OPENPGP_SIGNERS, number, str(error)) from None
        yield PinnedOpenPgpKey(patterns, fingerprint.upper(), public_key)
