"""What git has half done in a checkout of the branch is named before anybody works for it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from esaa_git.checkout.follow import GitCheckouts
from esaa_git.checkout.ready import require_ready
from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.ports.branch import InTheWay
from esaa_git.store.repository import open_repository
from tests.conftest import Git, GitFailed


@pytest.fixture
def repo(repo: Path, git: Git) -> Path:
    """`main` and `other` disagree about README.md; `other` has two commits."""
    for branch, text in (("other", "theirs\n"), ("main", "ours\n")):
        if branch == "other":
            git(repo, "switch", "--quiet", "--create", branch)
        else:
            git(repo, "switch", "--quiet", branch)
        for content in (text, f"{text}more\n")[: 2 if branch == "other" else 1]:
            (repo / "README.md").write_text(content)
            git(repo, "commit", "--quiet", "--all", "--message", text.strip())
    return repo


def begin(repo: Path, git: Git, *arguments: str, stdin: str = "") -> None:
    with suppress(GitFailed):  # it stops at a conflict
        git(repo, *arguments, stdin=stdin, env={"GIT_EDITOR": "true"})


UNDER_WAY = {
    "a merge": (("merge", "other"), ("merge", "--abort")),
    "a rebase": (("rebase", "other"), ("rebase", "--abort")),
    "a rebase by patches": (("rebase", "--apply", "other"), ("rebase", "--abort")),
    "a series of patches": (("am", "--3way"), ("am", "--abort")),
    "a cherry-pick": (("cherry-pick", "other"), ("cherry-pick", "--abort")),
    "a revert": (("revert", "--no-edit", "HEAD~1"), ("revert", "--abort")),
    "a cherry-pick of several": (("cherry-pick", "other~1", "other"), ("cherry-pick", "--quit")),
    "a bisection": (("bisect", "start", "HEAD", "HEAD~1"), ("bisect", "reset")),
}


@pytest.mark.parametrize("what", UNDER_WAY)
def test_an_operation_under_way_is_named_with_the_ways_to_end_it(
    what: str, repo: Path, git: Git
) -> None:
    if what == "a revert":
        (repo / "README.md").write_text("later\n")
        git(repo, "commit", "--quiet", "--all", "--message", "later")
    repository = open_repository(repo)
    require_ready(repository, "main")
    start, end = UNDER_WAY[what]
    begin(repo, git, *start, stdin=git(repo, "format-patch", "--stdout", "-1", "other") + "\n")
    if what == "a cherry-pick of several":
        (repo / "README.md").write_text("both\n")
        git(repo, "commit", "--quiet", "--all", "--message", "resolved")  # the next one waits
    with pytest.raises(ConflictError, match="is under way on 'main'") as caught:
        require_ready(repository, "main")
    assert caught.value.message.startswith(what.partition(" by ")[0].removesuffix(" of several"))
    assert f"'git {' '.join(end)}'" in str(caught.value.hint)
    git(repo, *end)
    require_ready(repository, "main")


def test_what_goes_on_at_another_branch_keeps_no_run_from_working(repo: Path, git: Git) -> None:
    begin(repo, git, "merge", "other")
    require_ready(open_repository(repo), "other")
    git(repo, "merge", "--abort")
    git(repo, "worktree", "add", "--quiet", "../beside", "other")
    begin(repo.parent / "beside", git, "rebase", "main")
    require_ready(open_repository(repo), "main")
    with pytest.raises(ConflictError, match="a rebase is under way on 'other'"):
        require_ready(open_repository(repo), "other")


def test_conflicts_that_no_operation_explains_are_named(repo: Path, git: Git) -> None:
    (repo / "README.md").write_text("stashed\n")
    git(repo, "stash", "--quiet")
    (repo / "README.md").write_text("committed\n")
    git(repo, "commit", "--quiet", "--all", "--message", "committed")
    begin(repo, git, "stash", "pop")
    with pytest.raises(ConflictError, match=r"'README.md' in .* has conflicts"):
        require_ready(open_repository(repo), "main")


def test_the_way_out_for_a_persons_work_is_one_that_git_takes(repo: Path, git: Git) -> None:
    checkouts = GitCheckouts(open_repository(repo))
    ignored = [InTheWay("a.log", str(repo), "is a file that git ignores")]
    assert "move 'a.log'" in checkouts.way_out("main", ignored)
    assert "git stash --include-untracked" in checkouts.way_out("main")
    (repo / "new.txt").write_text("untracked\n")
    git(repo, "stash", "--quiet", "--include-untracked")
    assert git(repo, "status", "--porcelain") == ""
    begin(repo, git, "merge", "other")
    with pytest.raises(GitFailed):
        git(repo, "stash")  # with conflicts there is none
    said = checkouts.way_out("main")
    assert "resolve its conflicts" in said
    assert "'git merge --continue' or 'git merge --abort'" in said
    git(repo, "merge", "--abort")
    assert "stash" in checkouts.way_out("main")


def test_an_index_that_cannot_be_read_is_named_with_the_way_to_make_it_anew(
    repo: Path, git: Git
) -> None:
    index = repo / ".git/index"
    index.write_bytes(b"no index")
    with pytest.raises(RepositoryError, match=r"the index of .* cannot be read") as caught:
        require_ready(open_repository(repo), "main")
    assert f"'mv {index} {index}.broken'" in str(caught.value.hint)
    index.rename(f"{index}.broken")
    git(repo, "reset", "--quiet")
    require_ready(open_repository(repo), "main")


def test_a_lock_that_another_process_keeps_is_named(repo: Path) -> None:
    lock = repo / ".git/index.lock"
    lock.touch()
    with pytest.raises(ConflictError, match="the index is locked by another process"):
        require_ready(open_repository(repo), "main")
    require_ready(open_repository(repo), "other")
