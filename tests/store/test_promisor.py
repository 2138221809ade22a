"""A partial clone: what it left out of a commit comes at once, or it is said why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.errors import RepositoryError
from esaa_git.store import promisor
from esaa_git.store.promisor import make_whole
from esaa_git.store.repository import open_repository
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


@pytest.mark.parametrize("kept", ["blob:none", "tree:0"])
def test_all_that_a_commit_lacks_is_fetched_in_few_goes(
    kept: str, origin: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = clone(origin, git, kept)
    started: list[str] = []
    before = promisor.run_git

    def counted(folder: Path, *arguments: str, **how: object) -> bytes:
        started.append("fetch" if "fetch" in arguments else "other")
        return before(folder, *arguments, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(promisor, "run_git", counted)
    tip = git(path, "rev-parse", "HEAD")
    assert make_whole(open_repository(path), tip) >= 4
    assert started.count("fetch") == 1 + (kept == "tree:0")
    assert "?" not in git(path, "rev-list", "--objects", "--no-walk", "--missing=print", tip)
    started.clear()
    assert make_whole(open_repository(path), tip) == 0
    assert "fetch" not in started


def test_a_remote_that_is_away_is_named(origin: Path, git: Git) -> None:
    path = clone(origin, git, "blob:none")
    origin.rename(origin.with_name("away"))
    with pytest.raises(RepositoryError, match=r"4 files .* 'origin' does not give them") as caught:
        make_whole(open_repository(path), git(path, "rev-parse", "HEAD"))
    assert "'git fetch origin'" in str(caught.value.hint)


def test_a_whole_clone_is_asked_nothing(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> bytes:
        raise AssertionError("no git is started")

    monkeypatch.setattr(promisor, "run_git", never)
    assert make_whole(open_repository(repo), "HEAD") == 0
