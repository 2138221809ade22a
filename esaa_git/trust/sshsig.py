"""SSH signatures: the format in which git signs commits with SSH keys.

Pure functions over bytes, after OpenSSH's PROTOCOL.sshsig; the wire types are those of RFC 4251,
the keys and signatures those of RFC 8332 (RSA), 5656 (ECDSA), 8709 (Ed25519) and OpenSSH's
PROTOCOL.u2f (security keys). One signature has one form: what `ssh-keygen -Y sign` writes, with
the smaller s where it is ECDSA (`normalised`). Which numbers are a key or a signature,
`esaa_git.trust.oneform` says before a library is asked. Certificates, DSA and SHA-1 are refused.

Bytes from outside end in a value or in `MalformedSignature`. `cryptography` is imported with the
first key, and only the part that this key needs.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from functools import lru_cache
from hashlib import sha256, sha512
from typing import Final, NamedTuple, TypeAlias

from esaa_git.trust.oneform import (
    CURVES,
    Unacceptable,
    check_ecdsa_signature,
    check_ed25519_key,
    check_ed25519_signature,
    check_point,
    check_rsa_composite,
    check_rsa_key,
    check_rsa_signature,
    low_s,
)
from esaa_git.trust.wire import (
    MalformedSignature as MalformedSignature,  # for those who catch what is raised here
)
from esaa_git.trust.wire import WireReader, encode_mpint, encode_string

NAMESPACE: Final = "git"
HASH_ALGORITHM: Final = "sha512"
# The largest signature we accept (RSA of 16384 bits) takes 5.8 KiB.
ARMOR_MAXIMUM_BYTES: Final = 8192

_BEGIN: Final = b"-----BEGIN SSH SIGNATURE-----\n"
_END: Final = b"-----END SSH SIGNATURE-----\n"
_COLUMNS: Final = 70
_MAGIC: Final = b"SSHSIG"
_PREAMBLE: Final = _MAGIC + b"\x00\x00\x00\x01"
_HASHES: Final = {"sha256": sha256, "sha512": sha512}
_USER_PRESENT: Final = 0x01

_Check: TypeAlias = Callable[[bytes, bytes], bool]


class BadSignature(Exception):
    """The signature is well formed, and was not made over this payload by the key it names."""


class WrongNamespace(BadSignature):
    """The signature was made for another purpose than the one asked for."""


class SshSignature(NamedTuple):
    """What a signature blob says; a tuple, because `verify` makes one for every commit."""

    public_key: bytes
    namespace: str
    hash_algorithm: str
    signature: bytes


# ---- the signature: armour, blob, signed data (PROTOCOL.sshsig, 1 to 3) ---------------------


def armor(blob: bytes) -> bytes:
    """Wrap a blob in text as ssh-keygen does: base64 in 70 columns, every line ends in LF."""
    text = b2a_base64(blob, newline=False)
    lines = [text[i : i + _COLUMNS] for i in range(0, len(text), _COLUMNS)]
    return b"%b%b\n%b" % (_BEGIN, b"\n".join(lines), _END)


def dearmor(armored: bytes) -> bytes:
    """Return the blob inside an armour that is, to the byte, what `armor` would write.

    Raises:
        MalformedSignature: for any other text, bytes before or after the armour included.
    """
    if len(armored) > ARMOR_MAXIMUM_BYTES:
        raise MalformedSignature(f"longer than {ARMOR_MAXIMUM_BYTES} bytes")
    if not armored.startswith(_BEGIN):
        raise MalformedSignature("does not start with 'BEGIN SSH SIGNATURE'")
    try:
        blob = a2b_base64(armored[len(_BEGIN) : -len(_END)])
    except Base64Error:
        raise MalformedSignature("not base64") from None
    # Writing it again finds every other spelling: columns, padding, CR, a second armour.
    if armor(blob) != armored:
        raise MalformedSignature("the armour is not as ssh-keygen writes it")
    return blob


def encode_blob(signature: SshSignature) -> bytes:
    """Return the binary form of a signature (PROTOCOL.sshsig, section 2)."""
    key, namespace, algorithm, inner = signature
    fields = (key, namespace.encode("ascii"), b"", algorithm.encode("ascii"), inner)
    return _PREAMBLE + b"".join(map(encode_string, fields))


def decode_blob(blob: bytes) -> SshSignature:
    """Read the binary form of a signature; the key and the inner signature stay unread.

    Raises:
        MalformedSignature: for anything but one complete version 1 blob.
    """
    if not blob.startswith(_PREAMBLE):
        raise MalformedSignature("not an SSHSIG blob of version 1")
    reader = WireReader(blob)
    reader.take(len(_PREAMBLE))
    public_key, namespace = reader.string(), reader.text()
    if not namespace or "\x00" in namespace:
        raise MalformedSignature("the namespace is empty or holds a NUL")
    # OpenSSH ignores what stands here and does not sign it, so it could be changed at will.
    if reader.string():
        raise MalformedSignature("the reserved field is not empty")
    hash_algorithm, signature = reader.text(), reader.string()
    if hash_algorithm not in _HASHES:
        raise MalformedSignature(f"hash algorithm '{hash_algorithm}' is not accepted")
    reader.end()
    return SshSignature(public_key, namespace, hash_algorithm, signature)


def encode(signature: SshSignature) -> bytes:
    """Return a signature as armoured text, ready for a commit's `gpgsig` header."""
    return armor(encode_blob(signature))


