"""Writing many objects as packs, where loose ones would cost a file each (gitformat-pack(5)).

A `PackSink` takes objects like the repository itself does, and gathers them in packs that lie in
a folder of their own: git checks and indexes each, and none belongs to the repository before
`install`. Whatever ends earlier leaves nothing behind.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import BinaryIO, Self

import pygit2

from esaa_git.disk import sync_folder
from esaa_git.errors import CorruptedError, RepositoryError
from esaa_git.store.deltas import TreeBases, encode_delta, encode_distance
from esaa_git.store.files import reading_below
from esaa_git.store.objects import BLOB, COMMIT, TREE
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository

_NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}
_OFS_DELTA = 6
_HEADER = 12
_CHUNK = 1 << 20
# The order in which git brings the files of a pack in: with the index it can be found.
_SUFFIXES = (".pack", ".rev", ".idx")


class PackSink:
    """An `ObjectSink` that writes packs; a context manager that removes what was not installed.

    Args:
        most_objects: a pack of so many objects is closed and the next one begun, which bounds
            the memory; `most_bytes` bounds the size of the file.
    """

    def __init__(
        self,
        repository: Repository,
        *,
        most_objects: int = 250_000,
        most_bytes: int = 1 << 30,
    ) -> None:
        self._repository = repository
        self._most_objects = most_objects
        self._most_bytes = most_bytes
        self._folder: Path | None = None
        self._pack: _OpenPack | None = None
        self._seen = _Seen(repository)
        self._closed: pygit2.Odb | None = None
        self.objects = 0
        self.bytes = 0

    def __enter__(self) -> Self:
        self._folder = _scratch_folder(self._repository)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pack is not None:
            self._pack.file.close()
            self._pack = None
        self._closed = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def put(self, kind: int, data: bytes) -> str:
        """Take an object, unless it is stored already, and return its id."""
        digest = sha1(b"%s %d\0" % (_NAMES[kind], len(data)), usedforsecurity=False)
        digest.update(data)
        key = digest.digest()
        oid = digest.hexdigest()
        if self._seen.add(key) and self._has(key, oid):
            return oid
        pack = self._open()
        pack.add(kind, key, data)
        if len(pack.keys) >= self._most_objects or pack.size >= self._most_bytes:
            self._close()
        return oid

    def read(self, oid: str) -> tuple[int, bytes]:
        """Return an object of a closed pack, or of the repository.

        Raises:
            KeyError: if neither has it; an object of the pack being written is not there yet.
        """
        if self._closed is not None:
            try:
                return self._closed.read(oid)
            except KeyError:
                pass
        return self._repository.read(oid)

    def install(self) -> None:
        """Close the last pack and move all of them into the repository."""
        self._close()
        target = self._repository.common_dir / "objects" / "pack"
        target.mkdir(exist_ok=True)
        for suffix in _SUFFIXES:
            for path in sorted(self._packs.glob(f"*{suffix}")):
                path.replace(target / path.name)
        sync_folder(target)
        self._closed = None

    @property
    def _packs(self) -> Path:
        if self._folder is None:
            raise ValueError("a PackSink is used inside its 'with' statement")
        return self._folder / "pack"

    def _open(self) -> _OpenPack:
        if self._pack is None:
            self._pack = _OpenPack(self._packs / "tmp_pack")
        return self._pack

    def _close(self) -> None:
        pack = self._pack
        if pack is None:
            return
        name = pack.finish()
        self._pack = None
        named = pack.path.with_name(f"pack-{name}.pack")
        pack.path.rename(named)
        index_pack(self._repository, named)
        self.objects += len(pack.keys)
        self.bytes += named.stat().st_size
        self._closed = pygit2.Odb(str(self._packs.parent))

    def _has(self, key: bytes, oid: str) -> bool:
        if self._pack is not None and key in self._pack.keys:
            return True
        if self._closed is not None and oid in self._closed:
            return True
        return oid in self._repository.odb


class _OpenPack:
    """The pack being written: a header whose count is known last, and the entries."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys: set[bytes] = set()
        self.file: BinaryIO = path.open("w+b", buffering=_CHUNK)
        self.file.write(bytes(_HEADER))
        self.size = _HEADER
        self._trees = TreeBases()

    def add(self, kind: int, key: bytes, data: bytes) -> None:
        base = self._trees.find(data) if kind == TREE else None
        delta = None if base is None else encode_delta(base.data, data)
        if base is not None and delta is not None and 2 * len(delta) < len(data):
            head = _entry_head(_OFS_DELTA, len(delta)) + encode_distance(self.size - base.offset)
            entry, depth = head + zlib.compress(delta, 1), base.depth + 1
        else:
            entry, depth = _entry_head(kind, len(data)) + zlib.compress(data, 1), 0
        if kind == TREE:
            self._trees.add(data, self.size, depth)
        self.file.write(entry)
        self.size += len(entry)
        self.keys.add(key)

    def finish(self) -> str:
        """Write the header and the checksum, sync, and return the pack's name."""
        file = self.file
        count = len(self.keys).to_bytes(4, "big")
        file.seek(0)
        file.write(b"PACK" + (2).to_bytes(4, "big") + count)
        file.seek(0)
        digest = sha1(usedforsecurity=False)
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
        file.close()
        self.path.chmod(0o444)
        return digest.hexdigest()


