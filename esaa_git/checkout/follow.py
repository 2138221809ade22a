"""Bringing checkouts after a branch that moved, path by path, never over a person's own work.

Git judges and git writes, so that end-of-line and filter attributes are honoured exactly:
`git status` says what is the person's own, and `git read-tree -m -u` of two trees that hold only
the paths in question (git-read-tree(1), "Two Tree Merge") brings index and files from the one to
the other. It looks again with the index locked and changes either all of these paths or none; an
index entry that neither tree names stays as it is. So it refuses what status could not see, such
as a file saved a millisecond ago.

Git writes files first and the index last, and removes a file before it writes the next version. A
crash in between leaves what looks like a person's work; the list of paths that were being written
lies beside the index meanwhile (`esaa-following`), and tells the two apart.

No git is started where the branch is checked out nowhere. Otherwise following takes two a
checkout and looking takes three (and one more for every 128 KiB of paths); repairing what a crash
left takes up to two more, and a refusal by read-tree a second round.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pygit2

from esaa_git.checkout.ready import way_to_end
from esaa_git.checkout.status import IGNORED
from esaa_git.checkout.worktree import (
    HIDDEN,
    Change,
    Changes,
    Entries,
    Moment,
    Plan,
    Refused,
    Worktree,
)
from esaa_git.errors import ConflictError
from esaa_git.ports.branch import COMMIT_OR_STASH, InTheWay
from esaa_git.ports.files import FileEntry
from esaa_git.store.journal import LOCK_SECONDS, FileJournal
from esaa_git.store.locks import Claim
from esaa_git.store.objects import MODE_EXECUTABLE, MODE_FILE, TreeEntry
from esaa_git.store.refs import locks_folder
from esaa_git.store.repository import Repository
from esaa_git.store.trees import store_files

_Visit = Callable[[Worktree, Entries, Changes], dict[str, str]]
_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class _Moment:
    """Where a branch and the checkouts whose HEAD names it are in being brought on."""

    tip: str | None
    worktrees: tuple[Moment, ...]

    @property
    def is_locked(self) -> bool:
        return any(worktree.lock is not None for worktree in self.worktrees)


class GitCheckouts:
    """The worktrees of one repository."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._held: dict[Path, Claim] = {}

    def holders(self, branch: str) -> list[Path]:
        """Return every worktree, main or linked, whose HEAD names the branch.

        A worktree that is rebasing or bisecting the branch has a detached HEAD, and one whose
        folder is gone has nothing to update: neither holds it.
        """
        return [worktree.folder for worktree in self._holders(branch)]

    def in_the_way(
        self,
        branch: str,
        commit: str,
        changes: Mapping[str, FileEntry | None],
    ) -> list[InTheWay]:
        """Return those of the paths to which an effect on top of the commit could not be brought.

        The commit is the branch's tip, and the checkouts have followed it. While a checkout has
        unresolved conflicts anywhere, git updates nothing in it: all paths are in the way. A path
        at which the person already has exactly what the effect makes of it is not.
        """
        tree = self._tree(commit)
        wanted = {
            path: Change(_entry_at(tree, path), _as_tree_entry(changes[path]))
            for path in sorted(changes)
        }
        return self._at_rest(branch, lambda: self._each(branch, wanted, Worktree.look))

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        """Return the paths below these that have work of the person's own in some checkout."""
        paths = None if "" in below else list(below)

        def look() -> list[str]:
            found = {
                path
                for worktree in self._holders(branch)
                for path in worktree.status(paths, "--untracked-files=normal")
            }
            return sorted(found)

        return self._at_rest(branch, look)

    def way_out(self, branch: str, found: Sequence[InTheWay] = ()) -> str:
        """Say how a person's work gets out of the way; git cannot stash what has conflicts."""
        half_done = way_to_end(self._repository, branch)
        if half_done is not None:
            return half_done
        for one in found:
            if one.reason == HIDDEN:
                options = "--no-assume-unchanged --no-skip-worktree"
                return f"run 'git update-index {options} {one.path}', then commit or stash it"
            if one.reason == IGNORED:
                return f"move '{one.path}' to another place, which no stash does for ignored files"
        return COMMIT_OR_STASH

    def _at_rest(self, branch: str, look: Callable[[], list[_Found]]) -> list[_Found]:
        """Look, and look again where a checkout was being brought on while we looked.

        A branch, an index and files are written one after the other, by another process of ours
        as by `git commit PATH` or `git pull`; in between they differ, as they do where a person
        is at work. So what is found counts only where no process was at it: no index was locked, no
        process of ours was following, and HEAD and index were the same before and after.
        Where a process keeps the lock (a commit whose editor is open), what is found stands.
        """
        journal = FileJournal(self._repository)
        give_up = time.monotonic() + LOCK_SECONDS
        while True:
            before = self._moment(branch)
            found = look()
            if not found or time.monotonic() > give_up:
                return found
            is_busy = journal.is_busy()
            if not is_busy and not before.is_locked and before == self._moment(branch):
                return found
            while journal.is_busy() and time.monotonic() < give_up:
                time.sleep(0.01)
            try:
                for worktree in self._holders(branch):
                    worktree.wait_for_lock()
            except ConflictError:
                return found

    def _moment(self, branch: str) -> _Moment:
        tip = self._repository.ref_target(f"refs/heads/{branch}")
        return _Moment(tip, tuple(worktree.moment() for worktree in self._holders(branch)))

    def lock(self, branch: str) -> None:
        """Keep others from the index of the branch's checkout until `unlock`.

        `git commit` reads HEAD first and the index after that. One that comes between a branch's
        move and its checkout's would commit the index as it was, on top of what has moved, and so
        take it back. Where one process keeps the lock (`git commit --all` while an editor is
        open), its commit has read HEAD already, and git refuses it once HEAD has moved.
        """
        holders = self._holders(branch)
        if self._held or len(holders) != 1:  # several hold it only where git was forced to
            return
        with suppress(ConflictError):
            self._held[holders[0].git_dir] = holders[0].lock_index()

    def unlock(self) -> None:
        """Let others have the index again."""
        while self._held:
            self._held.popitem()[1].release()

    def follow(self, branch: str, old: str, new: str, paths: Iterable[str]) -> list[InTheWay]:
        """Bring index and files of these paths from `old` to `new` wherever the branch is held.

        `refs/heads/<branch>` has moved already. Paths that carry the person's changes are left
        alone and returned; no other path is touched, nor what is staged of it. A path whose index
        entry is at `new` counts as followed, whatever the person did to the file since. Calling
        it again completes what a crash cut short.

        Raises:
            ConflictError: if another process holds the lock of an index for more than a second;
                the paths of that checkout are then as they were.
            RepositoryError: if git cannot write, or a filter fails.
        """
        before, after = self._tree(old), self._tree(new)
        changes = {}
        for path in sorted(set(paths)):
            change = Change(_entry_at(before, path), _entry_at(after, path))
            if change.old != change.new:
                changes[path] = change
        for worktree in self._holders(branch) if changes else ():
            worktree.wait_for_lock()
        return self._each(branch, changes, self._bring)

    def _each(self, branch: str, changes: Changes, visit: _Visit) -> list[InTheWay]:
        tip = self._repository.ref_target(f"refs/heads/{branch}")
        if tip is None or not changes:
            return []
        head = self._tree(tip)
        at_head = {path: _entry_at(head, path) for path in changes}
        return [
            InTheWay(path, str(worktree.folder), reason)
            for worktree in self._holders(branch)
            for path, reason in sorted(visit(worktree, at_head, changes).items())
        ]

    def _bring(self, worktree: Worktree, at_head: Entries, changes: Changes) -> dict[str, str]:
        try:
            return self._carry_out(worktree, worktree.plan(at_head, changes), changes)
        except Refused:
            # A person was faster, or the index hides something. What now is in the way is left
            # out; if git refuses the rest as well, its own words say why.
            plan = worktree.plan(at_head, changes, closely=True)
            return self._carry_out(worktree, plan, changes)

    def _carry_out(self, worktree: Worktree, plan: Plan, changes: Changes) -> dict[str, str]:
        if plan.done:
            worktree.record({path: changes[path].new for path in plan.done})
        for path in plan.cut_short:
            worktree.remove_beginning(path, changes[path].new)
        if plan.to_write:
            worktree.merge_trees(
                self._store({path: changes[path].old for path in plan.to_write}),
                self._store({path: changes[path].new for path in plan.to_write}),
                plan.to_write,
            )
        return plan.in_the_way

    def _store(self, entries: Entries) -> str:
        files = {
            path: FileEntry(entry.mode, entry.oid)
            for path, entry in entries.items()
            if entry is not None
        }
        return store_files(self._repository, files)

    def _tree(self, commit: str) -> pygit2.Tree:
        return self._repository.raw[commit].peel(pygit2.Tree)

    def _holders(self, branch: str) -> list[Worktree]:
        ref, repository = f"refs/heads/{branch}", self._repository
        trusts_modes = repository.main.flag("core.fileMode", default=True)
        ours = locks_folder(repository), repository.sync_mode
        return [
            Worktree(one.folder, one.git_dir, trusts_modes, *ours, self._held.get(one.git_dir))
            for one in repository.work_trees()
            if one.head == ref
        ]


def _entry_at(tree: pygit2.Tree, path: str) -> TreeEntry | None:
    """Return what stands at the path other than a folder, its mode as the index has it."""
    try:
        found = tree[path]
    except KeyError:
        return None
    mode = int(found.filemode)
    if stat.S_ISDIR(mode):
        return None
    if stat.S_ISREG(mode):
        return TreeEntry(MODE_EXECUTABLE if mode & 0o100 else MODE_FILE, str(found.id))
    return TreeEntry(f"{mode:06o}", str(found.id))


def _as_tree_entry(entry: FileEntry | None) -> TreeEntry | None:
    return None if entry is None else TreeEntry(entry.mode, entry.oid)
