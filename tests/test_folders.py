"""Throwaway folders: what killed processes left behind goes, and nothing else."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from esaa_git import folders
from esaa_git.errors import AgentError
from esaa_git.folders import remove_left_behind, require_room, throwaway_folder

HOLDING = """\
import time
from esaa_git.folders import throwaway_folder
with throwaway_folder("checkout") as top:
    (top / "file").write_text("x")
    print(top, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def no_least_age(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(folders, "_LEAST_AGE_SECONDS", -1.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def holding(tmp_path: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_the_folder_of_a_killed_process_goes_with_the_next_one(tmp_path: Path) -> None:
    process, left = holding(tmp_path)
    with throwaway_folder("other"):
        assert (left / "file").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with throwaway_folder("other") as own:
        assert not left.exists()
        assert own.exists()


def test_other_people_s_things_stay(tmp_path: Path) -> None:
    (tmp_path / "esaa").mkdir()
    (tmp_path / "esaa-checkout-file").write_text("no folder")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "esaa-checkout-link").symlink_to(tmp_path / "elsewhere")
    assert remove_left_behind(tmp_path) == 0
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_that_has_just_been_made_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_LEAST_AGE_SECONDS", 60.0)
    (tmp_path / "esaa-checkout-new").mkdir()
    assert remove_left_behind(tmp_path) == 0


def test_a_folder_that_somebody_holds_stays(tmp_path: Path) -> None:
    (tmp_path / "esaa-checkout-held").mkdir()
    descriptor = os.open(tmp_path / "esaa-checkout-held", os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    assert remove_left_behind(tmp_path) == 0
    os.close(descriptor)
    assert remove_left_behind(tmp_path) == 1


# -- a look before anybody is paid -------------------------------------------------------------


def test_a_temporary_folder_that_is_named_and_missing_is_no_reason_to_take_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_room()
    named = tmp_path / "missing"
    monkeypatch.setenv("TMPDIR", str(named))
    with pytest.raises(AgentError, match=f"'{named}' is no folder") as caught:
        require_room()
    assert f"'mkdir -p {named}'" in str(caught.value.hint)
    with pytest.raises(AgentError), throwaway_folder("other"):
        pass
    named.mkdir()
    require_room()
    # Root writes everywhere, so what the system would answer to others is said here.
    monkeypatch.setattr(folders.os, "access", lambda *_: False)
    with pytest.raises(AgentError, match="cannot be written"):
        require_room()


def test_a_temporary_folder_without_room_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    # A file system that is full cannot be had without the right to mount one.
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(AgentError, match="cannot write to the temporary folder") as caught:
        require_room()
    assert caught.value.cause == "No space left on device"
