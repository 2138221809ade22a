"""Money that is spent past a budget by one who holds the orchestrator's key: `verify` finds it.

The hook of a server and our own writer ask the same functions (`core.budgets.fault`, `evolve`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from esaa_git.core.accounts import Account
from tests.conftest import Git
from tests.support.forgery import Forger, point, value
from tests.support.project import ANSWERS, KINDS, Project, make_project, result, task, write

RUN = "run.RUN-0001"
SPENT = 300_000


def made(folder: Path, git: Git) -> Project:
    """Return a project of which one task was done under a budget of 1.20 USD."""
    project = make_project(folder / "project", git, task("T-1"), task("T-2"))
    usage = {"usage": {"cost_microdollars": SPENT}}
    project.answer("T-1", result("T-1", write("src/T-1.txt", "x\n"), payload=usage))
    entry = {"adapter": "scripted", "folder": ANSWERS, "max_cost": 500_000}
    project.swarm({"agent": entry}, dict.fromkeys(KINDS, "agent"))
    project.amend_yaml("RUNTIME_POLICY.yaml", budgets={"run": {"microdollars": 1_200_000}})
    project.commit("Agents")
    project.ok("run", "--task", "T-1")
    project.check()
    return project


def settled(forger: Forger, digest: str, **bent: Any) -> dict[str, Any]:
    """Return a `settle` that comes next."""
    seq = forger.state.seq + 1
    payload = {
        "source_sha256": digest,
        "agent": "agent",
        "ts": forger.state.ts,
        "kind": "spec",
        "task_id": "T-1",
        "microdollars": 1,
        **bent,
    }
    return {
        "schema_version": "0.3.0",
        "event_id": f"EV-{seq:08d}",
        "event_seq": seq,
        "ts": forger.state.ts,
        "actor": "orchestrator",
        "action": "settle",
        "payload": payload,
    }


def test_no_micro_dollar_is_spent_past_a_budget_unseen(tmp_path: Path, git: Git) -> None:
    project = made(tmp_path, git)
    chain, honest = project.chain(), project.tip()
    assert honest is not None
    asked = next(one for one in chain if one.event.action == "orchestrator.dispatch")
    answered = next(one for one in chain if one.event.action == "agent.result")

    def instead(of: Any, **payload: Any) -> Forger:
        forger = Forger(project, project.signer.sign, people=True)
        forger.copy(one for one in chain if one.event.seq < of.event.seq)
        document = value(of.event)
        kept = {**document["payload"], **payload}
        document["payload"] = {name: item for name, item in kept.items() if item is not None}
        forger.add(document)
        return forger

    def unreserved() -> Forger:
        return instead(asked, reserves=None)

    def too_much() -> Forger:
        return instead(asked, reserves={"microdollars": 1_200_001})

    def of_no_money() -> Forger:
        return instead(asked, reserves={"tokens": 5})

    def settled_twice() -> Forger:
        forger = Forger(project, project.signer.sign, people=True).copy(chain)
        forger.add(settled(forger, "5" * 64))
        again = settled(forger, "5" * 64)
        forger.add(again, state=replace(forger.state, seq=forger.state.seq + 1))
        return forger

    def from_tomorrow() -> Forger:
        forger = Forger(project, project.signer.sign, people=True).copy(chain)
        later = settled(forger, "5" * 64, ts="2999-01-01T00:00:00.000Z")
        forger.add(later, state=replace(forger.state, seq=forger.state.seq + 1))
        return forger

    def forgotten() -> Forger:
        """The result is honest, and the state beside it says that nothing was spent."""
        forger = Forger(project, project.signer.sign, people=True)
        forger.copy(one for one in chain if one.event.seq < answered.event.seq)
        told = replace(forger.state, seq=answered.event.seq, ts=answered.event.ts)
        accounts = told.accounts.with_record(RUN, Account())
        lie = replace(told, accounts=accounts, touched=frozenset({("accounts", RUN)}))
        forger.add(value(answered.event), state=lie)
        return forger

    attacks: list[tuple[Callable[[], Forger], int, str]] = [
        (unreserved, 7, "nothing is reserved for agent, and a budget is in force"),
        (too_much, 7, "the budget of RUN-0001 has 1.200000 USD left"),
        (of_no_money, 7, "counts microdollars, of which nothing is reserved"),
        (settled_twice, 7, "has settled this dispatch already"),
        (from_tomorrow, 5, "is after the event that tells of it"),
        (forgotten, 7, ""),
    ]
    for attack, number, words in attacks:
        attack().finish()
        project.forget()
        report = project.verify().audit
        assert (report.is_ok, report.check) == (False, number), attack.__name__
        assert words in str(report.message), attack.__name__
        point(project, honest)
    project.forget()
    project.check()
