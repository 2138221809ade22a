"""A partial clone: what it left out of a commit comes at once, or it is said why not."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from esaa_git.errors import RepositoryError
from esaa_git.store import layout
from esaa_git.store.objects import BLOB
from esaa_git.store.promisor import bring, make_whole
from esaa_git.store.repository import MissingObject, open_repository
from esaa_git.store.trees import GitBlobs, GitTrees
from tests.conftest import Git


@pytest.fixture
def origin(repo: Path, git: Git) -> Path:
    (repo / "deep/er").mkdir(parents=True)
    for number in range(3):
        (repo / f"deep/er/{number}.txt").write_text(f"{number}\n")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "--message", "deep")
    git(repo, "config", "uploadpack.allowFilter", "true")
    git(repo, "config", "uploadpack.allowAnySHA1InWant", "true")
    return repo


def clone(origin: Path, git: Git, kept: str) -> Path:
    path = origin.parent / "clone"
    options = ("--quiet", "--no-checkout", f"--filter={kept}")
    git(origin, "clone", *options, f"file://{origin}", str(path))
    return path


def fetches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the remotes that are fetched from after this."""
    started: list[str] = []
    before = layout.run_git

    def counted(folder: Path, *arguments: str, **how: object) -> bytes:
        if "fetch" in arguments:
            started.append(arguments[-1])
        return before(folder, *arguments, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(layout, "run_git", counted)
    return started


@pytest.mark.parametrize("kept", ["blob:none", "tree:0"])
def test_all_that_a_commit_lacks_is_fetched_in_few_goes(
    kept: str, origin: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone(origin, git, kept)
    started = fetches(monkeypatch)
    tip = git(path, "rev-parse", "HEAD")
    assert make_whole(open_repository(path), tip) >= 4
    assert len(started) == 1 + (kept == "tree:0")
    assert "?" not in git(path, "rev-list", "--objects", "--no-walk", "--missing=print", tip)
    started.clear()
    assert make_whole(open_repository(path), tip) == 0
    assert not started


def test_contents_that_are_named_are_fetched_in_one_go(
    origin: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone(origin, git, "blob:none")
    blobs = git(origin, "rev-parse", *(f"HEAD:deep/er/{number}.txt" for number in range(3))).split()
    started = fetches(monkeypatch)
    assert bring(open_repository(path), [*blobs, blobs[0]]) == 3
    assert len(started) == 1
    assert bring(open_repository(path), blobs) == 0
    assert bring(open_repository(origin), ["0" * 40]) == 0
    assert len(started) == 1


def test_a_remote_that_is_away_is_named(origin: Path, git: Git) -> None:
    path = clone(origin, git, "blob:none")
    origin.rename(origin.with_name("away"))
    with pytest.raises(RepositoryError, match=r"4 files .* 'origin' does not give them") as caught:
        make_whole(open_repository(path), git(path, "rev-parse", "HEAD"))
    assert "'git fetch origin'" in str(caught.value.hint)


def test_a_merge_whose_remote_is_away_says_so(origin: Path, git: Git) -> None:
    for branch, lines in (("side", "A\nb\n"), ("other", "a\nB\n")):
        git(origin, "switch", "--quiet", "--create", branch, "HEAD" if branch == "side" else "@~")
        (origin / "deep/er/0.txt").write_text(lines)
        git(origin, "commit", "--quiet", "--all", "--message", branch)
    opened = open_repository(clone(origin, git, "tree:0"))
    ours, theirs = git(origin, "rev-parse", "side", "other").splitlines()
    origin.rename(origin.with_name("away"))
    with pytest.raises(RepositoryError, match="'origin' does not give them") as caught:
        opened.merge_commits(ours, theirs)
    assert "'git fetch origin'" in str(caught.value.hint)


def test_a_whole_clone_is_asked_nothing(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("no git is started")

    opened = open_repository(repo)
    monkeypatch.setattr(layout, "run_git", never)
    assert make_whole(opened, "HEAD") == 0
    with pytest.raises(MissingObject):
        opened.read("1" * 40)


@pytest.mark.parametrize("kept", ["blob:none", "tree:0"])
def test_whoever_reads_an_object_has_it_fetched(kept: str, origin: Path, git: Git) -> None:
    (origin / "deep/er/0.txt").write_text("another\n")
    git(origin, "commit", "--quiet", "--all", "--message", "later")
    opened = open_repository(clone(origin, git, kept))
    tip, before, blob = git(
        origin, "rev-parse", "HEAD", "HEAD~1", "HEAD:deep/er/1.txt"
    ).splitlines()
    assert opened.read(blob) == (BLOB, b"1\n")
    assert GitTrees(opened).entry(tip, "deep/er/2.txt") is not None
    ours, theirs = opened.raw[tip].peel(pygit2.Tree), opened.raw[before].peel(pygit2.Tree)
    assert "+another" in opened.raw.diff(theirs, ours).patch
    opened.let_packs_go()
    assert GitBlobs(opened).size(git(origin, "rev-parse", "HEAD:deep/er/2.txt")) == 2
    with pytest.raises(MissingObject):
        opened.read("1" * 40)
    assert "2" * 40 not in opened.odb


def test_what_a_log_lacks_is_fetched_in_one_go(
    origin: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        (origin / "event.json").write_text(f"{number}\n")
        git(origin, "add", "event.json")
        git(origin, "commit", "--quiet", "--message", "event")
    git(origin, "update-ref", "refs/esaa/events", "HEAD")
    path = clone(origin, git, "blob:none")
    git(path, "fetch", "--quiet", "origin", "refs/esaa/events:refs/esaa/remotes/origin/events")
    opened, started = open_repository(path), fetches(monkeypatch)
    for back in range(5):
        oid = git(origin, "rev-parse", f"HEAD~{back}:event.json")
        assert opened.read(oid) == (BLOB, f"{4 - back}\n".encode())
    assert len(started) == 1


def test_an_object_of_a_remote_that_is_away_is_said_to_be_there(origin: Path, git: Git) -> None:
    opened = open_repository(clone(origin, git, "blob:none"))
    blob = git(origin, "rev-parse", "HEAD:deep/er/1.txt")
    origin.rename(origin.with_name("away"))
    for ask in (opened.read, opened.raw.get):
        with pytest.raises(RepositoryError, match="'origin' does not give them") as caught:
            ask(blob)
        assert "does not appear to be a git repository" in str(caught.value.cause)
