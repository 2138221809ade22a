"""Reachable is not present: which effects' content is no longer at the tip of a branch, and why.

An effect's path that is not as the effect left it is traced back from the tip through commits that
hold the effect. It ends at a commit that changed it since, which is how files live; or at a merge
that took another side although git would have kept the effect, or could not say: that merge has
lost it (`-s ours`, or a tree made by hand).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pygit2

from esaa_git.store.repository import DamagedObject, Repository
from esaa_git.verification.branch import Node
from esaa_git.verification.changes import Image, TreeChanges

SUPERSEDED, CHANGED, LOST, UNDONE = "superseded", "changed", "lost", "undone"


@dataclass(frozen=True, slots=True)
class Carried:
    """An effect and the commit of the branch that holds it, with the paths that it changed."""

    task_id: str
    effect_commit: str
    commit: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gone:
    """A path that is not at the tip as an effect left it.

    `how` is `superseded` by a later effect (`by` is its task), `changed` by a commit of the branch
    since (`by`), or `lost` in a merge (`by`); where its task was undone, `undone` (by the task
    `by`), whatever came after that.
    """

    task_id: str
    effect_commit: str
    path: str
    how: str
    by: str


def gone_from(
    repository: Repository,
    tip: str,
    commits: Mapping[str, Node],
    carried: Iterable[Carried],
) -> list[Gone]:
    """Return what of these effects is not at the tip, in the order of the branch.

    Args:
        commits: the history of the branch, as far as effects may be in it; those that hold one of
            `carried` among them, and so the tip.

    Raises:
        MissingObject: naming an object that is not here.
        DamagedObject: naming one that cannot be read, or a merge that stands on such a one.
    """
    order = _children_first(tip, commits)
    place = {oid: number for number, oid in enumerate(order)}
    changes = TreeChanges(repository.read)
    by_path: dict[str, list[Carried]] = {}
    held = [one for one in carried if one.commit in place]
    for one in sorted(held, key=lambda one: -place[one.commit]):
        for path in one.paths:
            by_path.setdefault(path, []).append(one)
    touched: dict[str, list[str]] = {}
    for path, effects in by_path.items():
        for one in effects:
            touched.setdefault(one.commit, []).append(path)
    tree = commits[tip].tree
    gone = {oid: changes.changed(commits[oid].tree, tree, paths) for oid, paths in touched.items()}
    found: list[Gone] = []
    traced: dict[str, Carried] = {}
    for path, (*earlier, last) in by_path.items():
        found += [
            Gone(one.task_id, one.effect_commit, path, SUPERSEDED, last.task_id)
            for one in earlier
            if path in gone[one.commit]
        ]
        if path in gone[last.commit]:
            traced[path] = last
    if traced:
        found += _Tracer(repository, changes, commits, order).trace(tip, traced)
    return found


def _children_first(tip: str, commits: Mapping[str, Node]) -> list[str]:
    """Return the commits so that none comes before one that it leads to."""
    waiting = dict.fromkeys(commits, 0)
    for commit in commits.values():
        for parent in commit.parents:
            if parent in waiting:
                waiting[parent] += 1
    order, ready = [], [tip]
    while ready:
        oid = ready.pop()
        order.append(oid)
        for parent in commits[oid].parents:
            if parent in waiting:
                waiting[parent] -= 1
                if not waiting[parent]:
                    ready.append(parent)
    return order


class _Tracer:
    """Traces paths back from the tip, all of them in one walk."""

    def __init__(
        self,
        repository: Repository,
        changes: TreeChanges,
        commits: Mapping[str, Node],
        order: Sequence[str],
    ) -> None:
        self._repository = repository
        self._changes = changes
        self._commits = commits
        self._order = order
        self._merges: dict[str, pygit2.Index | None] = {}

    def trace(self, tip: str, wanted: Mapping[str, Carried]) -> list[Gone]:
        """Return what became of each path since the effect that wrote it last."""
        holds = self._holding(wanted.values())
        bits = {path: 1 << self._bit[one.commit] for path, one in wanted.items()}
        found: list[Gone] = []

        def end(path: str, how: str, oid: str) -> None:
            one = wanted[path]
            found.append(Gone(one.task_id, one.effect_commit, path, how, oid))

        at: dict[str, set[str]] = {tip: set(wanted)}
        for oid in self._order:
            paths = at.pop(oid, None)
            if not paths:
                continue
            commit = self._commits[oid]
            differs = [self._differing(parent, commit, paths) for parent in commit.parents]
            for path in paths:
                same = [
                    parent
                    for parent, other in zip(commit.parents, differs, strict=True)
                    if path not in other
                ]
                into = [one for one in same if holds.get(one, 0) & bits[path]]
                if into:
                    at.setdefault(into[0], set()).add(path)
                elif len(commit.parents) < 2:
                    end(path, CHANGED, oid)
                else:
                    side = [one for one in commit.parents if holds.get(one, 0) & bits[path]]
                    is_lost = bool(side) and self._is_lost(oid, path, side[0], bool(same))
                    end(path, LOST if is_lost else CHANGED, oid)
        return found

    def _holding(self, carried: Iterable[Carried]) -> dict[str, int]:
        """Return which of these effects each commit leads to, one bit for each."""
        self._bit = {oid: n for n, oid in enumerate(dict.fromkeys(one.commit for one in carried))}
        holds: dict[str, int] = {}
        for oid in reversed(self._order):
            found = 1 << self._bit[oid] if oid in self._bit else 0
            for parent in self._commits[oid].parents:
                found |= holds.get(parent, 0)
            holds[oid] = found
        return holds

    def _differing(self, parent: str, commit: Node, paths: Iterable[str]) -> Mapping[str, Image]:
        return self._changes.changed(self._changes.tree_of(parent), commit.tree, paths)

    def _is_lost(self, merge: str, path: str, side: str, is_other_side: bool) -> bool:
        """Answer whether a merge has dropped what one side has of a path.

        Not where git itself makes of the path what the merge has. Where the merge has what no
        side has, it was made by hand: then it is lost if none of the lines that the side brought
        is left.
        """
        index = self._merged(merge)
        image = self._changes.image(self._commits[merge].tree, path)
        if index is not None:
            conflicts = index.conflicts or ()
            is_open = any(one is not None and one.path == path for of in conflicts for one in of)
            if not is_open and _image_in(index, path) == image:
                return False
        return is_other_side or not self._has_lines_of(image, merge, side, path)

    def _merged(self, merge: str) -> pygit2.Index | None:
        if merge not in self._merges:
            parents = self._commits[merge].parents
            index = None
            if len(parents) == 2:
                try:
                    index = self._repository.merge_commits(*parents)
                except (KeyError, pygit2.GitError) as error:
                    what = f"merge {merge[:12]} cannot be made again"
                    raise DamagedObject(what, cause=str(error)) from error
            self._merges[merge] = index
        return self._merges[merge]

    def _has_lines_of(self, image: Image, merge: str, side: str, path: str) -> bool:
        lines = self._lines(self._changes.image(self._changes.tree_of(side), path))
        for other in self._commits[merge].parents:
            if other != side:
                lines -= self._lines(self._changes.image(self._changes.tree_of(other), path))
        return not lines or not lines.isdisjoint(self._lines(image))

    def _lines(self, image: Image) -> set[bytes]:
        if image is None or image[0] == "160000":
            return set()
        return set(self._repository.read(image[1])[1].split(b"\n")) - {b""}


def _image_in(index: pygit2.Index, path: str) -> Image:
    try:
        entry = index[path]
    except KeyError:
        return None
    return f"{int(entry.mode):o}", str(entry.id)
