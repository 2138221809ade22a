"""The working branch of a world in memory: its effects, and the one checkout of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.ports.branch import COMMIT_OR_STASH, BranchMove, Effect, InTheWay, Shown
from esaa_git.testing.world import Commit, Entry, Files, Repository


class MemoryBranch:
    """A `WorkingBranch`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.hooks: tuple[str, ...] = ()

    def tip(self, branch: str) -> str | None:
        return self._repository.refs.get(f"refs/heads/{branch}")

    def current(self) -> str:
        return self._repository.current

    def protected(self) -> Sequence[str]:
        return self.hooks

    def move(self, move: BranchMove, message: str) -> None:
        self._repository.swap([(f"refs/heads/{move.branch}", move.old, move.new)])

    def contains(self, tip: str, commit: str) -> bool:
        return commit in self._repository.ancestors(tip)

    def keep_snapshot(self, name: str, commits: Mapping[str, str], most: int) -> list[str]:
        prefix = "refs/esaa/snapshots/"
        refs = self._repository.refs
        kept = [f"{prefix}{name}/{part}" for part in commits]
        refs.update(zip(kept, commits.values(), strict=True))
        names = sorted({ref.split("/")[3] for ref in refs if ref.startswith(prefix)})
        for old in names[:-most]:
            for ref in [ref for ref in refs if ref.startswith(f"{prefix}{old}/")]:
                del refs[ref]
        return kept


class MemoryEffects:
    """An `EffectCommits`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def commit_effect(self, effect: Effect, sign: Callable[[bytes], bytes]) -> str:
        sign(effect.event_commit.encode())
        files = changed(self._repository.files(effect.parent), effect.changes)
        said = {name: value for name, value in asdict(effect).items() if name != "changes"}
        return self._repository.put(Commit((effect.parent,), files, said))

    def commit_proposal(self, shown: Shown, sign: Callable[[bytes], bytes]) -> tuple[str, str]:
        sign(shown.attempt_id.encode())
        files = changed(self._repository.files(shown.parent), shown.changes)
        said = {name: value for name, value in asdict(shown).items() if name != "changes"}
        commit = self._repository.put(Commit((shown.parent,), files, said))
        return commit, self._repository.commits[commit].tree

    def proposed(self, commit: str) -> tuple[str, str] | None:
        found = self._repository.commits.get(commit)
        return None if found is None else (found.parents[0], commit)

    def commit_merge(
        self, branch: str, effect_commit: str, ts: str, sign: Callable[[bytes], bytes]
    ) -> str:
        tip = self._repository.refs.get(f"refs/heads/{branch}")
        if tip is None:
            raise RepositoryError(f"the working branch '{branch}' is gone")
        mine = set(self._repository.ancestors(tip))
        base = next(oid for oid in self._repository.ancestors(effect_commit) if oid in mine)
        before, ours, theirs = map(self._repository.files, (base, tip, effect_commit))
        files = dict(ours)
        for path in sorted({*before, *theirs}):
            if theirs.get(path) == before.get(path) or theirs.get(path) == ours.get(path):
                continue
            if ours.get(path) != before.get(path):
                raise ConflictError(f"'{path}' conflicts with what '{branch}' has become")
            files = changed(files, {path: theirs.get(path)})
        sign(effect_commit.encode())
        return self._repository.put(Commit((tip, effect_commit), files, {"ts": ts}))


class MemoryCheckouts:
    """A `Checkouts` with one checkout, of the current branch."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def in_the_way(
        self, branch: str, commit: str, changes: Mapping[str, Entry | None]
    ) -> list[InTheWay]:
        if branch != self._repository.current:
            return []
        before, here = self._repository.files(commit), self._repository.checkout
        return [
            InTheWay(path, ".", "it has uncommitted changes")
            for path, wanted in sorted(changes.items())
            if here.get(path) not in (before.get(path), wanted)
        ]

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        tip = self._repository.refs.get(f"refs/heads/{branch}")
        if tip is None or branch != self._repository.current:
            return []
        before, here = self._repository.files(tip), self._repository.checkout
        return sorted(path for path in {*before, *here} if here.get(path) != before.get(path))

    def way_out(self, branch: str, found: Sequence[InTheWay] = ()) -> str:
        return COMMIT_OR_STASH

    def lock(self, branch: str) -> None:
        """No other process is there."""

    def unlock(self) -> None:
        """No other process is there."""

    def follow(self, branch: str, old: str, new: str, paths: Sequence[str]) -> list[InTheWay]:
        if branch != self._repository.current:
            return []
        after, here = self._repository.files(new), self._repository.checkout
        left = self.in_the_way(branch, old, {path: after.get(path) for path in paths})
        named = {path.path for path in left}
        followed = {path: after.get(path) for path in paths if path not in named}
        self._repository.checkout = changed(here, followed)
        return left


def changed(files: Files, changes: Mapping[str, Entry | None]) -> dict[str, Entry]:
    """Return the files with these paths changed; None takes one away."""
    after = dict(files)
    for path, entry in changes.items():
        if entry is None:
            after.pop(path, None)
        else:
            after[path] = entry
    return after
