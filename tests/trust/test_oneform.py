"""One signature has one form, and a key that anybody could sign for is none."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from esaa_git.errors import ConfigurationError, UsageError
from esaa_git.trust import openpgp_form, sshsig
from esaa_git.trust.allowed_signers import SignatureRefused, allowed_signers_line
from esaa_git.trust.oneform import (
    CURVES,
    ED25519_ORDER,
    Unacceptable,
    check_ed25519_key,
    check_point,
    check_rsa_composite,
    check_rsa_key,
    low_s,
)
from esaa_git.trust.publickey import read_public_key
from esaa_git.trust.signer import SshSigner
from esaa_git.trust.signers import SignerSet
from esaa_git.trust.sshsig import MalformedSignature, SshSignature
from esaa_git.trust.wire import encode_mpint, encode_string

PAYLOAD = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\ndone T-1000\n"
P = 2**255 - 19
EC_KEYS = {
    "nistp256": ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1()),
    "nistp384": ec.derive_private_key(0x1234567890ABCDEF, ec.SECP384R1()),
    "nistp521": ec.derive_private_key(0x1234567890ABCDEF, ec.SECP521R1()),
}
DIGESTS = {"nistp256": SHA256(), "nistp384": SHA384(), "nistp521": SHA512()}
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def ed25519_blob(point: bytes) -> bytes:
    return encode_string(b"ssh-ed25519") + encode_string(point)


def ecdsa_blob(curve: str, point: bytes) -> bytes:
    fields = (f"ecdsa-sha2-{curve}".encode(), curve.encode(), point)
    return b"".join(map(encode_string, fields))


def rsa_blob(exponent: int, modulus: int) -> bytes:
    return encode_string(b"ssh-rsa") + encode_mpint(exponent) + encode_mpint(modulus)


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def line_of(blob: bytes) -> str:
    return sshsig.encode_public_key(blob)


# ---- keys -----------------------------------------------------------------------------------


def root_of(square: int) -> int | None:
    """Return a square root modulo 2^255 - 19, or None where there is none."""
    root = pow(square, (P + 3) // 8, P)
    for one in (root, root * pow(2, (P - 1) // 4, P) % P):
        if one * one % P == square % P:
            return one
    return None


def small_order_points() -> set[int]:
    """Return the y of the points whose order divides 8, by arithmetic and not from a list.

    A point of order 8, doubled, has y = 0: so x^2 = -y^2, and the curve says of z = y^2 that
    d z^2 + 2 z - 1 = 0.
    """
    d = -121665 * pow(121666, -1, P) % P
    found = {0, 1, P - 1}
    half = root_of(1 + d)
    assert half is not None
    for z in ((half - 1) * pow(d, -1, P) % P, (-half - 1) * pow(d, -1, P) % P):
        y = root_of(z)
        found |= set() if y is None else {y, P - y}
    return found


def test_points_of_small_order_are_refused_in_every_encoding() -> None:
    found = small_order_points()
    assert len(found) == 5
    for y in found:
        for encoded in {y, y | 1 << 255, *({y + P} if y + P < 1 << 255 else ())}:
            with pytest.raises(Unacceptable):
                check_ed25519_key(encoded.to_bytes(32, "little"))


@pytest.mark.parametrize(
    ("point", "reason"),
    [
        pytest.param((1).to_bytes(32, "little"), "small order", id="y is 1"),
        pytest.param(bytes(32), "small order", id="zero"),
        pytest.param((P + 1).to_bytes(32, "little"), "one encoding", id="y is p + 1"),
        pytest.param(b"\xff" * 32, "one encoding", id="all ones"),
        pytest.param((2).to_bytes(32, "little"), "not a point", id="off the curve"),
        pytest.param(
            (4 * pow(5, -1, P) % P).to_bytes(32, "little"), "base point", id="the base point"
        ),
        pytest.param(bytes(31), "32 bytes", id="too short"),
        pytest.param(bytes(33), "32 bytes", id="too long"),
    ],
)
def test_a_weak_or_misspelt_ed25519_key_is_refused_where_it_is_read(
    point: bytes, reason: str
) -> None:
    blob = ed25519_blob(point)
    with pytest.raises(MalformedSignature, match=reason):
        sshsig.decode_public_key(line_of(blob))
    with pytest.raises(ConfigurationError, match="line 1") as caught:
        SignerSet.parse(f"admin {line_of(blob)}\n".encode())
    assert reason in str(caught.value.cause)
    with pytest.raises(ConfigurationError, match="cannot be used"):
        allowed_signers_line(["admin"], line_of(blob))
    with pytest.raises(UsageError, match="no public key that can be trusted"):
        read_public_key(f"key::{line_of(blob)}")


def test_the_signature_that_anybody_can_write_does_not_verify() -> None:
    blob = ed25519_blob(b"\x01" + bytes(31))
    inner = encode_string(b"ssh-ed25519") + encode_string(b"\x01" + bytes(63))
    forged = sshsig.encode(SshSignature(blob, "git", "sha512", inner))
    with pytest.raises(MalformedSignature, match="anybody can sign"):
        sshsig.verify(PAYLOAD, forged)


@pytest.mark.parametrize("curve", CURVES)
def test_a_weak_or_misspelt_ecdsa_key_is_refused_where_it_is_read(curve: str) -> None:
    numbers, honest = CURVES[curve], point_of(EC_KEYS[curve])
    check_point(numbers, honest)
    size = numbers.size
    x, y = honest[1 : 1 + size], honest[1 + size :]
    base = ec.derive_private_key(1, EC_KEYS[curve].curve)
    negated = ec.derive_private_key(numbers.n - 1, EC_KEYS[curve].curve)
    for point, reason in (
        (b"\x00", "uncompressed"),  # infinity
        (b"\x02" + x, "uncompressed"),
        (b"\x04" + bytes(2 * size), "not on the curve"),
        (b"\x04" + x + bytes([y[0], y[1] ^ 1]) + y[2:], "not on the curve"),
        (b"\x04" + b"\xff" * (2 * size), "one encoding"),
        (point_of(base), "base point"),
        (point_of(negated), "base point"),
    ):
        with pytest.raises(MalformedSignature, match=reason):
            sshsig.decode_public_key(line_of(ecdsa_blob(curve, point)))


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def test_weak_rsa_keys_are_refused_where_they_are_read(rsa_key: rsa.RSAPrivateKey) -> None:
    secret = rsa_key.private_numbers()
    honest = secret.public_numbers.n
    check_rsa_key(65537, honest)
    near = secret.p + 2
    for exponent, modulus, reason in (
        (1, honest, "exponent 1 "),
        (3, honest, "exponent 3 "),
        (65538, honest, "exponent 65538"),
        ((1 << 64) + 1, honest, "too large"),
        (65537, honest >> 1, "2047 bits"),
        (65537, 1 << 2047, "small factor"),  # even
        (65537, 1999 * (honest // 1999), "small factor"),
        (65537, secret.p * secret.p, "too close"),
        (65537, secret.p * near, "too close|small factor"),
    ):
        with pytest.raises(MalformedSignature, match=reason):
            sshsig.decode_public_key(line_of(rsa_blob(exponent, modulus)))


def test_an_rsa_modulus_that_is_a_prime_is_not_let_in(rsa_key: rsa.RSAPrivateKey) -> None:
    check_rsa_composite(rsa_key.private_numbers().public_numbers.n)
    prime = 2**2203 - 1  # Mersenne's
    blob = rsa_blob(65537, prime)
    with pytest.raises(UsageError) as refused:
        read_public_key(f"key::{line_of(blob)}")
    assert "prime" in str(refused.value.cause)
    signers = SignerSet.parse(f"admin {line_of(blob)}\n".encode())
    with pytest.raises(ConfigurationError, match="cannot be trusted"):
        signers.check_admissible()


# ---- signatures by SSH keys -----------------------------------------------------------------


@dataclass
class Twin:
    """An honest signature and the same with other numbers."""

    blob: bytes
    algorithm: bytes

    def armored(self, raw: bytes, rest: bytes = b"") -> bytes:
        inner = encode_string(self.algorithm) + encode_string(raw) + rest
        return sshsig.encode(SshSignature(self.blob, "git", "sha512", inner))


def test_s_and_the_groups_order_is_no_ed25519_signature() -> None:
    twin = Twin(ed25519_blob(ED25519.public_key().public_bytes_raw()), b"ssh-ed25519")
    raw = ED25519.sign(sshsig.signed_data(PAYLOAD))
    assert sshsig.verify(PAYLOAD, twin.armored(raw)) == twin.blob
    s = int.from_bytes(raw[32:], "little")
    for other in (raw[:32] + (s + ED25519_ORDER).to_bytes(32, "little"), raw[:-1], raw + b"\0"):
        with pytest.raises(MalformedSignature):
            sshsig.verify(PAYLOAD, twin.armored(other))


@pytest.mark.parametrize("curve", CURVES)
def test_of_the_two_s_of_ecdsa_the_smaller_one_is_the_signature(curve: str) -> None:
    key, n = EC_KEYS[curve], CURVES[curve].n
    twin = Twin(ecdsa_blob(curve, point_of(key)), f"ecdsa-sha2-{curve}".encode())
    data = sshsig.signed_data(PAYLOAD)
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(DIGESTS[curve])))
    s = low_s(CURVES[curve], s)
    assert low_s(CURVES[curve], n - s) == s
    assert sshsig.verify(PAYLOAD, twin.armored(encode_mpint(r) + encode_mpint(s))) == twin.blob
    for wrong in ((r, n - s), (r, s + n), (r + n, s), (n, s), (r, n)):
        with pytest.raises(MalformedSignature, match=r"larger|order"):
            sshsig.verify(PAYLOAD, twin.armored(b"".join(map(encode_mpint, wrong))))
    for raw in (
        encode_string(b"\x00\x00" + r.to_bytes(66, "big")) + encode_mpint(s),
        encode_string(b"") + encode_mpint(s),
        encode_mpint(r) + encode_mpint(s) + encode_mpint(s),
    ):
        with pytest.raises(MalformedSignature):
            sshsig.verify(PAYLOAD, twin.armored(raw))


def test_an_rsa_signature_has_the_length_of_its_modulus_and_is_below_it(
    rsa_key: rsa.RSAPrivateKey,
) -> None:
    numbers = rsa_key.public_key().public_numbers()
    twin = Twin(rsa_blob(numbers.e, numbers.n), b"rsa-sha2-512")
    raw = rsa_key.sign(sshsig.signed_data(PAYLOAD), PKCS1v15(), SHA512())
    assert sshsig.verify(PAYLOAD, twin.armored(raw)) == twin.blob
    larger = int.from_bytes(raw, "big") + numbers.n
    for other in (
        b"\0" + raw,
        raw[1:],
        raw.lstrip(b"\0")[:-1],
        larger.to_bytes(257, "big"),
        (2**2048 - 1).to_bytes(256, "big"),
    ):
        with pytest.raises(MalformedSignature, match="RSA signature"):
            sshsig.verify(PAYLOAD, twin.armored(other))


class Device(SshSigner):
    """A signer that always makes the larger s, as an agent or a security key may."""

    def __init__(self, curve: str, rest: bytes = b"") -> None:
        self.key, self.curve, self.rest = EC_KEYS[curve], curve, rest
        super().__init__(ecdsa_blob(curve, point_of(self.key)))

    def _sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(DIGESTS[self.curve])))
        n = CURVES[self.curve].n
        numbers = encode_mpint(r) + encode_mpint(max(s, n - s))
        return encode_string(self.key_type.encode()) + encode_string(numbers) + self.rest


@pytest.mark.parametrize("curve", CURVES)
def test_what_a_signer_makes_is_brought_into_its_form_before_it_is_stored(curve: str) -> None:
    signer = Device(curve)
    assert sshsig.verify(PAYLOAD, signer.sign(PAYLOAD)) == signer.blob


def test_what_a_security_key_puts_behind_its_numbers_stays() -> None:
    tail = b"\x01\x00\x00\x00\x07"
    made = sshsig.decode(Device("nistp256", tail).sign(PAYLOAD)).signature
    assert made.endswith(tail)
    assert sshsig.normalised(made) == made


# ---- OpenPGP --------------------------------------------------------------------------------


def mpi(number: int) -> bytes:
    size = (number.bit_length() + 7) // 8
    return number.bit_length().to_bytes(2, "big") + number.to_bytes(size, "big")


def public_key(algorithm: int, material: bytes) -> tuple[str, str]:
    """The armoured packet of a public key, and its fingerprint."""
    body = b"\x04\x63\x00\x00\x00" + bytes([algorithm]) + material
    framed = b"\x99" + len(body).to_bytes(2, "big") + body
    fingerprint = hashlib.sha1(framed, usedforsecurity=False).hexdigest().upper()
    text = b64encode(framed).decode()
    begin, end = (f"-----{word} PGP PUBLIC KEY BLOCK-----\n" for word in ("BEGIN", "END"))
    return f"{begin}\n{text}\n{end}", fingerprint


P256_MATERIAL = bytes.fromhex("082a8648ce3d030107") + b"\x02\x03" + point_of(EC_KEYS["nistp256"])
BLOCK, FINGERPRINT = public_key(19, P256_MATERIAL)
HASHED = b"\x16\x21\x04" + bytes.fromhex(FINGERPRINT) + b"\x05\x02\x63\x00\x00\x01"


def pgp_packet(
    payload: bytes = PAYLOAD,
    *,
    hashed: bytes = HASHED,
    unhashed: bytes = b"\x09\x10" + bytes.fromhex(FINGERPRINT[24:]),
    left: bytes | None = None,
    high: bool = False,
    zeros: int = 0,
    header: str = "old",
    kind: int = 0,
) -> bytes:
    """A signature over the payload, by P-256 and SHA-256, with the malleable parts as given."""
    signed = bytes([4, kind, 19, 8]) + len(hashed).to_bytes(2, "big") + hashed
    trailer = b"\x04\xff" + len(signed).to_bytes(4, "big")
    digest = hashlib.sha256(payload + signed + trailer).digest()
    made = EC_KEYS["nistp256"].sign(digest, ec.ECDSA(Prehashed(SHA256())))
    r, s = decode_dss_signature(made)
    curve = CURVES["nistp256"]
    s = low_s(curve, s)
    s = curve.n - s if high else s
    encoded = mpi(s)
    if zeros:
        encoded = (8 * (zeros + 32)).to_bytes(2, "big") + s.to_bytes(32 + zeros, "big")
    body = signed + len(unhashed).to_bytes(2, "big") + unhashed
    body += (digest[:2] if left is None else left) + mpi(r) + encoded
    head = {
        "old": bytes([0x88, len(body)]),
        "longer": b"\x89" + len(body).to_bytes(2, "big"),
        "longest": b"\x8a" + len(body).to_bytes(4, "big"),
        "new": bytes([0xC2, len(body)]),
        "new five": b"\xc2\xff" + len(body).to_bytes(4, "big"),
    }
    return head[header] + body


@pytest.fixture(scope="module")
def pinned() -> SignerSet:
    """A pinned OpenPGP key, and a gpg that says yes to everything it is asked."""
    yaml = f"- principals: [admin]\n  fingerprint: {FINGERPRINT}\n  public_key: |\n"
    yaml += "".join(f"    {line}\n" for line in BLOCK.splitlines())
    return YesSet.parse(b"", yaml.encode())


class YesSet(SignerSet):
    """Signers whose gpg verifies whatever reaches it."""

    def _make_gpg_home(self) -> str:
        return "/tmp"

    def _gpg(self, home: str, arguments: list[str], data: bytes) -> list[str]:
        return [f"VALIDSIG {FINGERPRINT} 2022-08-19 1 0 4 0 19 8 00 {FINGERPRINT}"]


HONEST = openpgp_form.armor(pgp_packet())


def test_an_openpgp_signature_in_the_form_of_gpg_reaches_gpg(pinned: SignerSet) -> None:
    assert pinned.verify(PAYLOAD, HONEST).fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    "armored",
    [
        pytest.param(openpgp_form.armor(pgp_packet(high=True)), id="the larger s"),
        pytest.param(openpgp_form.armor(pgp_packet(zeros=1)), id="a padded integer"),
        pytest.param(openpgp_form.armor(pgp_packet(left=b"\0\0")), id="another digest prefix"),
        pytest.param(openpgp_form.armor(pgp_packet(unhashed=b"")), id="nothing unhashed"),
        pytest.param(
            openpgp_form.armor(pgp_packet(unhashed=b"\x09\x10" + bytes(8))), id="another key id"
        ),
        pytest.param(
            openpgp_form.armor(
                pgp_packet(unhashed=b"\x09\x10" + bytes.fromhex(FINGERPRINT[24:]) + b"\x05\x14abcd")
            ),
            id="a note unhashed",
        ),
        pytest.param(
            openpgp_form.armor(
                pgp_packet(unhashed=b"\xff\x00\x00\x00\x09\x10" + bytes.fromhex(FINGERPRINT[24:]))
            ),
            id="a longer length unhashed",
        ),
        *(
            pytest.param(openpgp_form.armor(pgp_packet(header=header)), id=f"header {header}")
            for header in ("longer", "longest", "new", "new five")
        ),
        pytest.param(openpgp_form.armor(pgp_packet() + b"\0"), id="a byte more"),
        pytest.param(openpgp_form.armor(pgp_packet() + b"\xb4\x01x"), id="a packet more"),
        pytest.param(openpgp_form.armor(pgp_packet(hashed=b"\x05\x02\x63\0\0\1")), id="no issuer"),
        pytest.param(HONEST.replace(b"-----\n\n", b"-----\nComment: x\n\n", 1), id="a comment"),
        pytest.param(HONEST.replace(b"-----\n\n", b"-----\nVersion: 1\n\n", 1), id="a version"),
        pytest.param(HONEST[: HONEST.index(b"\n=")] + b"\n" + HONEST[-28:], id="no CRC"),
        pytest.param(HONEST.replace(b"\n=", b"\n=A", 1), id="a CRC too long"),
        pytest.param(HONEST.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(HONEST + b"\n", id="a line more"),
        pytest.param(
            HONEST[:30] + HONEST[30:].replace(b"\n", b"", 2).replace(b"=", b"\n=", 1),
            id="other lines",
        ),
    ],
)
def test_an_openpgp_signature_in_any_other_form_reaches_no_gpg(
    pinned: SignerSet, armored: bytes
) -> None:
    assert armored != HONEST
    with pytest.raises(SignatureRefused) as caught:
        pinned.verify(PAYLOAD, armored)
    assert caught.value.reason in ("malformed", "bad")


def test_what_a_gpg_made_is_brought_into_its_form_before_it_is_stored(pinned: SignerSet) -> None:
    keys = openpgp_form.public_keys(BLOCK).values()
    note = b"\x05\x14abcd"
    made = openpgp_form.armor(pgp_packet(high=True, header="new five", unhashed=note))
    with_comment = made.replace(b"-----\n\n", b"-----\nComment: of a tool\n\n", 1)
    form = openpgp_form.normalised(with_comment, keys)
    assert openpgp_form.normalised(form, keys) == form
    assert pinned.verify(PAYLOAD, form).fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    ("algorithm", "material", "reason"),
    [
        pytest.param(17, mpi(3) * 4, "DSA", id="DSA"),
        pytest.param(1, mpi((1 << 1023) + 1) + mpi(65537), "1024 bits", id="a short RSA key"),
        pytest.param(1, mpi(1 << 2047) + mpi(65537), "small factor", id="an even RSA modulus"),
        pytest.param(1, mpi((1 << 2047) + 9) + mpi(1), "exponent 1 ", id="an RSA exponent of 1"),
        pytest.param(
            22,
            bytes.fromhex("092b06010401da470f01010740") + b"\x01" + bytes(31),
            "small order",
            id="a point of small order",
        ),
        pytest.param(19, P256_MATERIAL[:-1] + b"\0", "not on the curve", id="off the curve"),
        pytest.param(
            19, bytes.fromhex("052b8104000a0203") + bytes(65), "curve other than", id="secp256k1"
        ),
        pytest.param(18, P256_MATERIAL, "cannot sign", id="a key that only encrypts"),
        pytest.param(99, b"", "algorithm 99", id="an unknown algorithm"),
    ],
)
def test_a_weak_openpgp_key_is_refused_where_it_is_read(
    algorithm: int, material: bytes, reason: str
) -> None:
    block, fingerprint = public_key(algorithm, material)
    yaml = f"- principals: [admin]\n  fingerprint: {fingerprint}\n  public_key: |\n"
    yaml += "".join(f"    {line}\n" for line in block.splitlines())
    with pytest.raises(ConfigurationError, match="line 1") as caught:
        SignerSet.parse(b"", yaml.encode())
    assert reason in str(caught.value.cause)
