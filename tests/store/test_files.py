"""A file is written whole or not at all, and one that people edit stays where and what it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from esaa_git.store.files import (
    create_below,
    files_in,
    read_below,
    replacing,
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


def test_an_edited_file_keeps_its_place_and_its_permissions(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / ".roadmap", tmp_path / "kept"
    folder.mkdir()
    elsewhere.write_bytes(b"one")
    elsewhere.chmod(0o640)
    (folder / "allowed_signers").symlink_to(elsewhere)
    write_below(folder, "allowed_signers", b"two")
    assert (folder / "allowed_signers").is_symlink()
    assert elsewhere.read_bytes() == read_below(folder, "allowed_signers") == b"two"
    assert stat.S_IMODE(elsewhere.stat().st_mode) == 0o640


def test_what_a_person_has_written_is_not_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / ".roadmap"
    assert files_in(folder) == {}
    assert create_below(folder, "checks/run.sh", b"#!/bin/sh\n", executable=True)
    assert create_below(folder, "plan.yaml", b"mine")
    assert not create_below(folder, "plan.yaml", b"theirs")
    assert files_in(folder) == {"plan.yaml": b"mine"}
    assert read_below(folder, "checks") is None
    assert os.access(folder / "checks" / "run.sh", os.X_OK)
