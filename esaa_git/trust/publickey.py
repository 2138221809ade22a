"""A public key that could be trusted, read from a file, a literal or gpg."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from esaa_git.errors import KeyUnavailable, UsageError
from esaa_git.trust import sshsig
from esaa_git.trust.keys import load_signer, signer_kind
from esaa_git.trust.oneform import Unacceptable
from esaa_git.trust.openpgp import run_gpg
from esaa_git.trust.openpgp_form import check_admissible, public_keys
from esaa_git.trust.signer import KeySpec
from esaa_git.trust.signers import OPENPGP


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that could be trusted: a public key line, or an armoured OpenPGP key as `text`."""

    fingerprint: str
    key_type: str
    text: str
    comment: str = ""


def _exported(fingerprint: str, program: str) -> PublicKey:
    try:
        options = ["--batch", "--armor", "--export-options=export-minimal"]
        done = run_gpg(program, [*options, "--export", f"0x{fingerprint}"])
    except OSError as error:
        raise KeyUnavailable(
            f"cannot run '{program}'",
            cause=error.strerror,
            hint="install GnuPG, or run 'git config gpg.program PATH'",
        ) from None
    armored = done.stdout.decode("ascii", "replace")
    if done.returncode or not armored.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        raise KeyUnavailable(
            f"gpg does not export the key '{fingerprint}'",
            cause=done.stderr.decode("utf-8", "replace").strip() or None,
            hint=f"run '{program} --list-keys {fingerprint}' to see whether it is there",
        )
    try:
        check_admissible(public_keys(armored).values())
    except Unacceptable as error:
        raise KeyUnavailable(
            f"the OpenPGP key '{fingerprint}' cannot be trusted",
            cause=str(error),
            hint="name another key; Ed25519, RSA and ECDSA on NIST's curves are accepted",
        ) from None
    return PublicKey(fingerprint, OPENPGP, armored)


def read_public_key(given: str, gpg_program: str = "gpg") -> PublicKey:
    """Return the key that is meant: a `.pub` file, a public key line, or an OpenPGP fingerprint.

    Raises:
        UsageError: for a private key, several keys, or what names no key at all.
        ConfigurationError: for a key of a type or strength that we do not accept.
        KeyUnavailable: if gpg does not know the OpenPGP key.
    """
    compact = given.replace(" ", "").removeprefix("0x").upper()
    if OPENPGP_FINGERPRINT.fullmatch(compact) and not Path(given).exists():
        return _exported(compact, gpg_program)
    literal = given.removeprefix("key::")
    if literal == given and " " not in literal.strip():
        literal = _read_public_file(given)
    lines = [line for line in literal.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise UsageError(
            f"'{given}' holds {len(lines)} keys", hint="name a file that holds one public key"
        )
    line = lines[0].strip()
    try:
        blob = sshsig.decode_public_key(line)
        sshsig.check_admissible(blob)
    except sshsig.MalformedSignature as error:
        raise UsageError(
            f"'{given}' is no public key that can be trusted",
            cause=str(error),
            hint="name a .pub file, a line as in 'ssh-ed25519 AAAA... comment', or the 40 digits "
            "of an OpenPGP fingerprint",
        ) from None
    fields = line.split(None, 2)
    comment = fields[2] if len(fields) > 2 else ""
    if not comment.isprintable():
        raise UsageError(f"the comment of '{given}' holds control characters")
    return PublicKey(sshsig.fingerprint(blob), fields[0], sshsig.encode_public_key(blob), comment)


def _read_public_file(given: str) -> str:
    path = Path(os.path.expanduser(given))  # noqa: PTH111 - Path's raises for an unknown user
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"no public key '{given}'",
            cause=error.strerror,
            hint="name a .pub file, a line as in 'ssh-ed25519 AAAA... comment', or the 40 digits "
            "of an OpenPGP fingerprint",
        ) from None
    if b"PRIVATE KEY" in data:
        raise UsageError(f"'{given}' is a private key", hint=f"name its public half: '{given}.pub'")
    return data.decode("utf-8", "replace")


def key_spec(given: str, gpg_program: str = "gpg") -> KeySpec:
    """Return which key an argument or a setting names; hexadecimal digits are OpenPGP's."""
    compact = given.replace(" ", "").removeprefix("0x").upper()
    if re.fullmatch("[0-9A-F]{16}|[0-9A-F]{40}", compact) and not Path(given).exists():
        return KeySpec("openpgp", compact, gpg_program)
    return KeySpec("ssh", str(Path(given).resolve()) if Path(given).exists() else given)


def public_half(spec: KeySpec) -> PublicKey:
    """Return the public key of what one signs with; the private one is asked only where it must be.

    Raises:
        KeyUnavailable: if it cannot be found.
    """
    kind = signer_kind(spec)
    if kind.format == "openpgp":
        return _exported(kind.load(spec).fingerprint, spec.gpg_program)
    if spec.format != "ssh":
        return read_public_key(f"key::{kind.load(spec).public_key_line}")
    path = Path(os.path.expanduser(spec.key))  # noqa: PTH111 - Path's raises for an unknown user
    beside = path.with_name(path.name + ".pub")
    for place in (beside, path):
        if place.suffix == ".pub" and place.is_file():
            try:
                return read_public_key(str(place))
            except UsageError:
                break
    line = load_signer(spec).public_key_line
    return read_public_key(f"key::{line}")


OPENPGP_FINGERPRINT: Final = re.compile("[0-9A-F]{40}")
