"""The files of an object folder: loose objects, packs, and what was never finished."""

from __future__ import annotations

import mmap
import os
import re
import struct
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from esaa_git.errors import CorruptedError

_IS_OBJECT = re.compile("[0-9a-f]{38}").fullmatch
_UNFINISHED = (("??/tmp_obj_*", 3600), ("pack/tmp_pack_*", 86_400), ("pack/tmp_idx_*", 86_400))
"""How git names what it is writing, and after how many seconds no process is writing it any more:
an object takes milliseconds, a pack that is being fetched may take hours."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a repository's own objects take: loose files, packs, and blocks of the disk in bytes."""

    loose: int
    packs: int
    bytes: int


class ObjectFolder:
    """One `objects` folder, which others write to meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def loose(self) -> Iterator[os.DirEntry[str]]:
        """Yield the files of loose objects."""
        for number in range(256):
            try:
                with os.scandir(self.path / f"{number:02x}") as entries:
                    yield from (entry for entry in entries if _IS_OBJECT(entry.name))
            except FileNotFoundError:
                continue

    def usage(self) -> Usage:
        """Count what there is."""
        loose = taken = packs = 0
        for entry in self.loose():
            taken += _blocks(entry)
            loose += 1
        folder = self.path / "pack"
        if folder.is_dir():
            with os.scandir(folder) as entries:
                for entry in entries:
                    taken += _blocks(entry)
                    packs += entry.name.endswith(".pack")
        return Usage(loose, packs, taken)

    def remove_unfinished(self) -> Iterator[str]:
        """Remove what a git that died has left of the object, or the pack, that it was writing."""
        now = time.time()
        for pattern, seconds in _UNFINISHED:
            for path in self.path.glob(pattern):
                try:
                    is_old = now - path.lstat().st_mtime > seconds
                except FileNotFoundError:  # finished meanwhile
                    continue
                if is_old:
                    path.unlink(missing_ok=True)
                    yield f"removed '{path}', which was never finished"


def _blocks(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_blocks * 512
    except FileNotFoundError:  # git removes objects too
        return 0


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
