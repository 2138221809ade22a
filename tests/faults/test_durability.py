"""What a command has reported survives a power cut, and what it names is on the disk before it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from esaa_git.store import durability
from tests.conftest import Git
from tests.faults.kills import copied
from tests.faults.power import Call, Disk, traced
from tests.support.project import Project, make_project, task
from tests.support.warm import CHECKOUT

MODES = [durability.FILESYSTEM, durability.FILES]


def _can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


needs_strace = pytest.mark.skipif(
    not _can_trace(), reason="strace is not installed, or may not trace here"
)


@pytest.fixture
def claimed(tmp_path: Path, git: Git) -> Project:
    """A project with a held task and work of a person's that is the result."""
    project = make_project(tmp_path / "project", git, task("T-1"), seed={"src/a.py": "old\n"})
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    project.write("src/a.py", "new\n")
    return project


def _complete(project: Project) -> list[str]:
    command = [sys.executable, "-m", "esaa_git", "-C", str(project.path)]
    return [*command, "complete", "T-1", "--summary", "x", "src/a.py"]


Trace = Callable[[Project], list[Call]]


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    def traced_completion(project: Project) -> list[Call]:
        env = {**os.environ, "PYTHONPATH": CHECKOUT}
        return traced(_complete(project), project.path, env, tmp_path / "calls")

    return traced_completion


def _first(calls: list[Call], what: str, end: str) -> int:
    return next(
        number
        for number, call in enumerate(calls)
        if call.what == what and (call.other or call.path).endswith(end)
    )


@needs_strace
def test_objects_journal_and_refs_are_synced_by_one_call_before_a_ref_moves(
    claimed: Project, trace: Trace
) -> None:
    claimed.git("config", "esaa.sync", "filesystem")
    calls = trace(claimed)
    synced = [number for number, call in enumerate(calls) if call.what == "syncfs"]
    assert len(synced) == 1
    log = _first(calls, "rename", "refs/esaa/events")
    branch = _first(calls, "rename", "refs/heads/main")
    objects = [
        number
        for number, call in enumerate(calls)
        if call.what == "link" and "/objects/" in call.other
    ]
    journal = _first(calls, "rename", "esaa/followup.json")
    content = [
        number
        for number, call in enumerate(calls)
        if call.what == "write" and "/esaa/locks/" in call.path
    ]
    assert max(objects) < synced[0]
    assert journal < synced[0]
    assert max(content[:2]) < synced[0] < log < branch
    assert log < _first(calls, "fsync", "/refs/esaa") < branch
    assert branch < _first(calls, "fsync", "/refs/heads")
    done = _first(calls, "remove", "esaa/followup.json")
    assert _first(calls, "fsync", "refs/heads") < done


@needs_strace
def test_files_are_synced_one_by_one_where_that_is_asked_for(
    claimed: Project, trace: Trace
) -> None:
    claimed.git("config", "esaa.sync", "files")
    calls = trace(claimed)
    assert not [call for call in calls if call.what == "syncfs"]
    log = _first(calls, "rename", "refs/esaa/events")
    synced = {call.path for call in calls[:log] if call.what == "fsync"}
    ours = {call.path for call in calls if call.what == "link" and "tmp_object_git2" in call.path}
    assert ours
    assert ours <= synced
    assert any("/esaa/locks/" in path for path in synced)
    assert f"{claimed.path}/.git/esaa" in synced


@needs_strace
def test_nothing_is_synced_where_a_repository_is_thrown_away(
    claimed: Project, trace: Trace
) -> None:
    claimed.git("config", "esaa.sync", "unsafe-none")
    calls = trace(claimed)
    syncs = {call.path.rpartition("/")[2] for call in calls if call.what in ("fsync", "syncfs")}
    # What is replaced whole is synced by itself, so that it is never found half.
    assert all(name.startswith("followup.json.") for name in syncs)
    assert "unsafe-none" in claimed.ok("doctor")


def test_an_unknown_way_to_sync_is_refused(claimed: Project) -> None:
    claimed.git("config", "esaa.sync", "sometimes")
    message = claimed.fails(4, "complete", "T-1", "--summary", "x", "src/a.py")
    assert "esaa.sync 'sometimes' is not a way to sync" in message
    claimed.git("config", "--unset", "esaa.sync")
    claimed.ok("complete", "T-1", "--summary", "x", "src/a.py")


@dataclass
class Cut:
    """A traced completion, its log before and after, and the disk that it was done on."""

    disk: Disk
    begun: str | None
    ended: str | None
    head: str
    calls: int
    place: Path
    git: Git

    def check(self, moment: int, cruelty: str) -> str | None:
        """Cut the power, start the machine, and hold what is there against what was promised."""
        case = moment, cruelty
        shutil.rmtree(self.place, ignore_errors=True)
        self.disk.cut(moment, self.place, cruelty=cruelty, seed=moment)
        (self.place / ".git/esaa/boot").unlink()
        project = Project(self.place, self.git)
        tip = project.tip()
        assert tip in (self.begun, self.ended), case
        said = project.esaa("verify")
        assert said.code == 0, (case, said)
        if tip == self.begun:  # what was not reported can be done again
            project.ok("complete", "T-1", "--summary", "x", "src/a.py")
        project.ok("doctor", "--repair")
        project.check()
        assert project.head() == project.payloads("task.update")[-1]["effect_commit"], case
        return tip


@pytest.fixture
def cut(claimed: Project, trace: Trace, tmp_path: Path, git: Git) -> Callable[[str], Cut]:
    def traced_with(mode: str) -> Cut:
        claimed.git("config", "esaa.sync", mode)
        before = copied(claimed, tmp_path / "before", git)
        begun = claimed.tip()
        calls = [
            Call(
                call.what,
                _moved(call.path, claimed, before),
                _moved(call.other, claimed, before),
                call.data,
            )
            for call in trace(claimed)
            if "/.git/" in call.path
        ]
        assert begun != claimed.tip()
        disk = Disk(calls, before.path)
        head, place = claimed.head(), tmp_path / "cut"
        return Cut(disk, begun, claimed.tip(), head, len(calls), place, git)

    return traced_with


@needs_strace
@pytest.mark.parametrize("mode", MODES)
def test_a_power_cut_loses_nothing_that_was_reported(cut: Callable[[str], Cut], mode: str) -> None:
    """Cut at moments of all kinds: the log is whole, and the branch follows it."""
    found = cut(mode)
    moments = found.disk.moments()
    some = moments[:-30:80] + moments[-30::5] + moments[-1:]
    kinds = ("everything", "contents", "something")
    reached = {found.check(moment, kinds[at % 3]) for at, moment in enumerate(some)}
    assert reached == {found.begun, found.ended}
    assert found.check(found.calls, "everything") == found.ended


@needs_strace
@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("mode", MODES)
def test_it_does_not_at_any_moment_and_with_any_cruelty(
    cut: Callable[[str], Cut], mode: str
) -> None:
    found = cut(mode)
    for moment in found.disk.moments():
        for cruelty in ("everything", "contents", "something"):
            found.check(moment, cruelty)


def _moved(path: str, one: Project, other: Project) -> str:
    start = f"{one.path}/"
    return f"{other.path}/{path.removeprefix(start)}" if path.startswith(start) else path
