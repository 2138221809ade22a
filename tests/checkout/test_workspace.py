"""Throwaway checkouts: what an agent finds there, and what is made of its edits.

Real repositories, and git itself as the judge: a proposal applied to the base is the tree that
`git add --all` would make of the checkout.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from esaa_git.checkout.workspace import GitWorkspace, GitWorkspaces
from esaa_git.core.answer import DeleteFile, RenameFile, Result
from esaa_git.core.envelope import Envelope, decode
from esaa_git.core.proposal import after_image
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.errors import AgentError
from esaa_git.folders import remove_folder
from esaa_git.ports.files import FileEntry, NotAFile
from esaa_git.store.repository import Repository, open_repository
from esaa_git.store.trees import GitBlobs, GitTrees
from tests.conftest import Git

pytestmark = pytest.mark.usefixtures("temporary")

ENOUGH = 10_000_000
FILES = {
    "README.md": b"# Example\n",
    "src/a.py": b"".join(b"a = %d\n" % number for number in range(40)),
    "src/b.py": b"b = 1\n",
    "src/deep/er/c.py": b"c = 1\n",
    "bin/tool": b"#!/bin/sh\nexit 0\n",
    "data/raw.bin": bytes(range(256)),
    "docs/ü/日本.md": b"text\n",
    ".gitignore": b"*.log\n/build/\n__pycache__/\n",
}
EXECUTABLE = {"bin/tool"}

Commit = Callable[..., str]
Updates = list[dict[str, Any]]


@pytest.fixture
def project(repo: Path, git: Git) -> Path:
    """A repository with the files above in one commit."""
    commit_files(repo, git, FILES)
    return repo


def commit_files(repo: Path, git: Git, files: Mapping[str, bytes | None]) -> str:
    for path, content in files.items():
        if content is None:
            (repo / path).unlink()
            continue
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_bytes(content)
        if path in EXECUTABLE:
            (repo / path).chmod(0o755)
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--allow-empty", "--message", "Files")
    return git(repo, "rev-parse", "HEAD")


@contextmanager
def opened(
    repo: Path,
    changes: Mapping[str, FileEntry | None] | None = None,
    *,
    base: str | None = None,
) -> Iterator[GitWorkspace]:
    repository = open_repository(repo)
    with GitWorkspaces(repository).open(base or head(repository), changes) as workspace:
        yield workspace


def head(repository: Repository) -> str:
    return str(repository.raw.head.target)


def updates_of(workspace: GitWorkspace, max_bytes: int = ENOUGH) -> Updates:
    diff = workspace.diff(max_bytes)
    assert diff.fault is None, diff.fault
    return [dict(update) for update in diff.updates]


def fault(workspace: GitWorkspace, max_bytes: int = ENOUGH) -> Rejected:
    diff = workspace.diff(max_bytes)
    assert diff.fault is not None
    assert not diff.updates
    return diff.fault


def contents(folder: Path) -> dict[str, bytes]:
    return {
        place.relative_to(folder).as_posix(): place.read_bytes()
        for place in folder.rglob("*")
        if place.is_file() and ".git" not in place.relative_to(folder).parts
    }


# ---- what an agent finds -----------------------------------------------------------------------


def test_a_workspace_holds_the_files_of_the_base_and_two_empty_folders(
    project: Path, temporary: Path
) -> None:
    with opened(project) as workspace:
        assert contents(workspace.path) == FILES
        assert (workspace.path / "bin/tool").stat().st_mode & 0o111
        assert not (workspace.path / "src/b.py").stat().st_mode & 0o111
        assert list(workspace.home.iterdir()) == list(workspace.tmp.iterdir()) == []
        assert workspace.path.is_relative_to(temporary)
        above = workspace.path.parent
        assert stat.S_IMODE(above.stat().st_mode) == 0o700
        assert not above.is_symlink()
        assert updates_of(workspace) == []
    assert not above.exists()


def test_a_workspace_is_removed_when_its_user_fails(project: Path, temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(project):
        raise ZeroDivisionError
    assert list(temporary.iterdir()) == []


def test_while_an_agent_works_nothing_that_the_diff_relies_on_is_on_the_disk(
    project: Path, temporary: Path
) -> None:
    with opened(project) as workspace:
        (only,) = temporary.iterdir()
        assert sorted(path.name for path in only.iterdir()) == ["checkout", "home", "tmp"]
        assert only == workspace.path.parent


def test_git_works_in_a_workspace_and_knows_the_history(project: Path, git: Git) -> None:
    with opened(project) as workspace:
        assert git(workspace.path, "status", "--porcelain") == ""
        assert git(workspace.path, "log", "--format=%s") == "Files\nStart"
        (workspace.path / "src/b.py").write_text("b = 2\n")
        assert "+b = 2" in git(workspace.path, "diff")
        git(workspace.path, "commit", "--quiet", "--all", "--message", "Mine")
        assert git(workspace.path, "log", "-1", "--format=%an") == "Agent"
        assert git(workspace.path, "show", "--format=", "--name-only") == "src/b.py"
        git(workspace.path, "fsck", "--strict", "--no-dangling")


def test_what_an_agent_commits_stays_in_its_workspace_and_is_proposed_as_files(
    project: Path, git: Git
) -> None:
    before = git(project, "for-each-ref"), git(project, "count-objects")
    with opened(project) as workspace:
        (workspace.path / "src/b.py").write_text("b = 2\n")
        git(workspace.path, "commit", "--quiet", "--all", "--message", "Mine")
        git(workspace.path, "checkout", "--quiet", "--orphan", "other")
        assert updates_of(workspace) == [{"op": "write", "path": "src/b.py", "content": "b = 2\n"}]
    assert (git(project, "for-each-ref"), git(project, "count-objects")) == before


def test_the_git_directory_has_nothing_of_the_operator_but_the_objects(
    project: Path, git: Git
) -> None:
    git(project, "remote", "add", "origin", "https://user:secret@example.com/x.git")
    git(project, "config", "credential.helper", "store")
    git(project, "config", "user.signingKey", "/keys/secret")
    git(project, "tag", "v1")
    with opened(project) as workspace:
        assert git(workspace.path, "remote") == ""
        refs = git(workspace.path, "for-each-ref", "--format=%(refname)")
        assert refs == "refs/heads/work"
        said = git(workspace.path, "config", "--local", "--list")
        assert "secret" not in said
        assert "user.email=agent@localhost" in said
        assert not (workspace.path / ".git/hooks").exists()
        objects = (project / ".git/objects").resolve()
        assert list(workspace.readable) == [objects]
        assert git(workspace.path, "count-objects").startswith("0 objects")


def test_a_workspace_holds_the_changes_of_a_proposal_and_the_diff_begins_there(
    project: Path, git: Git
) -> None:
    repository = open_repository(project)
    new = GitBlobs(repository).write(b"n = 1\n")
    changes = {
        "src/new.py": FileEntry("100755", new),
        "src/b.py": FileEntry("100644", new),
        "src/deep/er/c.py": None,
    }
    with opened(project, changes) as workspace:
        expected = {**FILES, "src/new.py": b"n = 1\n", "src/b.py": b"n = 1\n"}
        del expected["src/deep/er/c.py"]
        assert contents(workspace.path) == expected
        assert git(workspace.path, "status", "--porcelain") == ""
        assert git(workspace.path, "log", "-1", "--format=%P") == head(repository)
        diff = git(workspace.path, "diff", "--name-status", "HEAD^", "HEAD")
        assert diff.split("\n") == ["M\tsrc/b.py", "D\tsrc/deep/er/c.py", "A\tsrc/new.py"]
        assert updates_of(workspace) == []
        (workspace.path / "src/new.py").write_text("n = 2\n")
        assert [update["path"] for update in updates_of(workspace)] == ["src/new.py"]


def linked(project: Path, git: Git) -> Path:
    git(project, "worktree", "add", "--quiet", "--detach", "../linked")
    return project.parent / "linked"


def bare(project: Path, git: Git) -> Path:
    git(project, "clone", "--quiet", "--bare", ".", "../bare.git")
    return project.parent / "bare.git"


def shallow(project: Path, git: Git) -> Path:
    git(project, "clone", "--quiet", "--depth=1", project.as_uri(), "../shallow")
    return project.parent / "shallow"


def with_git_dir_elsewhere(project: Path, git: Git) -> Path:
    git(project, "init", "--quiet", "--separate-git-dir", "../elsewhere.git")
    return project


def with_alternates(project: Path, git: Git) -> Path:
    git(project, "clone", "--quiet", "--shared", ".", "../first")
    git(project.parent, "clone", "--quiet", "--shared", "first", "second")
    second = project.parent / "second"
    alternates = second / ".git/objects/info/alternates"
    alternates.write_text(os.path.relpath(alternates.read_text().strip(), second / ".git/objects"))
    return second


def with_odd_name(project: Path, git: Git) -> Path:
    odd = project.parent / '"#odd\nname'
    project.rename(odd)
    return odd


def packed(project: Path, git: Git) -> Path:
    git(project, "gc", "--quiet", "--prune=now")
    return project


@pytest.mark.parametrize(
    "make",
    [linked, bare, shallow, with_git_dir_elsewhere, with_alternates, with_odd_name, packed],
)
def test_every_kind_of_repository_can_be_laid_out(
    make: Callable[[Path, Git], Path], project: Path, git: Git
) -> None:
    repo = make(project, git)
    with opened(repo) as workspace:
        assert contents(workspace.path) == FILES
        assert git(workspace.path, "status", "--porcelain") == ""
        assert git(workspace.path, "log", "--format=%s").startswith("Files")
        git(workspace.path, "fsck", "--strict", "--no-dangling")
        assert all((folder / "pack").is_dir() for folder in workspace.readable)
        (workspace.path / "src/b.py").unlink()
        assert updates_of(workspace) == [{"op": "delete", "path": "src/b.py"}]


def test_the_alternates_of_a_repository_are_readable_too(project: Path, git: Git) -> None:
    with opened(with_alternates(project, git)) as workspace:
        above = project.parent.resolve()
        folders = [folder.relative_to(above).parts[0] for folder in workspace.readable]
        assert folders == ["second", "first", "repo"]


def test_symlinks_and_submodules_of_the_base_are_laid_out_and_are_no_change(
    project: Path, git: Git
) -> None:
    (project / "link").symlink_to("src/a.py")
    (project / "dangling").symlink_to("/nowhere")
    git(project, "add", "--all")
    sub = git(project, "rev-parse", "HEAD")
    git(project, "update-index", "--add", "--cacheinfo", f"160000,{sub},lib/sub")
    git(project, "commit", "--quiet", "--message", "Links")
    with opened(project) as workspace:
        assert (workspace.path / "link").readlink() == Path("src/a.py")
        assert (workspace.path / "dangling").is_symlink()
        assert list((workspace.path / "lib/sub").iterdir()) == []
        assert updates_of(workspace) == []
        # One that was made again, as an editor's backup does, is the one that was.
        (workspace.path / "link").unlink()
        (workspace.path / "link").symlink_to("src/a.py")
        assert updates_of(workspace) == []


def test_a_sparse_checkout_of_the_operator_hides_nothing(project: Path, git: Git) -> None:
    git(project, "sparse-checkout", "set", "docs")
    assert not (project / "src").exists()
    with opened(project) as workspace:
        assert contents(workspace.path) == FILES


# ---- line ends, filters, programs of the operator ----------------------------------------------


def test_line_ends_are_what_a_person_sees_and_are_no_change(project: Path, git: Git) -> None:
    attributes = b"*.txt text eol=crlf\n*.auto text=auto\n"
    commit_files(
        project, git, {".gitattributes": attributes, "a.txt": b"1\r\n2\r\n", "b.auto": b""}
    )
    with opened(project) as workspace:
        text = workspace.path / "a.txt"
        assert text.read_bytes() == b"1\r\n2\r\n"
        text.write_bytes(b"1\n2\n")
        assert updates_of(workspace) == []
        text.write_bytes(b"1\r\n3\r\n")
        (workspace.path / "b.auto").write_bytes(b"x\r\n")
        assert updates_of(workspace) == [
            {"op": "write", "path": "a.txt", "content": "1\n3\n"},
            {"op": "write", "path": "b.auto", "content": "x\n"},
        ]


def test_core_autocrlf_of_the_operator_holds(project: Path, git: Git) -> None:
    git(project, "config", "core.autocrlf", "true")
    with opened(project) as workspace:
        text = workspace.path / "src/b.py"
        assert text.read_bytes() == b"b = 1\r\n"
        assert git(workspace.path, "status", "--porcelain") == ""
        text.write_bytes(b"b = 1\n")
        (workspace.path / "new.py").write_bytes(b"n\r\n")
        updates = updates_of(workspace)
        assert updates == [{"op": "write", "path": "new.py", "content": "n\n"}]


def test_attributes_that_the_agent_writes_hold_for_what_it_proposes(project: Path) -> None:
    with opened(project) as workspace:
        (workspace.path / ".gitattributes").write_text("*.dos text\n")
        (workspace.path / "x.dos").write_bytes(b"1\r\n")
        updates = {update["path"]: update["content"] for update in updates_of(workspace)}
        assert updates == {".gitattributes": "*.dos text\n", "x.dos": "1\n"}


def test_no_filter_hook_or_monitor_of_the_operator_runs(
    project: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho $0 >> {ran}\ncat\n")
    program.chmod(0o755)
    attributes = b"*.one filter=local\n*.two filter=global\n*.three filter=given\n"
    names = ("a.one", "a.two", "a.three")
    commit_files(
        project, git, {".gitattributes": attributes, **dict.fromkeys(names, b"as it is stored\n")}
    )
    config = tmp_path / "global"
    shutil.copy(os.environ["GIT_CONFIG_GLOBAL"], config)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    for scope, name in (("--local", "local"), ("--global", "global")):
        for step in ("smudge", "clean"):
            git(project, "config", scope, f"filter.{name}.{step}", str(program))
        git(project, "config", scope, f"filter.{name}.required", "true")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "filter.given.smudge")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(program))
    git(project, "config", "core.fsmonitor", str(program))
    for hook in ("post-checkout", "post-index-change", "pre-commit"):
        shutil.copy(program, project / ".git/hooks" / hook)
    for name in names:
        (project / name).unlink()
        git(project, "checkout", "--", name, env={"GIT_OPTIONAL_LOCKS": "0"})
        assert ran.exists(), "the programs are wired"
        ran.unlink()
    with opened(project) as workspace:
        assert {(workspace.path / name).read_bytes() for name in names} == {b"as it is stored\n"}
        assert updates_of(workspace) == []
        for name in names:
            (workspace.path / name).write_bytes(b"other\n")
        refused = fault(workspace)
        assert refused.detail["paths"] == sorted(names)
        assert refused.detail["filter"] == "local"
    assert not ran.exists()


def test_what_is_under_a_filter_may_go_move_and_change_its_mode(project: Path, git: Git) -> None:
    stored = {".gitattributes": b"*.bin filter=big\n", "a.bin": b"1\n", "b.bin": b"2\n" * 99}
    commit_files(project, git, {**stored, "c.bin": b"3\n"})
    with opened(project) as workspace:
        (workspace.path / "a.bin").unlink()
        (workspace.path / "b.bin").rename(workspace.path / "moved.bin")
        (workspace.path / "c.bin").chmod(0o755)
        assert [(each["op"], each["path"]) for each in updates_of(workspace)] == [
            ("delete", "a.bin"),
            ("chmod", "c.bin"),
            ("rename", "moved.bin"),
        ]
        (workspace.path / ".gitattributes").write_bytes(b"")  # the base's count all the same
        (workspace.path / "moved.bin").write_bytes(b"raw\n" + b"2\n" * 99)
        assert fault(workspace).detail == {"path": "moved.bin", "filter": "big"}


def test_a_file_in_an_encoding_of_its_own_is_proposed_as_git_stores_it(
    project: Path, git: Git
) -> None:
    commit_files(
        project, git, {".gitattributes": b"*.u working-tree-encoding=UTF-16LE\n*.i ident\n"}
    )
    with opened(project) as workspace:
        (workspace.path / "x.u").write_bytes("hé\n".encode("utf-16-le"))
        (workspace.path / "x.i").write_bytes(b"$Id: 0123 $\n")
        updates = {each["path"]: each["content"] for each in updates_of(workspace)}
        assert updates == {"x.u": "hé\n", "x.i": "$Id$\n"}


# ---- what is proposed --------------------------------------------------------------------------


def edit_everything(path: Path) -> None:
    (path / "src/b.py").write_text("b = 2\n")
    (path / "src/new.py").write_text("n = 1\n")
    (path / "src/run.sh").write_text("#!/bin/sh\n")
    (path / "src/run.sh").chmod(0o755)
    (path / "data/raw.bin").write_bytes(b"\0\xff")
    (path / "data/latin").write_bytes(b"\xe9\n")
    (path / "data/empty").touch()
    (path / "README.md").unlink()
    (path / "bin/tool").chmod(0o644)
    (path / "docs/ü/日本.md").rename(path / "docs/moved.md")
    lines = (path / "src/a.py").read_text().replace("a = 7\n", "a = 700\n")
    (path / "src/a.py").unlink()
    (path / "src/deep/a.py").write_text(lines)
    (path / "src/deep/a.py").chmod(0o755)


def test_each_kind_of_change_has_its_operation(project: Path) -> None:
    with opened(project) as workspace:
        edit_everything(workspace.path)
        moved = (workspace.path / "src/deep/a.py").read_text()
        expected = [
            {"op": "delete", "path": "README.md"},
            {"op": "chmod", "path": "bin/tool", "executable": False},
            {"op": "write", "path": "data/empty", "content": ""},
            {"op": "write", "path": "data/latin", "content": "6Qo=", "encoding": "base64"},
            {"op": "write", "path": "data/raw.bin", "content": "AP8=", "encoding": "base64"},
            {"op": "rename", "from": "docs/ü/日本.md", "path": "docs/moved.md"},
            {"op": "write", "path": "src/b.py", "content": "b = 2\n"},
            {
                "op": "rename",
                "from": "src/a.py",
                "path": "src/deep/a.py",
                "content": moved,
                "executable": True,
            },
            {"op": "write", "path": "src/new.py", "content": "n = 1\n"},
            {"op": "write", "path": "src/run.sh", "content": "#!/bin/sh\n", "executable": True},
        ]
        assert updates_of(workspace) == expected
        assert updates_of(workspace) == expected, "it can be asked again"


def test_ignored_files_stay_out_and_tracked_ones_never_do(project: Path, git: Git) -> None:
    git(project, "add", "--force", "--all")
    commit_files(project, git, {"kept.log": b"1\n"})
    git(project, "add", "--force", "kept.log")
    git(project, "commit", "--quiet", "--message", "A tracked file that is ignored")
    with opened(project) as workspace:
        for path in ("x.log", "build/out.o", "src/__pycache__/a.pyc", "src/deep/y.log"):
            (workspace.path / path).parent.mkdir(exist_ok=True)
            (workspace.path / path).write_text("ignored\n")
        os.mkfifo(workspace.path / "build/pipe")
        assert updates_of(workspace) == []
        (workspace.path / "kept.log").write_text("2\n")
        assert [update["path"] for update in updates_of(workspace)] == ["kept.log"]


def test_only_the_base_s_ignore_files_hold_and_what_they_keep_out_is_named(project: Path) -> None:
    """An agent can hide nothing by a rule of its own, and what it deletes of the rules holds."""
    with opened(project) as workspace:
        (workspace.path / "a.log").write_text("1\n")
        (workspace.path / "b.tmp").write_text("1\n")
        (workspace.path / "new/sub").mkdir(parents=True)
        (workspace.path / "new/.gitignore").write_text("*\n!*.keep\n!sub/\n!.gitignore\n")
        (workspace.path / "new/x").touch()
        (workspace.path / "new/sub/y.keep").touch()
        (workspace.path / "new/sub/y").touch()
        (workspace.path / ".gitignore").write_text("*.tmp\n")
        diff = workspace.diff(ENOUGH)
        found = [update["path"] for update in diff.updates]
        new = ["new/.gitignore", "new/sub/y", "new/sub/y.keep", "new/x"]
        assert found == [".gitignore", "b.tmp", *new]
        assert diff.left_out == ("a.log",)
        (workspace.path / ".gitignore").unlink()
        (workspace.path / "build").mkdir()
        (workspace.path / "build/x").touch()
        diff = workspace.diff(ENOUGH)
        assert {"op": "delete", "path": ".gitignore"} in diff.updates
        assert diff.left_out == ("a.log", "build/")


def test_by_products_by_the_contract_stay_out_and_are_named(project: Path) -> None:
    with opened(project) as workspace:
        for path in ("x/__pycache__/a.bin", "x/kept.py", "deep/er/.DS_Store", "top.tmp2"):
            (workspace.path / path).parent.mkdir(parents=True, exist_ok=True)
            (workspace.path / path).write_text("1\n")
        globs = ("**/__pycache__/**", "**/.DS_Store", "*.tmp2")
        diff = workspace.diff(ENOUGH, globs)
        assert [update["path"] for update in diff.updates] == ["x/kept.py"]
        assert diff.left_out == ("deep/er/.DS_Store", "top.tmp2", "x/__pycache__/")
        # A tracked file is never a by-product.
        (workspace.path / "src/b.py").write_text("changed\n")
        assert len(workspace.diff(ENOUGH, ("src/**", *globs)).updates) == 2


def test_what_only_this_person_ignores_is_proposed(
    project: Path, git: Git, sealed_home: Path
) -> None:
    (project / ".git/info").mkdir(exist_ok=True)
    (project / ".git/info/exclude").write_text("*.mine\n")
    ignore = sealed_home / ".config/git/ignore"
    ignore.parent.mkdir(parents=True, exist_ok=True)
    ignore.write_text("*.too\n")
    try:
        with opened(project) as workspace:
            (workspace.path / "a.mine").touch()
            (workspace.path / "b.too").touch()
            assert [update["path"] for update in updates_of(workspace)] == ["a.mine", "b.too"]
    finally:
        shutil.rmtree(ignore.parent)


def test_a_touched_file_is_no_change_and_takes_no_room(project: Path, git: Git) -> None:
    large = random.Random(1).randbytes(3_000_000)
    commit_files(project, git, {"large.bin": large})
    with opened(project) as workspace:
        for place in (workspace.path / "large.bin", workspace.path / "src/b.py"):
            place.write_bytes(place.read_bytes())
            os.utime(place)
        assert updates_of(workspace, 100) == []


def test_contents_beyond_the_limit_are_a_fault(project: Path) -> None:
    with opened(project) as workspace:
        for name in ("one", "two"):
            (workspace.path / name).write_bytes(b"x" * 600)
        assert len(updates_of(workspace, 1200)) == 2
        assert fault(workspace, 1199).code == RejectCode.OUTPUT_TOO_LARGE
        # Nothing of it is read or copied: it has no blocks on the disk.
        with (workspace.path / "three").open("wb") as file:
            file.truncate(1 << 40)
        found = fault(workspace, 1199)
        assert found.code == RejectCode.OUTPUT_TOO_LARGE
        assert "three" in found.message


def test_a_file_and_a_folder_change_places(project: Path) -> None:
    with opened(project) as workspace:
        (workspace.path / "src/b.py").unlink()
        (workspace.path / "src/b.py").mkdir()
        (workspace.path / "src/b.py/inner.py").write_text("inner, and quite another content\n")
        shutil.rmtree(workspace.path / "src/deep")
        (workspace.path / "src/deep").write_text("flat, and quite another content too\n")
        assert [(update["op"], update["path"]) for update in updates_of(workspace)] == [
            ("delete", "src/b.py"),
            ("write", "src/b.py/inner.py"),
            ("write", "src/deep"),
            ("delete", "src/deep/er/c.py"),
        ]


@pytest.mark.parametrize("seed", range(12))
def test_a_proposal_makes_of_the_base_what_git_add_makes_of_the_checkout(
    seed: int, project: Path, git: Git
) -> None:
    chance = random.Random(seed)
    commit_files(
        project,
        git,
        {
            ".gitattributes": b"*.crlf text eol=crlf\n*.auto text=auto\n",
            **{f"many/{n % 4}/f{n}.{chance.choice(KINDS)}": some(chance) for n in range(40)},
        },
    )
    with opened(project) as workspace:
        for _ in range(chance.randint(1, 40)):
            scribble(workspace.path, chance)
        updates = updates_of(workspace)
        index = {"GIT_INDEX_FILE": str(project.parent / "index")}
        shutil.copy(workspace.path / ".git/index", index["GIT_INDEX_FILE"])
        git(workspace.path, "add", "--all", env=index)
        expected = git(workspace.path, "ls-files", "--stage", env=index)
    assert listed(applied(open_repository(project), updates)) == expected


KINDS = ("py", "crlf", "auto", "bin", "log", "sh")


def some(chance: random.Random) -> bytes:
    ending = chance.choice((b"\n", b"\r\n"))
    lines = b"".join(b"%d%s" % (chance.randint(0, 9), ending) for _ in range(chance.randint(0, 30)))
    return lines + chance.choice((b"", b"", b"\0\xff", "é".encode(), b"\xe9"))


def scribble(top: Path, chance: random.Random) -> None:
    """Do one of the things that an agent does to files."""
    files = [top / path for path in contents(top) if not path.startswith(".git")]
    chosen = chance.choice(sorted(files))
    fresh = (
        top
        / chance.choice(("many/1", "src", "fresh/x", "build"))
        / (f"n{chance.randint(0, 99)}.{chance.choice(KINDS)}")
    )
    match chance.randrange(8):
        case 0 | 1:
            fresh.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(some(chance))
        case 2:
            chosen.write_bytes(some(chance))
        case 3:
            chosen.write_bytes(chosen.read_bytes() + b"more\n")
        case 4:
            chosen.unlink()
        case 5:
            chosen.chmod(chance.choice((0o644, 0o755)))
        case 6:
            fresh.parent.mkdir(parents=True, exist_ok=True)
            chosen.rename(fresh)
        case 7:
            chosen.write_bytes(chosen.read_bytes())


def applied(repository: Repository, updates: Updates) -> dict[str, FileEntry]:
    """Take the updates through the envelope's decoder, and apply them to the base."""
    trees, blobs, base = GitTrees(repository), GitBlobs(repository), head(repository)
    files = dict(trees.paths(base))
    payload: dict[str, Any] = {"summary": "Did it"}
    if updates:
        payload["file_updates"] = updates
    document = {
        "action": "agent.result",
        "task_id": "T-1",
        "attempt_id": "T-1-A1",
        "payload": payload,
    }
    envelope = decode(json.dumps(document).encode(), max_bytes=ENOUGH)
    assert isinstance(envelope, Envelope), envelope
    after: dict[str, FileEntry | None] = {}
    assert isinstance(envelope.payload, Result)
    for update in envelope.payload.file_updates or ():
        source = update.from_ if isinstance(update, RenameFile) else update.path
        before = trees.entry(base, source)
        assert not isinstance(before, NotAFile)
        if isinstance(update, RenameFile):
            after.setdefault(source, None)
        if isinstance(update, DeleteFile):
            after[update.path] = None
            continue
        content = after_image(update, None if before is None else blobs.read(before.oid))
        assert isinstance(content, bytes), content
        mode = "100644" if before is None else before.mode
        if update.executable is not None:
            mode = "100755" if update.executable else "100644"
        after[update.path] = FileEntry(mode, blobs.write(content))
    files |= {path: entry for path, entry in after.items() if entry is not None}
    return {path: entry for path, entry in files.items() if after.get(path, entry) is not None}


