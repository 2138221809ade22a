"""Which objects a pack holds, by its index alone (gitformat-pack(5), "Version 2 pack-*.idx")."""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path

from esaa_git.errors import CorruptedError

_MAGIC = b"\xfftOc\0\0\0\x02"
_ID = 20
_FIRST = len(_MAGIC) + 256 * 4
_CHECKSUMS = 2 * _ID


class PackIndex:
    """The ids of a pack's objects, 20 bytes each, in order; the file may go while it is open.

    Raises:
        CorruptedError: if the file is no such index, or is cut off.
    """

    def __init__(self, path: Path) -> None:
        if path.stat().st_size >= _FIRST + _CHECKSUMS:
            with path.open("rb") as stream:
                data = self._data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            # How many ids begin with this byte or a lesser one.
            self._until = struct.unpack_from(">256I", data, len(_MAGIC))
            if data[: len(_MAGIC)] == _MAGIC and len(data) >= self._least_size():
                return
        raise CorruptedError(
            f"'{path}' is not the index of a pack",
            hint=f"run 'git index-pack {path.with_suffix('.pack')}' to have it written again",
        )

    def __len__(self) -> int:
        return int(self._until[255])

    def __iter__(self) -> Iterator[bytes]:
        for number in range(len(self)):
            yield self._id(number)

    def __contains__(self, oid: bytes) -> bool:
        first, until = self._until[oid[0] - 1] if oid[0] else 0, self._until[oid[0]]
        at = bisect_left(range(first, until), oid, key=self._id) + first
        return at < until and self._id(at) == oid

    def _least_size(self) -> int:
        return _FIRST + len(self) * (_ID + 4 + 4) + _CHECKSUMS

    def _id(self, number: int) -> bytes:
        place = _FIRST + number * _ID
        return self._data[place : place + _ID]
