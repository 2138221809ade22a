"""The working branch, and effects as ordinary signed commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pygit2

from esaa_git.core.event import epoch_seconds
from esaa_git.errors import ConflictError, CorruptedError, RepositoryError
from esaa_git.ports.branch import BranchMove, Effect, Shown
from esaa_git.ports.refs import RefMove, RefStore
from esaa_git.store import commitform
from esaa_git.store.objects import (
    COMMIT,
    MalformedObject,
    decode_commit,
    encode_commit,
    sign_commit,
)
from esaa_git.store.person_hooks import hooks_in_trees
from esaa_git.store.repository import Repository
from esaa_git.store.trees import GitTrees

SNAPSHOTS = "refs/esaa/snapshots"


class GitBranch:
    """Branches of one repository, by name without `refs/heads/`."""

    def __init__(self, repository: Repository, refs: RefStore) -> None:
        self._repository = repository
        self._refs = refs

    def tip(self, branch: str) -> str | None:
        return self._refs.read(_ref(branch))

    def current(self) -> str:
        raw = self._repository.raw
        if raw.head_is_unborn:
            raise RepositoryError(
                "this repository has no commit yet",
                hint="make a first one: 'git add -A && git commit -m \"first commit\"'",
            )
        if raw.head_is_detached:
            raise RepositoryError(
                "HEAD is detached: no branch is checked out for effects to go to",
                hint="run 'git switch BRANCH', or name one with --branch",
            )
        return raw.head.shorthand

    def protected(self) -> Sequence[str]:
        return hooks_in_trees(self._repository)

    def move(self, move: BranchMove, message: str) -> None:
        self._refs.move([RefMove(_ref(move.branch), move.old, move.new, message)])

    def contains(self, tip: str, commit: str) -> bool:
        if tip == commit:
            return True
        raw, end = self._repository.raw, pygit2.Oid(hex=tip)
        try:
            return raw.descendant_of(end, pygit2.Oid(hex=commit))
        except (KeyError, pygit2.GitError):
            # A power cut may have taken what the commit stands on, and no ref named yet.
            pass
        try:
            return any(str(found.id) == commit for found in raw.walk(end))
        except (KeyError, pygit2.GitError) as error:
            raise CorruptedError(
                f"the history of {tip[:12]} cannot be read",
                cause=str(error),
                hint="run 'git esaa doctor'",
            ) from error

    def keep_snapshot(self, name: str, commits: Mapping[str, str], most: int) -> list[str]:
        kept = []
        for part, commit in commits.items():
            ref = f"{SNAPSHOTS}/{name}/{part}"
            found = self._refs.read(ref)
            if found != commit:
                self._refs.move([RefMove(ref, found, commit, "esaa: snapshot")])
            kept.append(ref)
        self._forget_old_snapshots(most)
        return kept

    def _forget_old_snapshots(self, most: int) -> None:
        refs = self._refs.list(f"{SNAPSHOTS}/")
        names = sorted({ref.split("/")[3] for ref in refs})
        gone = names[:-most]
        self._refs.delete(ref for ref in refs if ref.split("/")[3] in gone)


class GitEffects:
    """Effects, and merges of them, as ordinary signed commits."""

    def __init__(self, repository: Repository, refs: RefStore, trees: GitTrees) -> None:
        self._repository = repository
        self._refs = refs
        self._trees = trees

    def commit_effect(self, effect: Effect, sign: Callable[[bytes], bytes]) -> str:
        tree = self._trees.with_changes(self._trees.root(effect.parent), effect.changes)
        payload = commitform.effect_commit(
            tree=tree,
            parents=(effect.parent,),
            agent=effect.agent,
            ts=effect.ts,
            summary=effect.summary,
            event_commit=effect.event_commit,
            log_id=effect.log_id,
            run_id=effect.run_id,
            task_id=effect.task_id,
            attempt_id=effect.attempt_id,
            assisted_by=effect.assisted_by,
            reviewed_by=effect.reviewed_by,
        )
        return self._repository.put(COMMIT, sign_commit(payload, sign(payload)))

    def commit_proposal(self, shown: Shown, sign: Callable[[bytes], bytes]) -> tuple[str, str]:
        tree = self._trees.with_changes(self._trees.root(shown.parent), shown.changes)
        payload = commitform.proposal_commit(
            tree=tree,
            parent=shown.parent,
            author=shown.author,
            ts=shown.ts,
            attempt_id=shown.attempt_id,
            rejected=shown.rejected,
        )
        return self._repository.put(COMMIT, sign_commit(payload, sign(payload))), tree

    def proposed(self, commit: str) -> tuple[str, str] | None:
        if commit not in self._repository.odb:
            return None
        try:
            kind, data = self._repository.read(commit)
            found = decode_commit(data)
        except MalformedObject as error:
            raise CorruptedError(f"'{commit}' is no commit", cause=str(error)) from error
        if kind != COMMIT or len(found.parents) != 1:
            raise CorruptedError(f"'{commit}' is no commit with one parent")
        return found.parents[0], found.tree

    def commit_merge(
        self, branch: str, effect_commit: str, ts: str, sign: Callable[[bytes], bytes]
    ) -> str:
        tip = self._refs.read(_ref(branch))
        if tip is None:
            raise RepositoryError(f"the working branch '{branch}' is gone")
        raw = self._repository.raw
        index = self._repository.merge_commits(tip, effect_commit)
        if index.conflicts is not None:
            paths = sorted(
                {side.path for sides in index.conflicts for side in sides if side is not None}
            )
            raise ConflictError(
                f"the effect {effect_commit[:12]} conflicts with what '{branch}' has become",
                cause=f"in {', '.join(paths[:10])}",
                hint=f"run 'git merge {effect_commit[:12]}' on '{branch}', resolve, and repeat",
            )
        when = f"{commitform.COMMITTER} {epoch_seconds(ts)} +0000"
        payload = encode_commit(
            str(index.write_tree(raw)),
            (tip, effect_commit),
            when,
            when,
            f"Merge effect {effect_commit[:12]} into {branch}\n",
        )
        return self._repository.put(COMMIT, sign_commit(payload, sign(payload)))


def _ref(branch: str) -> str:
    return f"refs/heads/{branch}"
