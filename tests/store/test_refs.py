"""Refs move by compare-and-swap, all or none; over an overlay, and nothing on disk moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.errors import ConflictError, RefusedError
from esaa_git.ports.refs import RefMove, RefStore
from esaa_git.store.objects import COMMIT, encode_commit
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
