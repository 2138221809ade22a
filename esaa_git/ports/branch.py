"""The working branch, the effects that arrive on it as commits, and its checkouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from esaa_git.ports.files import FileEntry


@dataclass(frozen=True, slots=True)
class BranchMove:
    """The working branch is to go from one commit to another, both ids."""

    branch: str
    old: str
    new: str


COMMIT_OR_STASH: Final = "commit it, or put it away with 'git stash --include-untracked'"
"""How work that is not committed gets out of the way, where nothing else is the matter."""


@dataclass(frozen=True, slots=True)
class InTheWay:
    """A path that an effect would change and that holds a person's own uncommitted work."""

    path: str
    worktree: str
    reason: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What an accepted proposal does to the working branch, ready to be committed.

    `changes` maps a path to its entry after the effect, or to None where the path goes away.
    """

    branch: str
    parent: str
    changes: Mapping[str, FileEntry | None]
    agent: str
    ts: str
    summary: str
    event_commit: str
    log_id: str
    run_id: str
    task_id: str
    attempt_id: str
    assisted_by: str | None
    reviewed_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """What an attempt proposes, ready to be committed so that anybody can check it out.

    `changes` is as in `Effect`; `rejected` says that the answer broke a rule.
    """

    parent: str
    changes: Mapping[str, FileEntry | None]
    author: str
    ts: str
    task_id: str
    attempt_id: str
    rejected: bool


class WorkingBranch(Protocol):
    """The branches that effects arrive on, by name without `refs/heads/`."""

    def tip(self, branch: str) -> str | None:
        """Return the commit the branch names, or None where it does not exist."""
        ...

    def current(self) -> str:
        """Return the branch that is checked out here.

        Raises:
            RepositoryError: if there is no commit yet, or HEAD names no branch.
        """
        ...

    def protected(self) -> Sequence[str]:
        """Return globs of what in a checkout is the repository's own machinery (its hooks)."""
        ...

    def move(self, move: BranchMove, message: str) -> None:
        """Move the branch by compare-and-swap."""
        ...

    def contains(self, tip: str, commit: str) -> bool:
        """Answer whether `commit` is `tip` or an ancestor of it."""
        ...

    def keep_snapshot(self, name: str, commits: Mapping[str, str], most: int) -> list[str]:
        """Keep commits under `refs/esaa/snapshots/<name>/`; the newest `most` are kept."""
        ...


class EffectCommits(Protocol):
    """Makes the commits that effects are; no ref moves."""

    def commit_effect(self, effect: Effect, sign: Callable[[bytes], bytes]) -> str:
        """Store the effect commit and return its id."""
        ...

    def commit_proposal(self, shown: Shown, sign: Callable[[bytes], bytes]) -> tuple[str, str]:
        """Store the commit of a proposal and return its id and that of its tree."""
        ...

    def proposed(self, commit: str) -> tuple[str, str] | None:
        """Return parent and tree of a proposal's commit; None where it is not here.

        Raises:
            CorruptedError: if it is no commit with one parent.
        """
        ...

    def commit_merge(
        self, branch: str, effect_commit: str, ts: str, sign: Callable[[bytes], bytes]
    ) -> str:
        """Store a merge of an effect commit into the branch's tip and return its id.

        Raises:
            ConflictError: if the two do not merge.
        """
        ...


class Checkouts(Protocol):
    """The checkouts of a branch, which follow it where it goes."""

    def in_the_way(
        self, branch: str, commit: str, changes: Mapping[str, FileEntry | None]
    ) -> list[InTheWay]:
        """Return which of the paths hold a person's uncommitted work in a checkout.

        Work that is already what the change would make of the path is not in the way.
        """
        ...

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        """Return the paths with uncommitted work in checkouts of the branch.

        Args:
            below: only those that are, or lie below, one of these; `""` is the root.
        """
        ...

    def way_out(self, branch: str, found: Sequence[InTheWay] = ()) -> str:
        """Say in words, as a command, how a person's work gets out of the way.

        Args:
            found: what is in the way, where that is known.
        """
        ...

    def lock(self, branch: str) -> None:
        """Keep a person's commits from between a move of the branch and of its checkout.

        Until `unlock`, and as far as that can be done.
        """
        ...

    def unlock(self) -> None:
        """End what `lock` began; where nothing is held, nothing happens."""
        ...

    def follow(self, branch: str, old: str, new: str, paths: Sequence[str]) -> list[InTheWay]:
        """Bring every checkout of the branch from `old` to `new` for these paths."""
        ...


class NoCheckouts:
    """The checkouts of branches that are checked out nowhere."""

    def in_the_way(
        self, branch: str, commit: str, changes: Mapping[str, FileEntry | None]
    ) -> list[InTheWay]:
        return []

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        return []

    def way_out(self, branch: str, found: Sequence[InTheWay] = ()) -> str:
        return COMMIT_OR_STASH

    def lock(self, branch: str) -> None:
        pass

    def unlock(self) -> None:
        pass

    def follow(self, branch: str, old: str, new: str, paths: Sequence[str]) -> list[InTheWay]:
        return []
