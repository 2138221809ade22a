"""SSH's wire types (RFC 4251, section 5): lengths, texts and integers, each in one spelling."""

from __future__ import annotations


class MalformedSignature(Exception):
    """The bytes are no signature, or public key, in a form that we accept."""


def encode_string(value: bytes) -> bytes:
    """Return `value` behind its length, a `string` on the wire."""
    return len(value).to_bytes(4, "big") + value


def encode_mpint(value: int) -> bytes:
    """Return a positive integer as an `mpint`: big endian, shortest, with room for the sign."""
    return encode_string(value.to_bytes(value.bit_length() // 8 + 1, "big"))


class WireReader:
    """Reads wire values one after the other and never past the end.

    Raises:
        MalformedSignature: by every method, where the bytes do not hold what is asked for.
    """

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        start, end = self._at, self._at + count
        if end > len(self._data):
            raise MalformedSignature("a length reaches past the end")
        self._at = end
        return self._data[start:end]

    def uint32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def string(self) -> bytes:
        data = self._data
        start = self._at + 4
        end = start + int.from_bytes(data[start - 4 : start], "big")
        if start > len(data) or end > len(data):
            raise MalformedSignature("a length reaches past the end")
        self._at = end
        return data[start:end]

    def text(self) -> str:
        try:
            return self.string().decode("ascii")
        except UnicodeDecodeError:
            raise MalformedSignature("a name is not ASCII") from None

    def mpint(self) -> int:
        """Read a positive integer in its one shortest form."""
        value = int.from_bytes(raw := self.string(), "big")
        if value == 0 or len(raw) != value.bit_length() // 8 + 1:
            raise MalformedSignature("an integer is negative, zero or padded")
        return value

    def end(self) -> None:
        if self._at != len(self._data):
            raise MalformedSignature("bytes are left over at the end")
