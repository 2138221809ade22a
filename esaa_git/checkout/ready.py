"""Whether the checkouts of a branch could take an effect: nothing of git is half done in them.

What git has under way it keeps as files beside HEAD (gitrepository-layout(5)); while a rebase or a
bisection lasts, HEAD is detached, and the branch that it will go back to stands in one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from esaa_git.checkout.indexlock import wait_for_lock
from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.store.layout import WorkTree
from esaa_git.store.objects import name_of
from esaa_git.store.program import run_git
from esaa_git.store.refs import locks_folder
from esaa_git.store.repository import Repository

_LONGEST_NAME: Final = 5000


@dataclass(frozen=True, slots=True)
class _Operation:
    """Something that git begins with one command and ends with another.

    Attributes:
        sign: the file that is there as long as it lasts, below the git directory.
        branch: the file with the branch that it began on; empty where HEAD still names it.
    """

    what: str
    sign: str
    end: str
    undo: str
    branch: str = ""

    @property
    def ways(self) -> str:
        return " or ".join(dict.fromkeys((f"'{self.end}'", f"'{self.undo}'")))


_OPERATIONS: Final = (
    _Operation("a merge", "MERGE_HEAD", "git merge --continue", "git merge --abort"),
    _Operation(
        "a series of patches",
        "rebase-apply/applying",
        "git am --continue",
        "git am --abort",
    ),
    _Operation(
        "a rebase",
        "rebase-apply/rebasing",
        "git rebase --continue",
        "git rebase --abort",
        "rebase-apply/head-name",
    ),
    _Operation(
        "a rebase",
        "rebase-merge",
        "git rebase --continue",
        "git rebase --abort",
        "rebase-merge/head-name",
    ),
    _Operation(
        "a cherry-pick", "CHERRY_PICK_HEAD", "git cherry-pick --continue", "git cherry-pick --abort"
    ),
    _Operation("a revert", "REVERT_HEAD", "git revert --continue", "git revert --abort"),
    # Between two commits of a series, neither of the two files before is there.
    _Operation(
        "a cherry-pick or revert of several commits",
        "sequencer/todo",
        "git cherry-pick --continue",
        "git cherry-pick --quit",
    ),
    _Operation("a bisection", "BISECT_LOG", "git bisect reset", "git bisect reset", "BISECT_START"),
)


def require_ready(repository: Repository, branch: str) -> None:
    """Refuse where an effect on the branch would meet something of a person's that is half done.

    Raises:
        ConflictError: if an operation of git is under way there, a path of the index has
            conflicts, or its lock is kept for more than a second.
        RepositoryError: if an index cannot be read.
    """
    locks = locks_folder(repository)
    for tree in repository.work_trees():
        found = next(_under_way(tree, f"refs/heads/{branch}"), None)
        if found is not None:
            raise ConflictError(
                f"{found.what} is under way on '{branch}' in '{tree.folder}'",
                cause="what an agent proposes could not be put there meanwhile",
                hint=f"end it with {found.ways}, then run 'git esaa run'",
            )
        if tree.head == f"refs/heads/{branch}":
            wait_for_lock(tree.git_dir, locks)
            _require_index(tree)


def way_to_end(repository: Repository, branch: str) -> str | None:
    """Say how what is half done in a checkout of the branch is ended; None where nothing is."""
    for tree in repository.work_trees():
        found = next(_under_way(tree, f"refs/heads/{branch}"), None)
        if found is not None:
            resolved = "resolve its conflicts and " if _unmerged(tree) else ""
            return f"{resolved}end {found.what} in '{tree.folder}' with {found.ways}"
        if tree.head == f"refs/heads/{branch}" and (path := _unmerged(tree)):
            return f"resolve the conflicts in '{path}', run 'git add {path}', and commit that"
    return None


def _under_way(tree: WorkTree, ref: str) -> Iterator[_Operation]:
    for one in _OPERATIONS:
        if not (tree.git_dir / one.sign).exists():
            continue
        began_on = _named(tree.git_dir / one.branch) if one.branch else tree.head
        if began_on == ref or f"refs/heads/{began_on}" == ref:
            yield one


def _named(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return name_of(stream.read(_LONGEST_NAME)).strip()
    except OSError:
        return None


def _unmerged(tree: WorkTree) -> str:
    """Return the first path of an index that has conflicts, or nothing."""
    try:
        found = run_git(
            tree.folder,
            f"--git-dir={tree.git_dir}",
            f"--work-tree={tree.folder}",
            "ls-files",
            "--unmerged",
            "-z",
        )
    except RepositoryError as error:
        index = tree.git_dir / "index"
        raise RepositoryError(
            f"the index of '{tree.folder}' cannot be read",
            cause=error.cause,
            hint=f"run 'mv {index} {index}.broken', then 'git reset', which makes it anew from "
            "HEAD and leaves your files as they are",
        ) from error
    return name_of(found.partition(b"\0")[0].partition(b"\t")[2])


def _require_index(tree: WorkTree) -> None:
    path = _unmerged(tree)
    if path:
        raise ConflictError(
            f"'{path}' in '{tree.folder}' has conflicts that are not resolved",
            cause="git changes no file of a checkout while its index has any",
            hint=f"resolve them, run 'git add {path}', then 'git esaa run'",
        )
