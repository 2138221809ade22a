"""`git esaa cost`, and what a run, `status` and the contracts say of budgets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import (
    ANSWERS,
    KINDS,
    Project,
    make_project,
    result,
    task,
    write,
)


def spending(task_id: str, microdollars: int | None) -> dict[str, object]:
    usage = {"input_tokens": 40, "output_tokens": 2}
    if microdollars is not None:
        usage["cost_microdollars"] = microdollars
    return result(task_id, write(f"docs/{task_id}.md", "x\n"), payload={"usage": usage})


@pytest.fixture
def made(tmp_path: Path, git: Git) -> Project:
    """Three tasks of at most 0.50 USD, of which 1.20 may be spent; the second reports no cost."""
    made = make_project(tmp_path / "project", git, task("T-1"), task("T-2"), task("T-3"))
    made.answers(T_1=spending("T-1", 300_000), T_2=spending("T-2", None), T_3=spending("T-3", 1))
    entry = {"adapter": "scripted", "folder": ANSWERS, "max_cost": 500_000}
    made.swarm({"agent": entry}, dict.fromkeys(KINDS, "agent"))
    made.amend_yaml("RUNTIME_POLICY.yaml", budgets={"run": {"microdollars": 1_200_000}})
    made.commit()
    return made


def test_a_run_stops_at_the_cap_and_goes_on_when_the_unknown_cost_is_corrected(
    made: Project,
) -> None:
    said = made.fails(14, "run")
    assert "the budget of RUN-0001 has 0.400000 USD left of 1.200000 USD" in said
    assert "APR-0001 asks an approver for 0.100000 USD more" in said
    budget = "budget of RUN-0001: 0.800000 USD (0.500000 USD unknown) of 1.200000 USD spent"
    waits = "  APR-0001 asks for more: git esaa review APR-0001 --approve"
    assert f"{budget}\n{waits}\n" in made.ok("status")
    shown = made.ok("cost")
    assert budget in shown
    assert shown.splitlines()[0].split() == ["T-1", "1", "42", "0.300000", "-", "-"]
    asked = json.loads(made.ok("cost", "--json", "--by", "agent"))
    assert asked["total"]["microdollars"] == 800_000
    assert asked["budgets"][0]["left"] == 400_000
    assert made.ok("cost", "--csv", "--by", "day").splitlines()[0] == (
        "day,calls,tokens,microdollars,unknown,reserved,unreported"
    )
    (unknown,) = (one for one in made.state().reservations.values() if one.unknown)
    bill = ("--microdollars", "200000", "--evidence", "the bill of May")
    assert "add '--microdollars" in made.fails(2, "cost", "--correct", unknown.event_id)
    assert "budget.correct is refused" in made.fails(7, "cost", "--correct", "EV-00000001", *bill)
    assert "more room" in made.ok("review", "APR-0001", "--approve", "--reason", "go on")
    assert "of 1.300000 USD spent" in (said := made.ok("status"))
    assert waits not in said
    said = made.ok("cost", "--correct", unknown.event_id, *bill)
    assert said == f"{unknown.event_id} has cost 0.200000 USD\n"
    made.ok("run")
    assert json.loads(made.ok("cost", "--json"))["total"]["microdollars"] == 500_001
    made.check()