def listed(files: Mapping[str, FileEntry]) -> str:
    """Say it as `git ls-files --stage` does."""
    return "\n".join(
        f"{entry.mode} {entry.oid} 0\t{quoted(path)}"
        for path, entry in sorted(files.items(), key=lambda item: item[0].encode())
    )


def quoted(path: str) -> str:
    if path.isascii():
        return path
    escaped = "".join(chr(byte) if byte < 128 else f"\\{byte:03o}" for byte in path.encode("utf-8"))
    return f'"{escaped}"'


# ---- what stops us -----------------------------------------------------------------------------


def test_a_commit_that_is_not_there_is_said_so(project: Path) -> None:
    with pytest.raises(AgentError) as caught, opened(project, base="1" * 40):
        pass
    assert caught.value.message == "cannot lay out 111111111111 for an agent"
    assert caught.value.cause == "the commit is not in this repository"


def test_an_object_that_is_missing_is_said_so(project: Path, git: Git, temporary: Path) -> None:
    oid = git(project, "rev-parse", "HEAD:src/b.py")
    (project / ".git/objects" / oid[:2] / oid[2:]).unlink()
    with pytest.raises(AgentError) as caught, opened(project):
        pass
    assert oid in (caught.value.cause or "")
    assert "git fsck" in (caught.value.hint or "")


