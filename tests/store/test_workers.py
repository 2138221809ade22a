"""Who is at work: a process that is gone is told from one that lives, and by one process alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from esaa_git.errors import RepositoryError
from esaa_git.store.repository import open_repository
from esaa_git.store.workers import FileWorkerRegistry
from tests.conftest import Git

AT_WORK = """\
import sys, time
from pathlib import Path
from esaa_git.store.repository import open_repository
from esaa_git.store.workers import FileWorkerRegistry
registry = FileWorkerRegistry(open_repository(Path(sys.argv[1])))
for name in sys.argv[2:]:
    registry.enter(name)
print("entered", flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path, git: Git) -> Path:
    git(tmp_path, "init", "--quiet")
    return tmp_path


def registry(folder: Path) -> FileWorkerRegistry:
    return FileWorkerRegistry(open_repository(folder))


def at_work(folder: Path, *names: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", AT_WORK, str(folder), *names]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "entered\n"
    return process


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_what_a_killed_process_was_at_work_on_is_found_once(folder: Path) -> None:
    process = at_work(folder, "T-1-A1", "T-2-A1")
    assert registry(folder).left_behind() == []
    killed(process)
    assert registry(folder).left_behind() == ["T-1-A1", "T-2-A1"]
    assert registry(folder).left_behind() == []


def test_what_one_has_left_is_nobody_s(folder: Path) -> None:
    own = registry(folder)
    own.enter("T-1-A1")
    own.enter("T-2-A1")
    own.leave("T-1-A1")
    assert registry(folder).left_behind() == []
    own.leave("T-2-A1")
    own.leave("T-3-A1")
    assert not (folder / ".git/esaa/at-work").exists()


def test_one_of_many_that_ask_at_once_is_told(folder: Path) -> None:
    process = at_work(folder, "T-1-A1")
    killed(process)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda _: registry(folder).left_behind(), range(32)))
    assert sorted(filter(None, told)) == [["T-1-A1"]]


def test_a_stopped_process_is_not_gone(folder: Path) -> None:
    process = at_work(folder, "T-1-A1")
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.05)
    assert registry(folder).left_behind() == []
    killed(process)


def test_a_file_that_was_cut_short_names_what_is_whole(folder: Path) -> None:
    place = folder / ".git/esaa/at-work"
    place.mkdir(parents=True)
    (place / "1-a").write_text("T-1-A1\nT-2-")
    assert registry(folder).left_behind() == ["T-1-A1"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_closed_is_an_error_that_says_what_to_do(folder: Path) -> None:
    (folder / ".git/esaa").mkdir()
    (folder / ".git/esaa").chmod(0o500)
    with pytest.raises(RepositoryError, match="cannot note"):
        registry(folder).enter("T-1-A1")


def test_a_file_in_the_folder_s_place_is_an_error_that_says_what_to_do(folder: Path) -> None:
    (folder / ".git/esaa").mkdir(parents=True)
    (folder / ".git/esaa/at-work").write_text("")
    with pytest.raises(RepositoryError, match="cannot note") as caught:
        registry(folder).enter("T-1-A1")
    assert caught.value.hint
