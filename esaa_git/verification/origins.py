"""What a squash was made of: a commit at hand that holds effects and commits of people.

A branch that was squashed and deleted is at hand as long as a ref or a reflog leads to it. Rule:
the squash's tree is git's merge of its parent with that commit, and whatever that commit has and
the branch has not is an effect that the log names, or a commit of a person, which claims nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import pygit2

from esaa_git.errors import EsaaError
from esaa_git.store.objects import MalformedObject, tree_of_commit
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository
from esaa_git.store.trailers import speaks_of_us
from esaa_git.verification.carrier import Candidate, is_merge_of
from esaa_git.verification.changes import image_at

TRIED = 200
"""How many commits are tried for one squash, the newest first."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A commit that a squash was made of, with what it brings: effects, and people's commits."""

    commit: str
    effects: frozenset[str]
    people: tuple[str, ...]


class Origins:
    """The commits at hand that hold some of these effects and are not on the branch.

    Args:
        tip: of the branch.
        effects: commits of effects that are missing there.
    """

    def __init__(self, repository: Repository, tip: str, effects: Sequence[str]) -> None:
        self._repository = repository
        self._effects = frozenset(effects)
        self._parents = _at_hand(repository, tip) if effects else {}
        self._holding = self._that_hold()
        self._brings: dict[str, Origin | None] = {}
        self._found: dict[str, Origin | None] = {}

    def __bool__(self) -> bool:
        return bool(self._holding)

    def of(self, candidate: Candidate) -> Origin | None:
        """Return what the commit is a squash of, or None where nothing at hand is."""
        if candidate.oid not in self._found:
            self._found[candidate.oid] = self._of(candidate)
        return self._found[candidate.oid]

    def has_undone(self, origin: Origin, candidate: Candidate, paths: Iterable[str]) -> bool:
        """Answer whether what was squashed led one of these paths back to where it began."""
        ours, theirs = (pygit2.Oid(hex=oid) for oid in (candidate.commit.parents[0], origin.commit))
        # There may be none, whatever pygit2's types say.
        base = cast("pygit2.Oid | None", self._repository.raw.merge_base(ours, theirs))
        if base is None:
            return False
        first, last = (self._tree_of(oid) for oid in (str(base), origin.commit))
        read = self._repository.read
        return any(image_at(read, first, path) == image_at(read, last, path) for path in paths)

    def _tree_of(self, oid: str) -> str:
        return tree_of_commit(self._repository.read(oid)[1])

    def _of(self, candidate: Candidate) -> Origin | None:
        parent = candidate.commit.parents[0]
        for oid in self._holding[:TRIED]:
            try:
                if is_merge_of(self._repository, candidate.commit.tree, (parent, oid)):
                    origin = self._origin(oid)
                    if origin is not None:
                        return origin
            except (KeyError, MalformedObject, pygit2.GitError):
                continue  # parts of it are not here
        return None

    def _that_hold(self) -> list[str]:
        """Return what leads from an effect on, the newest first."""
        holding: set[str] = set()
        for oid, parents in reversed(self._parents.items()):
            if oid in self._effects or not holding.isdisjoint(parents):
                holding.add(oid)
        return [oid for oid in self._parents if oid in holding]

    def _origin(self, commit: str) -> Origin | None:
        if commit not in self._brings:
            self._brings[commit] = self._brought_by(commit)
        return self._brings[commit]

    def _brought_by(self, commit: str) -> Origin | None:
        met, waiting = {commit}, [commit]
        while waiting:
            new = {one for one in self._parents[waiting.pop()] if one in self._parents} - met
            met |= new
            waiting += new
        people = [oid for oid in self._parents if oid in met and oid not in self._effects]
        if any(speaks_of_us(self._repository.read(oid)[1]) for oid in people):
            return None
        return Origin(commit, self._effects & met, tuple(reversed(people)))


def _at_hand(repository: Repository, tip: str) -> dict[str, tuple[str, ...]]:
    """Return the commits that refs and reflogs lead to and the branch does not, with parents.

    The newest first, and none before what leads to it.
    """
    try:
        listed = run_git(
            repository.git_dir,
            *("rev-list", "--topo-order", "--parents", "--exclude=refs/esaa/*", "--all"),
            *("--reflog", f"^{tip}", "--"),
        )
    except EsaaError:
        return {}  # a reflog may name what is gone
    words = (line.split() for line in listed.decode().splitlines())
    return {oid: tuple(parents) for oid, *parents in words}
