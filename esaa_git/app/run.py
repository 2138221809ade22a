"""A run: started from the plan, and worked through until nothing is left or it is stopped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from esaa_git.app import plain_git
from esaa_git.app.branches import working_place
from esaa_git.app.consent import require_used
from esaa_git.app.cost import note_how_far
from esaa_git.app.elsewhere import refuse_second_log
from esaa_git.app.needs import ahead, require_programs
from esaa_git.app.observer import Observer
from esaa_git.app.pinning import wanted_contracts
from esaa_git.app.plan import note_edited_contracts, starter
from esaa_git.app.project import has_log
from esaa_git.app.roadmap import plan_order, read_plan
from esaa_git.app.sessions import forget_sessions
from esaa_git.app.sync import share, take_shared
from esaa_git.app.work import Outcome, outcome_of
from esaa_git.engine.options import MAX_WAIT_SECONDS, Options, Stop
from esaa_git.errors import ConflictError, RunHalted, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan
    from esaa_git.engine.exchange import Admission
    from esaa_git.engine.proposer import Dispatched

__all__ = [
    "Options",
    "RunObserver",
    "RunReport",
    "Stop",
    "run",
    "start",
    "work_through",
]


class RunObserver(Observer, Protocol):
    """Is told what happens in a run, in the order in which it is recorded."""

    def asking(self, attempt_id: str, agent: str) -> None:
        """An attempt, or a review of one, was opened and its agent is at work."""
        ...

    def checking(self, attempt_id: str, names: Sequence[str]) -> None:
        """The checks of an attempt's proposal are at work."""
        ...

    def admitted(self, outcome: Outcome) -> None:
        """An attempt came to an end, or said something."""
        ...


SANDBOXES = ("auto", "landlock", "bubblewrap", "none")
"""What may be asked for to confine agents and checks."""


