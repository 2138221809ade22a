"""Undo: which tasks it takes, what each comes to, and how what was asked for is carried on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from esaa_git.core.contracts import Contracts
from esaa_git.core.events import FileWrite, RunInit, TaskUpdate
from esaa_git.core.events.approval import needs
from esaa_git.core.events.facts import file_facts
from esaa_git.core.events.file_write import AnyFile, images
from esaa_git.core.events.operator_request import MOST
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.machine import TaskState
from esaa_git.core.policy_rules import Source, facts_of, judge
from esaa_git.core.requirements import requirements
from esaa_git.core.state import State
from esaa_git.core.task import Judged, Ruling, Task
from esaa_git.core.undo import KIND, definition
from esaa_git.core.undone import builders, dependants, satisfies, stands
from esaa_git.engine.attempts import expire_approvals, unanswered
from esaa_git.engine.decide.tasks import require_undoable
from esaa_git.engine.effect import finish_undo, write_undo
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission
from esaa_git.engine.fit import unlawful
from esaa_git.engine.inverse import Inverse, Inverter
from esaa_git.engine.schedule import find_task
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import EsaaError, RefusedError, UsageError

# -- which tasks, newest first ----------------------------------------------------------------


def of_task(engine: Engine, task_id: str) -> tuple[str, ...]:
    """Return a task and all that builds on it and stands, newest first."""
    state, _ = engine.log.load()
    return _ordered(engine, _with_dependants(state, [find_task(state, task_id).task_id]))


def of_run(engine: Engine, run_id: str) -> tuple[str, ...]:
    """Return the tasks that were done in a run and stand, and all that builds on them.

    What a run has undone of its own counts as never done.

    Raises:
        UsageError: if there is no such run, or nothing of it stands.
    """
    state, _ = engine.log.load()
    done = done_in(engine, run_id)
    own = [name for name in done if stands(state, name) and state.tasks[name].undoes not in done]
    if not own:
        raise UsageError(
            f"nothing that was done in {run_id} stands",
            hint="run 'git esaa task list --state done' to see what is done",
        )
    return _ordered(engine, _with_dependants(state, own))


def done_in(engine: Engine, run_id: str) -> list[str]:
    """Return the tasks that were done in a run, the last first.

    Raises:
        UsageError: if there is no such run.
    """
    found: list[str] = []
    for name in _closings(engine):
        if name.startswith("RUN-"):
            if name == run_id:
                return found
            found = []
        else:
            found.append(name)
    raise UsageError(f"no run '{run_id}'", hint="run 'git esaa log --action run.init' to see all")


def _closings(engine: Engine) -> Iterator[str]:
    """Yield the tasks in the order in which they were done, the last first, and after its tasks
    each run."""
    for stored in engine.log.events(newest_first=True):
        payload = stored.event.payload
        if isinstance(payload, TaskUpdate) and payload.to == TaskState.DONE:
            yield payload.task_id
        elif isinstance(payload, RunInit):
            yield payload.run_id


def _with_dependants(state: State, task_ids: Iterable[str]) -> set[str]:
    known, queue = builders(state), list(task_ids)
    found = set(queue)
    while queue:
        name = queue.pop()
        if not state.tasks[name].is_done:
            continue
        new = [one.task_id for one in dependants(state, name, known) if one.is_done]
        queue += (more := [one for one in new if one not in found and stands(state, one)])
        found.update(more)
    return found


def _ordered(engine: Engine, task_ids: Collection[str]) -> tuple[str, ...]:
    left, found = set(task_ids), []
    state, _ = engine.log.load()
    for name in left.copy():
        if not state.tasks[name].is_done:
            found.append(name)  # which is said when it is asked for
            left.remove(name)
    for name in _closings(engine):
        if name in left:
            left.remove(name)
            found.append(name)
        if not left:
            break
    return tuple(found)


# -- what it would do -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planned:
    """What undoing one task comes to.

    Attributes:
        undo_id: the task that undoes it.
        inverse: what is written; None where the task wrote nothing.
        needs: in words, who has to agree first; empty where nobody has to.
        denied: why policy does not allow it.
    """

    task: Task
    undo_id: str
    inverse: Inverse | None
    needs: str
    denied: str | None


def plan(
    engine: Engine,
    task_ids: Iterable[str],
    bring: Callable[[Iterable[str]], object] = lambda _: None,
) -> tuple[Planned, ...]:
    """Return what undoing these tasks would do, in this order, on the branch as it is.

    Args:
        bring: fetches contents by id, where the repository leaves some out.

    Raises:
        RefusedError: if they cannot be undone in this order.
        RepositoryError: if a content is not here, and no remote has it.
    """
    state, contracts = engine.log.load()
    names = tuple(task_ids)
    require_undoable(state, names)
    if len(names) > MOST:
        raise RefusedError(
            f"{len(names)} tasks would be undone, and {MOST} are undone at a time",
            hint="name what was done last first, a run or a task",
        )
    onto = engine.branch.tip(str(state.run.branch))
    if onto is None:
        raise RefusedError(
            f"the working branch '{state.run.branch}' is not here",
            hint="fetch it, or check it out under this name, then repeat the command",
        )
    written = _written(engine, state, names)
    found = (images(files) for files in written.values())
    bring(image[1] for one in found for _, *both in one for image in both if image is not None)
    inverter = Inverter(engine, onto)
    return tuple(
        _planned(inverter, state, contracts, name, written.get(name, ())) for name in names
    )


def _written(
    engine: Engine, state: State, task_ids: Iterable[str]
) -> Mapping[str, tuple[AnyFile, ...]]:
    """Return the files of these tasks' effects as they are recorded, those that have one."""
    results = {name: state.tasks[name].result for name in task_ids}
    wanted = {one.attempt_id for one in results.values() if one is not None and one.wrote}
    found: dict[str, tuple[AnyFile, ...]] = {}
    for stored in engine.log.events(newest_first=True) if wanted else ():
        payload = stored.event.payload
        if isinstance(payload, FileWrite) and payload.attempt_id in wanted:
            wanted.remove(payload.attempt_id)
            found[payload.task_id] = payload.files
        if not wanted:
            break
    return found


