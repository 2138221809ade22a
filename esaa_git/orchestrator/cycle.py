"""The cycle: select, dispatch, validate, accept or reject, until nothing is left to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import instant, timestamp
from esaa_git.core.machine import RunState, TaskState
from esaa_git.core.state import State, Task
from esaa_git.errors import RefusedError, RunHalted
from esaa_git.orchestrator import decide, run
from esaa_git.orchestrator.commit import Admission, close
from esaa_git.orchestrator.engine import Engine
from esaa_git.orchestrator.proposer import attempt
from esaa_git.orchestrator.transaction import Transaction, transact
from esaa_git.ports import Audit

MAX_WAIT_SECONDS = 3600


@dataclass
class Report:
    """What one call of `cycle` did, and where the run stands after it."""

    admissions: list[Admission] = field(default_factory=list)
    result: RunState | None = None
    reason: str = ""
    audit: Audit | None = None


def cycle(
    engine: Engine,
    *,
    steps: int | None = None,
    task_id: str | None = None,
    agent: str | None = None,
    on_admission: Callable[[Admission], None] = lambda _: None,
) -> Report:
    """Work until the run ends, nothing can be done, or `steps` attempts were made.

    With `task_id`, only that task is worked on, until it is done, blocked or its attempts are
    spent.

    Raises:
        RunHalted: if nothing can be done now and the run cannot end: the message says why.
    """
    report = Report()
    while True:
        _settle(engine, report, on_admission)
        state, contracts = engine.log.load()
        if not state.run.is_open:
            report.result, report.reason = RunState(state.run.state), state.run.reason
            return report
        if steps is not None and len(report.admissions) >= steps:
            return report
        task = _next(engine, state, task_id)
        if task is not None:
            report.admissions.append(attempt(engine, task, agent))
            on_admission(report.admissions[-1])
            continue
        if task_id is not None and state.tasks[task_id].state in (
            TaskState.DONE,
            TaskState.BLOCKED,
        ):
            return report
        ending = decide.outcome(state, contracts)
        if ending is not None:
            report.audit = run.finish(engine, *ending)
            report.result, report.reason = ending
            return report
        _wait(engine, state, contracts)


def _settle(engine: Engine, report: Report, on_admission: Callable[[Admission], None]) -> None:
    """Close attempts whose lease ran out, and finish tasks whose effect waits in the log."""
    state, _ = engine.log.load()
    now = timestamp(engine.clock.now())
    if not state.run.is_open:
        return
    held = [state.tasks[task_id] for task_id in state.run.in_progress]
    late = [
        task.task_id
        for task in held
        if task.active_attempt is not None and task.active_attempt.deadline <= now
    ]
    if late:
        transact(engine, lambda tx: _expire(tx, late))
    for task in held:
        if _is_ready_to_close(state, task):
            admission = close(engine, task.task_id)
            on_admission(admission)
            if admission.kind == "waiting":
                raise RunHalted(admission.message)
            report.admissions.append(admission)


def _expire(tx: Transaction, task_ids: list[str]) -> None:
    decide.expire(tx, [tx.state.tasks[task_id] for task_id in task_ids])


def _is_ready_to_close(state: State, task: Task) -> bool:
    """Answer whether a validated result has everything it needs and only was not applied."""
    if task.result is None or task.active_attempt is not None:
        return False
    if task.pending_approval is None:
        return True
    return state.approvals[task.pending_approval].state == "granted"


def _next(engine: Engine, state: State, task_id: str | None) -> Task | None:
    _, contracts = engine.log.load()
    now = max(timestamp(engine.clock.now()), state.ts)
    if task_id is None:
        return next(iter(decide.eligible(state, contracts, now)), None)
    task = decide.find_task(state, task_id)
    found = decide.hindrance(state, contracts, task, now)
    if found is None:
        return task
    if task.state == TaskState.TODO and task.not_before is not None and now < task.not_before:
        return None
    if task.state in (TaskState.DONE, TaskState.BLOCKED):
        return None
    raise RefusedError(found.message, hint=found.hint)


def _wait(engine: Engine, state: State, contracts: Contracts) -> None:
    """Sleep until a cooldown ends; whoever else the run waits for is named instead."""
    now = timestamp(engine.clock.now())
    held = [state.tasks[task_id] for task_id in state.run.in_progress]
    cooling = [
        task.not_before
        for task in state.tasks.values()
        if task.state == TaskState.TODO and task.not_before is not None and task.not_before > now
    ]
    if cooling:
        moment = min(cooling)
        seconds = (instant(moment) - instant(now)).total_seconds()
        if seconds <= MAX_WAIT_SECONDS:
            engine.say(f"cooling down until {moment}")
            engine.clock.sleep(max(seconds, 0.01))
            return
        raise RunHalted(f"the next attempt may start at {moment}", hint="run 'git esaa run' then")
    if held:
        waits = "; ".join(_waits_for(task) for task in held[:5])
        raise RunHalted(f"nothing else can be done now: {waits}")
    # A limit was lowered after these were used; only a person takes them up again.
    for task in state.tasks.values():
        if task.state == TaskState.TODO and decide.is_spent(task, contracts):
            raise RunHalted(
                f"nothing can be done: the attempts of '{task.task_id}' are spent",
                hint=f"run 'git esaa task unblock {task.task_id} --attempts N --reason TEXT'",
            )
    raise RunHalted(
        f"nothing can be done: {len(state.run.blocked)} tasks are blocked",
        hint="run 'git esaa status' for the reasons, then 'git esaa task unblock TASK'",
    )


def _waits_for(task: Task) -> str:
    if task.pending_approval is not None:
        return f"'{task.task_id}' waits for 'git esaa review {task.task_id}'"
    holder = task.attempt.agent if task.attempt else "somebody"
    return f"'{task.task_id}' is held by {holder}"
