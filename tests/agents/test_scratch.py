"""The throwaway directory: what is laid out, and that it goes whatever a program did to it."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from esaa_git.agents.scratch import SnapshotFile, scratch_directory
from esaa_git.errors import AgentError
from esaa_git.folders import remove_folder

pytestmark = pytest.mark.usefixtures("temporary")


def file(path: str, content: bytes = b"x", *, executable: bool = False) -> SnapshotFile:
    return SnapshotFile(path, executable, content)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_user_can_enter_it(temporary: Path) -> None:
    with scratch_directory([]) as scratch:
        [top] = temporary.iterdir()
        assert mode(top) == 0o700
        assert {path.name for path in top.iterdir()} == {"snapshot", "home", "tmp"}
        assert mode(scratch.home) == mode(scratch.tmp) == 0o700


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_modes_are_exact_under_any_umask(umask: int) -> None:
    before = os.umask(umask)
    try:
        with scratch_directory([file("a/b/tool", executable=True), file("a/text")]) as scratch:
            assert mode(scratch.snapshot / "a/b/tool") == 0o555
            assert mode(scratch.snapshot / "a/text") == 0o444
            for folder in (".", "a", "a/b"):
                assert mode(scratch.snapshot / folder) == 0o555
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    "path",
    [
        "../escaped",
        "/etc/escaped",
        "a/../../../escaped",
        "a//b",
        "./a",
        ".git/config",
        ".GIT/config",
        "sub/.git/hooks/pre-commit",
        ".g\u200cit/config",
        "git~1/config",
        ".gitmodules/.git/config",
    ],
)
def test_a_hostile_path_is_not_laid_out(path: str, temporary: Path) -> None:
    with scratch_directory([file("before"), file(path), file("c/after")]) as scratch:
        laid_out = [found for found in temporary.rglob("*") if found.is_file()]
        assert laid_out == [scratch.snapshot / "before", scratch.snapshot / "c/after"]


@pytest.mark.parametrize(
    "path", [".gitignore", ".gitmodules", ".github/ci.yml", "aux.c", "a:b", "e\u0301", "t~1", "x "]
)
def test_an_unusual_path_of_an_honest_repository_is_laid_out(path: str) -> None:
    with scratch_directory([file(path, b"content")]) as scratch:
        assert (scratch.snapshot / path).read_bytes() == b"content"


def test_a_file_in_the_way_of_another_is_an_error_and_leaves_nothing() -> None:
    with (
        pytest.raises(AgentError, match="cannot lay out 'a/b' for the agent") as caught,
        scratch_directory([file("a"), file("a/b")]),
    ):
        pytest.fail("the directory was handed out")
    assert caught.value.cause == "File exists"


def test_no_room_for_a_directory_is_an_error_that_says_what_to_do(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "missing"))
    with (
        pytest.raises(AgentError, match="cannot make a temporary folder") as caught,
        scratch_directory([]),
    ):
        pytest.fail("the directory was handed out")
    assert caught.value.hint is not None
    assert "TMPDIR" in caught.value.hint


def test_it_goes_when_the_work_fails() -> None:
    with pytest.raises(KeyError), scratch_directory([file("a/b/c")]):
        raise KeyError


@pytest.mark.parametrize("depth", [1, 30])
def test_it_goes_with_modes_that_forbid_it(depth: int) -> None:
    with scratch_directory([file("a/b/c")]) as scratch:
        folders = [scratch.home.parent, scratch.home]
        for _ in range(depth):
            folders.append(folders[-1] / "locked")
            folders[-1].mkdir()
            (folders[-1] / "file").write_bytes(b"x")
            (folders[-1] / "file").chmod(0)
        for folder in reversed(folders):
            folder.chmod(0)


def test_it_goes_however_deep_it_is() -> None:
    # Deeper than Python recurses and than a path is long.
    with scratch_directory([]) as scratch:
        at = os.open(scratch.home, os.O_RDONLY)
        for _ in range(1100):
            os.mkdir("f" * 255, dir_fd=at)
            below = os.open("f" * 255, os.O_RDONLY, dir_fd=at)
            os.close(at)
            at = below
        os.close(at)


def test_links_out_of_it_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o755)
    (outside / "file").write_bytes(b"precious")
    with scratch_directory([]) as scratch:
        (scratch.home / "folder").symlink_to(outside)
        (scratch.home / "file").symlink_to(outside / "file")
        (scratch.home / "below").mkdir()
        (scratch.home / "below/folder").symlink_to(outside)
        (scratch.home.parent / "folder").symlink_to(outside)
    assert (outside / "file").read_bytes() == b"precious"
    assert mode(outside) == 0o755


def test_a_link_in_place_of_the_directory_itself_is_not_followed(
    tmp_path: Path, temporary: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"precious")
    with scratch_directory([]) as scratch:
        top = scratch.home.parent
        remove_folder(top)
        top.symlink_to(outside)
    assert (outside / "file").read_bytes() == b"precious"


def test_it_may_be_gone_already() -> None:
    with scratch_directory([]) as scratch:
        remove_folder(scratch.home.parent)
        assert not scratch.home.parent.exists()
