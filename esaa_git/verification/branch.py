"""Check 11, on the branch: it holds the effects that the log names, and none that poses as one.

The history is that of the raw commits: a grafts file, a replace ref or a commit graph shows git,
and libgit2, another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

import pygit2

from esaa_git.store.commitform import claims
from esaa_git.store.objects import COMMIT, Commit, MalformedObject, Reader, decode_commit
from esaa_git.verification.effects import REWRITTEN, Closed
from esaa_git.verification.failure import CORRUPTED, Failure


@dataclass
class Walked:
    """What looking through a branch found.

    `is_cut` says that the history which is here ends early (a shallow clone), and `beyond` are
    the commits looked for that may lie before that.
    """

    tip: str
    commits: int = 0
    is_cut: bool = False
    beyond: set[str] = field(default_factory=set)
    relinked: list[Relinked] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Relinked:
    """An effect that the branch holds in another commit than its own.

    `how` is `same-tree-changes`, `patch-id` or `squashed`; `is_recorded` says that the log names
    the commit.
    """

    seq: int
    task_id: str
    effect_commit: str
    carried_by: str
    how: str
    is_recorded: bool


class Explain(Protocol):
    """Looks for effects in other commits than their own (`esaa_git.verification.relink`)."""

    def __call__(
        self,
        missing: Sequence[Closed],
        posing: Mapping[str, Commit],
        history: Sequence[tuple[str, Commit]],
    ) -> list[Relinked]:
        """Return which commits of the history, newest first, carry which effects.

        Args:
            missing: effects that are not on the branch.
            posing: commits on it that claim events, and that the log does not know.
        """
        ...


def check_branch(
    reader: Reader,
    tip: str,
    closed: Sequence[Closed],
    *,
    is_known: Callable[[str, bytes], bool],
    seen: Collection[str] = (),
    verified: str | None = None,
    shallow: Collection[str] = (),
    explain: Explain | None = None,
) -> Walked:
    """Find every effect in the branch's history, and no commit that only poses as one.

    Args:
        closed: what the branch has to hold.
        is_known: answers whether a commit, with its message, is an effect that the log names.
        seen: commits whose history need not be looked at again, such as one older than the log.
        verified: a tip of this branch that was looked at before; the branch has to hold it.
        shallow: commits at which the history that is here ends.
        explain: looks for what is not found as it should be in other commits.

    Raises:
        Failure: check 11.
    """
    missing = {one.effect_commit: one for one in closed}
    posing: dict[str, Commit] = {}
    hiding = {*seen, *(() if verified is None else (verified,))}
    holds_verified = verified in (None, tip)
    walked = Walked(tip)
    for oid, commit, is_cut in _history(reader, tip, hiding, shallow):
        walked.commits += 1
        walked.is_cut |= is_cut
        missing.pop(oid, None)
        holds_verified |= verified in commit.parents
        if claims(commit.message) and not is_known(oid, commit.message):
            if explain is None:
                raise _unfounded(oid)
            posing[oid] = commit
    if walked.is_cut:
        walked.beyond = set(missing) | (set() if holds_verified else {str(verified)})
        missing = {}
    elif not holds_verified:
        message = f"the branch does not contain {str(verified)[:12]}, which was verified here"
        raise Failure(11, message, hint=REWRITTEN).at(tip)
    for oid, _, _ in _history(reader, tip, (), shallow) if missing and hiding else ():
        missing.pop(oid, None)
    if explain is not None and (missing or posing):
        history = [(oid, commit) for oid, commit, _ in _history(reader, tip, seen, shallow)]
        walked.relinked = explain(list(missing.values()), posing, history)
        for one in walked.relinked:
            missing.pop(one.effect_commit, None)
            posing.pop(one.carried_by, None)
    if posing:
        raise _unfounded(next(iter(posing)))
    if missing:
        first = min(missing.values(), key=lambda one: one.seq)
        message = "it is not on the branch; was the branch rolled back or rewritten?"
        raise first.locate(Failure(11, message, hint=REWRITTEN))
    return walked


def _unfounded(oid: str) -> Failure:
    what = f"commit {oid[:12]} on the branch claims an event, and the log knows no such"
    return Failure(11, what, hint=REWRITTEN).at(oid)


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
