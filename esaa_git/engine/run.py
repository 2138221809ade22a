"""The life of a run: it starts with `run.init`, and ends when the policy's criteria are met."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from esaa_git.core import plan as plans
from esaa_git.core.contracts import Contracts
from esaa_git.core.events.base import encode
from esaa_git.core.machine import Cause, RunState
from esaa_git.core.plan import Plan, PlanDiff
from esaa_git.core.state import State
from esaa_git.engine import decide
from esaa_git.engine.engine import Engine
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import ConflictError, MismatchError, RunHalted
from esaa_git.ports.checks import Audit

MAX_AUDITS = 8
"""How often the end of a run is verified again because somebody appended meanwhile."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` recorded."""

    run_id: str
    started: bool
    created: int
    amended: int


def apply(
    engine: Engine, plan: Plan, contracts: Contracts, *, branch: str | None, by: str | None
) -> Applied:
    """Bring the log after the plan: start a run where none is open, create and amend tasks.

    The contracts given are pinned when a run starts; in an open run those in force stay.

    Raises:
        ConfigurationError: if the plan or the contracts cannot be used; nothing is recorded.
    """
    contracts.check()
    fresh = engine.log.tip() is None
    log_id = engine.new_log_id() if fresh else None
    return transact(
        engine, lambda tx: _apply(engine, tx, plan, contracts, branch, by), log_id=log_id
    )


def _apply(
    engine: Engine,
    tx: Transaction,
    plan: Plan,
    contracts: Contracts,
    branch: str | None,
    by: str | None,
) -> Applied:
    in_force = tx.contracts if tx.state.run.is_open else contracts
    plans.check_plan(plan, tx.state, in_force)
    diff = plans.diff_plan(plan, tx.state)
    started = not tx.state.run.is_open
    signed: dict[str, Any] = {} if by is None else {"by": by}
    if started:
        _require_no_halt(tx.state)
        _init(engine, tx, plan, contracts, branch or tx.state.run.branch, diff, signed)
    else:
        for definition in plans.in_order(diff.new):
            tx.emit("task.create", decide.ORCHESTRATOR, {"task": encode(definition), **signed})
    for amendment in diff.amended:
        task = tx.state.tasks[amendment.task.task_id]
        decide.update_task(
            tx, task, Cause.AMENDED, changes=encode(amendment.after), reason="plan", **signed
        )
    return Applied(str(tx.state.run.run_id), started, len(diff.new), len(diff.amended))


def _init(
    engine: Engine,
    tx: Transaction,
    plan: Plan,
    contracts: Contracts,
    branch: str | None,
    diff: PlanDiff,
    signed: dict[str, Any],
) -> None:
    name = branch or engine.branch.current()
    base = engine.branch.tip(name)
    if base is None:
        raise RunHalted(
            f"there is no branch '{name}' to work on",
            hint=f"create it with 'git branch {name}', or choose another with --branch",
        )
    # Contracts that did not change stay the ones in force, so that no admin has to sign them.
    pinned = tx.contracts if tx.contracts.pins == contracts.pins else contracts
    tx.emit(
        "run.init",
        decide.ORCHESTRATOR,
        {
            "run_id": f"RUN-{tx.state.run.number + 1:04d}",
            "project": plan.project,
            "branch": name,
            "base": base,
            "contracts": pinned.pins,
            "tasks": [encode(definition) for definition in plans.in_order(diff.new)],
            **signed,
        },
        contracts=pinned,
    )


def _require_no_halt(state: State) -> None:
    """Refuse to go on after a halt whose critical issue nobody has resolved."""
    if state.run.state != RunState.HALTED:
        return
    for number in range(state.run.issues, 0, -1):
        issue = state.issues[f"ISS-{number:04d}"]
        if issue.is_open and issue.severity == "critical":
            raise RunHalted(
                f"{state.run.run_id} was halted by {issue.issue_id}: {issue.title}",
                hint=f"run 'git esaa issue resolve {issue.issue_id} --reason TEXT' first",
            )


def stop(engine: Engine, reason: str, by: str) -> None:
    """End the open run as halted, because a person says so."""

    def halt(tx: Transaction) -> None:
        decide.require_run(tx.state)
        decide.end_run(tx, RunState.HALTED, reason, by=by)

    transact(engine, halt)


def finish(engine: Engine, result: RunState, reason: str) -> Audit:
    """Verify the log and end the run; a failed verification halts it instead (INV-006).

    Raises:
        MismatchError: after a failed verification, with the command that goes back to the last
            verified point; log and branch as they were found are kept under snapshot refs.
    """
    transact(engine, _start_verification)
    for _ in range(MAX_AUDITS):
        audit = engine.audit()
        if not audit.is_ok:
            _halt(engine, audit)
        if transact(engine, partial(_end_verified, audit=audit, result=result, reason=reason)):
            return audit
    raise ConflictError(
        "the run cannot end: others keep appending to the log",
        hint="run 'git esaa run' again when they have finished",
    )


def _start_verification(tx: Transaction) -> None:
    decide.require_run(tx.state)
    tx.emit(
        "verify.start",
        decide.ORCHESTRATOR,
        {"checked_from": 1, "checked_to": tx.state.seq},
    )


def _end_verified(tx: Transaction, audit: Audit, result: RunState, reason: str) -> bool:
    """End the run, unless somebody has appended what the audit did not see."""
    decide.require_run(tx.state)
    if tx.state.seq != audit.checked_to:
        return False
    tx.emit(
        "verify.ok",
        decide.ORCHESTRATOR,
        {
            "checked_from": min(audit.checked_from, audit.checked_to),
            "checked_to": audit.checked_to,
            "projection_hash_sha256": audit.projection_hash,
        },
    )
    decide.end_run(tx, result, reason)
    return True


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

    def record(tx: Transaction) -> None:
        payload: dict[str, Any] = {
            "outcome": audit.outcome,
            "check": audit.check,
            "message": audit.message[:2000],
        }
        if audit.event_id is not None:
            payload["event_id"] = audit.event_id
        tx.emit("verify.fail", decide.ORCHESTRATOR, payload)
        decide.end_run(
            tx,
            RunState.HALTED,
            f"verification failed: {audit.message}",
            snapshots=snapshots,
            recovery=recovery,
        )

    transact(engine, record)
    raise MismatchError(
        f"verification failed, the run is halted: {audit.message}",
        cause=f"log and branch as they are now are kept under {', '.join(snapshots)}",
        hint=f"look at it with 'git esaa verify --full'; to go back: '{recovery}'"
        if audit.recovery
        else "look at it with 'git esaa verify --full'",
    )
