"""An OpenPGP signature in its one form, and the numbers of the keys that may make it (RFC 4880).

A detached signature holds much that nothing signs: the armour, the packet's header, the unhashed
subpackets, the first two octets of the digest, the spelling of integers. All of it is fixed here
to what gpg writes, so that of all texts which gpg would verify one alone is the signature.
`normalised` brings what a gpg made into that form; whatever else arrives is refused before gpg
is started.
"""

from __future__ import annotations

import hashlib
import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from esaa_git.trust.oneform import (
    CURVES,
    Curve,
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

BEGIN_SIGNATURE: Final = b"-----BEGIN PGP SIGNATURE-----\n"
_END: Final = b"-----END PGP SIGNATURE-----\n"
_COLUMNS: Final = 64
ARMOR_MAXIMUM_BYTES: Final = 8192

# Patterns stay text, and compile where they are first used: that is half of this import's time.
_ARMOR: Final = rb"(?:[A-Za-z]+: [^\n]*\n)*\n((?:[A-Za-z0-9+/]+={0,2}\n)+)(?:=[A-Za-z0-9+/]{4}\n)?"

_RSA, _RSA_SIGN_ONLY, _ECDSA, _EDDSA = 1, 3, 19, 22
_NEVER_SIGN: Final = frozenset({2, 16, 18})  # RSA encrypt-only, Elgamal, ECDH
_HASHES: Final = {8: "sha256", 9: "sha384", 10: "sha512", 11: "sha224"}
_ISSUER, _ISSUER_FINGERPRINT = 16, 33
_CURVE_OIDS: Final = {
    bytes.fromhex("2a8648ce3d030107"): "nistp256",
    bytes.fromhex("2b81040022"): "nistp384",
    bytes.fromhex("2b81040023"): "nistp521",
}
_ED25519_OID: Final = bytes.fromhex("2b06010401da470f01")
_PUBLIC_KEY, _SIGNATURE, _SUBKEY = 6, 2, 14


class PgpSignature(NamedTuple):
    """What one version 4 signature packet says; `signed` is the part of it that is signed."""

    issuer: str
    kind: int
    algorithm: int
    digest: int
    signed: bytes
    left: bytes
    numbers: tuple[int, ...]


class PgpKey(NamedTuple):
    """A public key or subkey: its fingerprint, algorithm, and the numbers by which it is judged."""

    fingerprint: str
    algorithm: int
    modulus: int | None = None
    curve: Curve | None = None


# -- the armour (RFC 4880, section 6) ----------------------------------------------------------


def armor(packet: bytes) -> bytes:
    """Return the armour that gpg writes: no headers, base64 in 64 columns, the CRC."""
    text = b2a_base64(packet, newline=False)
    lines = b"".join(text[at : at + _COLUMNS] + b"\n" for at in range(0, len(text), _COLUMNS))
    crc = b2a_base64(_crc24(packet).to_bytes(3, "big"), newline=False)
    return b"%b\n%b=%b\n%b" % (BEGIN_SIGNATURE, lines, crc, _END)


def _dearmor(armored: bytes) -> bytes:
    whole = armored.startswith(BEGIN_SIGNATURE) and armored.endswith(_END)
    if not whole or len(armored) > ARMOR_MAXIMUM_BYTES:
        raise Unacceptable("not one armoured OpenPGP signature")
    found = re.fullmatch(_ARMOR, armored[len(BEGIN_SIGNATURE) : -len(_END)])
    if found is None:
        raise Unacceptable("not one armoured OpenPGP signature")
    return _base64(found[1])


def _base64(text: bytes) -> bytes:
    try:
        return a2b_base64(text.replace(b"\n", b""), strict_mode=True)
    except Base64Error:
        raise Unacceptable("not base64") from None


def _crc24(data: bytes) -> int:
    crc = 0xB704CE
    for octet in data:
        crc ^= octet << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1864CFB
    return crc


# -- the signature packet (RFC 4880, section 5.2.3) --------------------------------------------


def decode(armored: bytes) -> PgpSignature:
    """Read a signature that is, to the byte, in its one form, but for which numbers it holds.

    Raises:
        Unacceptable: for anything else.
    """
    packet = _dearmor(armored)
    signature = _decode_packet(packet)
    if armor(_encode_packet(signature)) != armored:
        raise Unacceptable("the signature is not in the form that gpg writes")
    return signature


def normalised(armored: bytes, keys: Iterable[PgpKey]) -> bytes:
    """Return a signature, as some gpg made it, in its one form; what is signed stays.

    Args:
        keys: the signer's public keys, by which the smaller s of ECDSA is known.

    Raises:
        Unacceptable: if it cannot be brought into that form.
    """
    signature = _decode_packet(_dearmor(armored))
    key = {one.fingerprint: one for one in keys}.get(signature.issuer)
    if key is not None and key.curve is not None and len(signature.numbers) == 2:
        r, s = signature.numbers
        signature = signature._replace(numbers=(r, low_s(key.curve, s)))
    return armor(_encode_packet(signature))


def check_numbers(signature: PgpSignature, key: PgpKey) -> None:
    """Refuse a signature whose numbers are not those that the key's algorithm takes for one.

    Raises:
        Unacceptable: naming the reason.
    """
    numbers = signature.numbers
    rsa = {_RSA, _RSA_SIGN_ONLY}
    same = signature.algorithm == key.algorithm or {signature.algorithm, key.algorithm} <= rsa
    if not same or len(numbers) != (1 if key.modulus is not None else 2):
        raise Unacceptable("the algorithm is not that of the key")
    if key.modulus is not None:
        size = (key.modulus.bit_length() + 7) // 8
        if numbers[0] >= key.modulus:
            raise Unacceptable("an RSA signature is below its modulus")
        check_rsa_signature(numbers[0].to_bytes(size, "big"), key.modulus)
    elif key.curve is not None:
        check_ecdsa_signature(key.curve, *numbers)
    else:
        if max(numbers).bit_length() > 256:
            raise Unacceptable("an Ed25519 signature has 64 bytes")
        check_ed25519_signature(b"".join(number.to_bytes(32, "big") for number in numbers))


def begins_with(signature: PgpSignature, payload: bytes) -> bool:
    """Answer whether the digest of the payload begins with the two octets that the packet names.

    gpg does not look at them, so any two would do (RFC 4880, section 5.2.4).
    """
    trailer = b"\x04\xff" + len(signature.signed).to_bytes(4, "big")
    made = hashlib.new(_HASHES[signature.digest], payload)
    made.update(signature.signed + trailer)
    return made.digest()[:2] == signature.left


def is_accepted_digest(digest: int) -> bool:
    """Answer whether a hash algorithm is one that does not collide: SHA-2 (section 9.4)."""
    return digest in _HASHES


def _decode_packet(packet: bytes) -> PgpSignature:
    reader = _Reader(packet)
    tag, body = reader.packet()
    reader.end()
    if tag != _SIGNATURE:
        raise Unacceptable("not a single OpenPGP signature packet")
    reader = _Reader(body)
    version, kind, algorithm, digest = reader.take(4)
    if version != 4:
        raise Unacceptable("not a signature packet of version 4")
    hashed = reader.take(reader.number(2))
    signed = body[: 6 + len(hashed)]
    reader.take(reader.number(2))  # nothing signs them
    left = reader.take(2)
    numbers = []
    while not reader.is_at_end:
        numbers.append(reader.mpi())
    issuers = [data for kind_, data in _subpackets(hashed) if kind_ == _ISSUER_FINGERPRINT]
    if len(issuers) != 1 or len(issuers[0]) != 21 or issuers[0][0] != 4:
        raise Unacceptable("it does not sign the fingerprint of its key (gpg does from 2.1.16 on)")
    issuer = issuers[0][1:].hex().upper()
    return PgpSignature(issuer, kind, algorithm, digest, signed, left, tuple(numbers))


def _encode_packet(signature: PgpSignature) -> bytes:
    """Return the packet as gpg writes it: old header, and the key id alone in what is unsigned."""
    key_id = bytes([9, _ISSUER]) + bytes.fromhex(signature.issuer[24:])
    numbers = b"".join(
        number.bit_length().to_bytes(2, "big")
        + number.to_bytes((number.bit_length() + 7) // 8, "big")
        for number in signature.numbers
    )
    unhashed = len(key_id).to_bytes(2, "big") + key_id
    body = signature.signed + unhashed + signature.left + numbers
    if len(body) < 256:
        return bytes([0x88, len(body)]) + body
    return b"\x89" + len(body).to_bytes(2, "big") + body


def _subpackets(area: bytes) -> Iterator[tuple[int, bytes]]:
    reader = _Reader(area)
    while not reader.is_at_end:
        first = reader.number(1)
        if first < 192:
            size = first
        elif first < 255:
            size = ((first - 192) << 8) + reader.number(1) + 192
        else:
            size = reader.number(4)
        data = reader.take(size)
        if not data:
            raise Unacceptable("an empty subpacket")
        yield data[0] & 0x7F, data[1:]


# -- public keys (RFC 4880, section 5.5.2; RFC 6637, section 9) --------------------------------


def public_keys(armored: str) -> Mapping[str, PgpKey]:
    """Return the keys that may sign, by fingerprint, of one armoured public key.

    Raises:
        Unacceptable: for bytes that are no key, a primary key of a kind that we do not take, or
            one that anybody could sign for.
    """
    _, _, rest = armored.partition("\n\n")
    text, _, _ = rest.partition("-----END")
    lines = [line for line in text.split("\n") if line and not line.startswith("=")]
    data = _base64("\n".join(lines).encode("ascii", "replace"))
    reader, found = _Reader(data), {}
    while not reader.is_at_end:
        tag, body = reader.packet()
        if tag in (_PUBLIC_KEY, _SUBKEY):
            key = _public_key(body)
            if key is not None:
                found[key.fingerprint] = key
            elif tag == _PUBLIC_KEY:
                raise Unacceptable("its primary key cannot sign, or not in a way that we accept")
    if not found:
        raise Unacceptable("it holds no key that can sign")
    return found


def check_admissible(keys: Iterable[PgpKey]) -> None:
    """Refuse keys that must not be let in, for a reason that takes longer to find."""
    for key in keys:
        if key.modulus is not None:
            check_rsa_composite(key.modulus)


def _public_key(body: bytes) -> PgpKey | None:
    """Return one key, or None for one that signs nothing."""
    reader = _Reader(body)
    if reader.number(1) != 4:
        return None
    reader.take(4)
    algorithm = reader.number(1)
    made = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body, usedforsecurity=False)
    fingerprint = made.hexdigest().upper()
    if algorithm in (_RSA, _RSA_SIGN_ONLY):
        modulus, exponent = reader.mpi(), reader.mpi()
        check_rsa_key(exponent, modulus)
        return PgpKey(fingerprint, algorithm, modulus=modulus)
    if algorithm == _ECDSA:
        curve = CURVES.get(_CURVE_OIDS.get(reader.take(reader.number(1)), ""))
        if curve is None:
            raise Unacceptable("an ECDSA key on a curve other than NIST's is not accepted")
        check_point(curve, reader.mpi_bytes())
        return PgpKey(fingerprint, algorithm, curve=curve)
    if algorithm == _EDDSA:
        if reader.take(reader.number(1)) != _ED25519_OID:
            raise Unacceptable("an EdDSA key on a curve other than Ed25519 is not accepted")
        point = reader.mpi_bytes()
        if point[:1] != b"\x40":
            raise Unacceptable("the Ed25519 key is not in its one encoding")
        check_ed25519_key(point[1:])
        return PgpKey(fingerprint, algorithm)
    if algorithm in _NEVER_SIGN:
        return None
    raise Unacceptable(f"a key of OpenPGP's algorithm {algorithm} (DSA is 17) is not accepted")


class _Reader:
    """Reads one thing after the other and never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        return self._at == len(self._data)

    def end(self) -> None:
        if not self.is_at_end:
            raise Unacceptable("not a single OpenPGP signature packet")

    def take(self, count: int) -> bytes:
        data = self._data[self._at : self._at + count]
        if len(data) != count:
            raise Unacceptable("a length reaches past the end")
        self._at += count
        return data

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def mpi_bytes(self) -> bytes:
        return self.take((self.number(2) + 7) // 8)

    def mpi(self) -> int:
        return int.from_bytes(self.mpi_bytes(), "big")

    def packet(self) -> tuple[int, bytes]:
        """Return tag and body of a packet whose length is known (sections 4.2.1 and 4.2.2)."""
        header = self.number(1)
        if header & 0xC0 == 0xC0:
            first = self.number(1)
            if first < 192:
                size = first
            elif first < 224:
                size = ((first - 192) << 8) + self.number(1) + 192
            elif first == 255:
                size = self.number(4)
            else:
                raise Unacceptable("a packet in parts")
            return header & 0x3F, self.take(size)
        if not header & 0x80 or header & 3 == 3:
            raise Unacceptable("not a packet of OpenPGP")
        return (header >> 2) & 0xF, self.take(self.number(1 << (header & 3)))
