"""Checks on the base: what fails before any work is no agent's fault, and is found before it.

A check of a kind says what holds for every task of that kind, and so holds on the base. A check of
a task says what the task is for: it may fail before, as long as it can be run. Which commands can
be run is seen by running them, as on a proposal: in the same order, in one throwaway tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from esaa_git.core import storage
from esaa_git.core.agent_contract import Check
from esaa_git.core.contract_rules import required_checks
from esaa_git.core.contracts import AgentEntry, Contracts
from esaa_git.core.printable import printable
from esaa_git.core.setup import Setup
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.laying import laid, require_pinned
from esaa_git.engine.pool import Cancelled
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter, SetsUp
from esaa_git.ports.checks import CheckResult

SHOWN = 600
"""How many characters of a failed check's output an error tells: the end of it."""


def run_on(
    engine: Engine,
    contracts: Contracts,
    checks: Sequence[Check],
    commit: str,
    pause: Callable[[], None] = lambda: None,
) -> Sequence[CheckResult]:
    """Run checks on a commit as on a proposal, and record nothing; the first failure is the last.

    Raises:
        AgentError: if one names a program that nobody has pinned, or they cannot be run here.
    """
    require_pinned(checks, contracts)
    over = laid(engine, contracts, commit, {}, checks)
    return engine.checker.run(checks, commit, over, pause)


class BaseChecks:
    """What one run has seen of the base: a list of checks is run once, and so is a setup.

    Args:
        agent: who would be asked for a task.
        may_fail: no check is looked at.
        given_up: answers whether a person does not want to go on.
    """

    def __init__(
        self,
        engine: Engine,
        agent: Callable[[Task, Contracts], AgentEntry],
        may_fail: bool = False,
        given_up: Callable[[], bool] = lambda: False,
    ) -> None:
        self._engine = engine
        self._agent = agent
        self._may_fail = may_fail
        self._given_up = given_up
        self._passed: set[tuple[Check, ...]] = set()
        self._set_up: set[tuple[Setup, ...]] = set()

    def has_seen(self, task: Task, contracts: Contracts) -> bool:
        """Answer whether nothing would have to be run for the task."""
        setups = self._agent(task, contracts).setups
        return self._is_set_up(setups) and self._is_checked(task, contracts)

    def _is_set_up(self, setups: tuple[Setup, ...]) -> bool:
        return not setups or setups in self._set_up

    def _is_checked(self, task: Task, contracts: Contracts) -> bool:
        checks = required_checks(task, contracts)
        return self._may_fail or not checks or checks in self._passed

    def require(self, task: Task, contracts: Contracts, adapter: AgentAdapter) -> None:
        """Have made what the agent works in, and see that the task's checks do what they have to.

        Either takes its own time, and none of an attempt's.

        Args:
            adapter: of the agent that will be asked.

        Raises:
            AgentError: naming the first check that does not; if a setup fails.
            Cancelled: if a person does not want to go on meanwhile.
        """
        base = self._engine.branch.tip(str(self._engine.log.load()[0].run.branch))
        if base is None:
            return
        setups = self._agent(task, contracts).setups
        if not self._is_set_up(setups) and isinstance(adapter, SetsUp):
            owners = " and ".join(setup.owner for setup in setups)
            self._engine.say(f"setting up for {task.task_id}: the setup of {owners}")
            adapter.set_up(base, self._pause)
        self._set_up.add(setups)
        if not self._is_checked(task, contracts):
            self._check(task, contracts, base)

    def _check(self, task: Task, contracts: Contracts, base: str) -> None:
        engine, checks = self._engine, required_checks(task, contracts)
        names = ", ".join(check.name for check in checks)
        engine.say(f"looking at the base of {task.task_id}, before anybody works: {names}")
        results = run_on(engine, contracts, checks, base, self._pause)
        of_kind = len(contracts.agent.kind(task.kind).checks)
        for at, result in enumerate(results):
            if not result.is_runnable or (not result.passed and at < of_kind):
                raise _fault(task, result, contracts)
        self._passed.add(checks)

    def _pause(self) -> None:
        if self._given_up():
            raise Cancelled


def _fault(task: Task, result: CheckResult, contracts: Contracts) -> AgentError:
    said = storage.redact(printable(result.output), contracts.storage).strip()[-SHOWN:]
    what = "fails on the base already" if result.is_runnable else "cannot be run here"
    ways = (
        "" if result.is_runnable else "a check sees what is committed, PATH and nothing of yours; "
    )
    return AgentError(
        f"check '{result.name}' of '{task.task_id}' {what}: {result.reason}",
        cause=said or "it printed nothing",
        hint=f"{ways}run 'git esaa check {task.task_id}' to look at it; where the work is to make "
        "it pass, run 'git esaa run --base-may-fail'",
    )
