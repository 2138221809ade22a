"""The checks of tasks, run on a commit as on a proposal: for nothing, and nothing is recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esaa_git.app.asked import working_tip
from esaa_git.app.needs import Ahead, ahead, of_log
from esaa_git.app.project import has_log
from esaa_git.app.roadmap import check_usable, read_plan
from esaa_git.app.run import to_be_in_force
from esaa_git.errors import AgentError, NotAllowed, RepositoryError, UsageError

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.agent_contract import Check
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.plan import Plan
    from esaa_git.core.state import State


@dataclass(frozen=True, slots=True)
class Ran:
    """How one check ended.

    Attributes:
        passed: None where it was not run, since one before it failed.
        reason: why it failed, in words; empty where it did not.
        output: what it printed.
        is_runnable: False where a program that it starts is not there.
    """

    name: str
    run: tuple[str, ...]
    passed: bool | None
    reason: str = ""
    output: str = ""
    duration_ms: int = 0
    is_runnable: bool = True


@dataclass(frozen=True, slots=True)
class Checked:
    """The checks of some tasks, which have the same ones, on a commit.

    Attributes:
        fault: why none of them could be run here; None where they were.
    """

    tasks: tuple[str, ...]
    commit: str
    checks: tuple[Ran, ...]
    fault: AgentError | None = None

    @property
    def passed(self) -> bool:
        return self.fault is None and all(check.passed for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa check --json` prints it."""
        return {
            "tasks": list(self.tasks),
            "commit": self.commit,
            "passed": self.passed,
            **({} if self.fault is None else {"fault": self._fault_json(self.fault)}),
            "checks": [
                {
                    "name": one.name,
                    "run": list(one.run),
                    "passed": one.passed,
                    "reason": one.reason,
                    "output": one.output,
                    "duration_ms": one.duration_ms,
                    "is_runnable": one.is_runnable,
                }
                for one in self.checks
            ],
        }

    def _fault_json(self, fault: AgentError) -> dict[str, Any]:
        return {"message": fault.message, "cause": fault.cause, "hint": fault.hint}


def check(project: Project, task_id: str | None = None, *, on: str | None = None) -> list[Checked]:
    """Run the checks of a task, or of all that are ahead, as a run does; record nothing.

    They are confined as a run confines them, with the pinned programs over the tree, and only
    where the user of this machine has agreed to them. Where those of some tasks cannot be run here,
    the others are run all the same.

    Args:
        on: a commit; by default the tip of the working branch, which is the next attempt's base.

    Raises:
        UsageError: if there is no such task or commit.
        NotAllowed: without consent.
    """
    from esaa_git.core.state import EMPTY

    state = project.log.load()[0] if has_log(project) else EMPTY
    plan = read_plan(project.repository)
    contracts = to_be_in_force(project, None, plan)
    check_usable(contracts)
    commit = _commit(project, on)
    kinds = contracts.agent.kinds
    by_checks: dict[tuple[Check, ...], list[str]] = {}
    for task in _tasks(plan, state, task_id):
        if task.kind in kinds:
            checks = contracts.checks(task.kind, task.checks)
            by_checks.setdefault(tuple(checks), []).append(task.task_id)
    return [
        _checked(project, contracts, tuple(tasks), checks, commit)
        for checks, tasks in by_checks.items()
        if checks
    ]


def _tasks(plan: Plan, state: State, task_id: str | None) -> list[Ahead]:
    found = ahead(plan, state, task_id)
    if task_id is None or found:
        return found
    known = state.tasks.get(task_id)
    if known is None:
        raise UsageError(
            f"no task '{task_id}'", hint="run 'git esaa task list' to see the tasks there are"
        )
    return [of_log(known)]


def _commit(project: Project, on: str | None) -> str:
    import pygit2

    repository = project.repository
    if on is None:
        tip = working_tip(repository)
        if tip is None:
            raise RepositoryError("there is no commit yet", hint="make a first one, then repeat")
        return tip
    try:
        return str(repository.raw.revparse_single(on).peel(pygit2.Commit).id)
    except (KeyError, ValueError, pygit2.GitError) as error:
        raise UsageError(
            f"'{on}' names no commit", hint="name a branch, a tag, or a commit by its id"
        ) from error


def _checked(
    project: Project,
    contracts: Contracts,
    tasks: tuple[str, ...],
    checks: tuple[Check, ...],
    commit: str,
) -> Checked:
    try:
        return Checked(tasks, commit, _run(project, contracts, checks, commit))
    except NotAllowed:
        raise
    except AgentError as error:
        not_run = tuple(Ran(one.name, one.run, None) for one in checks)
        return Checked(tasks, commit, not_run, error)


def _run(
    project: Project, contracts: Contracts, checks: tuple[Check, ...], commit: str
) -> tuple[Ran, ...]:
    from esaa_git.engine.basecheck import run_on

    results = {one.name: one for one in run_on(project.engine, contracts, checks, commit)}
    found = []
    for one in checks:
        result = results.get(one.name)
        if result is None:
            found.append(Ran(one.name, one.run, None))
            continue
        found.append(
            Ran(
                one.name,
                one.run,
                result.passed,
                result.reason,
                result.output,
                result.duration_ms,
                result.is_runnable,
            )
        )
    return tuple(found)
