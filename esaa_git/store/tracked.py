"""The tree that the tracked files of a checkout would make, as they stand; nothing is written."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping

import pygit2

from esaa_git.store.repository import Repository

_Folder = dict[bytes, "tuple[int, bytes] | _Folder"]


def tracked_tree(repository: Repository) -> str:
    """Return the id of the tree of the tracked files as they stand in the checkout.

    Where nothing differs from a commit it is that commit's tree. Contents are taken as they lie on
    the disk, so a checkout whose line ends git converts has an id of its own.

    Raises:
        pygit2.GitError: if the index cannot be read.
    """
    raw, top = repository.raw, repository.workdir
    assert top is not None
    index = raw.index
    index.read()
    found = {os.fsencode(entry.path): (int(entry.mode), entry.id.raw) for entry in index}
    changed = index.diff_to_workdir(pygit2.enums.DiffOption.INCLUDE_TYPECHANGE)
    for delta in changed.deltas:
        name = delta.old_file.path or delta.new_file.path
        path = os.fsencode(name)
        try:
            status = os.lstat(top / name)
            if stat.S_ISLNK(status.st_mode):
                content, mode = os.fsencode((top / name).readlink()), 0o120000
                oid = pygit2.hash(content).raw
            elif stat.S_ISREG(status.st_mode):
                mode = 0o100755 if status.st_mode & 0o100 else 0o100644
                oid = pygit2.hashfile(str(top / name)).raw
            else:
                raise OSError
        except OSError:
            found.pop(path, None)
            continue
        found[path] = (mode, oid)
    return _id_of(found)


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
