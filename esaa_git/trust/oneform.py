"""Which numbers are a key, and which of several are the signature: one acceptance rule for all.

OpenSSL, gpg and OpenSSH each have a rule of their own, which changes from version to version, and
a log is to be judged alike by all of them. So what a library is asked has passed this first: a
key that anybody can sign for is none, and of the numbers that would verify one alone is the
signature (docs/FORMAT.md, "Keys and signatures").

Integers and bytes in, `Unacceptable` out; nothing is imported for it.
"""

from __future__ import annotations

from math import gcd, isqrt
from typing import Final, NamedTuple


class Unacceptable(ValueError):
    """A key or signature that is not taken, with the reason as its text."""


# -- Ed25519 (RFC 8032, sections 5.1.3 and 5.1.7) ----------------------------------------------

ED25519_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
_P: Final = 2**255 - 19
_D: Final = -121665 * pow(121666, -1, _P) % _P
_HIGH_BIT: Final = 1 << 255

# The points whose order is 1, 2, 4 or 8, by their y. Every signature fits some payload under them.
_SMALL_ORDER: Final = frozenset(
    {
        0,
        1,
        _P - 1,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)
_ED25519_BASE: Final = 4 * pow(5, -1, _P) % _P


def check_ed25519_key(raw: bytes) -> None:
    """Refuse 32 bytes that are not the one encoding of a point that somebody holds the key of."""
    if len(raw) != 32:
        raise Unacceptable("an Ed25519 key has 32 bytes")
    number = int.from_bytes(raw, "little")
    y = number & ~_HIGH_BIT
    if y >= _P:
        raise Unacceptable("the Ed25519 key is not in its one encoding")
    if y in _SMALL_ORDER:
        raise Unacceptable("the Ed25519 key is a point of small order, for which anybody can sign")
    if y == _ED25519_BASE:
        raise Unacceptable("the Ed25519 key is the curve's own base point: its secret is known")
    # x^2 = (y^2 - 1) / (d y^2 + 1) has to be a square; a product is one where the quotient is.
    square = (y * y - 1) * (_D * y * y + 1) % _P
    if pow(square, (_P - 1) // 2, _P) != 1:
        raise Unacceptable("the Ed25519 key is not a point of the curve")


def check_ed25519_signature(raw: bytes) -> None:
    """Refuse what is not R and an S below the group's order; S plus the order is its twin."""
    if len(raw) != 64:
        raise Unacceptable("an Ed25519 signature has 64 bytes")
    if int.from_bytes(raw[32:], "little") >= ED25519_ORDER:
        raise Unacceptable("S is not below the order of the group")


# -- ECDSA (SEC 1, sections 2.3.4, 3.2.2 and 4.1) ----------------------------------------------


class Curve(NamedTuple):
    """A curve y^2 = x^3 - 3x + b over the integers modulo `p`, with a base point of order `n`."""

    size: int
    p: int
    b: int
    n: int
    base_x: int


def _hex(*parts: str) -> int:
    return int("".join(parts), 16)


CURVES: Final = {
    "nistp256": Curve(
        32,
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        _hex("5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b"),
        2**256 - 2**224 + 2**192 - _hex("4319055258e8617b0c46353d039cdaaf"),
        _hex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
    ),
    "nistp384": Curve(
        48,
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        _hex(
            "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe814112",
            "0314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
        ),
        2**384 - _hex("389cb27e0bc8d220a7e5f24db74f58851313e695333ad68d"),
        _hex(
            "aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b98",
            "59f741e082542a385502f25dbf55296c3a545e3872760ab7",
        ),
    ),
    "nistp521": Curve(
        66,
        2**521 - 1,
        _hex(
            "51953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1",
            "56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00",
        ),
        2**521
        - 6 * 2**256
        + _hex("51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"),
        _hex(
            "c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dba",
            "a14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66",
        ),
    ),
}
"""The curves that keys may be on, by the name that SSH gives them."""


def check_point(curve: Curve, point: bytes) -> None:
    """Refuse bytes that are not the uncompressed form of a point that somebody holds the key of."""
    if point[:1] != b"\x04" or len(point) != 1 + 2 * curve.size:
        raise Unacceptable("the point is not in uncompressed form")
    x = int.from_bytes(point[1 : 1 + curve.size], "big")
    y = int.from_bytes(point[1 + curve.size :], "big")
    if x >= curve.p or y >= curve.p:
        raise Unacceptable("the point is not in its one encoding")
    if (y * y - x * x * x + 3 * x - curve.b) % curve.p:
        raise Unacceptable("the point is not on the curve")
    if x == curve.base_x:
        raise Unacceptable("the point is the curve's own base point: its secret is known")


def check_ecdsa_signature(curve: Curve, r: int, s: int) -> None:
    """Refuse numbers out of range, and the larger of the two s that verify."""
    if not (0 < r < curve.n and 0 < s < curve.n):
        raise Unacceptable("r or s is not below the order of the group")
    if s > curve.n // 2:
        raise Unacceptable("s is the larger of the two that verify")


def low_s(curve: Curve, s: int) -> int:
    """Return the smaller of the two s that verify beside one r; no key is needed for it."""
    return min(s, curve.n - s)


# -- RSA (RFC 8017, sections 3.1 and 8.2.2) ----------------------------------------------------

RSA_MINIMUM_BITS: Final = 2048
# OpenSSH's own upper bound; without one, a stranger's key could cost minutes.
RSA_MAXIMUM_BITS: Final = 16384
_RSA_EXPONENT: Final = 65537  # FIPS 186-5, section 5.4: above 2^16
_SMALL: Final = 2048
_FERMAT_ROUNDS: Final = 100


def check_rsa_key(exponent: int, modulus: int) -> None:
    """Refuse a key whose secret, or whose signatures, can be had from what is public.

    That is what can be told cheaply: size and exponent, a factor below 2048, and two factors so
    close that Fermat's method finds them. `check_rsa_composite` costs more.
    """
    bits = modulus.bit_length()
    if not RSA_MINIMUM_BITS <= bits <= RSA_MAXIMUM_BITS:
        raise Unacceptable(f"an RSA key of {bits} bits is not accepted")
    if exponent.bit_length() > 64:  # OpenSSL's bound for a modulus over 3072 bits
        raise Unacceptable("the RSA exponent is too large")
    if exponent < _RSA_EXPONENT or not exponent & 1:
        raise Unacceptable(f"the RSA exponent {exponent} is not odd and at least 65537")
    if gcd(modulus, _small_primes()) != 1:
        raise Unacceptable("the RSA modulus has a small factor")
    near = isqrt(modulus)
    for half in range(near, near + _FERMAT_ROUNDS):
        rest = half * half - modulus
        if rest >= 0 and isqrt(rest) ** 2 == rest:
            raise Unacceptable("the two factors of the RSA modulus are too close to each other")


def check_rsa_composite(modulus: int) -> None:
    """Refuse a modulus that is itself a prime, for which anybody can find the secret exponent.

    Fermat's test to the base 2: 20 ms for 2048 bits, so it is for where a key is let in.
    """
    if pow(2, modulus - 1, modulus) == 1:
        raise Unacceptable("the RSA modulus is a prime, for which anybody can sign")


def _small_primes() -> int:
    """Return the product of all primes below `_SMALL`."""
    sieve = bytearray([1]) * _SMALL
    product = 1
    for number in range(2, _SMALL):
        if sieve[number]:
            product *= number
            sieve[number * number :: number] = bytes(len(range(number * number, _SMALL, number)))
    return product


def check_rsa_signature(raw: bytes, modulus: int) -> None:
    """Refuse what is not as long as the modulus, and below it: s plus the modulus is its twin."""
    if len(raw) != (modulus.bit_length() + 7) // 8:
        raise Unacceptable("an RSA signature has the length of its modulus")
    if int.from_bytes(raw, "big") >= modulus:
        raise Unacceptable("an RSA signature is below its modulus")
