"""An agent against its own checkout: it may write anything there, and nothing of it is believed.

Each attack begins with an edit that is proposed as it should be, in a checkout that the attacker
controls to the last file of its `.git`.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from esaa_git.checkout import diff as differ
from esaa_git.checkout.isolated import isolated_git
from esaa_git.checkout.manifest import Manifest
from esaa_git.checkout.scan import ScanFault, open_below
from esaa_git.checkout.workspace import GitWorkspace, GitWorkspaces
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.folders import remove_folder
from esaa_git.store.repository import open_repository
from tests.conftest import Git

FILES = {
    "src/a.py": b"a = 1\n",
    "src/b.py": b"b = 1\n",
    "lib/deep/c.py": b"c = 1\n",
    ".gitignore": b"*.log\n/ignored/\n",
    ".gitattributes": b"*.crlf text eol=crlf\n",
}
ENOUGH = 1_000_000
SECRET = b"the operator's secret\n"
EDIT = {"op": "write", "path": "src/a.py", "content": "a = 2\n"}


@pytest.fixture(autouse=True)
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The temporary folder of a test; in the end nothing is left in it."""
    folder = tmp_path / "room"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is none of the agent's business; its files have the names of the base's."""
    folder = tmp_path / "outside"
    for path in ("a.py", "b.py", "deep/c.py", "x"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(SECRET)
    return folder


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves `ran` beside it when anybody starts it."""
    program = tmp_path / "program"
    program.write_text(f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/ran\n')
    program.chmod(0o755)
    return program


@pytest.fixture
def checkout(repo: Path, git: Git) -> Iterator[GitWorkspace]:
    """A checkout with one edit, which is proposed."""
    with prepared(repo, git) as workspace:
        yield workspace


@contextmanager
def prepared(repo: Path, git: Git) -> Iterator[GitWorkspace]:
    for path, content in FILES.items():
        (repo / path).parent.mkdir(parents=True, exist_ok=True)
        (repo / path).write_bytes(content)
    git(repo, "add", "--all")
    sub = git(repo, "rev-parse", "HEAD")
    git(repo, "update-index", "--add", "--cacheinfo", f"160000,{sub},sub")
    git(repo, "commit", "--quiet", "--message", "Files")
    repository = open_repository(repo)
    with GitWorkspaces(repository).open(git(repo, "rev-parse", "HEAD")) as workspace:
        (workspace.path / "src/a.py").write_text("a = 2\n")
        assert list(workspace.diff(ENOUGH).updates) == [EDIT]
        yield workspace


def only_the_edit(workspace: GitWorkspace) -> bool:
    diff = workspace.diff(ENOUGH)
    assert diff.fault is None, diff.fault
    return list(diff.updates) == [EDIT]


def fault(workspace: GitWorkspace) -> Rejected:
    diff = workspace.diff(ENOUGH)
    assert diff.fault is not None, diff.updates
    assert not diff.updates
    assert diff.fault.message.isprintable()
    return diff.fault


# ---- its git directory -------------------------------------------------------------------------


def test_no_program_that_its_git_directory_names_is_started(
    checkout: GitWorkspace, git: Git, program: Path
) -> None:
    path = checkout.path
    (path / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
    git(path, "config", "core.fsmonitor", str(program))
    git(path, "config", "core.hooksPath", str(path / "hooks"))
    git(path, "config", "filter.evil.clean", str(program))
    git(path, "config", "filter.evil.process", str(program))
    git(path, "config", "filter.evil.required", "true")
    git(path, "config", "diff.evil.textconv", str(program))
    git(path, "config", "diff.external", str(program))
    git(path, "config", "core.sshCommand", str(program))
    (path / ".git/hooks").mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "pre-commit"):
        shutil.copy(program, path / ".git/hooks" / hook)
    updates = checkout.diff(ENOUGH).updates
    assert [update["path"] for update in updates] == [".gitattributes", "src/a.py"]
    assert updates[1] == EDIT
    assert not (program.parent / "ran").exists()


def test_its_git_directory_may_hold_anything(checkout: GitWorkspace, outside: Path) -> None:
    git_dir = checkout.path / ".git"
    (git_dir / "config").write_text(
        f"[core]\n\tworktree = {outside}\n[include]\n\tpath = /dev/zero\n"
    )
    (git_dir / "index").write_bytes(b"DIRC garbage")
    (git_dir / "info/exclude").write_text("*\n")
    (git_dir / "objects/info/alternates").write_text(f"{outside}\n")
    assert only_the_edit(checkout)
    shutil.rmtree(git_dir)
    assert only_the_edit(checkout)
    os.mkfifo(git_dir)
    assert only_the_edit(checkout)
    git_dir.unlink()
    git_dir.symlink_to(outside)
    assert only_the_edit(checkout)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_an_edit_cannot_be_hidden_by_the_index(flag: str, checkout: GitWorkspace, git: Git) -> None:
    git(checkout.path, "update-index", flag, "src/a.py")
    assert git(checkout.path, "status", "--porcelain") == ""
    assert only_the_edit(checkout)


def test_an_edit_cannot_be_hidden_by_its_times(checkout: GitWorkspace, git: Git) -> None:
    place = checkout.path / "src/b.py"
    before = place.stat()
    with place.open("r+b") as file:
        file.write(b"b = 9\n")
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = place.stat()
    assert (after.st_size, after.st_ino) == (before.st_size, before.st_ino)
    assert after.st_mtime_ns == before.st_mtime_ns
    found = {update["path"]: update["content"] for update in checkout.diff(ENOUGH).updates}
    assert found == {"src/a.py": "a = 2\n", "src/b.py": "b = 9\n"}


@pytest.mark.parametrize("same_tick", [True, False])
def test_a_file_that_lstat_cannot_tell_from_the_one_laid_out_is_read(
    same_tick: bool, checkout: GitWorkspace, git: Git, repo: Path
) -> None:
    # An edit within one tick of a coarse clock: the index of the agent's own git has what lstat
    # says of the file now, and we give it the content that was laid out.
    git(checkout.path, "add", "src/a.py")
    index = (checkout.path / ".git/index").read_bytes()
    now, before = (git(checkout.path, "rev-parse", name) for name in (":src/a.py", "HEAD:src/a.py"))
    index = index.replace(bytes.fromhex(now), bytes.fromhex(before))
    changed = (checkout.path / "src/a.py").stat().st_ctime_ns
    laid_out = Manifest(
        git(repo, "rev-parse", "HEAD^{tree}"), index, changed if same_tick else changed + 1
    )
    with isolated_git(checkout.readable, {}) as sealed:
        found = differ.take_diff(sealed, checkout.path, laid_out, ENOUGH)
    assert found.fault is None
    assert list(found.updates) == ([EDIT] if same_tick else [])


# ---- ignore files and attributes ---------------------------------------------------------------


def test_an_ignore_file_of_the_agent_hides_nothing(
    checkout: GitWorkspace,
) -> None:
    (checkout.path / ".gitignore").write_text("*\n")
    (checkout.path / "new.py").write_text("not hidden\n")
    found = [update["path"] for update in checkout.diff(ENOUGH).updates]
    assert found == [".gitignore", "new.py", "src/a.py"]


def test_an_ignore_file_that_is_a_pipe_or_a_symlink_is_not_read(
    checkout: GitWorkspace, outside: Path
) -> None:
    (checkout.path / "new").mkdir()
    os.mkfifo(checkout.path / "new/.gitignore")
    (checkout.path / "new/file").touch()
    assert "new/.gitignore" in fault(checkout).message
    (checkout.path / "new/.gitignore").unlink()
    (outside / "patterns").write_text("*\n")
    (checkout.path / "new/.gitignore").symlink_to(outside / "patterns")
    assert "new/.gitignore" in fault(checkout).message


def test_an_ignore_file_without_end_is_a_fault(checkout: GitWorkspace) -> None:
    (checkout.path / "x").touch()
    with (checkout.path / ".gitignore").open("wb") as file:
        file.truncate(1 << 40)
    assert fault(checkout).code == RejectCode.OUTPUT_TOO_LARGE


def test_patterns_that_take_for_ever_are_a_fault(
    checkout: GitWorkspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(differ, "_SECONDS", 0.5)
    place = checkout.path.joinpath(*["a"] * 100)
    place.parent.mkdir(parents=True)
    place.touch()
    assert len(checkout.diff(ENOUGH).updates) == 2
    (checkout.path / ".gitattributes").write_text("*a/**/" * 30 + "b text\n")
    found = fault(checkout)
    assert found.code == RejectCode.INVALID_VALUE
    assert "no answer within" in found.message


def test_attributes_that_git_cannot_follow_are_a_fault(checkout: GitWorkspace) -> None:
    (checkout.path / ".gitattributes").write_text("*.py working-tree-encoding=UTF-16\n")
    found = fault(checkout)
    assert found.code == RejectCode.INVALID_VALUE
    assert "src/a.py" in found.message


# ---- what is no file ---------------------------------------------------------------------------


def test_a_folder_that_became_a_symlink_is_not_followed(
    checkout: GitWorkspace, outside: Path
) -> None:
    for folder in ("src", "lib", "lib/deep"):
        place = checkout.path / folder
        aside = checkout.path / "ignored"
        place.rename(aside)
        place.symlink_to(outside)
        found = fault(checkout)
        assert found.code == RejectCode.PATH_NOT_A_FILE
        assert found.detail["path"] == folder
        place.unlink()
        aside.rename(place)
    assert only_the_edit(checkout)


def may_make_devices(folder: Path) -> bool:
    try:
        os.mknod(folder / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        return False
    return True


def test_nothing_is_opened_through_a_symlink(checkout: GitWorkspace, outside: Path) -> None:
    with open_below(checkout.path, "src/a.py", is_file=True) as file:
        assert os.read(file, 100) == b"a = 2\n"
    (checkout.path / "there").symlink_to(outside)
    (checkout.path / "file").symlink_to(outside / "x")
    for path in ("there/a.py", "there/deep/c.py", "file"):
        with pytest.raises(ScanFault), open_below(checkout.path, path, is_file=True):
            pass
    for path in ("there", "there/deep"):
        with pytest.raises(ScanFault), open_below(checkout.path, path):
            pass


def test_symlinks_pipes_sockets_and_devices_are_faults(
    checkout: GitWorkspace, outside: Path
) -> None:
    def connect(place: Path) -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            here = Path.cwd()
            os.chdir(place.parent)
            try:
                listener.bind(place.name)
            finally:
                os.chdir(here)

    makers = {
        "a symbolic link": lambda place: place.symlink_to(outside / "x"),
        "a named pipe": os.mkfifo,
        "a socket": connect,
    }
    if may_make_devices(outside):
        makers["a device"] = lambda place: os.mknod(place, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    for what, make in makers.items():
        for path in ("src/b.py", "new"):
            place = checkout.path / path
            before = place.read_bytes() if place.exists() else None
            place.unlink(missing_ok=True)
            make(place)
            found = fault(checkout)
            assert found.code == RejectCode.PATH_NOT_A_FILE
            assert found.message.startswith(f"'{path}' is {what}")
            place.unlink()
            if before is not None:
                place.write_bytes(before)
        make(checkout.path / "x.log")
        assert only_the_edit(checkout), "an ignored one stays out"
        (checkout.path / "x.log").unlink()


def test_a_git_repository_inside_is_a_fault_and_nothing_of_it_is_obeyed(
    checkout: GitWorkspace, git: Git, program: Path
) -> None:
    for folder in ("vendored", "src", "sub"):
        (checkout.path / folder).mkdir(exist_ok=True)
        git(checkout.path / folder, "init", "--quiet")
        git(checkout.path / folder, "commit", "--quiet", "--allow-empty", "--message", "x")
        git(checkout.path / folder, "config", "core.fsmonitor", str(program))
        found = fault(checkout)
        assert found.code == RejectCode.PATH_NOT_A_FILE
        assert found.detail["path"] == folder
        shutil.rmtree(checkout.path / folder / ".git")
    (checkout.path / "ignored").mkdir()
    git(checkout.path / "ignored", "init", "--quiet")
    assert only_the_edit(checkout)
    assert not (program.parent / "ran").exists()


def test_a_submodule_stays_as_it_is(checkout: GitWorkspace) -> None:
    (checkout.path / "sub/file").touch()
    assert "submodule" in fault(checkout).message
    shutil.rmtree(checkout.path / "sub")
    assert "submodule" in fault(checkout).message
    (checkout.path / "sub").write_text("a file\n")
    assert "submodule" in fault(checkout).message


def test_a_second_spelling_of_the_git_directory_is_refused(checkout: GitWorkspace) -> None:
    for name in (".GIT", "src/.Git"):
        (checkout.path / name).mkdir()
        (checkout.path / name / "config").write_text("[core]\n")
        assert fault(checkout).code == RejectCode.PATH_NOT_A_FILE
        shutil.rmtree(checkout.path / name)
    (checkout.path / "git~1").write_text("gitdir: x\n")
    assert fault(checkout).code == RejectCode.PATH_PROTECTED


@pytest.mark.parametrize("name", [b"a\nb", b"\x1b[2Jx", b"\xff\xfe", b"a\\b", b":(glob)x", b"x "])
def test_names_that_are_not_plain_are_refused_and_escaped(
    name: bytes, checkout: GitWorkspace
) -> None:
    with open(os.fsencode(checkout.path) + b"/" + name, "wb"):  # noqa: PTH123 - bytes
        pass
    assert fault(checkout).code == RejectCode.PATH_INVALID


def test_folders_without_end_are_refused(checkout: GitWorkspace) -> None:
    place = os.open(checkout.path, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("deep-down", dir_fd=place)
        below = os.open("deep-down", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    assert fault(checkout).code == RejectCode.PATH_INVALID


def test_a_checkout_that_is_gone_is_a_fault(checkout: GitWorkspace, outside: Path) -> None:
    checkout.path.rename(checkout.path.parent / "elsewhere")
    assert fault(checkout).code == RejectCode.PATH_NOT_A_FILE
    checkout.path.symlink_to(outside)
    assert fault(checkout).code == RejectCode.PATH_NOT_A_FILE


# ---- programs that are still at it -------------------------------------------------------------


@contextmanager
def swapping(place: Path, target: Path) -> Iterator[None]:
    """Have a folder and a symlink change places all the time."""
    folder, link = place.with_name("the-folder"), place.with_name("the-link")
    link.symlink_to(target)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            try:
                place.rename(folder)
                link.rename(place)
                place.rename(link)
                folder.rename(place)
            except OSError:
                return

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_folder_that_becomes_a_symlink_under_our_eyes_leads_nowhere(
    checkout: GitWorkspace, outside: Path
) -> None:
    (checkout.path / ".gitignore").write_text("the-*\n")
    with swapping(checkout.path / "src", outside):
        for _ in range(30):
            diff = checkout.diff(ENOUGH)
            said = repr(diff)
            assert SECRET.decode().strip() not in said


def test_removal_never_leaves_the_folder_while_a_symlink_is_swapped_in(
    room: Path, outside: Path
) -> None:
    before = sorted(path.name for path in outside.rglob("*"))
    for number in range(15):
        top = room / str(number)
        (top / "src").mkdir(parents=True)
        for name in range(50):
            (top / f"src/{name}").touch()
        with swapping(top / "src", outside):
            remove_folder(top)
        remove_folder(top)
        assert not top.exists()
        assert sorted(path.name for path in outside.rglob("*")) == before


def test_a_checkout_is_removed_below_the_feet_of_a_process(repo: Path, git: Git) -> None:
    with prepared(repo, git) as workspace:
        process = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"],
            cwd=workspace.path,
            stdin=subprocess.PIPE,
        )
    try:
        assert not workspace.path.parent.exists()
    finally:
        process.communicate()


# ---- what it leaves behind ---------------------------------------------------------------------


def test_folders_and_files_that_it_closed_are_removed(repo: Path, git: Git) -> None:
    with prepared(repo, git) as workspace:
        (workspace.path / "src/a.py").chmod(0)
        (workspace.path / "lib/deep").chmod(0)
        (workspace.home / "x/y").mkdir(parents=True)
        (workspace.home / "x/y").chmod(0o500)
        (workspace.home / "x").chmod(0)
        diff = workspace.diff(ENOUGH)
        if os.access(workspace.path / "lib/deep", os.R_OK):
            assert list(diff.updates) == [EDIT], "root can read it all the same"
        else:
            assert diff.fault is not None
            assert diff.fault.code == RejectCode.PATH_NOT_A_FILE
            assert "cannot be read" in diff.fault.message
        workspace.path.parent.chmod(0)
    assert not workspace.path.parent.exists()


def test_what_root_made_immutable_is_removed(room: Path) -> None:
    top = room / "top"
    (top / "folder").mkdir(parents=True)
    (top / "folder/file").touch()
    command = ["chattr", "+i", str(top / "folder/file"), str(top / "folder")]
    try:
        done = subprocess.run(command, capture_output=True)
    except FileNotFoundError:
        remove_folder(top)
        pytest.skip("chattr is not installed")
    if done.returncode:
        remove_folder(top)
        pytest.skip("only root may set the flag, on a file system that has it")
    remove_folder(top)
    assert not top.exists()