def _planned(
    inverter: Inverter,
    state: State,
    contracts: Contracts,
    task_id: str,
    written: tuple[AnyFile, ...],
) -> Planned:
    task, undo = state.tasks[task_id], definition(state, task_id).task()
    undo = replace(undo, undoes=task_id)
    inverse = inverter.invert(task_id, written) if written else None
    files = [] if inverse is None else [file.recorded() for file in inverse.proposal.files]
    lines = 0 if inverse is None else inverse.proposal.changed_lines
    facts = facts_of(undo, Source(ORCHESTRATOR), file_facts(files), lines)
    denied = unlawful(contracts, facts)
    rulings = tuple(
        Ruling(hit.rule.name, "require", facts.sha256) for hit in judge(contracts, facts).required
    )
    asked = requirements(replace(undo, judged=Judged(rulings=rulings)), contracts)
    why = None if denied is None else denied.rejected.message
    return Planned(task, undo.task_id, inverse, needs(asked), why)


def require_fit(engine: Engine, planned: Iterable[Planned]) -> None:
    """Refuse an undo of which a part cannot be carried out as the branch and its checkouts are.

    Raises:
        RefusedError: naming every path, and what to do.
    """
    steps = tuple(planned)
    clashes = [one for step in steps if step.inverse is not None for one in step.inverse.clashes]
    if clashes:
        shown = "; ".join(f"'{one.path}' ({one.task_id}): {one.reason}" for one in clashes[:10])
        more = f"; and {len(clashes) - 10} more" if len(clashes) > 10 else ""
        raise RefusedError(
            f"WRITE_CONFLICT: {len(clashes)} paths cannot be undone",
            cause=f"{shown}{more}",
            hint="undo what changed them since first, or put them back by hand, commit that, and "
            "repeat the command",
        )
    for step in steps:
        if step.denied is not None:
            raise RefusedError(
                f"POLICY_DENIED: '{step.task.task_id}' cannot be undone",
                cause=step.denied,
                hint=f"run 'git esaa policy explain {step.task.task_id}', or have an admin change "
                "the policy",
            )
    branch = str(engine.log.load()[0].run.branch)
    changes = {
        path: after
        for step in steps
        if step.inverse is not None
        for path, after in step.inverse.proposal.tree_changes().items()
    }
    tip = engine.branch.tip(branch)
    found = [] if tip is None else engine.checkouts.in_the_way(branch, tip, changes)
    if found:
        paths = ", ".join(f"'{one.path}'" for one in found)
        raise RefusedError(
            f"your uncommitted work is in the way at {paths}",
            hint=f"{engine.checkouts.way_out(branch, found)}, then repeat the command",
        )


