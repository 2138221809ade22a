"""Throwaway checkouts: files to work on, and a git directory that leads nowhere.

A checkout is laid out by the git program with a private git directory (`isolated`), so that line
ends are what a person would see and no filter, hook or monitor of the repository runs. A file
under a filter attribute (git-lfs, git-crypt) is laid out as it is stored, and one that is written
there is refused: it would be stored raw. What was laid out is
remembered in this process's memory while an agent works: nothing that `diff` relies on is on
the disk, where a program could reach it.

The checkout's own `.git` holds one branch, an index and a generic name to commit by. It reads the
repository's objects through `objects/info/alternates`, which costs nothing, and has neither its
refs nor its configuration.
"""

from __future__ import annotations

import errno
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from esaa_git.checkout import diff
from esaa_git.checkout.isolated import (
    IsolatedGit,
    isolated_git,
    object_folders,
    text_settings,
    write_git_dir,
)
from esaa_git.checkout.manifest import Manifest
from esaa_git.core.proposal import under_filter
from esaa_git.core.rejection import together
from esaa_git.errors import AgentError, RepositoryError
from esaa_git.folders import ROOM, no_room, throwaway_folder
from esaa_git.ports.agent import Diff
from esaa_git.ports.files import Conversion, FileEntry
from esaa_git.store.objects import COMMIT, Commit, bytes_of, decode_commit, encode_commit, object_id
from esaa_git.store.promisor import make_whole
from esaa_git.store.repository import Repository
from esaa_git.store.trees import GitTrees

_BRANCH = "refs/heads/work"
_AUTHOR = "Agent", "agent@localhost"

# What stands for other characters in a file of patterns (gitignore(5)).
_GLOB = re.compile(r"[*?\[\\ !#]")

# Files wait for the disk more than for a core (git-config(1), checkout.workers).
_WORKERS = max(4, os.cpu_count() or 1)

_NO_ROOM = (
    "unable to write",
    "unable to create",
    *map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)),
)

# What the agent's git is told, besides how text is written. No hook of a template runs, and no
# maintenance starts that would outlive the command.
_SETTINGS = {
    "core.bare": "false",
    "core.logAllRefUpdates": "true",
    "core.hooksPath": os.devnull,
    "user.name": _AUTHOR[0],
    "user.email": _AUTHOR[1],
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
}


class GitWorkspaces:
    """Makes throwaway checkouts of one repository, several at a time if need be."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    @contextmanager
    def open(
        self,
        base: str,
        changes: Mapping[str, FileEntry | None] | None = None,
        begun: Mapping[str, FileEntry | None] | None = None,
        again: str = "",
    ) -> Iterator[GitWorkspace]:
        """Lay out a commit, with these paths changed, and remove it in the end.

        What is `begun` lies there as if it had been changed since: `diff` finds it, and so does
        git in the checkout. All of it lies where an earlier one lay (`again`), if that is free.

        Raises:
            AgentError: if it cannot be laid out.
        """
        objects = object_folders(self._repository)
        settings = text_settings(self._repository)
        with throwaway_folder("checkout", again) as top:
            try:
                commit = decode_commit(self._repository.read(base)[1])
                tree = commit.tree
                if changes:
                    tree = GitTrees(self._repository).with_changes(tree, changes)
                make_whole(self._repository, tree)
                for name in ("checkout", "home", "tmp"):
                    (top / name).mkdir(mode=0o700)
                then = tree
                if begun:
                    then = GitTrees(self._repository).with_changes(tree, begun)
                manifest = _lay_out(top / "checkout", tree, then, objects, settings)
                git_dir = top / "checkout" / ".git"
                write_git_dir(git_dir, objects, {**_SETTINGS, **settings}, _BRANCH)
                head = base if tree == commit.tree else _store_commit(git_dir, tree, base, commit)
                (git_dir / _BRANCH).write_text(f"{head}\n")
                (git_dir / "index").write_bytes(manifest.index)
                self._copy_boundary(git_dir)
            except OSError as error:
                raise no_room(f"lay out {base[:12]} for an agent", error) from error
            except KeyError as error:
                raise AgentError(
                    f"cannot lay out {base[:12]} for an agent",
                    cause="the commit is not in this repository",
                    hint="run 'git esaa fetch', then repeat the command",
                ) from error
            conversions = partial(GitTrees(self._repository).conversions, base, changes or {})
            yield GitWorkspace(top, objects, settings, manifest, conversions)

    def _copy_boundary(self, git_dir: Path) -> None:
        """Have the agent's git know where a shallow clone ends (git-clone(1), --depth)."""
        shallow = self._repository.common_dir / "shallow"
        if shallow.is_file():
            (git_dir / "shallow").write_bytes(shallow.read_bytes())


