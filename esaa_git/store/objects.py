"""Git's objects as small typed values: raw bytes in, raw bytes out.

We read and write raw objects ourselves because what we guarantee is about bytes: grafts, replace
refs and shallow boundaries change what the convenient calls return (git-replace(1)), and a
commit's signature covers exactly its bytes without the `gpgsig` header (gitformat-signature(5)).
Ids are 40 hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha1
from typing import Protocol

from esaa_git.core import limits

COMMIT, TREE, BLOB = 1, 2, 3
_NAMES = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob"}

MODE_FILE, MODE_EXECUTABLE = "100644", "100755"
MODE_SYMLINK, MODE_SUBMODULE, MODE_TREE = "120000", "160000", "40000"
FILE_MODES = frozenset({MODE_FILE, MODE_EXECUTABLE})


class MalformedObject(ValueError):
    """The bytes are not an object of the shape that git writes."""


class TooLarge(MalformedObject):
    """An object has more bytes in its header than are read of it."""

    def __init__(self, oid: str, size: int, most: int) -> None:
        super().__init__(f"object {oid} has {size:,} bytes, and {most:,} are read at most")


class Reader(Protocol):
    """Gives objects by their ids."""

    def __call__(self, oid: str, most: int | None = None, /) -> tuple[int, bytes]:
        """Return the kind and the content of an object.

        Args:
            most: how many bytes it may have; its header is looked at before its content.

        Raises:
            KeyError: where there is none.
            TooLarge: where it has more.
        """
        ...


class ObjectSink(Protocol):
    """Where objects go. Two exist: one writes them, one only checks that they are there."""

    def put(self, kind: int, data: bytes) -> str:
        """Take an object's content and return its id."""
        ...


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a tree."""

    mode: str
    oid: str

    @property
    def is_tree(self) -> bool:
        return self.mode == MODE_TREE


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit as it is stored. `payload` is what its signature covers."""

    tree: str
    parents: tuple[str, ...]
    author: bytes
    committer: bytes
    headers: tuple[bytes, ...]
    signatures: tuple[bytes, ...]
    message: bytes
    payload: bytes


def name_of(raw: bytes) -> str:
    """Return a name that git gave us, of a path or a ref, as text.

    Git's names are bytes. They are read as UTF-8, whatever the locale says, and what is none is
    escaped, so that `bytes_of` gives the very same bytes back.
    """
    return raw.decode("utf-8", "surrogateescape")


def bytes_of(name: str) -> bytes:
    """Return the bytes of a name that `name_of` has read, or that is to be given to git."""
    return name.encode("utf-8", "surrogateescape")


def object_id(kind: int, data: bytes) -> str:
    """Return the id that git gives to this content."""
    digest = sha1(b"%s %d\0" % (_NAMES[kind], len(data)), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def encode_tree(entries: Mapping[str, TreeEntry]) -> bytes:
    """Return the bytes of a tree, its entries in git's order (a directory sorts as `name/`)."""
    parts = []
    for _, name, entry in sorted(
        (name + (b"/" if entry.mode == MODE_TREE else b""), name, entry)
        for name, entry in (
            (name.encode("utf-8", "surrogateescape"), entry) for name, entry in entries.items()
        )
    ):
        parts.append(b"%s %s\0" % (entry.mode.encode(), name))
        parts.append(bytes.fromhex(entry.oid))
    return b"".join(parts)


def read_tree(read: Reader, oid: str, most: int = limits.TREE) -> dict[str, TreeEntry]:
    """Return the entries of a tree of ours, which has so many bytes at most.

    Raises:
        KeyError: where there is no such object.
        MalformedObject: if it is larger, no tree, or one with more entries than ours have.
    """
    kind, data = read(oid, most)
    if kind != TREE:
        raise MalformedObject(f"{oid} is not a tree")
    entries = decode_tree(data)
    if len(entries) > limits.TREE_ENTRIES:
        raise MalformedObject(f"tree {oid} has more than {limits.TREE_ENTRIES:,} entries")
    return entries


def read_blob(read: Reader, entry: TreeEntry, most: int) -> bytes:
    """Return the content of a file of ours, which has so many bytes at most.

    Raises:
        KeyError: where there is no such object.
        MalformedObject: if it is larger, or no file.
    """
    kind, data = read(entry.oid, most)
    if kind != BLOB:
        raise MalformedObject(f"{entry.oid} is not a file")
    return data


def decode_tree(data: bytes, *, any_names: bool = False) -> dict[str, TreeEntry]:
    """Return the entries of a tree.

    Args:
        any_names: take names that are not UTF-8, which people's repositories may hold; their
            bytes are escaped as Python's file system functions escape them.

    Raises:
        MalformedObject: for bytes that are no tree, a repeated name or one that is not UTF-8.
    """
    errors = "surrogateescape" if any_names else "strict"
    entries: dict[str, TreeEntry] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position)
        end = data.find(b"\0", space)
        if space < 0 or end < 0 or end + 21 > len(data):
            raise MalformedObject("a tree entry is cut off")
        try:
            name = data[space + 1 : end].decode("utf-8", errors)
            mode = data[position:space].decode("ascii")
        except UnicodeDecodeError as error:
            raise MalformedObject("a tree entry's name is not UTF-8") from error
        if name in entries:
            raise MalformedObject(f"a tree names '{name}' twice")
        entries[name] = TreeEntry(mode, data[end + 1 : end + 21].hex())
        position = end + 21
    return entries