@dataclass(frozen=True, slots=True)
class RunReport:
    """What was done, and where the run stands after it.

    Attributes:
        branch: the one it works on.
        result: how the run ended, `success`, `failed` or `halted`; None where it goes on.
        stopped: it was told to stop before it came to its end.
        events: how many the log has now.
        rejected: how many outputs of agents were rejected in this run.
        verify_status: what the verification at the end of a run found, with the hash of the
            projection; None where the run goes on.
        attempts: what became of each answer, in order.
    """

    branch: str
    result: str | None
    stopped: bool
    reason: str
    events: int
    rejected: int
    verify_status: str | None
    projection_hash: str | None
    attempts: tuple[Outcome, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa run --json` prints it."""
        return {
            "branch": self.branch,
            "result": self.result,
            "stopped": self.stopped,
            "reason": self.reason,
            "events": self.events,
            "rejected": self.rejected,
            "verify_status": self.verify_status,
            "projection_hash_sha256": self.projection_hash,
            "attempts": [
                {name: value for name, value in one.to_json().items() if name != "detail"}
                for one in self.attempts
            ],
        }


def run(
    project: Project,
    *,
    steps: int | None = None,
    task_id: str | None = None,
    agent: str | None = None,
    parallel: int = 1,
    overlap: bool = False,
    wait: float = MAX_WAIT_SECONDS,
    base_may_fail: bool = False,
    remote: str | None = None,
    patience: float = 600,
    sandbox: str = "auto",
    branch: str | None = None,
    actor: str | None = None,
    observer: RunObserver | None = None,
    stop: Stop | None = None,
) -> RunReport:
    """Let agents work through the plan, as `git esaa run` does: `share`, `start`, `work_through`.

    Args:
        steps: stop after so many attempts.
        task_id: work on this task only.
        agent: ask this agent, whatever the kind of task.
        parallel: let so many agents work at once, on tasks that may not write the same files.
        overlap: with `parallel`, also where they may.
        wait: for how many seconds at most to do nothing, where a cooldown or a service that is
            away is all there is to wait for.
        base_may_fail: ask agents although a check fails on the base already.
        remote: work beside others on the log of this remote.
        patience: with `remote`, for how many seconds it may be out of reach.
        sandbox: what confines agents and checks: `auto`, `landlock`, `bubblewrap`, or `none`.
        branch: the working branch of a new run; in a bare repository, `.roadmap/` is read from it.
        actor: who starts it; by default whom git's configuration names.
        observer: is told what happens, and has the project's notes meanwhile.
        stop: how the caller ends it before, from a signal handler or another thread.

    Raises:
        UsageError: for less than one agent or attempt, or an unknown confinement.
        RunHalted: if the run is over and the plan has nothing new, or only a person can help; so
            for a `task_id` that is blocked.
        RefusedError: if `task_id` is done already, or waits for others.
        ServiceUnavailable: if a service is away for longer than `wait`; the same call goes on.
        AgentError: if an agent cannot be asked at all.
        ConfigurationError: if the plan or the contracts cannot be used; nothing is recorded.
    """
    if parallel < 1 or (steps is not None and steps < 1):
        raise UsageError("a run of no agents or of no attempts does nothing", hint="use 1 or more")
    if sandbox not in SANDBOXES:
        raise UsageError(
            f"'{sandbox}' is no confinement", hint=f"use one of {', '.join(SANDBOXES)}"
        )
    stop = stop or Stop()
    project.sandbox = sandbox
    if remote is not None:
        share(project, remote, patience, lambda: stop.cancelling)
    start(project, branch=branch, actor=actor, agent=agent, task_id=task_id)
    options = Options(
        steps, task_id, agent, parallel, overlap, wait=wait, base_may_fail=base_may_fail
    )
    return work_through(project, options, observer=observer, stop=stop)


def work_through(
    project: Project,
    options: Options,
    *,
    observer: RunObserver | None = None,
    stop: Stop | None = None,
) -> RunReport:
    """Have agents work through the tasks of the open run, until nothing is left for them.

    Args:
        observer: is told what happens, and has the project's notes meanwhile.
        stop: how the caller ends it before, from a signal handler or another thread.
    """
    from esaa_git.app.halting import watch
    from esaa_git.engine.cycle import cycle
    from esaa_git.engine.requests import carry_out_open
    from esaa_git.engine.transaction import settle
    from esaa_git.engine.undo import OpenUndos

    plain_git.refresh(project.repository, project.note)
    branch = project.log.load()[0].run.branch
    options = replace(options, order=plan_order(project.repository, branch))
    before = project.observer
    if observer is not None:
        project.observer = observer
    try:
        told = None if observer is None else _Told(observer)
        watch(project)
        note_how_far(project)
        settle(project.engine)
        carry_out_open(project.engine)
        OpenUndos(project.engine).go_on()
        report = cycle(project.engine, options, observer=told, stop=stop)
    finally:
        project.observer = before
    forget_sessions(project)
    state, _ = project.log.load()
    audit = report.audit
    return RunReport(
        str(state.run.branch),
        report.result,
        report.stopped,
        report.reason,
        state.seq,
        state.run.rejected,
        None if audit is None else audit.outcome,
        None if audit is None else audit.projection_hash,
        tuple(outcome_of(one) for one in report.admissions),
    )


class _Told:
    """Tells the caller's observer what the engine tells its own, in values of ours."""

    def __init__(self, observer: RunObserver) -> None:
        self._observer = observer

    def dispatched(self, what: Dispatched) -> None:
        self._observer.asking(what.attempt_id, what.adapter.name)

    def checking(self, attempt_id: str, names: tuple[str, ...]) -> None:
        self._observer.checking(attempt_id, names)

    def admitted(self, admission: Admission) -> None:
        self._observer.admitted(outcome_of(admission))


def start(
    project: Project,
    *,
    branch: str | None = None,
    actor: str | None = None,
    agent: str | None = None,
    task_id: str | None = None,
) -> None:
    """Start a run from the plan where none is open; an open one takes new tasks of the plan.

    Args:
        branch: the working branch of a new run; in a bare repository, `.roadmap/` is read from it.
        actor: who starts it; by default whom git's configuration names.
        agent: who will be asked, whatever the kind of task.
        task_id: the only task that will be worked on; what the others need is not asked for.

    Raises:
        NotAllowed: if contracts ask for what the user of this machine has not agreed to.
        RunHalted: if the run is over, and the plan has nothing new; or if one is open on another
            branch than the one that is checked out or named.
        AgentError: if an agent cannot be asked at all; nothing is recorded.
        EsaaError: as `ports.preflight.Preflight.look`; nothing is recorded.
    """
    from esaa_git.core.plan import diff_plan
    from esaa_git.core.state import EMPTY
    from esaa_git.engine import run as runs
    from esaa_git.engine.halting import require_going
    from esaa_git.engine.only import require_undone

    require_used(project, branch=branch)
    place = working_place(project, branch)
    plan = read_plan(project.repository, branch)
    state = EMPTY
    if has_log(project):
        state, in_force = project.log.load()
        require_going(project.engine)
        diff = diff_plan(plan, state)
        note_edited_contracts(project, branch)
        if state.run.is_open and diff.is_empty and place.left is None:
            require_programs(project, in_force, ahead(plan, state, task_id), agent)
            return
        if runs.is_over_for(state, diff):
            if state.run.requests or state.undone.open:
                return  # what an admin has asked for needs no open run
            if project.engine.sharing is not None:
                return  # the others were faster, and the result is ours as well
            require_undone(project.engine, task_id)
            blocked = ", ".join(sorted(state.run.blocked)[:10])
            raise RunHalted(
                f"{state.run.run_id} is over ({state.run.state}), and the plan has nothing new",
                cause=f"blocked: {blocked}" if blocked else None,
                hint="run 'git esaa task unblock TASK --reason TEXT' for each that may go on, "
                "then 'git esaa run'"
                if blocked
                else "add tasks to .roadmap/plan.yaml, or start a run with 'git esaa plan apply'",
            )
    elif not plan.tasks:
        raise RunHalted(
            "the plan has no tasks yet",
            hint="add some to .roadmap/plan.yaml; the comments in it show how",
        )
    elif take_shared(project):
        start(project, branch=branch, actor=actor, agent=agent, task_id=task_id)
        return
    else:
        refuse_second_log(project)
    _ = project.log.signer  # a run that the orchestrator cannot go on with does not begin
    contracts = to_be_in_force(project, branch, plan)
    require_programs(project, contracts, ahead(plan, state, task_id), agent)
    if (place.left is not None or not state.run.is_open) and project.engine.sharing is None:
        project.engine.preflight.look(place.branch)
    by = project.actor(actor)
    if place.left is not None:
        runs.stop(project.engine, place.why_it_ends, by)
        project.note(f"note: the open run has ended, because {place.why_it_ends}")
        contracts = to_be_in_force(project, branch, plan)
    try:
        done = runs.apply(
            project.engine,
            plan,
            contracts,
            branch=place.branch,
            by=by,
            starter=starter(project),
            idle=place.left is not None,
        )
    except ConflictError:
        if not take_shared(project):
            raise
        start(project, branch=branch, actor=actor, agent=agent, task_id=task_id)
        return
    if done.started:
        project.note(f"{done.run_id} started on '{done.branch}' with {done.created} new tasks")


def to_be_in_force(project: Project, branch: str | None, plan: Plan) -> Contracts:
    """Return the contracts of the open run, else those that the next one pins."""
    if has_log(project):
        state, in_force = project.log.load()
        if state.run.is_open:
            return in_force
    return wanted_contracts(project, branch, plan)
