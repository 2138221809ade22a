"""What was laid out in a checkout, read from the index that git wrote when it did."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cached_property
from typing import Final, NamedTuple

from esaa_git.store.objects import name_of

_HEADER: Final = struct.Struct(">4sII")
# Of an entry: both times in seconds and nanoseconds, inode, mode, size and id.
_ENTRY: Final = struct.Struct(">4I4x2I8xI20s2x")


class ManifestEntry(NamedTuple):
    """One file as it was laid out: its index entry (gitformat-index(5)), as it is stored."""

    ctime_s: int
    ctime_ns: int
    mtime_s: int
    mtime_ns: int
    ino: int
    raw_mode: int
    size: int
    raw_oid: bytes

    @property
    def mode(self) -> str:
        return f"{self.raw_mode:06o}"

    @property
    def oid(self) -> str:
        return self.raw_oid.hex()


@dataclass(frozen=True)
class Manifest:
    """What was laid out: the tree, and the index that git wrote then, in version 2."""

    tree: str
    index: bytes
    index_mtime_ns: int

    @cached_property
    def folders(self) -> dict[str, dict[str, ManifestEntry]]:
        """The files by folder and name; '' is the top, and folders of folders are there too."""
        _, version, count = _HEADER.unpack_from(self.index)
        assert version == 2
        index, unpack, make = self.index, _ENTRY.unpack_from, ManifestEntry._make
        folders: dict[str, dict[str, ManifestEntry]] = {"": {}}
        at, start = _HEADER.size, _ENTRY.size
        for _ in range(count):
            end = index.index(b"\0", at + start)
            path = name_of(index[at + start : end])
            folder, _, name = path.rpartition("/")
            if folder not in folders:
                _add_folder(folders, folder)
            folders[folder][name] = make(unpack(index, at))
            at += (end - at) // 8 * 8 + 8
        return folders


def _add_folder(folders: dict[str, dict[str, ManifestEntry]], folder: str) -> None:
    while folder not in folders:
        folders[folder] = {}
        folder = folder.rpartition("/")[0]