def decode(armored: bytes) -> SshSignature:
    """Read an armoured signature without judging it; raises `MalformedSignature`."""
    return decode_blob(dearmor(armored))


def normalised(inner: bytes) -> bytes:
    """Return an inner signature, as a signer gave it, in its one form.

    Of the two s of ECDSA the smaller is kept, for which no key is needed; what stands behind it
    (a security key's flags and counter) stays. Any other signature is returned as it is.

    Raises:
        MalformedSignature: if an ECDSA signature cannot be read.
    """
    reader = WireReader(inner)
    algorithm, raw = reader.string(), reader.string()
    curve = _curve_of(algorithm)
    if curve is None:
        return inner
    numbers = WireReader(raw)
    r, s = numbers.mpint(), numbers.mpint()
    numbers.end()
    rest = inner[len(algorithm) + len(raw) + 8 :]
    smaller = encode_mpint(r) + encode_mpint(low_s(CURVES[curve], s))
    return encode_string(algorithm) + encode_string(smaller) + rest


def signed_data(
    payload: bytes, namespace: str = NAMESPACE, hash_algorithm: str = HASH_ALGORITHM
) -> bytes:
    """Return the bytes that a key signs for `payload` (PROTOCOL.sshsig, section 3)."""
    digest = _HASHES[hash_algorithm](payload).digest()
    fields = (namespace.encode("ascii"), b"", hash_algorithm.encode("ascii"), digest)
    return _MAGIC + b"".join(map(encode_string, fields))


def verify(payload: bytes, armored: bytes, *, namespace: str = NAMESPACE) -> bytes:
    """Verify a signature and return the public key blob that made it.

    Whether that key may sign is the caller's question; `esaa_git.trust.signers` answers it.

    Raises:
        MalformedSignature: not a signature or key in a form we accept.
        WrongNamespace: made for another namespace.
        BadSignature: not made over this payload by that key.
    """
    signature = decode(armored)
    verify_decoded(payload, signature, namespace=namespace)
    return signature.public_key


def verify_decoded(payload: bytes, signature: SshSignature, *, namespace: str = NAMESPACE) -> None:
    """Verify a signature that `decode` has read; raises as `verify` does."""
    if signature.namespace != namespace:
        raise WrongNamespace(f"made for namespace '{signature.namespace}', not '{namespace}'")
    key = _load_key(signature.public_key)
    reader = WireReader(signature.signature)
    algorithm, raw = reader.string(), reader.string()
    data = signed_data(payload, namespace, signature.hash_algorithm)
    if key.application is not None:
        # PROTOCOL.u2f, "SSH U2F Signatures". A touch is demanded, as sshd does by default.
        flags, counter = reader.take(1), reader.take(4)
        if not flags[0] & _USER_PRESENT:
            raise BadSignature("made by a security key without a touch")
        data = key.application + flags + counter + sha256(data).digest()
    reader.end()
    check = key.checks.get(algorithm)
    if check is None:
        raise MalformedSignature(f"signature algorithm {algorithm!r} is not for this key")
    try:
        holds = check(raw, data)
    except Unacceptable as error:
        raise MalformedSignature(str(error)) from None
    if not holds:
        raise BadSignature("not made over this payload by the key it names")


# ---- public keys ----------------------------------------------------------------------------


class _Key(NamedTuple):
    checks: Mapping[bytes, _Check]  # by signature algorithm
    application: bytes | None = None  # SHA-256 of a security key's application
    modulus: int | None = None  # of an RSA key


def encode_public_key(blob: bytes) -> str:
    """Return the text of a public key: its type and its blob in base64, without a comment."""
    return f"{key_type(blob)} {_base64(blob)}"


def decode_public_key(line: str) -> bytes:
    """Return the blob of a public key line: type, base64 and an optional comment.

    Raises:
        MalformedSignature: for a key of a type that we do not know, or one that anybody can sign
            for as far as `oneform` tells it.
    """
    fields = line.split(None, 2)
    if len(fields) < 2:
        raise MalformedSignature("a public key is a type and a base64 text")
    try:
        blob = a2b_base64(fields[1].encode("ascii"))
    except (UnicodeEncodeError, Base64Error):
        raise MalformedSignature("the public key is not base64") from None
    if _base64(blob) != fields[1]:
        raise MalformedSignature("the public key is not canonical base64")
    if key_type(blob) != fields[0]:
        raise MalformedSignature(f"the key is not of the type '{fields[0]}' written before it")
    _load_key(blob)
    return blob