def test_a_temporary_folder_that_cannot_be_used_is_said_so(
    project: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))
    with pytest.raises(AgentError) as caught, opened(project):
        pass
    assert caught.value.cause == "No such file or directory"
    assert "TMPDIR" in (caught.value.hint or "")


# ---- in the end it is gone ---------------------------------------------------------------------


def test_a_folder_of_any_depth_is_removed(temporary: Path) -> None:
    top = temporary / "top"
    top.mkdir()
    place = os.open(top, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper-and-deeper", dir_fd=place)
        below = os.open("deeper-and-deeper", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    remove_folder(top)
    assert not top.exists()


def test_a_symlink_is_removed_and_what_it_names_stays(temporary: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    outside.chmod(0o755)
    (temporary / "top").mkdir()
    (temporary / "top/link").symlink_to(outside)
    remove_folder(temporary / "top")
    (temporary / "link").symlink_to(outside)
    remove_folder(temporary / "link")
    assert list(temporary.iterdir()) == []
    assert (outside / "file").exists()
    assert stat.S_IMODE(outside.stat().st_mode) == 0o755


def test_what_was_begun_lies_there_as_a_change_and_is_part_of_the_difference(
    project: Path, git: Git
) -> None:
    repository = open_repository(project)
    base = commit_files(project, git, {"a.txt": b"1\n", "gone.txt": b"2\n", "d/x": b"3\n"})
    blobs = GitBlobs(repository)
    begun = {
        "a.txt": FileEntry("100644", blobs.write(b"begun\n")),
        "new.txt": FileEntry("100755", blobs.write(b"new\n")),
        "gone.txt": None,
        "d/x": None,
        "d": FileEntry("100644", blobs.write(b"file\n")),
    }
    with GitWorkspaces(repository).open(base, begun=begun) as workspace:
        assert (workspace.path / "a.txt").read_bytes() == b"begun\n"
        assert not (workspace.path / "gone.txt").exists()
        status = git(workspace.path, "status", "--short")
        found = workspace.diff(1 << 20)
        (workspace.path / "a.txt").write_bytes(b"1\n")
        (workspace.path / "new.txt").unlink()
        after = workspace.diff(1 << 20)
    assert {line.split()[-1] for line in status.splitlines()} >= {"a.txt", "new.txt", "gone.txt"}
    assert {(one["op"], one["path"]) for one in found.updates} == {
        ("write", "a.txt"),
        ("write", "new.txt"),
        ("delete", "gone.txt"),
        ("delete", "d/x"),
        ("write", "d"),
    }
    assert {one["path"] for one in after.updates} == {"gone.txt", "d/x", "d"}
