"""Eight agents at once on one file: each is merged, or told of the conflict and corrected."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Git
from tests.support.project import edit, make_project, result, task

LINES = [f"line {number}" for number in range(40)]
PLACE = "src/shared.txt"


def test_eight_agents_change_one_file_at_once(tmp_path: Path, git: Git) -> None:
    names = [f"T-{number}" for number in range(1, 9)]
    seed = {PLACE: "".join(f"{line}\n" for line in LINES)}
    project = make_project(
        tmp_path / "project", git, *(task(name, writes=[PLACE]) for name in names), seed=seed
    )
    for number, name in enumerate(names, 1):
        line = 5 if name == "T-8" else 5 * number  # the eighth wants the first one's line
        project.answer(name, result(name, edit(PLACE, f"line {line}\n", f"{name} was here\n")))
    for loser, winner in (("T-8", "T-1"), ("T-1", "T-8")):  # whichever comes second
        both = edit(PLACE, f"{winner} was here\n", "T-1 and T-8 were here\n")
        second = {**result(loser, both), "attempt_id": f"{loser}-A2"}
        project.answer(f"{loser}-A2", second)
    project.ok("run", "--parallel", "8", "--overlap")
    opened = [one["attempt_id"] for one in project.payloads("attempt.create")]
    assert opened[:8] == [f"{name}-A1" for name in names]
    (refused,) = project.said("output.rejected")
    assert refused["code"] == "WRITE_CONFLICT"
    winner, loser = ("T-1", "T-8") if refused["task_id"] == "T-8" else ("T-8", "T-1")
    assert refused["task_id"] == loser
    assert "<<<<<<<" in refused["detail"]["hunks"]
    assert f"{winner} was here" in refused["detail"]["hunks"]
    wanted = [*LINES]
    for number in range(2, 8):
        wanted[5 * number] = f"T-{number} was here"
    wanted[5] = "T-1 and T-8 were here"
    assert project.read(PLACE).splitlines() == wanted
    project.check()
