"""Deciding again what was planned: runs, and the tasks that they and people brought."""

from __future__ import annotations

from esaa_git.core import events
from esaa_git.core.contracts import Contracts
from esaa_git.core.events.base import replace
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import Repeat
from esaa_git.engine.tail import AGAIN, ALREADY, CHANGED, LEFT_OUT, Ids, LeftOut
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import ConfigurationError, RefusedError, RunHalted


class PlanReplay:
    """The runs and tasks of one tail, beside those that others began."""

    def __init__(self, engine: Engine, ids: Ids) -> None:
        self._engine = engine
        self._ids = ids

    def begin(self, actor: str, payload: events.RunInit, contracts: Contracts) -> tuple[str, str]:
        """Begin a run again, or add its tasks to the one that others have started."""
        state, in_force = self._engine.log.load()
        same = contracts.same_as(in_force)
        if state.run.is_open:
            return self._join(payload, str(state.run.run_id), same)
        new = tuple(one for one in payload.tasks if self._ids.is_new(one, state))

        def step(tx: Transaction) -> str:
            base = self._engine.branch.tip(payload.branch)
            if base is None:
                raise LeftOut(f"there is no branch '{payload.branch}'")
            again = Repeat(actor=actor, payload=replace(payload, base=base, tasks=new))
            tx.ask(again, contracts=tx.contracts if same else contracts)
            return str(tx.state.run.run_id)

        self._ids.put_run(payload.run_id, transact(self._engine, step))
        return AGAIN, ""

    def _join(self, payload: events.RunInit, run_id: str, same_contracts: bool) -> tuple[str, str]:
        self._ids.put_run(payload.run_id, run_id)
        faults = []
        count = 0
        for task in payload.tasks:
            try:
                kind, _ = self.add(events.TaskCreate(task=task, by=payload.by))
                count += kind == AGAIN
            except (LeftOut, RefusedError, RunHalted, ConfigurationError) as error:
                faults.append(f"'{task.task_id}': {error}")
                self._ids.make_stranger(task.task_id)
        said = [f"{run_id} is open there, and has {count} of its tasks now"]
        if not same_contracts:
            said.append("the contracts that it pinned are not in force")
        return (LEFT_OUT if faults else CHANGED), "; ".join(said + faults)

    def add(self, payload: events.TaskCreate) -> tuple[str, str]:
        """Create a task again, where others have none of its id."""
        task_id = payload.task.task_id
        if not self._ids.is_new(payload.task, self._engine.log.load()[0]):
            if self._ids.is_stranger(task_id):
                raise LeftOut(f"there is another task '{task_id}' by now")
            return ALREADY, f"'{task_id}' was created there, with the same definition"
        if payload.issue_id is not None:
            payload = replace(payload, issue_id=self._ids.issue(payload.issue_id))
        again = Repeat(actor=ORCHESTRATOR, payload=payload)
        transact(self._engine, lambda tx: tx.ask(again))
        return AGAIN, ""
