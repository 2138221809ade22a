"""What we say of a repository is what git says of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.errors import RepositoryError
from esaa_git.store.layout import WorkTree
from esaa_git.store.repository import Repository, open_again, open_repository
from esaa_git.store.tracked import tracked_tree
from tests.conftest import Git

Made = Callable[[Path, Git], Path]


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


# ---- where git says that it is ----------------------------------------------------------------


def _apart(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "--separate-git-dir", str(tmp_path / "store"), "tree")
    return tmp_path / "tree"


def _set_by_config(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "here")
    (tmp_path / "tree").mkdir()
    git(tmp_path / "here", "config", "core.worktree", str(tmp_path / "tree"))
    return tmp_path / "here"


def _submodule(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet", "inner")
    git(tmp_path / "inner", "commit", "--quiet", "--allow-empty", "--message", "First")
    git(tmp_path, "init", "--quiet", "outer")
    allowed = ("-c", "protocol.file.allow=always")
    git(tmp_path / "outer", *allowed, "submodule", "--quiet", "add", str(tmp_path / "inner"), "sub")
    return tmp_path / "outer" / "sub"


@pytest.mark.parametrize("made", [_apart, _set_by_config, _submodule])
def test_a_work_tree_is_where_git_has_it(tmp_path: Path, git: Git, made: Made) -> None:
    place = made(tmp_path, git)
    top = Path(git(place, "rev-parse", "--show-toplevel"))
    found = open_repository(place)
    assert found.workdir == top
    assert open_again(found).workdir == top
    assert [one.folder for one in found.work_trees()] == [top]
    (top / "new.txt").write_text("a\n")
    found.git("add", "new.txt")
    assert found.tracks(str(top / "new.txt"))


def test_a_folder_whose_name_is_no_utf_8_is_one_like_any_other(tmp_path: Path, git: Git) -> None:
    place = Path(os.fsdecode(os.fsencode(tmp_path) + b"/p\xe9r"))
    place.mkdir()
    git(place, "init", "--quiet")
    git(place, "config", "esaa.test", "here")
    found = open_repository(place)
    assert (found.workdir, found.git_dir) == (place, place / ".git")
    assert found.setting("esaa.test") == "here"
    assert [one.folder for one in found.work_trees()] == [place]
    found.set_local("esaa.place", str(place))
    assert found.setting("esaa.place") == str(place)


def test_variables_say_where_the_work_tree_is(
    tmp_path: Path, repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    assert open_repository().workdir == tmp_path  # git(1), GIT_DIR
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "tree"))
    assert open_repository().workdir == tmp_path / "tree"
    assert open_repository(repo).workdir == repo  # a folder that was named goes before them


def test_inside_of_a_git_directory_its_work_tree_is_found(
    repo: Path, linked: Path, tmp_path: Path, git: Git
) -> None:
    assert open_repository(repo / ".git").workdir == repo
    assert open_repository(Path(git(linked, "rev-parse", "--git-dir"))).workdir == linked
    _apart(tmp_path, git)
    assert open_repository(tmp_path / "store").workdir is None


def test_a_repository_that_git_does_not_open_is_refused_in_its_words(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(RepositoryError) as caught:
        open_repository(repo)
    assert "dubious ownership" in str(caught.value.cause)


@pytest.mark.parametrize(
    ("extension", "value", "words"),
    [("objectFormat", "sha256", "object format"), ("refStorage", "reftable", "ref storage")],
)
def test_what_cannot_be_served_is_refused(
    repo: Path, git: Git, extension: str, value: str, words: str
) -> None:
    git(repo, "config", "core.repositoryFormatVersion", "1")
    git(repo, "config", f"extensions.{extension}", value)
    with pytest.raises(RepositoryError, match=f"{words} '{value}', which git-esaa cannot serve"):
        open_repository(repo)


# ---- settings of one command, and of the environment -------------------------------------------


def test_a_setting_is_what_git_says_whichever_way_it_was_given(
    repo: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(number: int, name: str, value: str) -> None:
        monkeypatch.setenv("GIT_CONFIG_COUNT", str(number + 1))
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", name)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)

    (tmp_path / "global").write_text("[esaa]\n\tglobal = yes\n\tOnly\n")
    (tmp_path / "included").write_text("[esaa]\n\tincluded = 1\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "global"))
    monkeypatch.setenv("GIT_CONFIG_PARAMETERS", "'esaa.one'='of one command'")
    given(0, "esaa.two", "a\nb")
    condition = "includeIf.hasconfig:remote.*.url:https://example.org/**.path"
    git(repo, "config", condition, str(tmp_path / "included"))
    git(repo, "remote", "add", "origin", "https://example.org/x")

    found = open_repository(repo)
    names = ("esaa.one", "esaa.TWO", "Esaa.global", "esaa.included")
    assert [found.setting(name) for name in names] == ["of one command", "a\nb", "yes", "1"]
    assert found.flag("esaa.only", default=False)
    (tmp_path / "included").write_text("[esaa]\n\tincluded = another\n")
    assert found.setting("esaa.included") == "another"


def test_a_person_is_whom_git_takes_for_the_author(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_repository(repo)
    git(repo, "config", "user.email", "user@example.org")
    assert found.person() == "user@example.org"
    git(repo, "config", "author.email", "author@example.org")
    assert found.person() == "author@example.org"
    monkeypatch.setenv("GIT_AUTHOR_EMAIL", "given@example.org")
    assert found.person() == "given@example.org"
    assert "<given@example.org>" in git(repo, "var", "GIT_AUTHOR_IDENT")
    git(repo, "config", "esaa.actor", "actor@example.org")
    assert found.person() == "actor@example.org"


# ---- an index that stands for folders ----------------------------------------------------------


def test_a_sparse_index_answers_as_a_whole_one(repo: Path, git: Git) -> None:
    for path in ("big/1", "cone/2", "top"):
        (repo / path).parent.mkdir(exist_ok=True)
        (repo / path).write_text(f"{path}\n")
    (repo / "big/.gitattributes").write_text("*.bin merge=binary\n")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "--message", "First")
    git(repo, "sparse-checkout", "set", "--cone", "--sparse-index", "cone")
    found = open_repository(repo)
    assert "big/" in git(repo, "ls-files", "--sparse")
    assert found.attribute("big/x.bin", "merge") == "binary"
    assert found.tracks(str(repo / "big/1"))
    assert not found.tracks(str(repo / "big/2"))
    assert tracked_tree(found) == git(repo, "rev-parse", "HEAD^{tree}")
    (repo / "top").write_text("another\n")
    assert tracked_tree(found) != git(repo, "rev-parse", "HEAD^{tree}")
