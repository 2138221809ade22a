"""The tree that the tracked files of a checkout would make, as they stand; nothing is written."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping

import pygit2

from esaa_git.store.objects import BLOB, object_id
from esaa_git.store.repository import Repository

_Folder = dict[bytes, "tuple[int, bytes] | _Folder"]


def tracked_tree(repository: Repository) -> str:
    """Return the id of the tree of the tracked files as they stand in the checkout.

    Where nothing differs from a commit it is that commit's tree. Contents are taken as they lie on
    the disk, so a checkout whose line ends git converts has an id of its own.

    Raises:
        RepositoryError: if the index cannot be read.
    """
    top = repository.workdir
    assert top is not None
    found: dict[bytes, tuple[int, bytes]] = {}
    for line in repository.git("ls-files", "--stage", "-z").split(b"\0")[:-1]:
        head, _, path = line.partition(b"\t")
        digits, oid, _ = head.split(b" ")
        found[path] = (int(digits, 8), bytes.fromhex(oid.decode()))
    options = ("--porcelain=v2", "--untracked-files=no", "--no-renames", "--ignore-submodules=all")
    for line in repository.git("status", "-z", *options).split(b"\0")[:-1]:
        # git-status(1), "Porcelain Format Version 2": what is unmerged has two fields more.
        path = line.split(b" ", 10 if line.startswith(b"u") else 8)[-1]
        place = os.path.join(os.fsencode(top), path)  # noqa: PTH118 - names are bytes
        try:
            status = os.lstat(place)
            if stat.S_ISLNK(status.st_mode):
                found[path] = (0o120000, _blob_id(os.readlink(place)))  # noqa: PTH115 - as above
            elif stat.S_ISREG(status.st_mode):
                mode = 0o100755 if status.st_mode & 0o100 else 0o100644
                found[path] = (mode, pygit2.hashfile(os.fsdecode(place)).raw)
            else:
                raise OSError
        except OSError:
            found.pop(path, None)
    return _id_of(found)


def _blob_id(content: bytes) -> bytes:
    return bytes.fromhex(object_id(BLOB, content))


def _id_of(files: Mapping[bytes, tuple[int, bytes]]) -> str:
    top: _Folder = {}
    for path, entry in files.items():
        here = top
        *folders, name = path.split(b"/")
        for folder in folders:
            below = here.setdefault(folder, {})
            assert isinstance(below, dict)
            here = below
        here[name] = entry
    return _tree(top).hex()


def _tree(folder: _Folder) -> bytes:
    entries: list[tuple[bytes, bytes]] = []
    for name, below in folder.items():
        if isinstance(below, dict):
            entries.append((name + b"/", b"40000 " + name + b"\0" + _tree(below)))
        else:
            mode, oid = below
            entries.append((name, b"%o " % mode + name + b"\0" + oid))
    body = b"".join(text for _, text in sorted(entries))
    return hashlib.sha1(b"tree %d\0" % len(body) + body, usedforsecurity=False).digest()
