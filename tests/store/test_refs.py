"""Refs move by compare-and-swap, all or none; over an overlay, and nothing on disk moves."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.core.globs import Glob
from esaa_git.core.paths import is_protected
from esaa_git.errors import ConflictError, RefusedError
from esaa_git.ports.refs import RefMove, RefStore
from esaa_git.store.objects import COMMIT, encode_commit
from esaa_git.store.person_hooks import hooks_in_trees
from esaa_git.store.refs import GitRefs, OverlayRefs
from esaa_git.store.repository import Repository, open_repository
from tests.conftest import Git

LOG, BRANCH = "refs/esaa/events", "refs/heads/work"


@pytest.fixture
def repository(repo: Path) -> Repository:
    return open_repository(repo)


@pytest.fixture
def commits(repository: Repository) -> tuple[str, str]:
    """Two commits that no ref names."""
    tree = repository.put(2, b"")
    when = "A <a@example.com> 1770000000 +0000"
    first = repository.put(COMMIT, encode_commit(tree, (), when, when, "one\n"))
    second = repository.put(COMMIT, encode_commit(tree, (first,), when, when, "two\n"))
    return first, second


@pytest.fixture(params=[GitRefs, lambda repository: OverlayRefs(GitRefs(repository))])
def refs(request: pytest.FixtureRequest, repository: Repository) -> RefStore:
    make: Callable[[Repository], RefStore] = request.param
    return make(repository)


def test_a_ref_that_is_not_there_names_nothing(refs: RefStore) -> None:
    assert refs.read(LOG) is None
    assert list(refs.list("refs/esaa/")) == []


def test_refs_move_from_where_they_are(refs: RefStore, commits: tuple[str, str]) -> None:
    one, two = commits
    refs.move([RefMove(LOG, None, one, "begun"), RefMove(BRANCH, None, one, "begun")])
    refs.move([RefMove(LOG, one, two, "on")])
    assert (refs.read(LOG), refs.read(BRANCH)) == (two, one)
    assert list(refs.list("refs/esaa/")) == [LOG]


@pytest.mark.parametrize("wrong", [0, 1])
def test_none_moves_where_one_is_elsewhere(
    refs: RefStore, commits: tuple[str, str], wrong: int
) -> None:
    one, two = commits
    refs.move([RefMove(LOG, None, one, "begun"), RefMove(BRANCH, None, one, "begun")])
    moves = [RefMove(LOG, one, two, "on"), RefMove(BRANCH, one, two, "on")]
    moves[wrong] = RefMove(moves[wrong].name, two, one, "on")
    with pytest.raises(ConflictError, match=f"'{moves[wrong].name}' moved while appending"):
        refs.move(moves)
    assert (refs.read(LOG), refs.read(BRANCH)) == (one, one)


def test_what_is_deleted_is_gone(refs: RefStore, commits: tuple[str, str]) -> None:
    names = [f"refs/esaa/snapshots/{number}" for number in range(3)]
    refs.move([RefMove(name, None, commits[0], "kept") for name in names])
    refs.delete(names[:2])
    assert list(refs.list("refs/esaa/snapshots/")) == names[2:]
    assert refs.read(names[0]) is None


def test_nothing_moves_below_an_overlay(
    repository: Repository, commits: tuple[str, str], repo: Path, git: Git
) -> None:
    one, two = commits
    below = GitRefs(repository)
    below.move([RefMove(LOG, None, one, "begun")])
    before = git(repo, "for-each-ref")
    overlay = OverlayRefs(below, moved={BRANCH: two})
    overlay.move([RefMove(LOG, one, two, "on"), RefMove(BRANCH, two, one, "back")])
    overlay.delete(["refs/heads/main"])
    assert (overlay.read(LOG), overlay.read(BRANCH)) == (two, one)
    assert set(overlay.list("refs/")) >= {LOG, BRANCH}
    assert overlay.read("refs/heads/main") is None
    assert git(repo, "for-each-ref") == before


def test_refs_of_a_remote_are_read_under_our_names(
    repository: Repository, commits: tuple[str, str]
) -> None:
    one, two = commits
    below = GitRefs(repository)
    there = "refs/remotes/origin/"
    below.move([RefMove(BRANCH, None, one, "ours"), RefMove(f"{there}work", None, two, "theirs")])
    below.move([RefMove(f"{there}else", None, two, "theirs"), RefMove(LOG, None, one, "ours")])
    overlay = OverlayRefs(below, renamed={"refs/heads/": there})
    assert overlay.read(BRANCH) == two
    assert overlay.read("refs/heads/main") is None
    assert overlay.read(LOG) == one
    assert list(overlay.list("refs/heads/")) == ["refs/heads/else", BRANCH]
    assert list(overlay.list("refs/esaa/")) == [LOG]


# ---- the person's own hook on the person's branch ----------------------------------------------


@pytest.fixture
def asked(repo: Path) -> Path:
    """A `reference-transaction` that writes down what it is told, and fails if `no` exists."""
    hook, said = repo / ".git/hooks/reference-transaction", repo / "said"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f'#!/bin/sh\nsed "s/^/$1 /" >> {said}\ntest ! -e {repo}/no || exit 3\n')
    hook.chmod(0o755)
    return said


def test_the_persons_hook_is_told_of_branches_and_of_nothing_of_ours(
    repository: Repository, commits: tuple[str, str], asked: Path
) -> None:
    refs = GitRefs(repository)
    refs.move([RefMove(LOG, None, commits[0], "a"), RefMove("refs/esaa/x", None, commits[0], "a")])
    assert not asked.exists()
    refs.move([RefMove(LOG, commits[0], commits[1], "b"), RefMove(BRANCH, None, commits[0], "b")])
    line = f"{'0' * 40} {commits[0]} {BRANCH}"
    assert asked.read_text() == f"prepared {line}\ncommitted {line}\n"


def test_nothing_moves_where_the_persons_hook_refuses(
    repository: Repository, commits: tuple[str, str], asked: Path, repo: Path
) -> None:
    (repo / "no").touch()
    refs = GitRefs(repository)
    moves = [RefMove(LOG, None, commits[0], "a"), RefMove(BRANCH, None, commits[0], "a")]
    with pytest.raises(RefusedError, match="your hook 'reference-transaction' refused 'work'"):
        refs.move(moves)
    assert (refs.read(LOG), refs.read(BRANCH)) == (None, None)
    assert [line.split()[0] for line in asked.read_text().splitlines()] == ["prepared", "aborted"]
    asked.parent.joinpath(".git/hooks/reference-transaction").chmod(0o644)  # git passes over it
    refs.move(moves)


# ---- a hook of the person that lies in a checkout ----------------------------------------------


def _linked_file(repo: Path, _: Path, git: Git) -> None:
    (repo / ".git/hooks").mkdir(exist_ok=True)
    (repo / ".git/hooks/reference-transaction").symlink_to("../../tools/h/reference-transaction")


def _linked_before_ours(repo: Path, _: Path, git: Git) -> None:
    (repo / ".git/hooks").mkdir(exist_ok=True)
    (repo / ".git/hooks/reference-transaction").write_text('#!/bin/sh\nexec "$0.before-esaa"\n')
    (repo / ".git/hooks/reference-transaction").chmod(0o755)
    (repo / ".git/hooks/reference-transaction.before-esaa").symlink_to(
        repo / "tools/h/reference-transaction"
    )


def _linked_folder(repo: Path, _: Path, git: Git) -> None:
    shutil.rmtree(repo / ".git/hooks", ignore_errors=True)
    (repo / ".git/hooks").symlink_to("../tools/h")


def _set(repo: Path, _: Path, git: Git) -> None:
    git(repo, "config", "core.hooksPath", "tools/h")


def _set_through_a_link(repo: Path, outside: Path, git: Git) -> None:
    (outside / "link").symlink_to(repo / "tools/h")
    git(repo, "config", "core.hooksPath", str(outside / "link"))


def _set_to_another_checkout(repo: Path, outside: Path, git: Git) -> None:
    git(repo, "config", "core.hooksPath", str(outside / "wt/tools/h"))


LEADS = [
    *(_linked_file, _linked_before_ours, _linked_folder),
    *(_set, _set_through_a_link, _set_to_another_checkout),
]


@pytest.mark.parametrize("leads", LEADS)
def test_a_hook_that_leads_into_a_checkout_is_closed_and_does_not_run(
    repo: Path, tmp_path: Path, git: Git, leads: Callable[[Path, Path, Git], None]
) -> None:
    ran, outside = tmp_path / "ran", tmp_path / "outside"
    outside.mkdir()
    git(repo, "commit", "--quiet", "--allow-empty", "--message", "First")
    git(repo, "worktree", "add", "--quiet", str(outside / "wt"))
    leads(repo, outside, git)
    path = "tools/h/reference-transaction"

    closed = [Glob.parse(glob) for glob in hooks_in_trees(open_repository(repo))]
    assert is_protected(path, closed), "before there is such a file"
    assert not is_protected("tools/other", closed)

    for top in (repo, outside / "wt"):
        (top / path).parent.mkdir(parents=True)
        (top / path).write_text(f"#!/bin/sh\ncat > /dev/null\ntouch {ran}\n")
        (top / path).chmod(0o755)
        git(top, "-c", "core.hooksPath=/dev/null", "add", "tools")
    tip = git(repo, "rev-parse", "HEAD")
    move = [RefMove(LOG, None, tip, "a"), RefMove(BRANCH, None, tip, "a")]
    with pytest.raises(RefusedError, match="is not run: it is a file of a checkout"):
        GitRefs(open_repository(repo)).move(move)
    assert not ran.exists()
    refs = GitRefs(open_repository(repo))
    assert (refs.read(LOG), refs.read(BRANCH)) == (None, None)

    git(repo, "config", "esaa.treeHooks", "true")
    GitRefs(open_repository(repo)).move(move)
    assert ran.exists(), "the person said so"


def test_a_hook_in_a_folder_that_no_glob_can_spell_is_closed(repo: Path, git: Git) -> None:
    for folder, path in (
        ("!to[ols*\\", "!to[ols*\\/x"),
        ("e\u0301", "\u00e9/x"),
        (".", "pre-push"),
    ):
        git(repo, "config", "core.hooksPath", folder)
        closed = [Glob.parse(glob) for glob in hooks_in_trees(open_repository(repo))]
        assert is_protected(path, closed)
        assert not is_protected("README.md", closed)
