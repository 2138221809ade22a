"""Budgets: which limits a dispatch falls under, and whether what it reserves fits into them.

Append, the server's hook and `verify` ask `fault` alone; the engine asks `shortage` before that, to
know whether to wait, to ask a person, or to take up another task.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from esaa_git.core.accounts import (
    Account,
    Amount,
    Budget,
    account_words,
    agent_account,
    day_account,
    kind_account,
    run_account,
    task_account,
)
from esaa_git.core.contracts import SWARM, Contracts
from esaa_git.core.events import Dispatch
from esaa_git.core.events.fields import Raise, Reserves
from esaa_git.core.runtime_policy import RUNTIME_POLICY
from esaa_git.core.state import State
from esaa_git.core.task import Task


@dataclass(frozen=True, slots=True)
class Scope:
    """One budget that something falls under.

    Attributes:
        where: where it stands, for people.
        name: of the account that is held against it.
    """

    where: str
    name: str
    budget: Budget

    @property
    def words(self) -> str:
        """Whose budget it is, for people."""
        return account_words(self.name)


def scopes(state: State, contracts: Contracts, task: Task, agent: str, ts: str) -> Iterator[Scope]:
    """Yield the budgets under which an agent is asked about a task at a time (RFC 3339)."""
    yield from _of_the_run(state, contracts, ts)
    yield from _of_kinds(state, contracts, (task.kind,))
    yield from _of_agents(state, contracts, (agent,))
    yield from _of_task(task)


def standing(state: State, contracts: Contracts, ts: str) -> Iterator[Scope]:
    """Yield the budgets that the contracts in force declare, and those of tasks under way."""
    yield from _of_the_run(state, contracts, ts)
    yield from _of_kinds(state, contracts, contracts.policy.budgets.kind)
    yield from _of_agents(state, contracts, contracts.swarm.agents)
    for task_id in (*state.run.in_progress, *state.run.blocked):
        yield from _of_task(state.tasks[task_id])


def _of_the_run(state: State, contracts: Contracts, ts: str) -> Iterator[Scope]:
    of, run = contracts.policy.budgets, str(state.run.run_id)
    if of.run is not None:
        yield Scope(f"budgets/run {_IN_POLICY}", run_account(run), of.run)
    if of.day is not None:
        yield Scope(f"budgets/day {_IN_POLICY}", day_account(ts), of.day)


def _of_kinds(state: State, contracts: Contracts, kinds: Iterable[str]) -> Iterator[Scope]:
    run = str(state.run.run_id)
    for kind in kinds:
        budget = contracts.policy.budgets.kind.get(kind)
        if budget is not None:
            where = f"budgets/kind/{kind} {_IN_POLICY}"
            yield Scope(where, kind_account(run, kind), budget)


def _of_agents(state: State, contracts: Contracts, agents: Iterable[str]) -> Iterator[Scope]:
    run = str(state.run.run_id)
    for agent in agents:
        entry = contracts.swarm.agents.get(agent)
        if entry is not None and entry.budget is not None:
            where = f"agents/{agent}/budget in .roadmap/{SWARM}"
            yield Scope(where, agent_account(run, agent), entry.budget)


def _of_task(task: Task) -> Iterator[Scope]:
    if task.budget is not None:
        where = f"'budget' of '{task.task_id}' in .roadmap/plan.yaml"
        yield Scope(where, task_account(task.task_id), task.budget)


_IN_POLICY: Final = f"in .roadmap/{RUNTIME_POLICY}"


@dataclass(frozen=True, slots=True)
class Shortage:
    """What does not fit: the budget, the unit, its limit, and what is spent, held and wanted."""

    scope: Scope
    unit: str
    limit: int
    spent: int
    held: int
    wanted: int

    @property
    def may_end(self) -> bool:
        """Whether it may fit once what others hold is settled."""
        return self.held > 0 and self.spent + self.wanted <= self.limit

    @property
    def missing(self) -> int:
        """By how much the limit would have to be higher for it to fit."""
        return self.spent + self.held + self.wanted - self.limit

    def __str__(self) -> str:
        left = max(0, self.limit - self.spent - self.held)
        return (
            f"the budget of {self.scope.words} has {shown(self.unit, left)} left of "
            f"{shown(self.unit, self.limit)}, and {shown(self.unit, self.wanted)} may be needed"
        )


def shown(unit: str, count: int) -> str:
    """Return an amount in words, as in `1.250000 USD` or `3 calls`."""
    if unit == "microdollars":
        sign, (dollars, rest) = "-" if count < 0 else "", divmod(abs(count), 1_000_000)
        return f"{sign}{dollars}.{rest:06d} USD"
    if unit == "ms":
        return f"{count / 60_000:.1f} minutes"
    return f"{count} {unit}"


def shortage(
    state: State, contracts: Contracts, task: Task, agent: str, ts: str, wanted: Amount
) -> Shortage | None:
    """Return the first limit that a reservation would be beyond; None where it fits."""
    for scope in scopes(state, contracts, task, agent, ts):
        account = state.accounts.get(scope.name) or Account()
        for unit, limit in scope.budget.limits().items():
            allowed = limit + getattr(account.granted, unit)
            spent, held = getattr(account.spent, unit), getattr(account.reserved, unit)
            more = getattr(wanted, unit)
            if spent + held + more > allowed:
                return Shortage(scope, unit, allowed, spent, held, more)
    return None


def overrun_by(state: State, agent: str) -> str | None:
    """Return the event by which an agent took more than it had reserved, until it is looked at."""
    account = state.accounts.get(agent_account(str(state.run.run_id), agent))
    return None if account is None else account.overrun_by


def is_limit(state: State, contracts: Contracts, raised: Raise, task_id: str, ts: str) -> bool:
    """Answer whether an account has a limit in force, so that somebody may raise it."""
    task = state.tasks.get(task_id)
    found = [*standing(state, contracts, ts), *(() if task is None else _of_task(task))]
    return any(
        scope.name == raised.account and raised.unit in scope.budget.limits() for scope in found
    )


def left(state: State, contracts: Contracts, task: Task, agent: str, ts: str) -> dict[str, int]:
    """Return what an agent may still take, by unit: the least of the budgets in force for it."""
    found: dict[str, int] = {}
    for scope in scopes(state, contracts, task, agent, ts):
        account = state.accounts.get(scope.name) or Account()
        for unit, limit in scope.budget.limits().items():
            allowed = limit + getattr(account.granted, unit)
            free = max(0, allowed - getattr(account.spent.plus(account.reserved), unit))
            found[unit] = min(found.get(unit, free), free)
    return found


def demanded(
    state: State, contracts: Contracts, task: Task, agent: str, ts: str
) -> frozenset[str] | None:
    """Return the units that budgets count of a dispatch; None where none is in force for it."""
    found = [scope.budget.limits() for scope in scopes(state, contracts, task, agent, ts)]
    return frozenset(unit for limits in found for unit in limits) if found else None


def amount(reserves: Reserves, *, opens: bool) -> Amount:
    """Return what a dispatch has to fit with; `opens` where it is the first of an attempt.

    An agent that cannot say how many tokens it takes needs one that is left.
    """
    tokens = 1 if reserves.tokens is None else reserves.tokens
    return Amount(reserves.microdollars or 0, tokens, 1, int(opens), reserves.ms or 0)


def fault(state: State, payload: Dispatch, ts: str, contracts: Contracts) -> str | None:
    """Return why a dispatch may not be recorded under the budgets in force, or None."""
    task = state.tasks.get(payload.task_id)
    if task is None:
        return None
    units = demanded(state, contracts, task, payload.agent, ts)
    if units is None:
        return None
    reserves = payload.reserves
    if reserves is None:
        return f"nothing is reserved for {payload.agent}, and a budget is in force"
    # Of tokens an agent may not know how many it takes: what it reports is counted.
    for unit in ("microdollars", "ms"):
        if unit in units and getattr(reserves, unit) is None:
            return f"a budget in force counts {unit}, of which nothing is reserved"
    over = overrun_by(state, payload.agent)
    if over is not None:
        return f"{payload.agent} took more than was reserved, by {over}, and nobody has looked"
    opens = payload.review is None and not state.open_reservations.of(payload.attempt_id)
    short = shortage(state, contracts, task, payload.agent, ts, amount(reserves, opens=opens))
    return None if short is None else str(short)
