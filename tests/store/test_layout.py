"""What we say of a repository is what git says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.store.layout import WorkTree
from esaa_git.store.repository import Repository, open_repository
from tests.conftest import Git


@pytest.fixture
def linked(repo: Path, tmp_path: Path, git: Git) -> Path:
    """Another checkout of the repository, on a branch of its own."""
    git(repo, "commit", "--quiet", "--allow-empty", "--message", "First")
    folder = tmp_path / "linked"
    git(repo, "worktree", "add", "--quiet", "-b", "side", str(folder))
    return folder


@pytest.fixture(params=["main", "linked"])
def place(request: pytest.FixtureRequest, repo: Path, linked: Path) -> Path:
    return repo if request.param == "main" else linked


@pytest.fixture
def repository(place: Path) -> Repository:
    return open_repository(place)


def test_folders_are_where_git_has_them(repository: Repository, place: Path, git: Git) -> None:
    def asked(*what: str) -> Path:
        return Path(git(place, "rev-parse", "--path-format=absolute", *what))

    assert repository.workdir == asked("--show-toplevel")
    assert repository.git_dir == asked("--git-dir")
    assert repository.common_dir == asked("--git-common-dir")
    assert repository.hooks_folder == asked("--git-path", "hooks")


def test_work_trees_are_those_that_git_lists(
    repository: Repository, place: Path, repo: Path, linked: Path, git: Git
) -> None:
    gone = linked.with_name("gone")
    git(repo, "worktree", "add", "--quiet", "--detach", str(gone))
    assert _said_by_git(git, place) == {
        (str(one.folder), one.head) for one in repository.work_trees()
    }
    gone.rename(gone.with_name("moved"))
    git(repo, "worktree", "prune")
    assert _said_by_git(git, place) == {
        (str(one.folder), one.head) for one in repository.work_trees()
    }


def _said_by_git(git: Git, place: Path) -> set[tuple[str, str | None]]:
    found = set()
    for block in git(place, "worktree", "list", "--porcelain").split("\n\n"):
        lines = dict(line.partition(" ")[::2] for line in block.splitlines())
        found.add((lines["worktree"], lines.get("branch")))
    return found


def test_a_bare_repository_has_no_work_tree(repo: Path, tmp_path: Path, git: Git) -> None:
    bare = tmp_path / "bare.git"
    git(repo, "clone", "--quiet", "--bare", ".", str(bare))
    assert list(open_repository(bare).work_trees()) == []


def test_a_head_that_is_a_link_names_its_ref(tmp_path: Path) -> None:
    (tmp_path / "HEAD").symlink_to("refs/heads/main")
    assert WorkTree(tmp_path, tmp_path).head == "refs/heads/main"
    assert WorkTree(tmp_path, tmp_path / "nowhere").head is None


def test_settings_are_those_of_git(repository: Repository, place: Path, git: Git) -> None:
    for value in ("one", "two"):
        git(place, "config", "--add", "esaa.test", value)
    git(place, "config", "core.hooksPath", "~/hooks")
    git(place, "config", "esaa.on", "yes")
    assert (
        repository.settings("esaa.test")
        == git(place, "config", "--get-all", "esaa.test").splitlines()
    )
    assert repository.setting("esaa.test") == git(place, "config", "esaa.test")
    assert repository.setting("esaa.none") is None
    assert repository.settings("esaa.none") == []
    assert repository.flag("esaa.on", default=False)
    assert repository.flag("esaa.none", default=True)
    hooks = git(place, "config", "--type=path", "core.hooksPath")
    assert repository.hooks_folder == Path(hooks)


@pytest.mark.parametrize(
    ("rule", "value"),
    [("", None), ("*.x -merge", False), ("*.x merge", True), ("*.x merge=union", "union")],
)
def test_attributes_are_those_of_git(
    repository: Repository, place: Path, git: Git, rule: str, value: bool | str | None
) -> None:
    (place / ".gitattributes").write_text(f"{rule}\n")
    said = {None: "unspecified", False: "unset", True: "set"}
    asked = git(place, "check-attr", "merge", "--", "a.x").rpartition(" ")[2]
    assert repository.attribute("a.x", "merge") == value
    assert asked == said.get(value, value)