@lru_cache(maxsize=256)
def check_admissible(blob: bytes) -> None:
    """Refuse a key that must not be let in, for a reason that takes longer to find.

    Raises:
        MalformedSignature: naming the reason.
    """
    modulus = _load_key(blob).modulus
    if modulus is not None:
        try:
            check_rsa_composite(modulus)
        except Unacceptable as error:
            raise MalformedSignature(str(error)) from None


def key_type(blob: bytes) -> str:
    """Return the type that a public key blob names, such as `ssh-ed25519`."""
    return WireReader(blob).text()


def fingerprint(blob: bytes) -> str:
    """Return a key's fingerprint as `ssh-keygen -l` prints it: `SHA256:` and bare base64."""
    return "SHA256:" + _base64(sha256(blob).digest()).rstrip("=")


def _base64(data: bytes) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


@lru_cache(maxsize=256)
def _load_key(blob: bytes) -> _Key:
    # A long log is signed by few keys: parsing one again would double the cost of a check.
    reader = WireReader(blob)
    name = reader.string()
    load = _LOADERS.get(name)
    if load is None:
        raise MalformedSignature(f"key type {name!r} is not accepted")
    try:
        key = load(name, reader)
    except Unacceptable as error:
        raise MalformedSignature(str(error)) from None
    except ValueError:
        raise MalformedSignature(f"not a valid key of type {name!r}") from None
    if name.startswith(b"sk-"):
        key = key._replace(application=sha256(reader.string()).digest())
    reader.end()
    return key


def _answering(verify_or_raise: Callable[[bytes, bytes], None]) -> _Check:
    from cryptography.exceptions import InvalidSignature

    def check(raw: bytes, data: bytes) -> bool:
        try:
            verify_or_raise(raw, data)
        except InvalidSignature:
            return False
        return True

    return check


def _load_ed25519(name: bytes, reader: WireReader) -> _Key:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    point = reader.string()
    check_ed25519_key(point)
    key = Ed25519PublicKey.from_public_bytes(point)

    def verify_or_raise(raw: bytes, data: bytes) -> None:
        check_ed25519_signature(raw)
        key.verify(raw, data)

    return _Key({name: _answering(verify_or_raise)})


def _load_rsa(_name: bytes, reader: WireReader) -> _Key:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
    from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm

    exponent, modulus = reader.mpint(), reader.mpint()
    check_rsa_key(exponent, modulus)
    key = RSAPublicNumbers(exponent, modulus).public_key()

    def with_hash(algorithm: HashAlgorithm) -> _Check:
        padding = PKCS1v15()

        def verify_or_raise(raw: bytes, data: bytes) -> None:
            check_rsa_signature(raw, modulus)
            key.verify(raw, data, padding, algorithm)

        return _answering(verify_or_raise)

    checks = {b"rsa-sha2-256": with_hash(SHA256()), b"rsa-sha2-512": with_hash(SHA512())}
    return _Key(checks, modulus=modulus)


def _load_ecdsa(name: bytes, reader: WireReader) -> _Key:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512

    known: dict[str, tuple[ec.EllipticCurve, ec.ECDSA]] = {
        "nistp256": (ec.SECP256R1(), ec.ECDSA(SHA256())),
        "nistp384": (ec.SECP384R1(), ec.ECDSA(SHA384())),
        "nistp521": (ec.SECP521R1(), ec.ECDSA(SHA512())),
    }
    curve_name, point = reader.text(), reader.string()
    if curve_name != _curve_of(name):
        raise MalformedSignature("the curve is not the one that the key type names")
    numbers = CURVES[curve_name]
    check_point(numbers, point)
    curve, algorithm = known[curve_name]
    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)

    def verify_or_raise(raw: bytes, data: bytes) -> None:
        reader = WireReader(raw)
        r, s = reader.mpint(), reader.mpint()
        reader.end()
        check_ecdsa_signature(numbers, r, s)
        key.verify(encode_dss_signature(r, s), data, algorithm)

    return _Key({name: _answering(verify_or_raise)})


def _curve_of(name: bytes) -> str | None:
    """Return the curve that the name of a key type or algorithm of ECDSA ends in."""
    curve = name.partition(b"-sha2-")[2].partition(b"@")[0].decode("ascii", "replace")
    return curve if curve in CURVES else None


_LOADERS: Final[Mapping[bytes, Callable[[bytes, WireReader], _Key]]] = {
    b"ssh-ed25519": _load_ed25519,
    b"ssh-rsa": _load_rsa,
    b"ecdsa-sha2-nistp256": _load_ecdsa,
    b"ecdsa-sha2-nistp384": _load_ecdsa,
    b"ecdsa-sha2-nistp521": _load_ecdsa,
    b"sk-ssh-ed25519@openssh.com": _load_ed25519,
    b"sk-ecdsa-sha2-nistp256@openssh.com": _load_ecdsa,
}
KEY_TYPES: Final = frozenset(name.decode("ascii") for name in _LOADERS)
