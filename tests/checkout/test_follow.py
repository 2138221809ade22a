"""Checkouts follow their branch path by path, and a person's own work is never written over.

Every test moves a real branch of a real repository and asks git itself what came of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread, Timer
from time import sleep
from typing import Any

import pytest

from esaa_git.checkout import worktree
from esaa_git.checkout.follow import GitCheckouts
from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.files import FileEntry
from esaa_git.ports.local import Followup
from esaa_git.store.journal import FileJournal
from esaa_git.store.objects import BLOB, COMMIT, encode_commit
from esaa_git.store.program import run_git
from esaa_git.store.repository import Repository, open_repository
from esaa_git.store.trees import GitTrees
from tests.concurrency.runs import wait
from tests.conftest import Git, GitFailed

Content = bytes | tuple[bytes, str] | None
"""What an effect makes of a path: a content, one with another mode, or nothing."""

WHEN = "Agent <agent@example.com> 1770000000 +0000"
ODD_NAMES = ["a b", "-x", "--", ":(glob)x", ":/y", "*", "[a]", '"q"', "back\\slash", "ü/日本", "!n"]


class World:
    """A repository whose branch moves as the orchestrator moves it, and a person's checkout."""

    def __init__(self, path: Path, git: Git) -> None:
        self.path = path
        self._git = git
        self.repository: Repository = open_repository(path)
        self.checkouts = GitCheckouts(self.repository)

    def git(self, *arguments: str, folder: Path | None = None) -> str:
        return self._git(folder or self.path, *arguments)

    def commit(self, files: Mapping[str, bytes]) -> str:
        """What the person commits in the checkout."""
        for path, content in files.items():
            self.write(path, content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "Work")
        return self.git("rev-parse", "HEAD")

    def write(self, path: str, content: bytes) -> None:
        (self.path / path).parent.mkdir(parents=True, exist_ok=True)
        (self.path / path).write_bytes(content)

    def read(self, path: str) -> bytes:
        return (self.path / path).read_bytes()

    def entries(self, changes: Mapping[str, Content]) -> dict[str, FileEntry | None]:
        entries: dict[str, FileEntry | None] = {}
        for path, change in changes.items():
            content, mode = change if isinstance(change, tuple) else (change, "100644")
            if content is None:
                entries[path] = None
            else:
                entries[path] = FileEntry(mode, self.repository.put(BLOB, content))
        return entries

    def effect(self, changes: Mapping[str, Content], branch: str = "main") -> tuple[str, str]:
        """Move the branch, without any checkout, and return where it was and is."""
        old = self.git("rev-parse", f"refs/heads/{branch}")
        trees = GitTrees(self.repository)
        entries = self.entries(changes)
        gone = {path: None for path, entry in entries.items() if entry is None}
        kept = {path: entry for path, entry in entries.items() if entry is not None}
        tree = trees.with_changes(trees.with_changes(trees.root(old), gone), kept)
        new = self.repository.put(COMMIT, encode_commit(tree, [old], WHEN, WHEN, "Effect\n"))
        self.git("update-ref", f"refs/heads/{branch}", new, old)
        return old, new

    def in_the_way(self, *paths: str) -> dict[str, str]:
        changes = dict.fromkeys(paths, FileEntry("100644", ""))
        found = self.checkouts.in_the_way("main", self.git("rev-parse", "main"), changes)
        assert {item.worktree for item in found} <= {str(self.path)}
        return {item.path: item.reason for item in found}

    def follow(self, changes: Mapping[str, Content], branch: str = "main") -> dict[str, str]:
        return self.follow_again(*self.effect(changes, branch), changes, branch)

    def follow_again(
        self, old: str, new: str, changes: Mapping[str, Content], branch: str = "main"
    ) -> dict[str, str]:
        found = self.checkouts.follow(branch, old, new, changes)
        return {item.path: item.reason for item in found}

    def status(self, folder: Path | None = None) -> str:
        return self.git("status", "--porcelain", "--untracked-files=all", folder=folder)


@pytest.fixture
def world(repo: Path, git: Git) -> World:
    """`main` is checked out with `a.txt`, `b.txt`, `src/c.txt` and `src/deep/d.txt`, all clean."""
    world = World(repo, git)
    names = ("a.txt", "b.txt", "src/c.txt", "src/deep/d.txt")
    world.commit({name: f"old {name}\n".encode() for name in names})
    return world


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The subcommands of git that checkouts started."""
    started: list[str] = []

    def run(folder: Path, *arguments: str, **options: Any) -> bytes:
        words = (word for word in arguments if not word.startswith("-"))
        started.append(next(word for word in words if word != "index.sparse=false"))
        return run_git(folder, *arguments, **options)

    monkeypatch.setattr(worktree, "run_git", run)
    return started


@pytest.fixture
def after_looking(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets something happen once between our look and git's writing."""

    def arrange(happens: Callable[[], object]) -> None:
        plan = worktree.Worktree.plan
        pending = [happens]

        def wrapper(*arguments: Any, **options: Any) -> Any:
            decided = plan(*arguments, **options)
            if pending:
                pending.pop()()
            return decided

        monkeypatch.setattr(worktree.Worktree, "plan", wrapper)

    return arrange


# ---- who holds a branch ---------------------------------------------------------------------


def listed_by_git(world: World, branch: str) -> list[str]:
    """What `git worktree list` says, in its order."""
    records = world.git("worktree", "list", "--porcelain", "-z").split("\0\0")
    return [
        record.split("\0")[0].removeprefix("worktree ")
        for record in records
        if f"branch refs/heads/{branch}" in record.split("\0")
    ]


def test_the_checked_out_branch_is_held_by_its_worktree(world: World) -> None:
    assert world.checkouts.holders("main") == [world.path]


def test_a_branch_that_is_checked_out_nowhere_has_no_holder(world: World) -> None:
    world.git("branch", "other")

    assert world.checkouts.holders("other") == []
    assert world.checkouts.holders("nosuch") == []


def test_linked_worktrees_hold_branches_as_git_lists_them(world: World, tmp_path: Path) -> None:
    world.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "l i n k ü"))
    world.git("worktree", "add", "--quiet", "--detach", str(tmp_path / "detached"))
    world.git("worktree", "add", "--quiet", "--force", str(tmp_path / "again"), "main")

    for branch in ("main", "side"):
        holders = [str(path) for path in world.checkouts.holders(branch)]
        assert sorted(holders) == sorted(listed_by_git(world, branch))
    assert len(world.checkouts.holders("main")) == 2
    assert world.checkouts.holders("side") == [tmp_path / "l i n k ü"]


def test_holders_are_the_same_seen_from_a_linked_worktree(world: World, tmp_path: Path) -> None:
    world.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    from_there = GitCheckouts(open_repository(tmp_path / "linked"))

    assert from_there.holders("main") == [world.path]
    assert from_there.holders("side") == [tmp_path / "linked"]


