"""The life of a run: opened by a plan, changed by it, and ended."""

from __future__ import annotations

from typing import Literal, cast

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent
from esaa_git.core.events import RunInit, TaskCreate, VerifyFail, VerifyOk
from esaa_git.core.events.fields import TaskChanges
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.machine import Cause, RunState
from esaa_git.core.policy_rules import library_for
from esaa_git.core.state import State
from esaa_git.engine.decide.events import REASON, Events, by_actor, by_us, next_run, run_end, update
from esaa_git.engine.decide.tasks import require_pinned
from esaa_git.engine.intentions import ChangePlan, EndRun, FailVerification, StartRun, StopRun
from esaa_git.engine.schedule import require_run
from esaa_git.errors import RunHalted


def start_run(state: State, wanted: StartRun) -> Events:
    """Open a run, unless the last one was halted by what is not resolved."""
    _require_no_halt(state)
    if wanted.base is None:
        raise RunHalted(
            f"there is no branch '{wanted.branch}' to work on",
            hint=f"create it with 'git branch {wanted.branch}', or choose another with --branch",
        )
    if wanted.signer is None:
        for task in wanted.tasks:
            require_pinned(task.task_id, task.checks, wanted.contracts)
    began = RunInit(
        run_id=next_run(state),
        project=wanted.project,
        branch=wanted.branch,
        base=wanted.base,
        contracts=wanted.contracts.pins,
        tasks=wanted.tasks,
        by=wanted.by,
        programs=wanted.contracts.program_pins,
        foreign_logs=wanted.contracts.orchestrator.foreign_logs or None,
        cel=library_for(wanted.contracts),
    )
    actor = wanted.signer or ORCHESTRATOR
    return (by_actor(actor, began), *_amended(state, wanted.amended, wanted.by))


def _require_no_halt(state: State) -> None:
    """Refuse to go on after a halt whose critical issue is not resolved."""
    if state.run.state != RunState.HALTED:
        return
    for number in range(state.run.issues, 0, -1):
        issue = state.issues[f"ISS-{number:04d}"]
        if issue.is_open and issue.severity == "critical":
            raise RunHalted(
                f"{state.run.run_id} was halted by {issue.issue_id}: {issue.title}",
                hint=f"run 'git esaa issue resolve {issue.issue_id} --reason TEXT' first",
            )


def change_plan(state: State, contracts: Contracts, wanted: ChangePlan) -> Events:
    """Create and amend tasks of the open run; their programs are pinned already."""
    for task in wanted.tasks:
        require_pinned(task.task_id, task.checks, contracts)
    for task_id, changes in wanted.amended:
        require_pinned(task_id, changes.checks, contracts)
    created = (TaskCreate(task=task, by=wanted.by) for task in wanted.tasks)
    return (*map(by_us, created), *_amended(state, wanted.amended, wanted.by))


def _amended(state: State, amended: tuple[tuple[str, TaskChanges], ...], by: str | None) -> Events:
    return tuple(
        update(state.tasks[task_id], Cause.AMENDED, changes=changes, reason="plan", by=by)
        for task_id, changes in amended
    )


def stop_run(state: State, wanted: StopRun) -> NewEvent:
    """Halt the run; an admin may, where the orchestrator cannot."""
    by, signer = wanted.signer or wanted.by, wanted.signer or ORCHESTRATOR
    return run_end(state, RunState.HALTED, wanted.reason, by=by, actor=signer)


def end_run(state: State, wanted: EndRun) -> Events:
    """End the run, unless events were appended that the audit did not see."""
    require_run(state)
    audit = wanted.audit
    if state.seq != audit.checked_to:
        return ()
    verified = VerifyOk(
        checked_from=min(audit.checked_from, audit.checked_to),
        checked_to=audit.checked_to,
        projection_hash_sha256=str(audit.projection_hash),
    )
    return (by_us(verified), run_end(state, wanted.result, wanted.reason))


def fail_verification(state: State, wanted: FailVerification) -> Events:
    """Record the failed check and halt the run."""
    audit = wanted.audit
    failed = VerifyFail(
        outcome=cast(Literal["mismatch", "corrupted"], audit.outcome),
        check=cast(int, audit.check),
        message=audit.message[:REASON],
        event_id=audit.event_id,
    )
    ended = run_end(
        state,
        RunState.HALTED,
        f"verification failed: {audit.message}",
        snapshots=tuple(wanted.snapshots),
        recovery=wanted.recovery,
    )
    return (by_us(failed), ended)
