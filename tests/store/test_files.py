"""A file is written whole or not at all; what a repository brings is opened through no link."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.errors import RepositoryError
from esaa_git.store.files import (
    contents_below,
    create_below,
    exists_below,
    read_below,
    replacing,
    replacing_below,
    write_atomically,
    write_below,
    writer_of,
)


def test_a_file_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "mark.json"
    write_atomically(path, b"one")
    with replacing(path) as stream:
        stream.write(b"two")
        stream.flush()
        beside = [other.name for other in path.parent.iterdir() if other != path]
        assert path.read_bytes() == b"one"
    assert path.read_bytes() == b"two"
    assert [writer_of(name) for name in beside] == [os.getpid()]
    assert list(path.parent.iterdir()) == [path]


def test_what_fails_half_way_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "mark.json"
    write_atomically(path, b"one")

    def half_way() -> None:
        with replacing(path) as stream:
            stream.write(b"tw")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_way()
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["mark.json", "mark.new", "mark.x.new", ".12.new"])
def test_a_file_of_another_name_has_no_writer(name: str) -> None:
    assert writer_of(name) is None


def test_a_temporary_name_that_is_a_link_is_not_written_through(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / f"mark.json.{os.getpid()}.new").symlink_to(elsewhere)
    with replacing(tmp_path / "mark.json") as stream:
        stream.write(b"one")
    assert not elsewhere.exists()
    assert (tmp_path / "mark.json").read_bytes() == b"one"


def test_an_edited_file_keeps_its_permissions(tmp_path: Path) -> None:
    write_below(tmp_path, ".roadmap/allowed_signers", b"one")
    (tmp_path / ".roadmap/allowed_signers").chmod(0o640)
    write_below(tmp_path, ".roadmap/allowed_signers", b"two")
    assert read_below(tmp_path, ".roadmap/allowed_signers") == b"two"
    assert stat.S_IMODE((tmp_path / ".roadmap/allowed_signers").stat().st_mode) == 0o640


def test_what_a_person_has_written_is_not_made_anew(tmp_path: Path) -> None:
    assert contents_below(tmp_path, ".roadmap") == {}
    run = ".roadmap/checks/run.sh"
    assert create_below(tmp_path, run, b"#!/bin/sh\n", executable=True)
    assert create_below(tmp_path, ".roadmap/plan.yaml", b"mine")
    assert not create_below(tmp_path, ".roadmap/plan.yaml", b"theirs")
    only = contents_below(tmp_path, ".roadmap", lambda name: name != "checks")
    assert only == {"plan.yaml": b"mine"}
    assert read_below(tmp_path, ".roadmap/none") is None
    assert read_below(tmp_path, "none/none") is None
    assert os.access(tmp_path / run, os.X_OK)


# -- what stands in the place of a file ----------------------------------------------------------

SECRET = b"made up, and not to be read"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder outside of the checkout `top`, with a file that is nobody's business."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "plan.yaml").write_bytes(SECRET)
    (tmp_path / "top/.roadmap").mkdir(parents=True)
    return folder


def a_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "plan.yaml")


def a_relative_link(place: Path, outside: Path) -> None:
    place.symlink_to(Path("../../outside/plan.yaml"))


def a_link_inside(place: Path, outside: Path) -> None:
    (place.parent / "other.yaml").write_bytes(SECRET)
    place.symlink_to("other.yaml")


def a_dangling_link(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "not-there")


def a_link_to_a_folder(place: Path, outside: Path) -> None:
    place.symlink_to(outside)


def a_link_to_itself(place: Path, outside: Path) -> None:
    place.symlink_to(place.name)


def a_folder(place: Path, outside: Path) -> None:
    place.mkdir()


def a_pipe(place: Path, outside: Path) -> None:
    os.mkfifo(place)


def a_socket(place: Path, outside: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place))


def the_folder_as_a_link(place: Path, outside: Path) -> None:
    place.parent.rmdir()
    place.parent.symlink_to(outside)


def the_folder_as_a_file(place: Path, outside: Path) -> None:
    place.parent.rmdir()
    place.parent.write_bytes(SECRET)


STANDINS = (
    a_link,
    a_relative_link,
    a_link_inside,
    a_dangling_link,
    a_link_to_a_folder,
    a_link_to_itself,
    a_folder,
    a_pipe,
    a_socket,
    the_folder_as_a_link,
    the_folder_as_a_file,
)


@pytest.mark.parametrize("standin", STANDINS, ids=lambda one: one.__name__)
def test_what_is_no_regular_file_is_neither_read_nor_written(
    standin: Callable[[Path, Path], None], outside: Path, tmp_path: Path
) -> None:
    top, path = tmp_path / "top", ".roadmap/plan.yaml"
    standin(top / path, outside)
    before = sorted(tmp_path.rglob("*"))
    for attempt in (
        lambda: read_below(top, path),
        lambda: exists_below(top, path),
        lambda: contents_below(top, ".roadmap"),
        lambda: write_below(top, path, b"ours"),
        lambda: create_below(top, path, b"ours"),
    ):
        with pytest.raises(RepositoryError) as caught:
            attempt()
        said = f"{caught.value.message} {caught.value.cause} {caught.value.hint}"
        assert ".roadmap" in said
        # Neither where it leads, nor whether something is there, nor what.
        assert "outside" not in said
        assert "not-there" not in said
        assert SECRET.decode() not in said
    assert sorted(tmp_path.rglob("*")) == before
    assert (outside / "plan.yaml").read_bytes() == SECRET


def test_two_links_are_told_alike_whether_or_not_something_is_there(
    outside: Path, tmp_path: Path
) -> None:
    said = []
    for target in (outside / "plan.yaml", outside / "not-there", Path("/dev/zero")):
        place = tmp_path / "top/.roadmap/plan.yaml"
        place.symlink_to(target)
        with pytest.raises(RepositoryError) as caught:
            read_below(tmp_path / "top", ".roadmap/plan.yaml")
        said.append((caught.value.message, caught.value.cause, caught.value.hint))
        place.unlink()
    assert len(set(said)) == 1


def test_a_folder_that_becomes_a_link_after_it_was_looked_at_leads_nowhere(
    outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roadmap = tmp_path / "top/.roadmap"
    (roadmap / "plan.yaml").write_bytes(b"ours")
    opened = os.open

    def swapped(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == "plan.yaml":
            roadmap.rename(tmp_path / "moved")
            roadmap.symlink_to(outside)
        return opened(name, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", swapped)
    assert read_below(tmp_path / "top", ".roadmap/plan.yaml") == b"ours"


def test_a_file_that_becomes_a_link_while_it_is_written_is_replaced(
    outside: Path, tmp_path: Path
) -> None:
    place = tmp_path / "top/.roadmap/plan.yaml"
    place.write_bytes(b"one")
    with replacing_below(tmp_path / "top", ".roadmap/plan.yaml") as stream:
        stream.write(b"two")
        place.unlink()
        place.symlink_to(outside / "plan.yaml")
    assert not place.is_symlink()
    assert place.read_bytes() == b"two"
    assert (outside / "plan.yaml").read_bytes() == SECRET


def test_a_hard_link_is_read_and_its_other_name_is_not_written(
    outside: Path, tmp_path: Path
) -> None:
    (tmp_path / "top/.roadmap/plan.yaml").hardlink_to(outside / "plan.yaml")
    assert read_below(tmp_path / "top", ".roadmap/plan.yaml") == SECRET
    write_below(tmp_path / "top", ".roadmap/plan.yaml", b"ours")
    assert (outside / "plan.yaml").read_bytes() == SECRET


def test_a_file_beyond_the_bound_is_refused_and_not_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "plan.yaml").open("wb") as stream:
        stream.truncate(1 << 40)
    with pytest.raises(RepositoryError, match="has more than 33554432 bytes"):
        read_below(tmp_path, "plan.yaml")


@pytest.mark.parametrize("path", ["../x", "a/../b", "a//b", "/etc/passwd", "./a", "a/."])
def test_a_path_that_is_not_plain_is_never_opened(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no plain path"):
        read_below(tmp_path, path)