def test_a_worktree_that_moves_to_another_branch_lets_go(world: World) -> None:
    assert world.checkouts.holders("main") == [world.path]

    world.git("switch", "--quiet", "--create", "other")

    assert world.checkouts.holders("main") == []
    assert world.checkouts.holders("other") == [world.path]


def test_a_head_that_is_a_symlink_is_read_as_git_reads_it(world: World) -> None:
    (world.path / ".git" / "HEAD").unlink()
    (world.path / ".git" / "HEAD").symlink_to("refs/heads/main")

    assert world.git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert world.checkouts.holders("main") == [world.path]


def test_a_rebase_in_progress_does_not_hold_its_branch(world: World) -> None:
    world.git("switch", "--quiet", "--create", "topic")
    world.commit({"a.txt": b"topic\n"})
    world.git("-c", "sequence.editor=sed -i 1s/pick/edit/", "rebase", "--quiet", "-i", "main")

    assert listed_by_git(world, "topic") == []
    assert world.checkouts.holders("topic") == []


def test_a_worktree_whose_folder_is_gone_holds_nothing(world: World, tmp_path: Path) -> None:
    world.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    assert world.checkouts.holders("side") == [tmp_path / "linked"]

    shutil.rmtree(tmp_path / "linked")
    assert world.checkouts.holders("side") == []

    world.git("init", "--quiet", str(tmp_path / "linked"))
    assert world.checkouts.holders("side") == []

    shutil.rmtree(tmp_path / "linked")
    world.git("clone", "--quiet", str(world.path), str(tmp_path / "other"))
    world.git("worktree", "add", "--quiet", str(tmp_path / "linked"), folder=tmp_path / "other")
    assert world.checkouts.holders("side") == []


def test_a_bare_repository_has_no_checkout_and_starts_no_git(
    world: World, git: Git, tmp_path: Path, counted: list[str]
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(world.path), "bare.git")
    bare = GitCheckouts(open_repository(tmp_path / "bare.git"))
    old, new = (git(tmp_path / "bare.git", "rev-parse", name) for name in ("main~1", "main"))

    assert bare.holders("main") == []
    assert bare.in_the_way("main", new, {"a.txt": None}) == []
    assert bare.follow("main", old, new, ["a.txt"]) == []
    assert counted == []


def test_a_bare_repository_with_worktrees_follows_in_them(
    world: World, git: Git, tmp_path: Path
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(world.path), "bare.git")
    git(tmp_path / "bare.git", "worktree", "add", "--quiet", str(tmp_path / "linked"), "main")
    bare = World(tmp_path / "bare.git", git)

    assert bare.checkouts.holders("main") == [tmp_path / "linked"]
    assert bare.follow({"a.txt": b"new\n"}) == {}
    assert (tmp_path / "linked" / "a.txt").read_bytes() == b"new\n"
    assert bare.status(tmp_path / "linked") == ""


