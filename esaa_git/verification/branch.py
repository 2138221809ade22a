"""Check 11, on the branch: it holds the effects that the log names, and none that poses as one.

The history is that of the raw commits: a grafts file, a replace ref or a commit graph shows git,
and libgit2, another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

import pygit2

from esaa_git.core.state import Carrier
from esaa_git.store.objects import COMMIT, Commit, MalformedObject, Reader, decode_commit
from esaa_git.store.trailers import speaks_of_us
from esaa_git.verification.claims import FOREIGN, UNFOUNDED, Standing
from esaa_git.verification.effects import Closed
from esaa_git.verification.failure import CORRUPTED, Failure


class Node(NamedTuple):
    """What is kept of a commit that was walked over: its tree, its parents, and whether it speaks
    of us (`esaa_git.store.trailers`)."""

    tree: str
    parents: tuple[str, ...]
    speaks: bool = False


@dataclass
class Walked:
    """What looking through a branch found.

    `is_cut` says that the history which is here ends early (a shallow clone).
    """

    name: str
    tip: str
    commits: int = 0
    is_cut: bool = False
    found: set[str] = field(default_factory=set)
    """Effects that it holds, in their own commits or in carriers on record."""
    held: set[str] = field(default_factory=set)
    """What was verified before and leads to the tip."""
    relinked: list[Relinked] = field(default_factory=list)
    foreign: list[tuple[str, str]] = field(default_factory=list)
    """Commits whose claims are let be, each with why."""
    nodes: dict[str, Node] = field(default_factory=dict)
    """What was walked over, newest first."""
    unjudged: list[str] = field(default_factory=list)
    """Carriers on record whose parent is not here, so that what they change cannot be told."""
    posing: dict[str, Commit] = field(default_factory=dict)
    """Commits that claim events, and behind which the log does not stand."""
    why: dict[str, str] = field(default_factory=dict)

    def unfounded(self, oid: str, hint: str) -> Failure:
        """Return the failure of a commit that poses as an effect."""
        why = self.why[oid]
        what = f"commit {oid[:12]} on the branch claims an event, and the log knows no such"
        if why:
            what = f"commit {oid[:12]} on the branch is no effect that the log knows: {why}"
        return Failure(11, what, hint=hint).at(oid)


@dataclass(frozen=True, slots=True)
class Relinked:
    """An effect that the branch holds in another commit than its own.

    `how` is as in `core.state.Carrier`; `is_recorded` says that the log names the commit.
    """

    seq: int
    task_id: str
    effect_commit: str
    carried_by: str
    how: str
    is_recorded: bool
    carrier: Carrier


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A commit that carries effects and changes paths beside them, for which nothing answers.

    `lacking` are tasks whose effects it claims as well, and does not hold.
    """

    oid: str
    tasks: tuple[str, ...]
    paths: tuple[str, ...]
    lacking: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """What is wrong with it, in words."""
        shown = ", ".join(f"'{path}'" for path in self.paths[:10])
        more = f" and {len(self.paths) - 10} more" if len(self.paths) > 10 else ""
        short = self.oid[:12]
        what = (
            f"commit {short} on the branch carries the effect of {', '.join(self.tasks[:10])}, and "
        )
        if self.paths:
            what += f"changes beside it {shown}{more}, which no event says"
        if self.lacking:
            claims = f"claims that of {', '.join(self.lacking[:10])}, which is not in it"
            what += f"; it {claims}" if self.paths else claims
        return what


class Explain(Protocol):
    """Looks for effects in other commits than their own (`esaa_git.verification.relink`)."""

    def __call__(
        self,
        missing: Sequence[Closed],
        posing: Mapping[str, Commit],
        tip: str,
        history: Sequence[tuple[str, Commit]],
    ) -> tuple[list[Relinked], list[Unexplained]]:
        """Return which commits of the history, newest first, carry which effects, and which more.

        Args:
            missing: effects that are on no branch.
            posing: commits of the history that claim events, and that the log does not know.
            tip: where the branch ends.
        """
        ...


