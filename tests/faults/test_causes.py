"""What the machine does to us: a clear error, nothing half, and once it is over all goes on.

Each cause is a real one: a file system of a few blocks, one that is mounted read-only, permissions
as they are, locks, and bytes that are gone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from esaa_git.faults import Point, arm
from tests.conftest import Git
from tests.support.project import (
    Clock,
    Project,
    edit,
    make_project,
    result,
    task,
    write,
)

CONFLICT, CORRUPTED = 6, 10
BIG = "".join(f"line {number} of many\n" for number in range(3000))


def _make(folder: Path, git: Git) -> Project:
    project = make_project(
        folder / "project",
        git,
        task("T-1"),
        task("T-2"),
        seed={"src/a.py": "a = 1\n", "src/b.py": BIG},
        agents=["x" * 20],
    )
    project.answers(
        T_1=result("T-1", edit("src/a.py", "1", "2"), write("src/new.txt", BIG)),
        T_2=result("T-2", write("src/more.txt", "more\n")),
    )
    project.commit("Answers")
    project.ok("plan", "apply")
    return project


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    return _make(tmp_path, git)


def _goes_on(project: Project) -> None:
    """Assert that the next commands work, and that all is sound in the end."""
    project.ok("run")
    assert project.read("src/a.py") == "a = 2\n"
    assert project.read("src/more.txt") == "more\n"
    assert project.status() == ""
    project.ok("doctor", "--repair")
    assert not list((project.path / ".git/esaa/locks").glob("[0-9]*"))
    project.check()


def _fails_clearly(project: Project, *arguments: str) -> str:
    """Run a command that has to fail for a reason of the machine, and return its complaint."""
    before = project.refs()
    said = project.esaa(*arguments)
    assert said.code not in (0, 70), said
    assert "error: " in said.err
    assert "Traceback" not in said.err
    assert "fault in git-esaa" not in said.err
    assert project.refs() == before
    return said.err


# ---- the file system ---------------------------------------------------------------------------


def _can_mount(folder: Path) -> bool:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    probe = folder / "probe"
    probe.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(probe)], capture_output=True)
    if done.returncode:
        return False
    subprocess.run(["umount", str(probe)], check=True)
    return True


@pytest.fixture
def small(tmp_path: Path, git: Git) -> Iterator[Project]:
    """A project on a file system of its own, of which a megabyte is left."""
    if not _can_mount(tmp_path):
        pytest.skip("only root may mount a file system, and not in every container")
    place = tmp_path / "small"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=6m", "tmpfs", str(place)]
    subprocess.run(["mount", *options], check=True)
    try:
        yield _make(place, git)
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def _remount(project: Project, options: str) -> None:
    command = ["mount", "-o", f"remount,{options}", str(project.path.parent)]
    subprocess.run(command, check=True)


def _fill(project: Project, left: int) -> Path:
    """Leave so many bytes of the file system."""
    ballast = project.path.parent / "ballast"
    free = os.statvfs(project.path)
    ballast.write_bytes(b"\0" * max(0, free.f_bavail * free.f_bsize - left))
    return ballast


@pytest.mark.parametrize("left", [0, 4_096, 16_384])
def test_a_full_disk(small: Project, left: int) -> None:
    """Full at once, among the objects, or at the journal and the refs."""
    ballast = _fill(small, left)
    message = _fails_clearly(small, "claim", "T-1", "--as", "x" * 20)
    assert "No space left on device" in message or "no space" in message.lower()
    ballast.unlink()
    _goes_on(small)


@pytest.mark.parametrize("left", range(65_536, 320_000, 32_768))
def test_a_disk_that_fills_up_on_the_way(small: Project, left: int) -> None:
    """Wherever it happens, the log is sound; what is recorded is finished when there is room."""
    ballast = _fill(small, left)
    said = small.esaa("run", "--task", "T-1")
    assert said.code != 70, said
    assert "Traceback" not in said.err
    ballast.unlink()
    report = small.verify(remember=False)
    assert report.audit.is_ok or report.audit.check == 11, report.audit.message
    small.esaa("task", "release", "T-1", "--reason", "the disk was full")
    _goes_on(small)


def test_a_read_only_file_system(small: Project) -> None:
    _remount(small, "ro")
    message = _fails_clearly(small, "claim", "T-1")
    assert "Read-only file system" in message
    assert "1" in small.ok("status")
    small.ok("log")
    _remount(small, "rw")
    _goes_on(small)


# ---- permissions -------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("folder", [".git/objects", ".git/refs/esaa", ".git/esaa"])
def test_a_folder_that_may_not_be_written(project: Project, folder: str) -> None:
    place = project.path / folder
    inside = [place, *(path for path in place.rglob("*") if path.is_dir())]
    for path in inside:
        path.chmod(0o555)
    try:
        assert "ermission denied" in _fails_clearly(project, "claim", "T-1")
    finally:
        for path in inside:
            path.chmod(0o755)
    _goes_on(project)


Failing = Callable[[Point, OSError], str]


@pytest.fixture
def failing(project: Project) -> Failing:
    def fails_at(point: Point, error: OSError) -> str:
        def act(met: Point) -> None:
            if met == point:
                raise error

        with arm(act):
            return _fails_clearly(project, "claim", "T-1")

    return fails_at


@pytest.mark.parametrize("number", [13, 28, 30, 5], ids=os.strerror)
@pytest.mark.parametrize("point", [Point.OBJECT_WRITTEN, Point.OBJECTS_SYNCED, Point.REF_LOCKED])
def test_whatever_the_system_answers_before_the_log_moves(
    project: Project, failing: Failing, point: Point, number: int
) -> None:
    assert os.strerror(number) in failing(point, OSError(number, os.strerror(number)))
    _goes_on(project)


# ---- locks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("ref", ["refs/esaa/events", "refs/heads/main"])
def test_a_lock_of_which_nothing_can_be_proven_is_respected(project: Project, ref: str) -> None:
    project.ok("claim", "T-1")
    project.write("src/a.py", "a = 2\n")
    lock = project.path / f".git/{ref}.lock"
    lock.write_text("")
    message = _fails_clearly(project, "complete", "T-1", "--summary", "x", "src/a.py")
    assert f"'{ref}' is locked by another process" in message
    said = project.esaa("doctor", "--repair")
    assert said.code == 1
    assert f"a lock is held: '{lock}'" in said.out
    assert lock.exists()
    lock.unlink()
    project.ok("complete", "T-1", "--summary", "x", "src/a.py")
    _goes_on(project)


# ---- objects -----------------------------------------------------------------------------------


def _file_of(project: Project, oid: str) -> Path:
    return project.path / f".git/objects/{oid[:2]}/{oid[2:]}"


@pytest.mark.parametrize("damage", [b"", b"\0" * 64, b"cut"], ids=["empty", "zeros", "cut off"])
@pytest.mark.parametrize("what", ["refs/esaa/events", "refs/esaa/events^{tree}", "main"])
def test_a_damaged_loose_object(project: Project, what: str, damage: bytes) -> None:
    """Nobody waits for ever, and nothing is recorded upon it."""
    place = _file_of(project, project.git("rev-parse", what))
    sound = place.read_bytes()
    place.chmod(0o644)
    place.write_bytes(sound[: len(sound) // 2] if damage == b"cut" else damage)
    _fails_clearly(project, "run", "--task", "T-1")
    assert project.esaa("doctor").code == 1
    said = project.esaa("doctor", "--repair")
    assert "set a damaged object aside" in said.out
    assert not place.exists()
    _fails_clearly(project, "run", "--task", "T-1")
    place.write_bytes(sound)
    project.esaa("task", "release", "T-1", "--reason", "again")
    _goes_on(project)


def test_a_damaged_object_that_nothing_names_is_written_again(project: Project) -> None:
    """As a power cut leaves them: the same content is about to be stored once more."""
    oid = project.git("hash-object", "-w", "--stdin", stdin=BIG)
    place = _file_of(project, oid)
    place.chmod(0o644)
    place.write_bytes(b"")
    _goes_on(project)
    assert project.git("show", "main:src/new.txt") + "\n" == BIG


def test_a_pack_that_is_missing(project: Project, tmp_path: Path) -> None:
    project.git("repack", "-adq")
    packs = project.path / ".git/objects/pack"
    packs.rename(tmp_path / "gone")
    packs.mkdir()
    for command in (["claim", "T-1"], ["status"], ["log"]):
        said = project.esaa(*command)
        assert said.code not in (0, 70), said
        assert "Traceback" not in said.err
    assert project.esaa("verify").code in (9, CORRUPTED)
    packs.rmdir()
    (tmp_path / "gone").rename(packs)
    _goes_on(project)


# ---- the clock ---------------------------------------------------------------------------------


def test_a_clock_that_jumps_back(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """No event is before its predecessor; the time stands still until the clock has caught up."""
    clock = Clock("2027-01-01T00:00:00+00:00").install(monkeypatch)
    project.ok("claim", "T-1")
    clock.advance(-299)
    project.ok("complete", "T-1", "--summary", "in the past")
    times = [one.event.ts for one in project.chain()]
    assert times == sorted(times)
    before = project.refs()
    clock.moment = clock.moment.replace(year=1999)
    said = project.fails(4, "run")
    assert "the last event of the log, is dated 2027-01-01T00:00:00" in said
    assert "set this machine's clock if it is slow" in said
    assert project.refs() == before
    clock.moment = clock.moment.replace(year=2027)
    project.ok("run")
    project.check()