def _entry_head(kind: int, size: int) -> bytes:
    """Return the type and the size of an entry: 4 bits of the size, then 7 a byte."""
    byte = kind << 4 | size & 15
    size >>= 4
    out = bytearray()
    while size:
        out.append(byte | 0x80)
        byte = size & 0x7F
        size >>= 7
    out.append(byte)
    return bytes(out)


class _Seen:
    """A Bloom filter over ids: 'no' is certain, 'perhaps' is looked up.

    Asking git for an object that it does not have costs 10 microseconds, and nearly every
    object of a log is new. Ids are evenly spread already, so three words of them are the hashes.
    """

    _BITS = 1 << 25

    def __init__(self, repository: Repository) -> None:
        self._table = bytearray(self._BITS >> 3)
        for oid in repository.odb:
            self.add(oid.raw)

    def add(self, key: bytes) -> bool:
        """Add an id; answer whether it may have been there."""
        table, mask, known = self._table, self._BITS - 1, True
        for at in (0, 4, 8):
            bit = int.from_bytes(key[at : at + 4], "little") & mask
            place, flag = bit >> 3, 1 << (bit & 7)
            if not table[place] & flag:
                known = False
                table[place] |= flag
        return known


class ForeignPack:
    """A pack from elsewhere, indexed where it can be read and does not belong to the repository."""

    def __init__(self, repository: Repository, path: Path) -> None:
        self._repository = repository
        self._path = path
        self._folder: Path | None = None
        self._odb: pygit2.Odb | None = None

    def __enter__(self) -> Self:
        """Index the pack.

        Raises:
            RepositoryError: if it cannot be read.
            CorruptedError: if it is no pack, or a damaged one.
        """
        folder = self._folder = _scratch_folder(self._repository)
        try:
            self._index(folder)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._odb = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def blobs(self) -> Iterator[tuple[str, bytes]]:
        """Yield the id and content of every blob in it."""
        if self._odb is not None:
            for oid in self._odb:
                kind, data = self._odb.read(oid)
                if kind == BLOB:
                    yield str(oid), data

    def read(self, oid: str) -> tuple[int, bytes]:
        """Return (kind, content); KeyError where the pack does not have it."""
        if self._odb is None:
            raise KeyError(oid)
        return self._odb.read(oid)

    def _index(self, folder: Path) -> None:
        copy = folder / "pack" / "pack-incoming.pack"
        try:
            with (
                reading_below(self._path.parent, self._path.name) as source,
                copy.open("wb") as target,
            ):
                shutil.copyfileobj(source, target, _CHUNK)
        except OSError as error:
            raise RepositoryError(
                f"cannot read the objects in '{self._path}'", cause=error.strerror
            ) from error
        try:
            index_pack(self._repository, copy)
        except RepositoryError as error:
            raise CorruptedError(
                f"'{self._path}' is not a pack that git can read",
                cause=error.cause,
                hint="export the log again with 'git esaa export'",
            ) from error
        self._odb = pygit2.Odb(str(folder))


def index_pack(repository: Repository, pack: Path) -> str:
    """Have git check every object of the pack and write its index beside it; return its name.

    Raises:
        RepositoryError: if git finds fault with it.
    """
    said = run_git(repository.git_dir, "index-pack", str(pack.resolve()))
    return said.decode().split()[-1]


def _scratch_folder(repository: Repository) -> Path:
    """Make a folder for objects beside the repository's, on the same file system.

    `git prune` removes what a crash leaves under such a name.
    """
    folder = Path(mkdtemp(prefix="tmp_objdir-esaa-", dir=repository.common_dir / "objects"))
    (folder / "pack").mkdir()
    return folder
