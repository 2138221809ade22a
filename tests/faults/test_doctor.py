"""`git esaa doctor` says what processes that died have left; `--repair` finishes or removes it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from esaa_git.faults import Point
from tests.conftest import Git
from tests.faults.kills import KILLED, live
from tests.support.project import Project, Said, make_project, result, task, write

ENVELOPE = json.dumps(result("T-1", write("src/x.txt", "x\n"), attempt_id="T-1-A1"))


@pytest.fixture
def claimed(tmp_path: Path, git: Git) -> Project:
    project = make_project(tmp_path / "project", git, task("T-1"), task("T-2"))
    project.ok("plan", "apply")
    project.ok("claim", "T-1")
    return project


def _killed(project: Project, point: Point, number: int = 1) -> None:
    def submit() -> Said:
        return project.esaa("submit", "-", stdin=ENVELOPE)

    assert live(submit, until=(point, number)).status == KILLED


def _everything(project: Project) -> dict[str, str]:
    inside = ("refs", "esaa", "index", "index.lock", "HEAD", "objects")
    return project.files(inside_git=inside)


def _repaired(project: Project) -> str:
    said = project.esaa("doctor", "--repair")
    assert said.code == 0, said
    assert "problem" not in said.out
    return said.out


@pytest.mark.parametrize(
    ("point", "number", "words"),
    [
        (Point.JOURNAL_WRITTEN, 1, "before the working branch had followed the log"),
        (Point.REF_LOCKED, 2, "a lock of a process that died"),
        (Point.LOG_MOVED, 1, "a lock of a process that died"),
        (Point.INDEX_LOCKED, 1, "a lock of a process that died"),
        (Point.FILES_WRITTEN, 1, "before the working branch had followed the log"),
    ],
    ids=lambda value: value if isinstance(value, Point) else "",
)
def test_without_repair_it_only_says_so(
    claimed: Project, point: Point, number: int, words: str
) -> None:
    _killed(claimed, point, number)
    before = _everything(claimed)
    for _ in range(2):
        said = claimed.esaa("doctor")
        assert said.code == 1
        assert words in said.out
        assert "git esaa doctor --repair" in said.out
    assert _everything(claimed) == before


def test_a_merge_after_an_interruption_is_a_carrier_that_verify_knows(claimed: Project) -> None:
    """It bears our name and claims nothing: the log says what it is."""
    _killed(claimed, Point.LOG_MOVED)
    for lock in ("refs/heads/main.lock", "index.lock"):
        (claimed.path / ".git" / lock).unlink()  # as git itself advises a person
    claimed.write("src/beside.txt", "by a person\n")
    claimed.git("add", "src/beside.txt")
    claimed.git("commit", "--quiet", "--message", "Meanwhile")
    claimed.ok("doctor", "--repair")
    merge = claimed.head()
    assert len(claimed.git("rev-list", "--parents", "-1", merge).split()) == 3
    said = claimed.esaa("verify", "--full", "--strict", "--json")
    assert said.code == 0, said
    carrier = claimed.state().carriers[merge]
    assert (carrier.how, carrier.tasks) == ("merged", ("T-1",))


def test_an_unfinished_move_is_finished_on_demand(claimed: Project) -> None:
    _killed(claimed, Point.LOG_MOVED)
    said = _repaired(claimed)
    assert "freed the lock" in said
    assert "recovered: 'main' moved to the effect of T-1" in said
    assert claimed.read("src/x.txt") == "x\n"
    assert claimed.status() == ""
    claimed.check()


@pytest.mark.parametrize("point", [Point.LOG_MOVED, Point.BRANCH_MOVED, Point.FILES_WRITTEN])
@pytest.mark.parametrize("damage", ["", "[", '{"log_commit": 1}'])
def test_a_damaged_journal_is_written_anew_from_the_log(
    claimed: Project, point: Point, damage: str
) -> None:
    _killed(claimed, point)
    journal = claimed.path / ".git/esaa/followup.json"
    journal.write_text(damage)
    message = claimed.fails(3, "claim", "T-2")
    assert "cannot be read" in message
    assert "git esaa doctor --repair" in message
    said = _repaired(claimed)
    assert f"wrote '{journal}' anew from the log: the effect of T-1" in said
    assert not journal.exists()
    assert claimed.read("src/x.txt") == "x\n"
    assert claimed.status() == ""
    claimed.check()


def test_a_damaged_journal_of_what_was_never_recorded(claimed: Project) -> None:
    _killed(claimed, Point.JOURNAL_WRITTEN)
    before = claimed.refs()
    (claimed.path / ".git/esaa/followup.json").write_text("")
    assert "the log names no effect" in _repaired(claimed)
    assert claimed.refs() == before
    claimed.ok("submit", "-", stdin=ENVELOPE)
    claimed.check()


def test_a_damaged_verified_point_is_forgotten(claimed: Project) -> None:
    claimed.ok("verify")
    mark = claimed.path / ".git/esaa/verified.json"
    mark.write_text("{")
    assert claimed.esaa("doctor").code == 1
    assert "starts from the first event" in _repaired(claimed)
    assert not mark.exists()
    claimed.ok("verify")
    assert mark.exists()


def test_what_a_dead_process_never_finished_is_removed(claimed: Project) -> None:
    """A temporary file goes if its writer is dead and it is old; any other one stays."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    folder = claimed.path / ".git/esaa"
    objects = claimed.path / ".git/objects"
    gone = [folder / f"followup.json.{dead.pid}.new", objects / "tmp_object_git2_0123"]
    stays = [
        folder / f"followup.json.{os.getpid()}.new",
        folder / "mine.new",
        objects / "tmp_object_git2_4567",
    ]
    for path in (*gone, *stays):
        path.write_text("half")
    for path in (*gone, *stays[:2]):
        os.utime(path, (0, 0))
    said = claimed.esaa("doctor")
    assert said.out.count("a file that was never finished") == len(gone)
    _repaired(claimed)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stays)


def test_a_checkout_that_another_process_is_bringing_up_to_date_is_no_problem(
    claimed: Project,
) -> None:
    """Nobody waits for it, and nobody takes it for dead."""
    import fcntl

    _killed(claimed, Point.BRANCH_MOVED)
    with (claimed.path / ".git/esaa/followup.lock").open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        said = claimed.esaa("doctor", "--repair")
        assert "another process is bringing a checkout up to date" in said.out
        assert (claimed.path / ".git/esaa/followup.json").exists()
    _repaired(claimed)
    claimed.check()
