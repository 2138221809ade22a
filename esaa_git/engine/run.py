"""The life of a run: it starts with `run.init`, and ends when the policy's criteria are met."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from esaa_git.core import plan as plans
from esaa_git.core.contracts import Contracts
from esaa_git.core.events.run_end import RunResult
from esaa_git.core.machine import TaskState
from esaa_git.core.plan import Plan, PlanDiff
from esaa_git.core.state import State
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import (
    ChangePlan,
    EndRun,
    FailVerification,
    StartRun,
    StartVerification,
    StopRun,
)
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import ConflictError, MismatchError
from esaa_git.ports.checks import Audit

MAX_AUDITS = 8
"""How often the end of a run is verified again because others appended meanwhile."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` recorded, and on which branch the run works."""

    run_id: str
    branch: str
    started: bool
    created: int
    amended: int


@dataclass(frozen=True, slots=True)
class Starter:
    """The person who starts a run; `signs` also where the orchestrator's key would do."""

    person: str
    signs: bool = False


def apply(
    engine: Engine,
    plan: Plan,
    contracts: Contracts,
    *,
    branch: str | None,
    by: str | None,
    starter: Starter | None = None,
    idle: bool = True,
) -> Applied:
    """Bring the log after the plan: start a run where none is open, create and amend tasks.

    The contracts given are pinned when a run starts; in an open run those in force stay. Where
    another process was faster, at the first event as at any later one, all is decided again.

    Args:
        branch: where a run that is started works; by default on the one that is checked out.
        starter: whose key begins a log, and puts other contracts in force.
        idle: start a run even where it would have nothing to do.

    Raises:
        ConfigurationError: if the plan or the contracts cannot be used; nothing is recorded.
    """
    contracts.check()
    while True:
        log_id = engine.new_log_id() if engine.log.tip() is None else None
        try:
            return transact(
                engine,
                lambda tx: _apply(engine, tx, plan, contracts, branch, by, starter, idle),
                log_id=log_id,
            )
        except ConflictError:
            if log_id is None or engine.log.tip() is None:
                raise
            # Another process has begun the log: what is left to do is decided on that one.


def _apply(
    engine: Engine,
    tx: Transaction,
    plan: Plan,
    contracts: Contracts,
    branch: str | None,
    by: str | None,
    starter: Starter | None,
    idle: bool,
) -> Applied:
    in_force = tx.contracts if tx.state.run.is_open else contracts
    plans.check_plan(plan, tx.state, in_force)
    diff = plans.diff_plan(plan, tx.state)
    tasks = tuple(plans.in_order(diff.new))
    amended = tuple((one.task.task_id, one.after) for one in diff.amended)
    started = not tx.state.run.is_open
    if started and not idle and is_over_for(tx.state, diff):
        return Applied(str(tx.state.run.run_id), str(tx.state.run.branch), False, 0, 0)
    if started:
        # Contracts that did not change stay those in force, so that no admin has to sign them.
        pinned = tx.contracts if tx.contracts.same_as(contracts) else contracts
        name = branch or engine.branch.current()
        changes = pinned is not tx.contracts
        signs = starter is not None and (changes or starter.signs)
        start = StartRun(
            project=plan.project,
            branch=name,
            base=engine.branch.tip(name),
            contracts=pinned,
            tasks=tasks,
            amended=amended,
            by=by,
            signer=starter.person if starter is not None and signs else None,
        )
        tx.ask(start, contracts=pinned)
    else:
        tx.ask(ChangePlan(tasks=tasks, amended=amended, by=by))
    return Applied(
        str(tx.state.run.run_id),
        str(tx.state.run.branch),
        started,
        len(diff.new),
        len(diff.amended),
    )


def is_over_for(state: State, diff: PlanDiff) -> bool:
    """Answer whether the run is over and another one would have nothing to do."""
    todo = dict(state.run.by_state).get(TaskState.TODO, 0)
    return state.run.run_id is not None and not state.run.is_open and diff.is_empty and not todo


def stop(engine: Engine, reason: str, by: str, signer: str | None = None) -> None:
    """End the open run as halted, because a person says so.

    Args:
        signer: the admin whose key records it, where no orchestrator's key can.
    """
    transact(engine, lambda tx: tx.ask(StopRun(reason=reason, by=by, signer=signer)))


def finish(engine: Engine, result: RunResult, reason: str) -> Audit:
    """Verify the log and end the run; a failed verification halts it instead (INV-006).

    Raises:
        MismatchError: after a failed verification, with the command that goes back to the last
            verified point; log and branch as they were found are kept under snapshot refs.
    """
    transact(engine, lambda tx: tx.ask(StartVerification()))
    for _ in range(MAX_AUDITS):
        audit = engine.audit()
        if not audit.is_ok:
            _halt(engine, audit)
        end = EndRun(audit=audit, result=result, reason=reason)
        if transact(engine, partial(Transaction.ask, intention=end)):
            return audit
    raise ConflictError(
        "the run cannot end: others keep appending to the log",
        hint="run 'git esaa run' again when they have finished",
    )


def _halt(engine: Engine, audit: Audit) -> None:
    """Record the failure where the log still takes it, keep a snapshot, and say how to go back."""
    state, contracts = engine.log.load()
    tip = engine.log.tip()
    assert tip is not None
    branch = str(state.run.branch)
    kept = {"log": tip.commit}
    branch_commit = engine.branch.tip(branch)
    if branch_commit is not None:
        kept["branch"] = branch_commit
    snapshots = engine.branch.keep_snapshot(
        f"{state.run.run_id}-{tip.seq:08d}", kept, contracts.policy.snapshots_kept
    )
    recovery = audit.recovery or "git esaa verify --full"

    failed = FailVerification(audit=audit, snapshots=tuple(snapshots), recovery=recovery)
    transact(engine, lambda tx: tx.ask(failed))
    raise MismatchError(
        f"verification failed, the run is halted: {audit.message}",
        cause=f"log and branch as they are now are kept under {', '.join(snapshots)}",
        hint=f"look at it with 'git esaa verify --full'; to go back: '{recovery}'"
        if audit.recovery
        else "look at it with 'git esaa verify --full'",
    )
