"""Signing keys: where the private half is, and how a signature is had from it.

A key is a private key file (signed in process), a key held by ssh-agent, a security key behind
`ssh-keygen`, an OpenPGP key behind `gpg`, or one that a package knows how to use. Every way ends in
an armoured signature that plain `git verify-commit` confirms. There is no unsigned mode: whatever
keeps us from a signature is a `KeyUnavailable` with a way out.

Formats: OpenSSH's PROTOCOL.key and draft-ietf-sshm-ssh-agent. An Ed25519 key in OpenSSH's format,
the one that `create_key` writes, is read here, since the general loader takes twice as long to
import.
"""

from __future__ import annotations

import os
import stat
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from esaa_git.disk import flush, sync_folder
from esaa_git.errors import ConfigurationError, ConflictError, KeyUnavailable, NotAKey
from esaa_git.plugins import Door
from esaa_git.trust import sshsig
from esaa_git.trust.signer import KeySpec, Signer, SignerKind, SshKeySigner, SshSigner, new_key
from esaa_git.trust.sshagent import AgentSigner
from esaa_git.trust.sshdevice import DeviceSigner
from esaa_git.trust.wire import WireReader, encode_mpint, encode_string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey


_BEGIN: Final = b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
_END: Final = b"-----END OPENSSH PRIVATE KEY-----\n"
_MAGIC: Final = b"openssh-key-v1\x00"
_UNENCRYPTED: Final = (b"none", b"none", b"")
_KEY_FILE_MAXIMUM_BYTES: Final = 65536
_ED25519: Final = b"ssh-ed25519"

SIGNERS: Final = Door(
    "esaa_git.signers",
    "signer",
    SignerKind,
    {"ssh": "esaa_git.trust.keys:SSH", "openpgp": "esaa_git.trust.openpgp_signer:OPENPGP"},
)


def load_signer(spec: KeySpec) -> Signer:
    """Find the key that `spec` names and return what signs with it.

    Raises:
        KeyUnavailable: there is no signer of its format, or the key cannot be used: it is missing,
            open to others, locked, not in the agent, or of a refused type.
        ConfigurationError: a package brings a signer of its format that cannot be used.
    """
    return signer_kind(spec).load(spec)


def signer_kind(spec: KeySpec) -> SignerKind:
    """Return how the format of a key signs; raises as `load_signer`."""
    kind = SIGNERS.find(spec.format)
    if kind is None:
        cause, hint = SIGNERS.how_to_get(None)
        raise KeyUnavailable(f"no signer of the format '{spec.format}'", cause=cause, hint=hint)
    return kind


def _load_ssh(spec: KeySpec) -> Signer:
    """Return what signs with an SSH key.

    A private key file is used in process, or through ssh-agent where it is encrypted; that of a
    security key through ssh-agent where it holds the key, else through `ssh-keygen`. A public key
    is looked for in ssh-agent, then in the file beside its `.pub`, which is the order of
    `ssh-keygen -Y sign`.

    Raises:
        KeyUnavailable: missing, open to others, locked, not in the agent, or of a refused type.
    """
    literal = spec.key.removeprefix("key::")
    if literal != spec.key or literal.partition(" ")[0] in sshsig.KEY_TYPES:
        return AgentSigner(_public_key(literal, "the public key in the settings"))
    path = Path(os.path.expanduser(spec.key))  # noqa: PTH111 - Path's raises for an unknown user
    data = _read_key_file(path)
    if data.partition(b" ")[0].decode("ascii", "replace") not in sshsig.KEY_TYPES:
        return _private_key_signer(data, path)
    blob = _public_key(data.decode("ascii", "replace"), f"'{path}'")
    try:
        return AgentSigner(blob, path)
    except KeyUnavailable:
        beside = path.with_suffix("")
        if path.suffix != ".pub" or not beside.exists():
            raise
    signer = _private_key_signer(_read_key_file(beside), beside)
    if signer.blob != blob:
        raise KeyUnavailable(
            f"'{path}' is not the public key of '{beside}'",
            hint=f"run 'ssh-keygen -y -f {beside}' for the public key to write there",
        )
    return signer


SSH: Final = SignerKind("ssh", _load_ssh)