def test_a_worktree_set_by_core_worktree_is_found(world: World, git: Git, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    shutil.move(world.path / ".git", tmp_path / "store" / ".git")
    git(tmp_path / "store", "config", "core.worktree", str(world.path))
    elsewhere = World(tmp_path / "store", git)

    assert elsewhere.checkouts.holders("main") == [world.path]
    assert elsewhere.follow({"a.txt": b"new\n"}) == {}
    assert world.read("a.txt") == b"new\n"
    assert elsewhere.status() == ""


# ---- what is in the way ---------------------------------------------------------------------


def test_nothing_is_in_the_way_of_a_clean_checkout(world: World) -> None:
    assert world.in_the_way("a.txt", "src/deep/d.txt", "new.txt", "new/folder/e.txt") == {}


def test_a_modified_file_is_in_the_way(world: World) -> None:
    world.write("a.txt", b"mine\n")

    assert world.in_the_way("a.txt", "b.txt") == {"a.txt": "has changes that are not committed"}


def test_a_modified_file_that_was_not_asked_for_is_not_in_the_way(world: World) -> None:
    world.write("a.txt", b"mine\n")

    assert world.in_the_way("b.txt") == {}


def test_a_staged_file_is_in_the_way(world: World) -> None:
    world.write("a.txt", b"mine\n")
    world.git("add", "a.txt")

    assert world.in_the_way("a.txt") == {"a.txt": "has staged changes"}


def test_a_change_that_is_staged_and_undone_in_the_file_is_in_the_way(world: World) -> None:
    old = world.read("a.txt")
    world.write("a.txt", b"mine\n")
    world.git("add", "a.txt")
    world.write("a.txt", old)

    assert list(world.in_the_way("a.txt")) == ["a.txt"]


def test_a_changed_executable_bit_is_in_the_way(world: World) -> None:
    (world.path / "a.txt").chmod(0o755)

    assert list(world.in_the_way("a.txt")) == ["a.txt"]


def test_a_file_deleted_by_the_person_is_in_the_way(world: World) -> None:
    (world.path / "a.txt").unlink()

    assert world.in_the_way("a.txt") == {"a.txt": "is deleted, and that is not committed"}


def test_a_file_removed_from_the_index_is_in_the_way(world: World) -> None:
    world.git("rm", "--quiet", "--cached", "a.txt")

    assert world.in_the_way("a.txt") == {"a.txt": "has staged changes"}


def test_an_untracked_file_where_a_new_one_would_go_is_in_the_way(world: World) -> None:
    world.write("src/new.txt", b"mine\n")

    assert world.in_the_way("src/new.txt") == {"src/new.txt": "is a file that git does not track"}


def test_a_file_that_is_only_intended_to_be_added_is_in_the_way(world: World) -> None:
    world.write("new.txt", b"mine\n")
    world.git("add", "--intent-to-add", "new.txt")

    assert world.in_the_way("new.txt") == {"new.txt": "is added, and not committed"}


@pytest.mark.parametrize("pattern", ["*.log", "logs/", "logs/*"])
def test_an_ignored_file_where_a_new_one_would_go_is_in_the_way(world: World, pattern: str) -> None:
    world.commit({".gitignore": f"{pattern}\n".encode()})
    world.write("logs/deep/x.log", b"mine\n")
    world.write("logs/x.log", b"mine\n")

    assert world.in_the_way("logs/x.log", "logs/deep/x.log", "logs/y.log") == {
        "logs/x.log": "is a file that git ignores",
        "logs/deep/x.log": "is a file that git ignores",
    }


def test_a_symlink_where_a_folder_must_be_is_in_the_way(world: World, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (world.path / "lib").symlink_to(tmp_path / "outside")

    assert world.in_the_way("lib/new.txt") == {
        "lib/new.txt": "lies behind 'lib', which is a symlink"
    }


def test_a_symlink_in_place_of_a_folder_of_the_commit_is_in_the_way(
    world: World, tmp_path: Path
) -> None:
    shutil.move(world.path / "src", tmp_path / "src")
    (world.path / "src").symlink_to(tmp_path / "src")

    assert world.in_the_way("src/c.txt", "src/new.txt") == {
        "src/c.txt": "lies behind 'src', which is a symlink",
        "src/new.txt": "lies behind 'src', which is a symlink",
    }


def test_a_file_where_a_folder_must_be_is_in_the_way(world: World) -> None:
    world.write("lib", b"mine\n")

    assert world.in_the_way("lib/deep/new.txt") == {
        "lib/deep/new.txt": "lies behind 'lib', which is a file"
    }


def test_a_tracked_file_where_a_folder_must_be_is_in_the_way_unless_it_goes_too(
    world: World,
) -> None:
    assert list(world.in_the_way("a.txt/new.txt")) == ["a.txt/new.txt"]
    assert world.in_the_way("a.txt/new.txt", "a.txt") == {}


def test_a_folder_with_untracked_content_where_a_file_must_be_is_in_the_way(
    world: World,
) -> None:
    world.write("new/deep/mine.txt", b"mine\n")

    assert world.in_the_way("new") == {"new": "is a folder with 'new/deep/mine.txt' in it"}


def test_an_empty_folder_where_a_file_must_be_is_not_in_the_way(world: World) -> None:
    (world.path / "new" / "deep").mkdir(parents=True)

    assert world.in_the_way("new") == {}


def test_a_folder_where_a_file_must_be_is_in_the_way_unless_all_of_it_goes_too(
    world: World,
) -> None:
    assert world.in_the_way("src", "src/c.txt") == {
        "src": "is a folder with 'src/deep/d.txt' in it",
        "src/c.txt": "cannot change without 'src', which is in the way",
    }
    assert world.in_the_way("src", "src/c.txt", "src/deep/d.txt") == {}


def test_a_path_that_changes_places_with_one_in_the_way_is_in_the_way_too(world: World) -> None:
    world.write("src/deep/d.txt", b"mine\n")

    assert world.in_the_way("src", "src/c.txt", "src/deep/d.txt", "a.txt") == {
        "src": "cannot change without 'src/deep/d.txt', which is in the way",
        "src/c.txt": "cannot change without 'src', which is in the way",
        "src/deep/d.txt": "has changes that are not committed",
    }


def test_a_path_in_a_repository_of_its_own_is_in_the_way(world: World) -> None:
    (world.path / "vendor" / "lib").mkdir(parents=True)
    world.git("init", "--quiet", "vendor/lib")

    assert world.in_the_way("vendor/lib/x.c", "vendor/y.c") == {
        "vendor/lib/x.c": "lies in 'vendor/lib', which is another repository"
    }


def conflicted(world: World) -> None:
    """Leave the checkout in the middle of a merge that conflicts in `b.txt`."""
    world.git("branch", "theirs")
    world.commit({"b.txt": b"ours\n"})
    world.git("switch", "--quiet", "theirs")
    world.commit({"b.txt": b"theirs\n"})
    world.git("switch", "--quiet", "main")
    with pytest.raises(GitFailed):
        world.git("merge", "theirs")
    assert "UU b.txt" in world.status()


def test_an_unmerged_path_is_in_the_way(world: World) -> None:
    conflicted(world)

    assert world.in_the_way("b.txt") == {"b.txt": "has conflicts that are not resolved"}


def test_unresolved_conflicts_keep_all_paths_back_as_git_does(world: World) -> None:
    conflicted(world)

    assert world.in_the_way("a.txt") == {
        "a.txt": "cannot be updated while 'b.txt' has conflicts that are not resolved"
    }


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_hidden_from_status_is_in_the_way(world: World, flag: str) -> None:
    world.git("update-index", flag, "a.txt", "b.txt")
    world.write("a.txt", b"mine\n")
    assert world.status() == ""

    assert list(world.in_the_way("a.txt", "b.txt")) == ["a.txt"]


def test_a_touched_file_with_the_same_content_is_not_in_the_way(world: World) -> None:
    os.utime(world.path / "a.txt", (1, 1))
    world.write("b.txt", world.read("b.txt"))

    assert world.in_the_way("a.txt", "b.txt") == {}


def test_looking_writes_nothing(world: World) -> None:
    os.utime(world.path / "a.txt", (1, 1))
    before = (world.path / ".git" / "index").read_bytes()

    world.in_the_way("a.txt", "new.txt")

    assert (world.path / ".git" / "index").read_bytes() == before


def test_looking_works_while_the_index_is_locked(world: World) -> None:
    world.write("a.txt", b"mine\n")
    (world.path / ".git" / "index.lock").touch()

    assert list(world.in_the_way("a.txt", "b.txt")) == ["a.txt"]


# ---- looking at a checkout that is being brought on ---------------------------------------------


EFFECT: dict[str, Content] = {"a.txt": b"new\n", "b.txt": None, "new.txt": b"new\n"}
Looks = tuple[Callable[[], list[str]], Callable[[], list[str]]]


@pytest.fixture
def after_status(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets something happen once, when git has said what the checkout looks like."""

    def arrange(happens: Callable[[], object]) -> None:
        pending = [happens]

        def run(folder: Path, *arguments: str, **options: Any) -> bytes:
            said = run_git(folder, *arguments, **options)
            if "status" in arguments and pending:
                pending.pop()()
            return said

        monkeypatch.setattr(worktree, "run_git", run)

    return arrange


def looks(world: World) -> Looks:
    """The two questions about a person's work, each asked of all that an effect changes."""
    return (
        lambda: world.checkouts.uncommitted("main", ["a.txt", "b.txt", "new.txt"]),
        lambda: list(world.in_the_way("a.txt", "b.txt", "new.txt")),
    )


@pytest.mark.parametrize("question", [0, 1])
@pytest.mark.parametrize("sign", ["locked", "journal", "neither"])
def test_a_branch_whose_checkout_is_about_to_follow_is_no_work_of_a_person(
    world: World, after_status: Callable[[Callable[[], object]], None], question: int, sign: str
) -> None:
    """Another process has moved the branch, and follows while we look.

    Its lock says so; or, where it could not have that, its journal; or it has followed before we
    could see either, and then the index is another one.
    """
    old, new = world.effect(EFFECT)
    lock, journal = world.path / ".git" / "index.lock", FileJournal(world.repository)
    if sign == "locked":
        lock.touch()
    if sign == "journal":
        journal.write(Followup(new, BranchMove("main", old, new), "T-1", list(EFFECT)))

    def follow() -> None:
        lock.unlink(missing_ok=True)
        if sign == "journal":
            thread.start()
        else:
            world.follow_again(old, new, EFFECT)

    def late() -> None:
        sleep(0.1)
        world.follow_again(old, new, EFFECT)
        journal.clear()

    thread = Thread(target=late)
    after_status(follow)

    assert looks(world)[question]() == []

    if sign == "journal":
        thread.join()
    assert world.status() == ""


@pytest.mark.parametrize("question", [0, 1])
def test_a_commit_that_has_moved_head_and_not_the_index_yet_is_no_work_in_the_way(
    world: World, after_status: Callable[[Callable[[], object]], None], question: int
) -> None:
    """`git commit PATH` moves HEAD before its index; a hook of git stops it in between."""
    moved, goes_on = world.path.parent / "moved", world.path.parent / "goes-on"
    hook = world.path / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f'#!/bin/sh\ntest "$1" = committed && grep -q refs/heads/main || exit 0\n'
        f"touch '{moved}'\nuntil test -e '{goes_on}'; do sleep 0.02; done\n"
    )
    hook.chmod(0o755)
    world.write("a.txt", b"mine\n")
    commit = Thread(target=lambda: world.git("commit", "--quiet", "--message", "Mine", "a.txt"))
    commit.start()
    wait(moved.exists, "the commit")
    assert (world.path / ".git" / "index.lock").exists()
    after_status(goes_on.touch)

    assert looks(world)[question]() == []

    commit.join()
    assert goes_on.exists()
    assert world.status() == ""


def test_what_a_person_has_in_a_checkout_is_found_however_often_it_is_looked_at(
    world: World, after_status: Callable[[Callable[[], object]], None]
) -> None:
    old, new = world.effect(EFFECT)
    world.write("src/c.txt", b"mine\n")
    after_status(lambda: world.follow_again(old, new, EFFECT))

    assert world.checkouts.uncommitted("main", [""]) == ["src/c.txt"]


# ---- the lock of the index -----------------------------------------------------------------------


def test_a_lock_that_another_takes_just_before_us_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, link, met = world.path / ".git" / "index.lock", os.link, []

    def late(source: Path, target: Path) -> None:
        if not met:
            met.append(target)
            lock.touch()
            Timer(0.1, lock.unlink).start()
        link(source, target)

    monkeypatch.setattr(os, "link", late)

    world.checkouts.lock("main")

    assert met == [lock]
    assert "index.lock" in git_fails(world, "add", "--all")
    world.checkouts.unlock()
    world.git("add", "--all")


def test_a_lock_that_goes_from_hand_to_hand_is_waited_for(world: World) -> None:
    """A script of one git after another: whenever we look, somebody has it, and never for long."""
    lock = world.path / ".git" / "index.lock"
    lock.touch()

    def script() -> None:
        for number in range(15):
            sleep(0.1)
            other = lock.with_name(f"other-{number}")
            other.touch()
            other.replace(lock)
        lock.unlink()

    thread = Thread(target=script)
    thread.start()

    world.checkouts.lock("main")

    thread.join()
    assert "index.lock" in git_fails(world, "add", "--all")
    world.checkouts.unlock()


def git_fails(world: World, *arguments: str) -> str:
    with pytest.raises(GitFailed) as caught:
        world.git(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_means_itself_alone(world: World, name: str) -> None:
    world.commit({name: b"old\n", "x": b"old\n"})
    world.write("x", b"mine\n")
    assert world.in_the_way(name) == {}

    world.write(name, b"mine\n")

    assert list(world.in_the_way(name)) == [name]


def test_work_that_is_what_the_effect_would_write_is_not_in_the_way(world: World) -> None:
    world.write("a.txt", b"new\n")
    world.write("b.txt", b"mine\n")
    world.write("new.txt", b"new\n")
    (world.path / "src" / "c.txt").unlink()
    changes: dict[str, Content] = {
        "a.txt": b"new\n",
        "b.txt": b"new\n",
        "new.txt": (b"new\n", "100755"),
        "src/c.txt": None,
    }
    tip = world.git("rev-parse", "main")

    found = world.checkouts.in_the_way("main", tip, world.entries(changes))

    assert [item.path for item in found] == ["b.txt", "new.txt"]
    assert len(world.in_the_way(*changes)) == 4


def test_so_many_paths_that_no_command_line_holds_them(world: World) -> None:
    paths = [f"{'long ' * 40}/{number}" for number in range(15_000)]
    world.write(paths[-1], b"mine\n")

    assert list(world.in_the_way("a.txt", *paths)) == [paths[-1]]


def test_uncommitted_names_every_path_with_work_in_it(world: World) -> None:
    assert world.checkouts.uncommitted("main", [""]) == []
    world.commit({".gitignore": b"*.log\n"})
    world.write("a.txt", b"mine\n")
    world.write("b.txt", b"mine\n")
    world.git("add", "b.txt")
    world.write("new.txt", b"mine\n")
    world.write("x.log", b"mine\n")

    assert world.checkouts.uncommitted("main", [""]) == ["a.txt", "b.txt", "new.txt"]
    assert world.checkouts.uncommitted("other", [""]) == []


# ---- following ------------------------------------------------------------------------------


def test_files_are_written_created_and_deleted(world: World) -> None:
    changes: dict[str, Content] = {
        "a.txt": b"new\n",
        "new/folder/e.txt": b"created\n",
        "src/c.txt": None,
    }

    assert world.follow(changes) == {}

    assert world.read("a.txt") == b"new\n"
    assert world.read("new/folder/e.txt") == b"created\n"
    assert not (world.path / "src" / "c.txt").exists()
    assert world.read("b.txt") == b"old b.txt\n"
    assert world.status() == ""


def test_a_deletion_takes_the_folders_that_it_empties(world: World) -> None:
    assert world.follow({"src/deep/d.txt": None}) == {}
    assert not (world.path / "src" / "deep").exists()
    assert (world.path / "src" / "c.txt").exists()

    assert world.follow({"src/c.txt": None}) == {}
    assert not (world.path / "src").exists()
    assert world.status() == ""


def test_a_deletion_leaves_a_folder_that_holds_something_else(world: World) -> None:
    world.write("src/deep/mine.txt", b"mine\n")

    assert world.follow({"src/deep/d.txt": None}) == {}

    assert world.read("src/deep/mine.txt") == b"mine\n"


def test_a_rename_moves_the_file(world: World) -> None:
    assert world.follow({"src/deep/d.txt": None, "lib/d.txt": b"old src/deep/d.txt\n"}) == {}

    assert world.read("lib/d.txt") == b"old src/deep/d.txt\n"
    assert not (world.path / "src" / "deep").exists()
    assert world.status() == ""


def test_the_executable_bit_comes_and_goes(world: World) -> None:
    content = world.read("a.txt")

    assert world.follow({"a.txt": (content, "100755"), "run": (b"#!/bin/sh\n", "100755")}) == {}
    assert os.access(world.path / "a.txt", os.X_OK)
    assert os.access(world.path / "run", os.X_OK)
    assert world.status() == ""

    assert world.follow({"a.txt": (content, "100644")}) == {}
    assert not os.access(world.path / "a.txt", os.X_OK)
    assert world.status() == ""


def test_a_file_and_a_folder_change_places(world: World) -> None:
    changes: dict[str, Content] = {
        "a.txt": None,
        "a.txt/inside": b"new\n",
        "src": b"a file now\n",
        "src/c.txt": None,
        "src/deep/d.txt": None,
    }

    assert world.follow(changes) == {}

    assert world.read("a.txt/inside") == b"new\n"
    assert world.read("src") == b"a file now\n"
    assert world.status() == ""


def test_an_empty_folder_gives_way_to_a_file(world: World) -> None:
    (world.path / "new" / "deep").mkdir(parents=True)

    assert world.follow({"new": b"new\n"}) == {}

    assert world.read("new") == b"new\n"
    assert world.status() == ""


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_file_with_an_odd_name_is_written_and_deleted_and_no_other(
    world: World, name: str
) -> None:
    world.commit({"x": b"old\n", "y": b"old\n"})

    assert world.follow({name: b"new\n"}) == {}
    assert world.read(name) == b"new\n"
    assert world.status() == ""

    assert world.follow({name: None}) == {}
    assert not (world.path / name).exists()
    assert world.read("x") == world.read("y") == b"old\n"
    assert world.status() == ""


def test_a_touched_file_is_written_all_the_same(world: World) -> None:
    os.utime(world.path / "a.txt", (1, 1))

    assert world.follow({"a.txt": b"new\n"}) == {}

    assert world.read("a.txt") == b"new\n"
    assert world.status() == ""


def test_only_these_paths_are_brought(world: World) -> None:
    old, new = world.effect({"a.txt": b"new\n", "b.txt": b"new\n"})

    assert world.follow_again(old, new, {"a.txt": b"new\n"}) == {}

    assert world.read("a.txt") == b"new\n"
    assert world.read("b.txt") == b"old b.txt\n"


def test_work_on_other_paths_survives_as_it_was(world: World) -> None:
    world.commit({"gone.txt": b"old\n", "run.sh": b"old\n"})
    world.write("b.txt", b"staged\n")
    world.write("staged.txt", b"staged\n")
    world.git("add", "b.txt", "staged.txt")
    world.write("b.txt", b"staged, then changed\n")
    world.write("src/c.txt", b"changed\n")
    world.write("intended.txt", b"mine\n")
    world.git("add", "--intent-to-add", "intended.txt")
    world.write("loose.txt", b"mine\n")
    world.git("rm", "--quiet", "gone.txt")
    world.git("update-index", "--chmod=+x", "run.sh")
    world.git("update-index", "--assume-unchanged", "README.md")
    before = world.status(), world.git("ls-files", "--stage", "-v", "--", ":!a.txt", ":!new.txt")
    assert len(before[0].splitlines()) == 7

    assert world.follow({"a.txt": b"new\n", "new.txt": b"new\n"}) == {}

    after = world.status(), world.git("ls-files", "--stage", "-v", "--", ":!a.txt", ":!new.txt")
    assert after == before
    assert world.git("show", ":b.txt") == "staged"
    assert world.read("b.txt") == b"staged, then changed\n"
    assert world.read("a.txt") == b"new\n"


def test_a_path_with_the_persons_work_is_left_and_named_and_the_others_follow(
    world: World,
) -> None:
    old, new = world.effect({"a.txt": b"new\n", "b.txt": b"new\n", "new.txt": b"new\n"})
    world.write("a.txt", b"mine\n")
    world.write("new.txt", b"mine too\n")

    found = world.checkouts.follow("main", old, new, ["a.txt", "b.txt", "new.txt"])

    assert [(item.path, item.worktree) for item in found] == [
        ("a.txt", str(world.path)),
        ("new.txt", str(world.path)),
    ]
    assert world.read("a.txt") == b"mine\n"
    assert world.read("new.txt") == b"mine too\n"
    assert world.read("b.txt") == b"new\n"
    assert world.git("diff", "--name-only", "--cached", "main", "--", "b.txt") == ""


@pytest.mark.parametrize(
    "arrange",
    [
        pytest.param(lambda world: world.write("a.txt", b"mine\n"), id="modified"),
        pytest.param(lambda world: (world.path / "a.txt").unlink(), id="deleted"),
        pytest.param(lambda world: world.git("rm", "-q", "--cached", "a.txt"), id="unstaged"),
        pytest.param(lambda world: (world.path / "a.txt").chmod(0o755), id="mode"),
    ],
)
def test_a_person_loses_nothing_to_a_write_or_a_deletion(
    world: World, arrange: Callable[[World], object]
) -> None:
    arrange(world)
    kept = world.read("a.txt") if (world.path / "a.txt").exists() else None

    assert list(world.follow({"a.txt": b"new\n", "b.txt": b"new\n"})) == ["a.txt"]

    assert (world.read("a.txt") if (world.path / "a.txt").exists() else None) == kept
    assert world.read("b.txt") == b"new\n"


def test_a_modified_file_is_not_deleted(world: World) -> None:
    world.write("src/c.txt", b"mine\n")

    assert list(world.follow({"src/c.txt": None})) == ["src/c.txt"]

    assert world.read("src/c.txt") == b"mine\n"


def test_a_checkout_in_the_middle_of_a_conflict_is_left_alone(world: World) -> None:
    conflicted(world)
    before = world.status()

    left = world.follow({"a.txt": b"new\n"})

    assert left == {"a.txt": "cannot be updated while 'b.txt' has conflicts that are not resolved"}
    assert world.read("a.txt") == b"old a.txt\n"
    assert before in world.status()


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_hidden_change_is_left_alone_and_the_others_follow(world: World, flag: str) -> None:
    world.git("update-index", flag, "a.txt")
    world.write("a.txt", b"mine\n")

    assert list(world.follow({"a.txt": b"new\n", "b.txt": b"new\n"})) == ["a.txt"]

    assert world.read("a.txt") == b"mine\n"
    assert world.read("b.txt") == b"new\n"


def test_a_branch_that_is_not_checked_out_moves_without_a_checkout(
    world: World, counted: list[str]
) -> None:
    world.git("branch", "other")

    assert world.follow({"a.txt": b"new\n"}, "other") == {}

    assert counted == []
    assert world.read("a.txt") == b"old a.txt\n"
    assert world.status() == ""


def test_linked_worktrees_follow_each_with_its_own_work(world: World, tmp_path: Path) -> None:
    world.git("worktree", "add", "--quiet", "--force", str(tmp_path / "linked"), "main")
    (tmp_path / "linked" / "a.txt").write_bytes(b"mine\n")
    old, new = world.effect({"a.txt": b"new\n", "b.txt": b"new\n"})

    found = world.checkouts.follow("main", old, new, ["a.txt", "b.txt"])

    assert [(item.path, item.worktree) for item in found] == [("a.txt", str(tmp_path / "linked"))]
    assert world.read("a.txt") == world.read("b.txt") == b"new\n"
    assert (tmp_path / "linked" / "a.txt").read_bytes() == b"mine\n"
    assert (tmp_path / "linked" / "b.txt").read_bytes() == b"new\n"
    assert world.status() == ""


def test_the_main_worktree_follows_when_called_from_a_linked_one(
    world: World, git: Git, tmp_path: Path
) -> None:
    world.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "linked"))
    linked = World(tmp_path / "linked", git)

    assert linked.follow({"a.txt": b"new\n"}, "main") == {}

    assert world.read("a.txt") == b"new\n"
    assert linked.read("a.txt") == b"old a.txt\n"
    assert world.status() == linked.status() == ""


def test_variables_that_point_git_elsewhere_do_not_mislead_it(
    world: World, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "init", "--quiet", "elsewhere")
    old, new = world.effect({"a.txt": b"new\n"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere" / "index"))

    assert world.follow_again(old, new, {"a.txt": b"new\n"}) == {}

    monkeypatch.undo()
    assert world.read("a.txt") == b"new\n"
    assert world.status() == ""
    assert not (tmp_path / "elsewhere" / "index").exists()


def test_a_sparse_checkout_stays_sparse(world: World) -> None:
    world.git("sparse-checkout", "set", "--cone", "nothing")
    assert not (world.path / "src").exists()

    assert world.follow({"src/c.txt": b"new\n", "src/new.txt": b"new\n", "a.txt": b"new\n"}) == {}

    assert not (world.path / "src").exists()
    assert world.read("a.txt") == b"new\n"
    assert world.status() == ""


def test_an_index_that_stands_for_folders_follows(world: World) -> None:
    world.git("sparse-checkout", "set", "--cone", "--sparse-index", "nothing")
    assert "src/" in world.git("ls-files", "--sparse")

    assert world.in_the_way("src/c.txt", "src/new.txt") == {}
    assert world.follow({"src/c.txt": b"new\n", "src/new.txt": b"new\n", "a.txt": b"new\n"}) == {}

    assert world.status() == ""
    world.write("b.txt", b"mine\n")
    world.git("commit", "--quiet", "--all", "--message", "Mine")
    assert world.git("show", "HEAD:src/c.txt") == "new"


def test_a_sparse_checkout_by_patterns_follows(world: World) -> None:
    world.git("sparse-checkout", "set", "--no-cone", "/a.txt")

    assert world.follow({"src/c.txt": b"new\n", "b.txt": None, "a.txt": b"new\n"}) == {}

    assert world.status() == ""
    assert world.read("a.txt") == b"new\n"


def test_a_split_index_follows(world: World) -> None:
    world.git("update-index", "--split-index")

    assert world.follow({"a.txt": b"new\n", "new.txt": b"new\n", "b.txt": None}) == {}

    assert world.status() == ""


def test_symlinks_and_submodules_beside_the_paths_stay(world: World, git: Git) -> None:
    (world.path / "link").symlink_to("nowhere")
    git(world.path, "init", "--quiet", "sub")
    git(world.path / "sub", "commit", "--quiet", "--allow-empty", "--message", "Start")
    world.git("-c", "advice.addEmbeddedRepo=false", "add", "link", "sub")
    world.git("commit", "--quiet", "--message", "Links")
    world.git("config", "submodule.recurse", "true")

    assert world.follow({"a.txt": b"new\n"}) == {}

    assert (world.path / "link").is_symlink()
    assert (world.path / "sub" / ".git").is_dir()
    assert world.status() == ""


# ---- attributes -----------------------------------------------------------------------------


def test_line_ends_are_written_as_gitattributes_says(world: World) -> None:
    world.commit({".gitattributes": b"*.txt text eol=crlf\n"})
    world.git("rm", "--quiet", "--cached", "-r", ".")
    world.git("reset", "--quiet", "--hard")
    assert world.read("a.txt") == b"old a.txt\r\n"
    assert world.in_the_way("a.txt") == {}

    assert world.follow({"a.txt": b"one\ntwo\n", "new.txt": b"new\n", "raw": b"new\n"}) == {}

    assert world.read("a.txt") == b"one\r\ntwo\r\n"
    assert world.read("new.txt") == b"new\r\n"
    assert world.read("raw") == b"new\n"
    assert world.status() == ""


def test_attributes_that_come_with_the_effect_count(world: World) -> None:
    assert world.follow({".gitattributes": b"*.crlf eol=crlf\n", "x.crlf": b"new\n"}) == {}

    assert world.read("x.crlf") == b"new\r\n"
    assert world.status() == ""


@pytest.fixture
def rot13(world: World) -> World:
    """`*.rot` is stored as it is and checked out in rot13 by a filter that is a program."""
    world.git("config", "filter.rot13.clean", "tr a-zA-Z n-za-mN-ZA-M")
    world.git("config", "filter.rot13.smudge", "tr a-zA-Z n-za-mN-ZA-M")
    world.git("config", "filter.rot13.required", "true")
    world.commit({".gitattributes": b"*.rot filter=rot13\n", "x.rot": b"uryyb\n"})
    return world


def test_filters_run_both_ways(rot13: World) -> None:
    assert rot13.git("show", "HEAD:x.rot") == "hello"
    assert rot13.in_the_way("x.rot") == {}

    assert rot13.follow({"x.rot": b"changed\n", "new.rot": b"created\n"}) == {}

    assert rot13.read("x.rot") == b"punatrq\n"
    assert rot13.read("new.rot") == b"perngrq\n"
    assert rot13.status() == ""


def test_a_file_is_compared_as_the_filter_would_store_it(rot13: World) -> None:
    os.utime(rot13.path / "x.rot", (1, 1))
    assert rot13.in_the_way("x.rot") == {}

    rot13.write("x.rot", b"hello\n")

    assert list(rot13.in_the_way("x.rot")) == ["x.rot"]


def test_a_filter_that_fails_is_said_and_can_be_repeated(rot13: World) -> None:
    changes: dict[str, Content] = {"a.txt": b"new\n", "x.rot": b"changed\n"}
    old, new = rot13.effect(changes)
    rot13.git("config", "filter.rot13.smudge", "false")

    with pytest.raises(RepositoryError) as caught:
        rot13.follow_again(old, new, changes)
    assert "smudge filter rot13 failed" in str(caught.value.cause)
    # Git removes a file before it filters what takes its place.
    assert rot13.read("a.txt") == b"new\n"
    assert not (rot13.path / "x.rot").exists()

    rot13.git("config", "filter.rot13.smudge", "tr a-zA-Z n-za-mN-ZA-M")
    assert rot13.follow_again(old, new, changes) == {}
    assert rot13.read("x.rot") == b"punatrq\n"
    assert rot13.status() == ""


# ---- symlinks that were planted ----------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the checkout with files of the same names as the checkout's `src`."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    for name in ("c.txt", "deep/d.txt"):
        (outside / name).write_bytes(f"old src/{name}\n".encode())
    return outside


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


PLANTED: dict[str, Content] = {
    "src/c.txt": b"escaped\n",
    "src/new.txt": b"escaped\n",
    "src/deep/d.txt": None,
}


def test_nothing_is_written_or_deleted_through_a_symlinked_folder(
    world: World, outside: Path
) -> None:
    before = contents(outside)
    shutil.rmtree(world.path / "src")
    (world.path / "src").symlink_to(outside)

    left = world.follow({**PLANTED, "a.txt": b"new\n"})

    assert sorted(left) == sorted(PLANTED)
    assert contents(outside) == before
    assert (outside / "deep").is_dir()
    assert world.read("a.txt") == b"new\n"


def test_a_symlink_planted_after_we_looked_leads_nowhere(
    world: World, outside: Path, after_looking: Callable[[Callable[[], object]], None]
) -> None:
    before = contents(outside)

    def plant() -> None:
        shutil.rmtree(world.path / "src")
        (world.path / "src").symlink_to(outside)

    after_looking(plant)
    world.follow(PLANTED)

    assert contents(outside) == before
    assert (outside / "deep").is_dir()


def test_a_new_folder_that_becomes_a_symlink_after_we_looked_leads_nowhere(
    world: World, outside: Path, after_looking: Callable[[Callable[[], object]], None]
) -> None:
    before = contents(outside)
    after_looking(lambda: (world.path / "lib").symlink_to(outside))

    world.follow({"lib/new.txt": b"escaped\n", "lib/c.txt": b"escaped\n"})

    assert contents(outside) == before


def test_a_symlink_at_the_path_itself_is_not_written_through(world: World, outside: Path) -> None:
    before = contents(outside)
    (world.path / "new.txt").symlink_to(outside / "c.txt")
    (world.path / "dangling.txt").symlink_to(outside / "created.txt")
    (world.path / "a.txt").unlink()
    (world.path / "a.txt").symlink_to(outside / "c.txt")

    left = world.follow({"new.txt": b"x\n", "dangling.txt": b"x\n", "a.txt": b"x\n"})

    assert sorted(left) == ["a.txt", "dangling.txt", "new.txt"]
    assert contents(outside) == before


def test_a_symlink_to_the_same_content_does_not_pass_for_the_file(
    world: World, outside: Path
) -> None:
    (outside / "c.txt").write_bytes(b"new\n")
    (outside / "c.txt").chmod(0o755)
    (world.path / "new.txt").symlink_to(outside / "c.txt")

    assert list(world.follow({"new.txt": (b"new\n", "100755")})) == ["new.txt"]


def test_no_empty_folder_is_removed_behind_a_symlink(
    world: World, outside: Path, after_looking: Callable[[Callable[[], object]], None]
) -> None:
    (outside / "deep" / "d.txt").unlink()
    (world.path / "src" / "deep" / "d.txt").unlink()

    def plant() -> None:
        shutil.rmtree(world.path / "src")
        (world.path / "src").symlink_to(outside)

    after_looking(plant)
    world.follow({"src/deep/d.txt": None})

    assert (outside / "deep").is_dir()


# ---- others at the same time -------------------------------------------------------------------


def test_a_file_saved_after_we_looked_is_not_written_over(
    world: World, after_looking: Callable[[Callable[[], object]], None]
) -> None:
    after_looking(lambda: world.write("a.txt", b"just saved\n"))

    left = world.follow({"a.txt": b"new\n", "b.txt": b"new\n"})

    assert left == {"a.txt": "has changes that are not committed"}
    assert world.read("a.txt") == b"just saved\n"
    assert world.read("b.txt") == b"new\n"


def test_a_file_created_after_we_looked_is_not_written_over(
    world: World, after_looking: Callable[[Callable[[], object]], None]
) -> None:
    after_looking(lambda: world.write("new/x.txt", b"just saved\n"))

    assert list(world.follow({"new/x.txt": b"new\n", "b.txt": b"new\n"})) == ["new/x.txt"]

    assert world.read("new/x.txt") == b"just saved\n"
    assert world.read("b.txt") == b"new\n"


def test_a_locked_index_is_a_conflict_that_names_the_lock(world: World) -> None:
    changes: dict[str, Content] = {"a.txt": b"new\n", "new.txt": b"new\n", "b.txt": None}
    old, new = world.effect(changes)
    lock = world.path / ".git" / "index.lock"
    lock.touch()
    before = contents(world.path)

    with pytest.raises(ConflictError) as caught:
        world.follow_again(old, new, changes)

    assert str(lock) in caught.value.message
    assert contents(world.path) == before

    lock.unlink()
    assert world.follow_again(old, new, changes) == {}
    assert world.status() == ""


def test_a_lock_taken_after_we_looked_is_a_conflict_too(
    world: World, after_looking: Callable[[Callable[[], object]], None]
) -> None:
    lock = world.path / ".git" / "index.lock"
    after_looking(lock.touch)

    with pytest.raises(ConflictError) as caught:
        world.follow({"a.txt": b"new\n"})

    assert str(lock) in caught.value.message
    assert world.read("a.txt") == b"old a.txt\n"


def test_the_lock_of_a_linked_worktree_is_its_own(world: World, tmp_path: Path) -> None:
    world.git("worktree", "add", "--quiet", "--force", str(tmp_path / "linked"), "main")
    lock = world.path / ".git" / "worktrees" / "linked" / "index.lock"
    lock.touch()

    with pytest.raises(ConflictError) as caught:
        world.follow({"a.txt": b"new\n"})

    assert str(lock) in caught.value.message
    assert world.read("a.txt") == b"old a.txt\n"


# ---- crashes and repetition --------------------------------------------------------------------


def test_following_twice_changes_nothing(world: World) -> None:
    changes: dict[str, Content] = {"a.txt": b"new\n", "new.txt": b"new\n", "src/c.txt": None}
    old, new = world.effect(changes)
    assert world.follow_again(old, new, changes) == {}
    index = (world.path / ".git" / "index").read_bytes()

    assert world.follow_again(old, new, changes) == {}

    assert (world.path / ".git" / "index").read_bytes() == index
    assert world.status() == ""


FUSED: dict[str, Content] = {
    "a.txt": b"new\n",
    "b.txt": None,
    "early/new.txt": b"new\n",
    "src/c.txt": (b"new\n", "100755"),
    "src/deep/d.txt": None,
    "x.fuse": b"new\n",
    "y.txt": b"new\n",
}


Killed = Callable[..., tuple[str, str]]


@pytest.fixture
def killed(world: World) -> Killed:
    """Moves the branch and follows it until git is killed where it writes `x.fuse`."""
    kill = world.path.parent / "kill"
    world.git("config", "filter.fuse.smudge", f"if test -e '{kill}'; then kill -9 $PPID; fi; cat")
    world.commit({".gitattributes": b"*.fuse filter=fuse\n", "x.fuse": b"old\n"})

    def killed(changes: Mapping[str, Content] = FUSED) -> tuple[str, str]:
        old, new = world.effect(changes)
        kill.touch()
        with pytest.raises(RepositoryError) as caught:
            world.follow_again(old, new, changes)
        assert caught.value.cause == "ended by signal 9"
        kill.unlink()
        return old, new

    return killed


def test_a_git_that_is_killed_while_it_writes_is_completed_later(
    world: World, killed: Killed
) -> None:
    old, new = killed()
    assert world.read("a.txt") == b"new\n"
    assert not (world.path / "x.fuse").exists()
    assert not (world.path / "y.txt").exists()
    assert world.git("show", ":a.txt") == "old a.txt"
    assert not (world.path / ".git" / "index.lock").exists()

    assert world.follow_again(old, new, FUSED) == {}

    assert world.status() == ""
    assert world.read("x.fuse") == world.read("y.txt") == b"new\n"
    assert not (world.path / "src" / "deep").exists()


def test_a_file_that_a_crash_left_empty_is_written(world: World, killed: Killed) -> None:
    old, new = killed()
    world.write("x.fuse", b"")
    world.write("y.txt", b"")

    assert world.follow_again(old, new, FUSED) == {}

    assert world.status() == ""
    assert world.read("x.fuse") == world.read("y.txt") == b"new\n"


def test_work_done_since_a_crash_is_left_alone(world: World, killed: Killed) -> None:
    old, new = killed()
    world.write("a.txt", b"mine\n")
    world.write("b.txt", b"")
    world.write("y.txt", b"mine\n")

    assert sorted(world.follow_again(old, new, FUSED)) == ["a.txt", "b.txt", "y.txt"]

    assert world.read("a.txt") == world.read("y.txt") == b"mine\n"
    assert world.read("b.txt") == b""
    assert world.read("x.fuse") == b"new\n"


def test_a_crash_is_remembered_over_a_lock_that_comes_in_between(
    world: World,
    killed: Killed,
    after_looking: Callable[[Callable[[], object]], None],
) -> None:
    changes: dict[str, Content] = {"x.fuse": b"new\n"}
    old, new = killed(changes)
    lock = world.path / ".git" / "index.lock"
    after_looking(lock.touch)
    with pytest.raises(ConflictError):
        world.follow_again(old, new, changes)
    lock.unlink()

    assert world.follow_again(old, new, changes) == {}

    assert world.status() == ""


def test_once_followed_a_deleted_or_emptied_file_is_the_persons_work_again(
    world: World, killed: Killed
) -> None:
    old, new = killed()
    assert world.follow_again(old, new, FUSED) == {}
    (world.path / "x.fuse").unlink()
    world.write("y.txt", b"")

    assert sorted(world.follow({"x.fuse": b"newer\n", "y.txt": b"newer\n"})) == [
        "x.fuse",
        "y.txt",
    ]


def test_files_that_were_written_without_the_index_are_recognised_through_filters(
    rot13: World,
) -> None:
    changes: dict[str, Content] = {"x.rot": b"changed\n", 'new "q".rot': b"created\n"}
    old, new = rot13.effect(changes)
    rot13.write("x.rot", b"punatrq\n")
    rot13.write('new "q".rot', b"perngrq\n")

    assert rot13.follow_again(old, new, changes) == {}

    assert rot13.status() == ""


def test_a_deletion_without_the_index_is_completed_with_its_folders(world: World) -> None:
    old, new = world.effect({"src/c.txt": None, "src/deep/d.txt": None})
    (world.path / "src" / "c.txt").unlink()
    (world.path / "src" / "deep" / "d.txt").unlink()

    assert world.follow_again(old, new, {"src/c.txt": None, "src/deep/d.txt": None}) == {}

    assert not (world.path / "src").exists()
    assert world.status() == ""


def test_the_right_content_with_the_wrong_mode_is_the_persons_work(world: World) -> None:
    old, new = world.effect({"new.txt": b"new\n"})
    world.write("new.txt", b"new\n")
    (world.path / "new.txt").chmod(0o755)
    assert list(world.follow_again(old, new, {"new.txt": b"new\n"})) == ["new.txt"]

    world.git("config", "core.fileMode", "false")
    assert world.follow_again(old, new, {"new.txt": b"new\n"}) == {}
    assert world.status() == ""


def test_a_checkout_that_fell_several_effects_behind_catches_up(world: World) -> None:
    first, second = world.effect({"a.txt": b"second\n"})
    _, third = world.effect({"a.txt": b"third\n", "b.txt": b"third\n"})

    assert world.follow_again(first, second, {"a.txt": b""}) == {}
    assert world.read("a.txt") == b"second\n"
    assert world.follow_again(second, third, {"a.txt": b"", "b.txt": b""}) == {}

    assert world.read("a.txt") == b"third\n"
    assert world.status() == ""


def test_an_edit_after_following_is_not_reported_when_following_is_repeated(
    world: World,
) -> None:
    old, new = world.effect({"a.txt": b"new\n"})
    assert world.follow_again(old, new, {"a.txt": b""}) == {}
    world.write("a.txt", b"new\nand mine\n")

    assert world.follow_again(old, new, {"a.txt": b""}) == {}

    assert world.read("a.txt") == b"new\nand mine\n"


# ---- cost ------------------------------------------------------------------------------------


def test_following_starts_two_programs_and_looking_three(world: World, counted: list[str]) -> None:
    world.in_the_way("a.txt", "b.txt", "new.txt")
    assert counted == ["status", "ls-files", "ls-files"]
    counted.clear()

    world.follow({"a.txt": b"new\n", "b.txt": None, "new.txt": b"new\n"})
    assert counted == ["status", "read-tree"]


def test_paths_that_do_not_change_start_nothing(world: World, counted: list[str]) -> None:
    old, new = world.effect({"a.txt": b"new\n"})

    assert world.checkouts.follow("main", old, new, ["b.txt", "src"]) == []

    assert counted == []
