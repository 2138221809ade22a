"""The files of a repository that commands name, by their content: of the checkout, of a commit."""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Final

import pygit2

from esaa_git.beneath import Obstacle, files_under
from esaa_git.core.asks import ABSENT
from esaa_git.core.programs import AGENTS, MAX_PROGRAMS, Programs
from esaa_git.errors import EsaaError, RepositoryError
from esaa_git.firstline import LONGEST
from esaa_git.sandbox.programs import search_path
from esaa_git.store.repository import Repository
from esaa_git.store.tracked import tracked_tree
from esaa_git.store.trees import GitTrees

_MOST_LINKS: Final = 40
_MOST_SHOWN: Final = 200

LEFT_OUT: Final = ("__pycache__", ".git")
"""Folders that nobody writes by hand: what an interpreter keeps for itself, and git's."""


class RepositoryFiles:
    """Implements `ports.consent.NamedFiles`.

    Args:
        commit: gives the commit whose tree programs work in, when it is first needed; None where
            that is the checkout as it stands.
        programs: the pinned ones, which run as they are pinned whatever stands elsewhere.
        otherwise: those that a draft takes over where the checkout has none.
    """

    def __init__(
        self,
        repository: Repository,
        commit: Callable[[], str | None] | str | None,
        programs: Programs | None = None,
        otherwise: Programs | None = None,
    ) -> None:
        self._programs = programs
        self._otherwise = otherwise
        self.root: Path | None = repository.workdir
        self._repository = repository
        self._given = commit

    @cached_property
    def _commit(self) -> str | None:
        return self._given() if callable(self._given) else self._given

    def which(self, program: str) -> str | None:
        return shutil.which(program, path=search_path())

    def installed(self, program: str) -> Sequence[str]:
        from esaa_git.agents.programs import own_places

        return [str(place) for place in own_places(program, self.root) if str(place) != program]

    def on_disk(self, path: str) -> str | None:
        """Return the SHA-256 of a file of the checkout, links followed; None where there is none.

        What is there and cannot be read has a digest that nothing else has.
        """
        pinned = _pinned(self._programs, path)
        if pinned is not None:
            return pinned
        if self.root is None:
            return self._of_commit(path)
        return self._on_disk(path) or _pinned(self._otherwise, path)

    def _on_disk(self, path: str) -> str | None:
        return None if self.root is None else self._of_checkout(self.root, path)

    def beginning(self, path: str) -> bytes | None:
        if (content := _pinned_content(self._programs, path)) is not None:
            return content[:LONGEST]
        if self.root is None:
            content = self._content_of_commit(path)
            return None if content is None else content[:LONGEST]
        if self._on_disk(path) is None:
            content = _pinned_content(self._otherwise, path)
            return None if content is None else content[:LONGEST]
        try:
            with (self.root / path).open("rb") as stream:
                return stream.read(LONGEST)
        except (OSError, ValueError):
            return None

    def beginning_in_tree(self, path: str) -> bytes | None:
        if self._commit is None:
            return self.beginning(path)
        content = _pinned_content(self._programs, path) or self._content_of_commit(path)
        return None if content is None else content[:LONGEST]

    def in_tree(self, path: str) -> str | None:
        """Return the SHA-256 of a file of the commit, links inside of it followed."""
        if self._commit is None:
            return self.on_disk(path)
        return _pinned(self._programs, path) or self._of_commit(path)

    def under(self, folder: str) -> Sequence[tuple[str, str]] | None:
        """Return path and SHA-256 of what lies below a folder; None for more than one can show."""
        try:
            paths = self._paths_under(folder)
        except (OSError, Obstacle, EsaaError, KeyError, ValueError, pygit2.GitError):
            return None
        if len(paths) > _MOST_SHOWN:
            return None
        return [(path, digest) for path in paths if (digest := self.in_tree(path)) is not None]

    def _paths_under(self, folder: str) -> Sequence[str]:
        if self._commit is not None:
            trees = GitTrees(self._repository)
            return [path for path, _ in trees.paths(self._commit, (f"{folder}/",))]
        if self.root is None or not (self.root / folder).is_dir():
            return []
        return sorted(files_under(self.root, folder, LEFT_OUT, most=MAX_PROGRAMS))

    def whole(self) -> str:
        """Return the id of the commit's tree, or of that of the tracked files of the checkout."""
        try:
            if self._commit is not None:
                commit = self._repository.raw.get(self._commit)
                return str(commit.peel(pygit2.Tree).id)  # type: ignore[union-attr]
            return ABSENT if self.root is None else tracked_tree(self._repository)
        except (AttributeError, KeyError, ValueError, pygit2.GitError, RepositoryError):
            return ABSENT

    def of_agents(self) -> Sequence[tuple[str, str]]:
        """Return path and SHA-256 of what lies in the folder of agents' programs."""
        if self._programs is not None:
            pins = self._programs.pins
            return [(pin.path, pin.sha256) for pin in pins if pin.path.startswith(AGENTS)]
        if self.root is None:
            return []
        try:
            paths = sorted(files_under(self.root, AGENTS.rstrip("/"), LEFT_OUT, most=MAX_PROGRAMS))
        except (OSError, Obstacle):
            return []
        return [(path, digest) for path in paths if (digest := self.on_disk(path)) is not None]

    def _of_checkout(self, root: Path, path: str) -> str | None:
        place = Path(os.path.realpath(root / path))
        try:
            status = place.stat()
        except (OSError, ValueError):
            return None
        if not stat.S_ISREG(status.st_mode):
            return None
        try:
            return _digest(place, status.st_size, status.st_mtime_ns, status.st_ino)
        except OSError as error:
            return sha256(f"unreadable: {error}".encode()).hexdigest()

    def _of_commit(self, path: str) -> str | None:
        content = self._content_of_commit(path)
        return None if content is None else sha256(content).hexdigest()

    def _content_of_commit(self, path: str) -> bytes | None:
        """Return a file of the commit; of a link that leads out of it, a text that says so."""
        if self._commit is None:
            return None
        try:
            tree = self._repository.raw.get(self._commit).peel(pygit2.Tree)  # type: ignore[union-attr]
            return self._in(tree, path)
        except (EsaaError, KeyError, ValueError, AttributeError, pygit2.GitError):
            return None

    def _in(self, top: pygit2.Tree, path: str) -> bytes | None:
        left, done, links = path.split("/"), list[str](), 0
        here: pygit2.Object = top
        while left:
            name = left.pop(0)
            if not isinstance(here, pygit2.Tree) or name not in here:
                return None
            below = here[name]
            if below.filemode == pygit2.enums.FileMode.LINK:
                links += 1
                target = self._repository.read(str(below.id))[1].decode("utf-8", "surrogateescape")
                aim = posixpath.normpath(posixpath.join("/".join(done), target))
                if links > _MOST_LINKS or aim.startswith(("/", "..")):
                    return b"link: " + os.fsencode(target)
                left, done, here = [*aim.split("/"), *left], [], top
                continue
            done.append(name)
            here = below
        if not isinstance(here, pygit2.Blob):
            return None
        return self._repository.read(str(here.id))[1]


def _pinned(programs: Programs | None, path: str) -> str | None:
    pin = None if programs is None else programs.pin(path)
    return None if pin is None else pin.sha256


def _pinned_content(programs: Programs | None, path: str) -> bytes | None:
    pin = None if programs is None else programs.pin(path)
    return None if programs is None or pin is None else programs.content(pin)


@lru_cache(maxsize=4096)
def _digest(path: Path, _size: int, _modified_ns: int, _inode: int) -> str:
    with path.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()