class PrivateKeySigner(SshSigner):
    """Signs in process. Ed25519 and RSA give the same bytes each time, ECDSA where OpenSSL can."""

    def __init__(self, blob: bytes, algorithm: bytes, sign_raw: Callable[[bytes], bytes]) -> None:
        super().__init__(blob)
        self._algorithm = encode_string(algorithm)
        self._sign_raw = sign_raw

    def _sign(self, data: bytes) -> bytes:
        return self._algorithm + encode_string(self._sign_raw(data))


def _load_private_key(data: bytes) -> PrivateKeySigner | None:
    """Read a private key in OpenSSH's or a PEM format; None where only an agent can use it.

    Raises:
        ValueError: for anything that is not a key we can sign with, saying why.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        if not data.startswith(_BEGIN):
            return _load_general(data)
        blob, section = _decode_private_key(data)
        if section is None or sshsig.key_type(blob).startswith("sk-"):
            return None
        return (_load_ed25519 if sshsig.key_type(blob) == "ssh-ed25519" else _load_general)(data)
    except (UnsupportedAlgorithm, sshsig.MalformedSignature) as error:
        raise ValueError(str(error)) from None


def _load_ed25519(data: bytes) -> PrivateKeySigner:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    blob, section = _decode_private_key(data)
    reader = WireReader(section or b"")
    same_checks = reader.uint32() == reader.uint32()
    name, public, private = reader.string(), reader.string(), reader.string()
    key = Ed25519PrivateKey.from_private_bytes(private[:32])
    made = key.public_key().public_bytes_raw()
    if not same_checks or (name, public, private[32:]) != (_ED25519, made, made):
        raise ValueError("the private section is damaged")
    if blob != encode_string(_ED25519) + encode_string(made):
        raise ValueError("the private key does not belong to its public key")
    return PrivateKeySigner(blob, _ED25519, key.sign)


def _load_general(data: bytes) -> PrivateKeySigner | None:
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    openssh = data.startswith(_BEGIN)
    load: Callable[[bytes, None], object] = (
        serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
    )
    try:
        key = load(data, None)
    except TypeError:  # so cryptography asks for a passphrase
        return None
    if not isinstance(
        key, ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    ):
        raise ValueError("not an Ed25519, RSA or ECDSA key")
    line = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    blob = sshsig.decode_public_key(line.decode("ascii"))
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return PrivateKeySigner(blob, _ED25519, key.sign)
    if isinstance(key, rsa.RSAPrivateKey):
        return PrivateKeySigner(
            blob, b"rsa-sha2-512", lambda data: key.sign(data, PKCS1v15(), hashes.SHA512())
        )
    return PrivateKeySigner(blob, sshsig.key_type(blob).encode("ascii"), _ecdsa(key))


def _ecdsa(key: EllipticCurvePrivateKey) -> Callable[[bytes], bytes]:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    digest = {256: SHA256(), 384: SHA384(), 521: SHA512()}[key.key_size]
    try:
        algorithm = ECDSA(digest, deterministic_signing=True)  # RFC 6979
    except UnsupportedAlgorithm:  # OpenSSL before 3.2
        algorithm = ECDSA(digest)

    def sign_raw(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, algorithm))
        return encode_mpint(r) + encode_mpint(s)

    return sign_raw


def _private_key_signer(data: bytes, path: Path) -> SshKeySigner:
    try:
        signer = _load_private_key(data)
        if signer is not None:
            return signer
        if data.startswith(_BEGIN):
            blob = _decode_private_key(data)[0]
            try:
                return AgentSigner(blob, path)
            except KeyUnavailable:
                if not sshsig.key_type(blob).startswith("sk-"):
                    raise
            return DeviceSigner(blob, path)
    except ValueError as error:
        raise NotAKey(
            f"'{path}' is not a private key we can sign with",
            cause=str(error).partition("\n")[0],
            hint="run 'ssh-keygen -t ed25519' for a key that works, or 'git esaa init'",
        ) from None
    public = path.with_name(path.name + ".pub")
    if not public.exists():
        raise KeyUnavailable(
            f"private key '{path}' is encrypted",
            cause=f"which key to ask ssh-agent for would stand in '{public}'",
            hint=f"run 'ssh-keygen -y -f {path} > {public}', then 'ssh-add {path}'",
        )
    line = _read_key_file(public).decode("ascii", "replace")
    return AgentSigner(_public_key(line, f"'{public}'"), path)


def _public_key(line: str, where: str) -> bytes:
    try:
        return sshsig.decode_public_key(line)
    except sshsig.MalformedSignature as error:
        raise KeyUnavailable(f"{where} is not a key we can sign with", cause=str(error)) from None


def _read_key_file(path: Path) -> bytes:
    """Read a key file; a private one must be closed to group and others, as ssh has it."""
    try:
        # Without O_NONBLOCK, a pipe in the place of the key would hold us for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            status = os.fstat(descriptor)
            data = os.read(descriptor, _KEY_FILE_MAXIMUM_BYTES)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        raise NotAKey(
            f"no signing key at '{path}'",
            cause="the settings name a file that is not there",
            hint=f"put it back from a copy; if it is lost, {new_key('orchestrator')}",
        ) from None
    except OSError as error:
        raise KeyUnavailable(
            f"cannot read the signing key '{path}'", cause=error.strerror
        ) from None
    if b"PRIVATE KEY" in data and status.st_uid == os.getuid() and status.st_mode & 0o077:
        raise KeyUnavailable(
            f"private key '{path}' can be read by others",
            cause=f"its mode is {stat.S_IMODE(status.st_mode):04o}",
            hint=f"run 'chmod 600 {path}'",
        )
    return data


# ---- ssh-agent ------------------------------------------------------------------------------


# ---- OpenPGP --------------------------------------------------------------------------------


# ---- key files (PROTOCOL.key) ---------------------------------------------------------------


def create_key(path: Path, *, comment: str) -> str:
    """Write a new Ed25519 key to `path`, and its public half to `path.pub`; return the latter.

    The private key is not encrypted, its mode is 0600, and that of a folder made for it 0700.
    Both files are on disk when this returns.

    Raises:
        ConflictError: one of the files exists; it is left as it is.
        ConfigurationError: the comment is not one printable line, or the folder not writable.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    if not comment.isprintable():
        raise ConfigurationError(f"{comment!r} cannot be the comment of a key")
    key = Ed25519PrivateKey.generate()
    public, seed = key.public_key().public_bytes_raw(), key.private_bytes_raw()
    blob = encode_string(_ED25519) + encode_string(public)
    line = f"{sshsig.encode_public_key(blob)} {comment}".rstrip()
    beside = path.with_name(path.name + ".pub")
    written: list[Path] = []
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file, mode, content in (
            (path, 0o600, _encode_private_key(public, seed, comment)),
            (beside, 0o644, f"{line}\n".encode()),
        ):
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            written.append(file)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
                stream.flush()
                flush(descriptor)
        sync_folder(path.parent)
    except OSError as error:
        for file in written:  # half a key pair is of no use, and would be in the way
            file.unlink(missing_ok=True)
        if isinstance(error, FileExistsError) and path.parent.is_dir():
            raise ConflictError(
                f"'{error.filename}' exists already",
                hint=f"run 'ssh-keygen -l -f {error.filename}' to see which key it is",
            ) from None
        raise ConfigurationError(f"cannot write the key '{path}'", cause=error.strerror) from None
    return line


