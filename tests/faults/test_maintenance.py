"""A power cut in the middle of maintenance: a loose object goes after the pack is on the disk."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from esaa_git.store import durability
from esaa_git.store.maintenance import maintain
from esaa_git.store.repository import open_repository
from esaa_git.verification.audit import Auditor
from tests.conftest import Git
from tests.faults.power import Call, Disk, traced
from tests.faults.test_durability import needs_strace
from tests.support.logs import make_log
from tests.support.warm import CHECKOUT

EVENTS = "refs/esaa/events"


@needs_strace
@pytest.mark.parametrize(
    "mode", [durability.FILESYSTEM, pytest.param(durability.FILES, marks=pytest.mark.slow)]
)
def test_a_power_cut_takes_nothing_of_the_log(tmp_path: Path, git: Git, mode: str) -> None:
    made = make_log(tmp_path / "repo", tasks=2)
    made.repository.set_local("esaa.sync", mode)
    # A person who trusts their disk more than we do changes nothing.
    made.repository.set_local("core.fsync", "none")
    before, place = tmp_path / "before", tmp_path / "cut"
    shutil.copytree(made.path, before, symlinks=True)
    calls = _traced(made.path, before, tmp_path / "calls")
    assert sum(call.what == "remove" and "/objects/" in call.path for call in calls) > 50
    wanted = git(before, "rev-list", "--objects", EVENTS, "main")
    disk = Disk(calls, before)
    moments = disk.moments()
    some = {*moments[:-70:9], *moments[-70::4], moments[-1]}
    for at, moment in enumerate(sorted(some)):
        cruelty = ("everything", "contents", "something")[at % 3]
        shutil.rmtree(place, ignore_errors=True)
        disk.cut(moment, place, cruelty=cruelty, seed=moment)
        case = moment, cruelty
        assert git(place, "rev-list", "--objects", EVENTS, "main") == wanted, case
        _check(git, place)
        done = maintain(open_repository(place))
        assert done is not None
        assert done.after.packs == 1, case
        assert not list(place.glob(".git/objects/tmp_*")), case
        _check(git, place)


def _traced(folder: Path, other: Path, notes: Path) -> list[Call]:
    """Maintain, and return the calls as if they had been made in the other folder."""
    command = [sys.executable, "-m", "esaa_git", "-C", str(folder), "maintain"]
    calls = traced(command, folder, {**os.environ, "PYTHONPATH": CHECKOUT}, notes)

    def moved(path: str) -> str:
        # git works in its git directory, and names its own files from there.
        inside = path.removeprefix(f"{folder}/").removeprefix(".git/")
        return f"{other}/.git/{inside}" if path.startswith(f"{folder}/") else path

    return [
        dataclasses.replace(call, path=moved(call.path), other=moved(call.other)) for call in calls
    ]


def _check(git: Git, folder: Path) -> None:
    report = Auditor(open_repository(folder), full=True, jobs=1, remember=False).run()
    assert report.audit.is_ok, report.audit
    fsck = ["git", "fsck", "--full", "--strict", "--no-dangling"]
    said = subprocess.run(fsck, cwd=folder, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
