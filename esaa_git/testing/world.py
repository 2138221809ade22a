"""A world in memory: what the engine needs of git and of the machine, without either.

Contents have git's own ids, commits are values named by the SHA-1 of what they say, refs are a
dict, and a merge settles what only one side changed. It does what `esaa_git.ports` promises and
no more, so that the adapters on git can be held against it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import Any, Final

from esaa_git.core import canonical
from esaa_git.core.agent_contract import Check
from esaa_git.errors import AgentError, ConflictError
from esaa_git.ports.agent import Workspace
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.files import Conflict, Conversion, FileEntry, NotAFile
from esaa_git.ports.local import Followup

START: Final = datetime(2026, 1, 31, 9, tzinfo=UTC)

Entry = FileEntry | NotAFile
Files = Mapping[str, Entry]


class MemoryClock:
    """A `Clock` that stands still until it is told to go forward, or the engine sleeps."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return time.monotonic()

    def between(self, least: float, most: float) -> float:
        return random.uniform(least, most)

    def sleep(self, seconds: float) -> None:
        self.forward(seconds=seconds)

    def forward(self, **duration: float) -> None:
        """Go forward by so much, in the words of `timedelta`: `forward(minutes=5)`."""
        self.moment += timedelta(**duration)


# ---------------------------------------------------------------------------------- the repository


@dataclass(frozen=True)
class Commit:
    """A commit: the commits before it, what stands in its tree, and what its message says."""

    parents: tuple[str, ...]
    files: Files
    message: Mapping[str, Any]

    @property
    def oid(self) -> str:
        files = self._named_files()
        return _sha1({"parents": self.parents, "files": files, "message": self.message})

    @property
    def tree(self) -> str:
        """The id of what stands in it, whoever committed it."""
        return _sha1({"files": self._named_files()})

    def _named_files(self) -> dict[str, str]:
        return {path: _named(entry) for path, entry in self.files.items()}


def _sha1(said: Mapping[str, Any]) -> str:
    return sha1(canonical.encode(said), usedforsecurity=False).hexdigest()


def _named(entry: Entry) -> str:
    return entry.what if isinstance(entry, NotAFile) else f"{entry.mode} {entry.oid}"


