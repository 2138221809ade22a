"""Deltas between two versions of a tree (gitformat-pack(5), "Deltified representation").

From one event to the next a few trees change by one entry's 20-byte id each, which no compressor
shrinks. Written as a delta against the version before, such a tree takes forty bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

_ID = 20
_COPY_MOST = 0xFFFF


def encode_delta(base: bytes, data: bytes) -> bytes:
    """Return the delta that makes `data` out of `base`, which has the same length."""
    size = len(data)
    out = bytearray(_varint(len(base)) + _varint(size))
    different = int.from_bytes(base, "big") ^ int.from_bytes(data, "big")
    at = 0
    while different:
        start = size - (different.bit_length() + 7) // 8
        _copy(out, at, start)
        at = min(start + _ID, size)
        out.append(at - start)
        out += data[start:at]
        different &= (1 << 8 * (size - at)) - 1
    _copy(out, at, size)
    return bytes(out)


def encode_distance(distance: int) -> bytes:
    """Return how an OFS_DELTA entry says how far before it its base begins."""
    out = [distance & 0x7F]
    distance >>= 7
    while distance:
        distance -= 1
        out.append(0x80 | distance & 0x7F)
        distance >>= 7
    return bytes(reversed(out))


def _copy(out: bytearray, start: int, end: int) -> None:
    while start < end:
        length = min(end - start, _COPY_MOST)
        command, operands = 0x80, bytearray()
        for number, (value, count) in enumerate(((start, 4), (length, 2))):
            for byte in range(count):
                part = value >> 8 * byte & 0xFF
                if part:
                    command |= 1 << (4 * number + byte)
                    operands.append(part)
        out.append(command)
        out += operands
        start += length


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(0x80 | value & 0x7F)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True, slots=True)
class Base:
    """A tree that is in the pack already: where, its bytes, how many deltas it stands on."""

    offset: int
    data: bytes
    depth: int


class TreeBases:
    """Remembers the trees written last, and finds the one that a new tree is a version of.

    Two versions have the same length, and the same first or the same last entry. A wrong guess
    costs space and nothing else.
    """

    LEAST = 200
    """Below this many bytes a delta saves nothing."""

    DEEPEST = 24
    """So many deltas stand on each other; git's own limit is 50 (git-pack-objects(1))."""

    KEPT = 2048

    def __init__(self) -> None:
        self._by_end: OrderedDict[bytes, Base] = OrderedDict()

    def find(self, data: bytes) -> Base | None:
        """Return the earlier version, or None where there is none to stand on."""
        if len(data) < self.LEAST:
            return None
        for end in _ends(data):
            base = self._by_end.get(end)
            if base is not None and len(base.data) == len(data) and base.depth < self.DEEPEST:
                return base
        return None

    def add(self, data: bytes, offset: int, depth: int) -> None:
        """Remember a tree that was written at this offset of the pack."""
        if len(data) < self.LEAST:
            return
        base = Base(offset, data, depth)
        for end in _ends(data):
            self._by_end[end] = base
            self._by_end.move_to_end(end)
        while len(self._by_end) > self.KEPT:
            self._by_end.popitem(last=False)


def _ends(data: bytes) -> tuple[bytes, bytes]:
    """Return the ids of the first and the last entry."""
    start = data.index(0) + 1
    return data[start : start + _ID], data[-_ID:]