def files_below(read: Reader, tree: str) -> Iterator[tuple[str, TreeEntry]]:
    """Yield what a tree of ours holds at any depth, but for trees: each path with its entry.

    Raises:
        MalformedObject: as `read_tree`; or for more files or levels than ours have.
    """
    waiting, found = [("", tree)], 0
    while waiting:
        prefix, oid = waiting.pop()
        below = []
        for name, entry in read_tree(read, oid).items():
            found += 1
            if found > limits.FILES_BELOW or prefix.count("/") > limits.TREE_DEPTH:
                raise MalformedObject(f"tree {tree} holds too many files or folders")
            if entry.is_tree:
                below.append((f"{prefix}{name}/", entry.oid))
            else:
                yield prefix + name, entry
        waiting += reversed(below)


def encode_commit(
    tree: str, parents: Iterable[str], author: str, committer: str, message: str
) -> bytes:
    """Return the bytes of an unsigned commit, which are also what a signature covers."""
    lines = [f"tree {tree}"]
    lines += [f"parent {parent}" for parent in parents]
    return "\n".join([*lines, f"author {author}", f"committer {committer}", "", message]).encode()


def sign_commit(payload: bytes, armored: bytes) -> bytes:
    """Return the commit with its signature in a `gpgsig` header, last before the message."""
    head, message = payload.split(b"\n\n", 1)
    signature = armored.rstrip(b"\n").replace(b"\n", b"\n ")
    return b"%s\ngpgsig %s\n\n%s" % (head, signature, message)


def split_signature(data: bytes) -> tuple[bytes, bytes] | None:
    """Return (payload, armoured signature) of a commit signed as `sign_commit` does, fast.

    None where the shape is another; `decode_commit` then says what it is.
    """
    end = data.find(b"\n\n")
    start = data.find(b"\ngpgsig ", 0, end)
    if start < 0 or data.find(b"\ngpgsig", start + 1, end) >= 0:
        return None
    block = data[start + 8 : end]
    if block.count(b"\n") != block.count(b"\n "):
        return None
    return data[:start] + data[end:], block.replace(b"\n ", b"\n") + b"\n"


def tree_of_commit(data: bytes) -> str:
    """Return the tree that a commit names, without looking at the rest of it."""
    if data[:5] != b"tree ":
        raise MalformedObject("a commit names no tree")
    return _oid(data[5:45])


def raw_parent(data: bytes) -> str | None:
    """Return the first parent in a commit's raw bytes, which no graft or replacement bends.

    Nothing else of the commit is looked at: the id may be none where git did not write it.
    """
    # `tree <40>\n`, then `parent <40>\n` where there is one.
    return data[53:93].decode("ascii", "replace") if data[46:53] == b"parent " else None


def message_of(data: bytes) -> bytes:
    """Return the message in a commit's raw bytes; nothing where it has none."""
    return data.partition(b"\n\n")[2]


def decode_commit(data: bytes) -> Commit:
    """Return a commit of any shape; what shape is acceptable is for the caller to say.

    Raises:
        MalformedObject: for bytes that git would not have written.
    """
    head, separator, message = data.partition(b"\n\n")
    if not separator:
        raise MalformedObject("a commit without a message separator")
    fields: dict[bytes, list[bytes]] = {}
    others: list[bytes] = []
    signatures: list[list[bytes]] = []
    kept: list[bytes] = []
    in_signature = False
    for line in head.split(b"\n"):
        key, _, value = line.partition(b" ")
        if line.startswith(b" ") and in_signature:
            signatures[-1].append(line[1:])
            continue
        in_signature = key.startswith(b"gpgsig")
        if in_signature:
            signatures.append([value])
            continue
        kept.append(line)
        if key in (b"tree", b"parent", b"author", b"committer"):
            fields.setdefault(key, []).append(value)
        else:
            others.append(line)
    if any(len(fields.get(key, ())) != 1 for key in (b"tree", b"author", b"committer")):
        raise MalformedObject("a commit has one tree, one author and one committer")
    return Commit(
        _oid(fields[b"tree"][0]),
        tuple(_oid(value) for value in fields.get(b"parent", ())),
        fields[b"author"][0],
        fields[b"committer"][0],
        tuple(others),
        tuple(b"\n".join(lines) + b"\n" for lines in signatures),
        message,
        b"\n".join(kept) + b"\n\n" + message,
    )


def _oid(value: bytes) -> str:
    if len(value) != 40 or value.strip(b"0123456789abcdef"):
        raise MalformedObject("a commit names something that is no object id")
    return value.decode("ascii")
