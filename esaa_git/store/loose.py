"""Loose objects, read without libgit2: it never returns from one that is cut off.

`git_odb_read` loops for ever over a loose object whose file ends early (libgit2 issue 7342; 1.9.7
has it). A server that hangs is no clear refusal, so hooks read loose objects here first.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from esaa_git.store.objects import BLOB, COMMIT, TREE, MalformedObject, TooLarge, object_id

_KINDS = {b"commit": COMMIT, b"tree": TREE, b"blob": BLOB}
_HEX = frozenset("0123456789abcdef")
_HEADER = 32
"""Bytes that the header of an object has at most: its kind, its size and what is between."""

_DEEPEST = 5
"""How many alternates of alternates git follows."""


class LooseObjects:
    """The loose objects of some object folders, and of their alternates."""

    def __init__(self, folders: Iterable[str]) -> None:
        # A repository that is packed has few of these folders, and most reads end here.
        self._folders = {
            folder: _prefixes(folder) for folder in dict.fromkeys(_with_alternates(folders))
        }
        self.prefixes = frozenset[str]().union(*self._folders.values())

    def read(self, oid: str, most: int | None = None) -> tuple[int, bytes] | None:
        """Return (kind, content) of an object, or None where there is none, or a tag.

        Raises:
            MalformedObject: if its file does not hold the content of that id.
            TooLarge: if it has more than `most` bytes.
        """
        if len(oid) != 40 or not _HEX.issuperset(oid):
            return None
        prefix = oid[:2]
        for folder, prefixes in self._folders.items():
            if prefix not in prefixes:
                continue
            try:
                with open(f"{folder}/{prefix}/{oid[2:]}", "rb") as stream:  # noqa: PTH123 - some ten times an event
                    return decode_loose(oid, stream.read(), most)
            except FileNotFoundError:
                continue
        return None


def _prefixes(folder: str) -> frozenset[str]:
    try:
        return frozenset(name for name in os.listdir(folder) if len(name) == 2)  # noqa: PTH208 - as below
    except OSError:
        return frozenset()


def decode_loose(oid: str, data: bytes, most: int | None = None) -> tuple[int, bytes] | None:
    """Return (kind, content) of the file of a loose object, or None for a tag.

    Raises:
        MalformedObject: if the file does not hold the content of that id.
        TooLarge: if its header says more than `most` bytes; no more are inflated.
    """
    inflate = zlib.decompressobj()
    room = 0 if most is None else most + _HEADER
    try:
        content = inflate.decompress(data, room)
        if most is not None and inflate.unconsumed_tail:
            raise TooLarge(oid, _said_size(content, most), most)
    except zlib.error as error:
        raise MalformedObject(f"object {oid} is damaged: {error}") from error
    if not inflate.eof:
        raise MalformedObject(f"object {oid} is damaged: its file is cut off")
    header, _, body = content.partition(b"\0")
    name, _, size = header.partition(b" ")
    if name == b"tag":
        return None
    if most is not None and len(body) > most:
        raise TooLarge(oid, len(body), most)
    kind = _KINDS.get(name)
    if kind is None or size != b"%d" % len(body) or object_id(kind, body) != oid:
        raise MalformedObject(f"object {oid} is damaged: its file holds something else")
    return kind, body


def _said_size(content: bytes, most: int) -> int:
    """Return the size in the header of an object, of which more is left than is read."""
    size = content.partition(b"\0")[0].partition(b" ")[2]
    return int(size) if size.isdigit() and len(size) < 20 else most + 1


def damaged_objects(folder: str) -> Iterator[Path]:
    """Yield the files of an object folder that do not hold what their names say."""
    for prefix in sorted(_prefixes(folder)):
        if not _HEX.issuperset(prefix):
            continue
        for path in sorted(Path(folder, prefix).iterdir()):
            oid = prefix + path.name
            if len(oid) != 40 or not _HEX.issuperset(oid):
                continue
            try:
                decode_loose(oid, path.read_bytes())
            except MalformedObject:
                yield path
            except FileNotFoundError:  # packed meanwhile
                continue


def object_folders(git_dir: str) -> Iterator[str]:
    """Yield where git has this process look for objects, a quarantine among them (git(1))."""
    yield os.environ.get("GIT_OBJECT_DIRECTORY") or f"{git_dir}/objects"
    # What is quoted in there is left to libgit2, as packs are.
    yield from filter(
        None, os.environ.get("GIT_ALTERNATE_OBJECT_DIRECTORIES", "").split(os.pathsep)
    )


def _with_alternates(folders: Iterable[str], depth: int = 0) -> Iterator[str]:
    for folder in folders:
        yield folder
        try:
            with open(f"{folder}/info/alternates", errors="surrogateescape") as stream:  # noqa: PTH123 - as above
                listed = [line for line in stream.read().splitlines() if line[:1] not in ("", "#")]
        except OSError:
            continue
        if depth < _DEEPEST:
            beside = (os.path.join(folder, line) for line in listed)  # noqa: PTH118 - as above
            yield from _with_alternates(beside, depth + 1)