# -- carrying it on ---------------------------------------------------------------------------


def carry_on(engine: Engine) -> list[Admission]:
    """Go on with every undo that is under way, as far as that needs nobody; name what came of it.

    What cannot go on as things are is said, and stays.
    """
    state, _ = engine.log.load()
    if unanswered(state, engine.moment(state)):
        transact(engine, expire_approvals)  # as a run does, where one is open
    came: list[Admission] = []
    tried: set[str] = set()
    while (task_id := _next(engine, tried)) is not None:
        tried.add(task_id)
        try:
            came.append(transact(engine, partial(_step, engine, task_id)))
        except EsaaError as error:
            why = ": ".join(filter(None, (error.message, error.cause)))
            engine.say(f"{task_id} does not go on: {why}")
    return came


class OpenUndos:
    """The undos that are under way beside a run: each is gone on with once the log has moved."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen = -1

    def go_on(self) -> None:
        """Go on with what is ready, where anything was recorded since this was asked last."""
        state, _ = self._engine.log.load()
        if state.undone.open and state.seq != self._seen:
            for came in carry_on(self._engine):
                undone = self._engine.log.load()[0].tasks[came.task_id].undoes
                is_done = came.kind == "done"
                what = "is undone" if is_done else f"is not undone yet: {came.message}"
                self._engine.say(f"{undone} {what} ({came.task_id})")
            state, _ = self._engine.log.load()
        self._seen = state.seq


def _next(engine: Engine, tried: Collection[str]) -> str | None:
    """Return the task that goes on next, in the order in which it was asked for."""
    state, _ = engine.log.load()
    before: list[Task] = []
    for name in _in_order(state):
        undo = state.undone.under_way(name)
        if undo is None:
            continue
        task = state.tasks[undo.task_id]
        if undo.task_id not in tried and _is_ready(state, task, before):
            return undo.task_id
        if task.state != TaskState.BLOCKED:
            before.append(task)
    return None


def _in_order(state: State) -> Iterator[str]:
    for request in state.requests.values():
        if request.kind == KIND:
            yield from request.arguments["tasks"]


def _is_ready(state: State, task: Task, before: Iterable[Task]) -> bool:
    """Answer whether an undo needs nobody, and those before it leave its files alone by now."""
    if task.state == TaskState.IN_PROGRESS:
        approval = state.approvals.get(task.pending_approval or "")
        return approval is None or approval.state == "granted"
    if task.state != TaskState.TODO or not all(satisfies(state, one) for one in task.depends_on):
        return False
    own = _paths(state, task)
    return all(own.isdisjoint(_paths(state, other)) for other in before)


def _paths(state: State, undo: Task) -> frozenset[str]:
    result = state.tasks[undo.undoes or ""].result
    return frozenset(() if result is None else result.paths)


def _step(engine: Engine, task_id: str, tx: Transaction) -> Admission:
    task = find_task(tx.state, task_id)
    if task.state == TaskState.TODO:
        write_undo(engine, tx, task_id)
    return finish_undo(engine, tx, find_task(tx.state, task_id))