def walk_branch(
    reader: Reader,
    name: str,
    tip: str,
    closed: Sequence[Closed],
    *,
    standing: Callable[[str, Commit], Standing],
    seen: Collection[str] = (),
    verified: Collection[str] = (),
    shallow: Collection[str] = (),
) -> Walked:
    """Look through a branch's history for effects, and for commits that only pose as such.

    Args:
        closed: the effects that are looked for.
        standing: says what stands behind a commit (`esaa_git.verification.claims`).
        seen: commits whose history need not be looked at again, such as one older than the log.
        verified: tips that were looked at before; whether they lead here is found out.
        shallow: commits at which the history that is here ends.

    Raises:
        Failure: check 11, for a commit that cannot be read.
    """
    wanted = {one.effect_commit for one in closed}
    by_task = {one.task_id: one for one in closed}
    walked = Walked(name, tip, held={one for one in verified if one == tip})
    for oid, commit, is_cut in _history(reader, tip, {*seen, *verified}, shallow):
        walked.commits += 1
        walked.is_cut |= is_cut
        walked.nodes[oid] = Node(commit.tree, commit.parents)
        walked.held.update(one for one in verified if one in commit.parents)
        if oid in wanted:
            walked.found.add(oid)
        stands = standing(oid, commit)
        if stands.carrier is not None:
            for one in (by_task[task] for task in stands.carrier.tasks if task in by_task):
                walked.found.add(one.effect_commit)
                walked.relinked.append(recorded(one, stands.carrier))
        elif stands.kind == FOREIGN:
            walked.foreign.append((oid, stands.why))
        elif stands.is_on_record and is_cut:
            walked.unjudged.append(oid)
        elif stands.kind == UNFOUNDED:
            walked.posing[oid], walked.why[oid] = commit, stands.why
    return walked


def history_of(
    reader: Reader, tip: str, seen: Collection[str], shallow: Collection[str]
) -> list[tuple[str, Commit]]:
    """Return the commits that lead to `tip` and not to those `seen`, newest first."""
    return [(oid, commit) for oid, commit, _ in _history(reader, tip, seen, shallow)]


def nodes_of(
    reader: Reader, tip: str, seen: Collection[str], shallow: Collection[str]
) -> dict[str, Node]:
    """Return the commits that lead to `tip` and not to those `seen`."""
    return {
        oid: Node(commit.tree, commit.parents, speaks_of_us(commit.payload))
        for oid, commit, _ in _history(reader, tip, seen, shallow)
    }


def recorded(closed: Closed, carrier: Carrier) -> Relinked:
    """Return the link that the log has of an effect."""
    return Relinked(
        closed.seq, closed.task_id, closed.effect_commit, carrier.commit, carrier.how, True, carrier
    )


def _history(
    reader: Reader, tip: str, seen: Collection[str], shallow: Collection[str]
) -> Iterator[tuple[str, Commit, bool]]:
    """Yield the commits that lead to `tip` and not to those `seen`, each with whether it is cut.

    Newest first by the committer's clock, and hiding what leads to `seen` as far as it is met,
    as git-rev-list(1) does: where clocks are wrong, a commit may come that `seen` would hide.
    """
    hidden = set(seen)
    met = {tip, *seen}
    commits: dict[str, Commit] = {}
    queue: list[tuple[int, str]] = []
    for oid in met:
        commit = _commit(reader, oid, is_needed=oid not in hidden)
        if commit is not None:
            commits[oid] = commit
            heappush(queue, (-_seconds(commit), oid))
    waiting = sum(oid not in hidden for _, oid in queue)
    while waiting:
        _, oid = heappop(queue)
        commit = commits.pop(oid)
        is_hidden = oid in hidden
        waiting -= not is_hidden
        is_cut = False
        for parent in commit.parents:
            if is_hidden and parent not in hidden:
                hidden.add(parent)
                waiting -= parent in commits
            if parent in met:
                continue
            met.add(parent)
            needed = not is_hidden and oid not in shallow
            found = _commit(reader, parent, is_needed=needed)
            if found is None:
                is_cut = not is_hidden
                continue
            commits[parent] = found
            heappush(queue, (-_seconds(found), parent))
            waiting += parent not in hidden
        if not is_hidden:
            yield oid, commit, is_cut


def _commit(reader: Reader, oid: str, *, is_needed: bool) -> Commit | None:
    try:
        kind, data = reader(oid)
        if kind != COMMIT:
            raise MalformedObject("it is not a commit")
        return decode_commit(data)
    except KeyError as error:
        if not is_needed:
            return None
        message = f"commit {oid[:12]} of the branch is missing"
        raise Failure(11, message, CORRUPTED).at(oid) from error
    except (MalformedObject, pygit2.GitError) as error:
        message = f"commit {oid[:12]} of the branch cannot be read: {error}"
        raise Failure(11, message, CORRUPTED).at(oid) from error


def _seconds(commit: Commit) -> int:
    words = commit.committer.rsplit(b" ", 2)
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0
