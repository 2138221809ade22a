"""Undo: done tasks are taken back, each after all that builds on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from esaa_git.app.branches import standing_on
from esaa_git.app.work import Outcome, outcome_of
from esaa_git.checkout.ready import require_ready
from esaa_git.errors import UsageError
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.position import find_event, is_position
from esaa_git.store.promisor import bring

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.state import State
    from esaa_git.engine.undo import Planned

_RUN: Final = "RUN-"


@dataclass(frozen=True, slots=True)
class Undoing:
    """What an undo takes back, in this order, and what became of it.

    Attributes:
        named: the tasks that were named; the others build on these.
        steps: what each comes to.
        asked: the request is recorded.
        outcomes: what came of what could be done at once; empty where the orchestrator's key is
            elsewhere.
    """

    named: tuple[str, ...]
    steps: tuple[Planned, ...]
    asked: bool = False
    outcomes: tuple[Outcome, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa undo --json` prints it."""
        return {
            "named": list(self.named),
            "asked": self.asked,
            "tasks": [_step_json(one) for one in self.steps],
            "outcomes": [one.to_json() for one in self.outcomes],
        }


def _step_json(step: Planned) -> dict[str, Any]:
    from esaa_git.core.events.base import encode

    inverse = step.inverse
    return {
        "task_id": step.task.task_id,
        "title": step.task.title,
        "undone_by": step.undo_id,
        "needs": step.needs or None,
        "denied": step.denied,
        "files": []
        if inverse is None
        else [encode(file.recorded()) for file in inverse.proposal.files],
        "merged": [] if inverse is None else list(inverse.merged),
        "conflicts": []
        if inverse is None
        else [{"path": one.path, "reason": one.reason} for one in inverse.clashes],
    }


def plan(project: Project, what: str) -> Undoing:
    """Return what undoing a run, a task or what an event did would do; nothing is recorded.

    Args:
        what: `RUN-0001`, a task, or an event as `show` takes it, which stands for its task.

    Raises:
        UsageError: if it names nothing that can be undone.
        RefusedError: if it cannot be undone as things are.
    """
    from esaa_git.engine import undo

    engine, state = project.engine, project.log.load()[0]
    if what not in state.tasks and what.startswith(_RUN):
        names = undo.of_run(engine, what)
        named = tuple(name for name in names if name in undo.done_in(engine, what))
    else:
        task_id = what if what in state.tasks else _task_of(project, state, what)
        names, named = undo.of_task(engine, task_id), (task_id,)
    branch = str(state.run.branch)
    if standing_on(project.repository) not in (None, branch):
        project.note(f"note: it is undone on '{branch}', where the work of the last run is")
    return Undoing(named, undo.plan(engine, names, partial(bring, project.repository)))


def undo(project: Project, what: str, reason: str = "", actor: str | None = None) -> Undoing:
    """Have a run, a task or what an event did undone, as `plan` has it.

    An admin's key signs the request. Where the orchestrator's key is at hand as well, it is carried
    out at once, as far as nobody else has to agree; else with the orchestrator's next run.

    Args:
        reason: why; it is signed and recorded.
        actor: who decides it; by default whom git's configuration names.

    Raises:
        UsageError, RefusedError: as `plan`, and where something of it does not fit the branch.
        ConflictError: if something of git's is half done in a checkout of the branch.
    """
    from esaa_git.engine import requests
    from esaa_git.engine import undo as undos

    engine, planned = project.engine, plan(project, what)
    require_ready(project.repository, str(project.log.load()[0].run.branch))
    undos.require_fit(engine, planned.steps)
    names = [step.task.task_id for step in planned.steps]
    begun = requests.undo(engine, names, project.actor(actor), reason)
    outcomes = _carry_on(project) if begun else ()
    return Undoing(planned.named, planned.steps, True, outcomes)


def go_on(project: Project) -> tuple[Outcome, ...]:
    """Carry out what was asked for elsewhere, and go on with every undo that is under way.

    Raises:
        KeyUnavailable: if the orchestrator's key is not at hand.
    """
    from esaa_git.engine.requests import carry_out_open

    _ = project.log.signer
    carry_out_open(project.engine, only="undo")
    return _carry_on(project)


def _carry_on(project: Project) -> tuple[Outcome, ...]:
    from esaa_git.engine.undo import carry_on

    return tuple(outcome_of(one) for one in carry_on(project.engine))


def _task_of(project: Project, state: State, what: str) -> str:
    """Return the task that an event is about.

    Raises:
        UsageError: if it is about none, or there is no such event.
    """
    if not is_position(what):
        raise UsageError(
            f"'{what}' is no run, task or event",
            hint="name one as in 'git esaa undo T-1000'; 'git esaa log' shows them",
        )
    event = read_event_commit(project.repository.read, find_event(project.repository, what)).event
    approval = state.approvals.get(getattr(event.payload, "approval_id", ""))
    task_id = event.task_id or (None if approval is None else approval.task_id)
    if task_id is None:
        raise UsageError(
            f"{event.event_id} ({event.action}) is about no task, so there is nothing to undo",
            hint="name a task or a run; 'git esaa log --task TASK' shows the events of one",
        )
    return task_id
