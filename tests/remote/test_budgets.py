"""Two clones that spend apart: what is brought together loses no fact of money."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.app.hooks import install
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.project import ANSWERS, KINDS, make_project, result, task, write
from tests.support.team import hook_environment, join


def test_what_is_left_out_has_been_paid_and_stays_on_record(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook_environment(monkeypatch)
    one = make_project(tmp_path / "one", git, task("T-1"), task("T-2"))
    for name in ("T-1", "T-2"):
        usage = {"usage": {"cost_microdollars": 300_000}}
        one.answer(name, result(name, write(f"src/{name}.txt", f"{name}\n"), payload=usage))
    entry = {"adapter": "scripted", "folder": ANSWERS, "max_cost": 500_000}
    one.swarm({"agent": entry}, dict.fromkeys(KINDS, "agent"))
    one.amend_yaml("RUNTIME_POLICY.yaml", budgets={"run": {"microdollars": 800_000}})
    one.commit("Agents")
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")
    one.git("remote", "add", "origin", "../server.git")
    one.ok("plan", "apply")
    one.ok("push")
    two = join(tmp_path, one, server, git)

    said = one.esaa("run", "--task", "T-1")
    assert "budgets count what is spent in this clone" in said.err
    one.ok("push")
    two.ok("run", "--task", "T-1")
    two.ok("run", "--task", "T-2")
    synced = two.esaa("sync")
    assert synced.code == 0, synced.err
    assert "the budget of RUN-0001 is exceeded by 0.100000 USD" in synced.err
    assert synced.out.count("what it has cost stays on record") == 2

    state = two.state()
    assert state.accounts["run.RUN-0001"].spent.microdollars == 900_000
    told = two.payloads("settle")
    # The attempt at T-1 was in vain; T-2 is done, and the call fits into the budget no more.
    assert [(one["task_id"], one["microdollars"]) for one in told] == [
        ("T-1", 300_000),
        ("T-2", 300_000),
    ]
    assert all(one.is_done for one in state.tasks.values())
    two.check()