class GitWorkspace:
    """One throwaway checkout."""

    def __init__(
        self,
        top: Path,
        objects: Sequence[Path],
        settings: Mapping[str, str],
        manifest: Manifest,
        conversions: Callable[[Sequence[str]], Mapping[str, Conversion]],
    ) -> None:
        self.top = top
        self.path = top / "checkout"
        self.home = top / "home"
        self.tmp = top / "tmp"
        self.readable: Sequence[Path] = tuple(objects)
        self._settings = settings
        self._manifest = manifest
        self._conversions = conversions
        self._hidden: frozenset[str] = frozenset()

    def hide(self, paths: Sequence[str]) -> None:
        """Leave these paths out of every difference, and have git in there ignore them."""
        self._hidden |= frozenset(paths)
        if paths:
            lines = [_GLOB.sub(r"\\\g<0>", path) for path in paths]
            with (self.path / ".git/info/exclude").open("ab") as file:
                file.write(b"".join(b"/%s\n" % bytes_of(line) for line in lines))

    def diff(self, max_bytes: int, by_products: Sequence[str] = ()) -> Diff:
        """Return how the files differ from what was laid out; see `esaa_git.checkout.diff`.

        Raises:
            AgentError: if there is no room to find out.
        """
        with isolated_git(self.readable, self._settings) as git:
            found = diff.take_diff(
                git, self.path, self._manifest, max_bytes, by_products, self._hidden
            )
        # Here, so that what a filter is there to keep out gets into no answer and no record.
        written = [str(update["path"]) for update in found.updates if "content" in update]
        faults = [
            under_filter(path, how.filter)
            for path, how in self._conversions(written).items()
            if how.filter is not None
        ]
        return replace(found, updates=(), fault=together(faults)) if faults else found


def _lay_out(
    folder: Path, tree: str, then: str, objects: Sequence[Path], settings: Mapping[str, str]
) -> Manifest:
    """Lay out a tree, and change the files to those of another after that; remember the first."""
    with isolated_git(objects, settings) as git:
        reads = ("-c", f"checkout.workers={_WORKERS}", "read-tree", "-m", "-u")
        try:
            git.run(folder, *reads, tree)
            manifest = _remember(git, tree)
            if then != tree:
                git.run(folder, *reads, tree, then)
            return manifest
        except RepositoryError as error:
            raise AgentError(
                f"cannot lay out tree {tree[:12]} for an agent",
                # One line a file, and the last is whole.
                cause=(error.cause or "").rpartition("\n")[2],
                hint=_hint(error),
            ) from error


def _remember(git: IsolatedGit, tree: str) -> Manifest:
    return Manifest(tree, git.index.read_bytes(), git.index.stat().st_mtime_ns)


def _hint(error: RepositoryError) -> str:
    if error.hint:
        return error.hint
    if any(sign in (error.cause or "") for sign in _NO_ROOM):
        return ROOM
    return "run 'git fsck'; in a partial clone, run 'git fetch --refetch --no-filter' first"


def _store_commit(git_dir: Path, tree: str, parent: str, base: Commit) -> str:
    """Store, in the checkout's own git directory, the commit that its HEAD names."""
    _, seconds, _ = base.committer.rsplit(b" ", 2)
    who = f"{_AUTHOR[0]} <{_AUTHOR[1]}> {seconds.decode()} +0000"
    data = encode_commit(tree, (parent,), who, who, "The base with a proposal applied\n")
    oid = object_id(COMMIT, data)
    place = git_dir / "objects" / oid[:2]
    place.mkdir()
    (place / oid[2:]).write_bytes(zlib.compress(b"commit %d\0%s" % (len(data), data)))
    return oid
