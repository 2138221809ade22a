"""The log walked back over raw commits, cut into ranges; and what shows git another history."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pygit2

from esaa_git.store.eventcommit import read_commit
from esaa_git.store.objects import MalformedObject, decode_commit, raw_parent
from esaa_git.store.repository import Repository
from esaa_git.verification.failure import Failure
from esaa_git.verification.pins import Mark, is_oid
from esaa_git.verification.ranges import Range, range_of

CHUNK = 1000
"""Events a range has."""


class LogWalk:
    """One walk from the tip of a log to where it begins, or to the verified point.

    Args:
        since: the verified point to walk to.
        look_for: a mark whose tip is looked out for on the way.
        checkpoint: a sequence number whose commit is wanted.

    Attributes:
        genesis: the first commit of the log, once the walk has reached it.
        boundary: the shallow boundary at which it ended instead.
        meets_mark: whether it has met the tip of the mark.
        at_checkpoint: the commit at the wanted sequence number, once it was passed.
    """

    def __init__(
        self,
        repository: Repository,
        shallow: Collection[str],
        *,
        since: Mark | None,
        look_for: Mark | None,
        checkpoint: int | None,
    ) -> None:
        self._repository = repository
        self._shallow = shallow
        self._since = since
        self._look_for = look_for
        self._checkpoint = checkpoint
        self.genesis: str | None = None
        self.boundary: str | None = None
        self.meets_mark = False
        self.at_checkpoint: str | None = None

    def ranges(self, tip: str, seq: int | None) -> Iterator[Range]:
        """Walk back over raw commits and yield ranges, the newest first.

        A parent that is missing ends the walk where the commit is a shallow boundary; the ranges
        then stand on that commit. A boundary whose parent is here all the same is walked past.

        Args:
            seq: the sequence number of the tip, where it is known.

        Raises:
            Failure: check 1, if the verified point is not met; check 2, for a missing commit.
        """
        oids: list[str] = []
        current: str | None = tip
        mark = self._look_for
        stop = None if self._since is None else self._since.tip
        while current is not None and current != stop:
            if self._checkpoint is not None and seq == self._checkpoint:
                self.at_checkpoint = current
            self.meets_mark |= mark is not None and current == mark.tip
            parent = read_parent(self._repository, current, seq)
            if current in self._shallow and is_missing(self._repository, parent) and parent != stop:
                self.boundary = current
                break
            oids.append(current)
            seq = None if seq is None or seq <= 1 else seq - 1
            if len(oids) == CHUNK:
                yield range_of(parent, oids)
                oids = []
            if parent is None:
                self.genesis = current
            current = parent
        if oids:
            yield range_of(current, oids)
        if current != stop and self._since is not None:
            message = f"the log does not contain {self._since.tip[:12]}, which was verified here"
            if self.boundary is not None:
                message = f"the log that is here ends early (a shallow clone): {message}"
            raise Failure(1, message)
        if self._since is not None:
            self.genesis, self.boundary = self._since.genesis, self._since.boundary
            self.meets_mark = True

    def commit_at(self, seq: int, first: int) -> str | None:
        """Return the commit at the wanted sequence number, which may lie before the walk.

        Back from the verified point it is walked to, and not looked up in an index: the answer
        decides.

        Args:
            first: the first event that is here.
        """
        if seq < first or self.at_checkpoint is not None:
            return self.at_checkpoint
        if self._since is None or seq > self._since.seq:
            return None
        current: str | None = self._since.tip
        for number in range(self._since.seq, seq, -1):
            current = None if current is None else read_parent(self._repository, current, number)
        return current


def read_parent(repository: Repository, oid: str, seq: int | None = None) -> str | None:
    """Return the raw parent of a commit of the log.

    Raises:
        Failure: check 2, if the commit cannot be read.
    """
    try:
        return raw_parent(read_commit(repository.read, oid))
    except (KeyError, MalformedObject, pygit2.GitError) as error:
        raise Failure(2, f"commit {oid} cannot be read").at(oid, seq) from error


def is_missing(repository: Repository, oid: str | None) -> bool:
    """Answer whether a commit that is named is not here."""
    return oid is not None and oid not in repository.odb


def shallow_commits(repository: Repository) -> frozenset[str]:
    """Return the commits at which git takes the history to end (gitformat-commit-graph(5))."""
    try:
        listed = (repository.common_dir / "shallow").read_text("ascii", errors="replace")
    except FileNotFoundError:
        return frozenset()
    return frozenset(word for word in listed.split() if is_oid(word))


def deceptions(repository: Repository, shallow: Collection[str]) -> Iterator[str]:
    """Name what makes git's own commands show another history than the one verified here."""
    replaced = [ref for ref in repository.raw.references if "refs/replace/" in ref]
    if replaced:
        yield f"{len(replaced)} replace refs (refs/replace/)"
    grafts = repository.common_dir / "info" / "grafts"
    if grafts.is_file() and grafts.stat().st_size:
        yield f"a grafts file ({grafts})"
    hidden = sum(_is_cut_in_vain(repository, oid) for oid in shallow)
    if hidden:
        yield f"a shallow file that cuts off {hidden} commits whose parents are here"


def _is_cut_in_vain(repository: Repository, oid: str) -> bool:
    try:
        parents = decode_commit(repository.read(oid)[1]).parents
    except (KeyError, ValueError, MalformedObject, pygit2.GitError):
        return False  # git itself complains of such a file
    return any(parent in repository.odb for parent in parents)