def _encode_private_key(public: bytes, seed: bytes, comment: str) -> bytes:
    """Return an unencrypted Ed25519 key as ssh-keygen writes it, in 70 columns."""
    fields = map(encode_string, (_ED25519, public, seed + public, comment.encode()))
    section = os.urandom(4) * 2 + b"".join(fields)
    section += bytes(range(1, 1 + -len(section) % 8))
    blob = encode_string(_ED25519) + encode_string(public)
    head = b"".join(map(encode_string, _UNENCRYPTED)) + (1).to_bytes(4, "big")
    content = _MAGIC + head + encode_string(blob) + encode_string(section)
    text = b2a_base64(content, newline=False)
    lines = b"".join(text[at : at + 70] + b"\n" for at in range(0, len(text), 70))
    return _BEGIN + lines + _END


def _decode_private_key(data: bytes) -> tuple[bytes, bytes | None]:
    """Return the public key in an OpenSSH key file, and the private section if it is in clear.

    Raises:
        ValueError: for anything but one key in this format.
    """
    text, end, _ = data.removeprefix(_BEGIN).partition(_END)
    try:
        content = a2b_base64(text)
    except Base64Error:
        raise ValueError("not base64") from None
    if not end or not content.startswith(_MAGIC):
        raise ValueError("not a private key in OpenSSH's format")
    reader = WireReader(content)
    reader.take(len(_MAGIC))
    cipher = reader.string(), reader.string(), reader.string()
    if reader.uint32() != 1:
        raise ValueError("the file holds more than one key")
    blob, section = reader.string(), reader.string()
    return blob, section if cipher == _UNENCRYPTED else None