@dataclass
class Repository:
    """Blobs, commits and refs; `checkout` holds the files of the one checkout, of `current`."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    current: str = "main"
    checkout: dict[str, Entry] = field(default_factory=dict)

    def put(self, commit: Commit) -> str:
        self.commits[commit.oid] = commit
        return commit.oid

    def files(self, commit: str) -> Files:
        return self.commits[commit].files

    def ancestors(self, commit: str) -> Iterator[str]:
        """Yield a commit and all that come before it, each once."""
        seen: set[str] = set()
        queue = [commit]
        while queue:
            oid = queue.pop()
            if oid not in seen:
                seen.add(oid)
                yield oid
                queue.extend(self.commits[oid].parents)

    def swap(self, moves: Sequence[tuple[str, str | None, str]]) -> None:
        """Move refs from where they were expected, all or none."""
        for ref, old, _ in moves:
            if self.refs.get(ref) != old:
                raise ConflictError(f"'{ref}' moved", cause=f"expected {old}")
        for ref, _, new in moves:
            self.refs[ref] = new


class MemoryBlobs:
    """A `BlobStore`."""

    def __init__(self, repository: Repository) -> None:
        self._blobs = repository.blobs

    def read(self, oid: str) -> bytes:
        return self._blobs[oid]

    def size(self, oid: str) -> int:
        return len(self._blobs[oid])

    def write(self, content: bytes) -> str:
        data = b"blob %d\0%s" % (len(content), content)
        oid = sha1(data, usedforsecurity=False).hexdigest()
        self._blobs[oid] = content
        return oid


class MemoryTrees:
    """`Trees`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def entry(self, commit: str, path: str) -> Entry | None:
        files = self._repository.files(commit)
        if path in files:
            return files[path]
        names = path.split("/")
        for depth in range(1, len(names)):
            above = files.get("/".join(names[:depth]))
            if above is not None:
                return above if isinstance(above, NotAFile) else NotAFile("a file in its way")
        below = any(other.startswith(f"{path}/") for other in files)
        return NotAFile("a directory") if below else None

    def folder(self, commit: str, path: str) -> Mapping[str, FileEntry | NotAFile]:
        start = f"{path}/" if path else ""
        found: dict[str, FileEntry | NotAFile] = {}
        for other, entry in self._repository.files(commit).items():
            if other.startswith(start):
                name, deeper, _ = other.removeprefix(start).partition("/")
                found[name] = NotAFile("a directory") if deeper else entry
        return found

    def paths(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[tuple[str, FileEntry]]:
        for path, entry in sorted(self._repository.files(commit).items()):
            if isinstance(entry, FileEntry) and is_below(path, below):
                yield path, entry

    def changes(self, before: str, after: str) -> Iterator[tuple[str, Entry | None]]:
        old, new = self._repository.files(before), self._repository.files(after)
        for path in sorted(old.keys() | new.keys()):
            if old.get(path) != new.get(path):
                yield path, new.get(path)

    def holds(self, commit: str, earlier: str) -> bool:
        return earlier in self._repository.ancestors(commit)

    def conversions(
        self, commit: str, changes: Mapping[str, FileEntry | None], paths: Sequence[str]
    ) -> Mapping[str, Conversion]:
        return {}  # there is no git that would

    def names(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[str]:
        for path in sorted(self._repository.files(commit)):
            if is_below(path, below):
                yield path


def is_below(path: str, below: Sequence[str]) -> bool:
    """Answer whether a path is, or lies below, one of these; '' is the root."""
    return any(one in ("", path) or path.startswith(f"{one}/") for one in below)


class MemoryMerger:
    """A `Merger` that settles what at most one side changed."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def merge_file(
        self, path: str, base: FileEntry, ours: FileEntry, theirs: FileEntry
    ) -> FileEntry | Conflict:
        mode = _settled(base.mode, ours.mode, theirs.mode)
        oid = _settled(base.oid, ours.oid, theirs.oid)
        if mode is None or oid is None:
            return Conflict(path, "both sides changed it", "<<<<<<< branch\n>>>>>>> proposal\n")
        return FileEntry(mode, oid)

    def renamed_to(self, base: str, tip: str, path: str) -> str | None:
        before, after = self._repository.files(base), self._repository.files(tip)
        added = [name for name in after if name not in before and after[name] == before[path]]
        return added[0] if len(added) == 1 else None


def _settled(base: str, ours: str, theirs: str) -> str | None:
    if theirs in (base, ours):
        return ours
    return theirs if ours == base else None


# ------------------------------------------------------------------------- -- beside it


class MemoryJournal:
    """A `Journal`."""

    def __init__(self) -> None:
        self.followup: Followup | None = None

    def write(self, followup: Followup) -> None:
        self.followup = followup

    def read(self) -> Followup | None:
        return self.followup

    def clear(self) -> None:
        self.followup = None

    def pause(self) -> None:
        """Keep it: there is no other process to leave it to."""


class MemoryWorkerRegistry:
    """A `WorkerRegistry`: a test puts into `orphans` what processes that are gone left."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.orphans: list[str] = []

    def enter(self, name: str) -> None:
        if name not in self.names:
            self.names.append(name)

    def leave(self, name: str) -> None:
        if name in self.names:
            self.names.remove(name)

    def left_behind(self) -> list[str]:
        found, self.orphans = self.orphans, []
        return found


class NoWorkspaces:
    """`Workspaces` of a world without files: there is none to lay out."""

    def open(
        self,
        base: str,
        changes: Mapping[str, FileEntry | None] | None = None,
        begun: Mapping[str, FileEntry | None] | None = None,
        again: str = "",
    ) -> AbstractContextManager[Workspace]:
        raise AgentError(
            "there is no checkout in memory",
            hint="try an adapter that works in one with the command line, in a repository",
        )


class MemoryChecker:
    """A `Checker` that runs no program.

    A check passes unless a file of the tree holds the words `NAME fails`. `trees` are those of
    proposals that were checked, and `on_base` counts looks at a base alone.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.trees: list[dict[str, Entry]] = []
        self.on_base = 0

    def ready(self, checks: Sequence[Check]) -> None:
        pass

    def run(
        self,
        checks: Sequence[Check],
        base: str,
        changes: Mapping[str, FileEntry | None],
        pause: Callable[[], None],
    ) -> list[CheckResult]:
        tree = {**self._repository.files(base), **changes}
        if changes:
            self.trees.append({path: entry for path, entry in tree.items() if entry is not None})
        else:
            self.on_base += 1
        contents = [
            self._repository.blobs[entry.oid]
            for entry in tree.values()
            if isinstance(entry, FileEntry)
        ]
        results: list[CheckResult] = []
        for check in checks:
            passed = not any(f"{check.name} fails".encode() in content for content in contents)
            reason = "" if passed else "it left with exit status 1"
            results.append(CheckResult(check.name, passed, reason, "output\n", 1))
            if not passed:
                break
        return results
