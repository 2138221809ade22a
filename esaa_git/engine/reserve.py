"""Reserving: what a dispatch may cost at most, held against the budgets before anything is paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from esaa_git.core import budgets
from esaa_git.core.accounts import Account, Amount
from esaa_git.core.contracts import SWARM, AgentEntry, Contracts
from esaa_git.core.decision import NONCE_BYTES
from esaa_git.core.entries import DENIED, PENDING, RETURNED, Approval
from esaa_git.core.event import instant
from esaa_git.core.events.fields import Raise, Reserves
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import AskForBudget
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import AgentError, DecisionsMissing, RunHalted
from esaa_git.ports.agent import AgentAdapter, Request, most_of


class BudgetReached(RunHalted):
    """What a dispatch may cost does not fit into a budget.

    Attributes:
        short: the limit that it is beyond; None where an overrun waits for a person.
        wanted: who would have been asked, for what, and what that would have held.
    """

    def __init__(
        self, message: str, wanted: Wanted, short: budgets.Shortage | None, hint: str
    ) -> None:
        super().__init__(message, hint=hint)
        self.wanted = wanted
        self.short = short


class BudgetAsked(BudgetReached, DecisionsMissing):
    """It does not fit, and a person is asked for more of the budget."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A dispatch that did not fit: of which task, by which agent, and what it would have held.

    `approval_id` is the decision that a reviewer would have been asked for.
    """

    task_id: str
    agent: str
    amount: Amount
    approval_id: str | None = None


def reserved(
    state: State,
    contracts: Contracts,
    adapter: AgentAdapter,
    request: Request,
    at: str,
    approval_id: str | None = None,
) -> Reserves | None:
    """Return what a dispatch holds until it is settled; None where no budget is in force for it.

    Args:
        at: when it is recorded.
        approval_id: the decision that a reviewer is asked for.

    Raises:
        AgentError: if a budget counts money, and nobody can say how much the agent takes at most.
        BudgetReached: if it does not fit.
    """
    task, name = state.tasks[request.task_id], adapter.name
    units = budgets.demanded(state, contracts, task, name, at)
    if units is None:
        return None
    entry, most = contracts.swarm.agent(name), most_of(adapter, request)
    left_ms = (instant(request.deadline) - instant(at)) // timedelta(milliseconds=1)
    money = _money(entry, most.microdollars) if "microdollars" in units else None
    reserves = Reserves(
        microdollars=money,
        tokens=most.tokens if "tokens" in units else None,
        ms=min(left_ms, entry.settings.get("timeout", left_ms)) if "ms" in units else None,
    )
    opens = approval_id is None and not state.open_reservations.of(request.attempt_id)
    amount = budgets.amount(reserves, opens=opens)
    wanted = Wanted(task.task_id, name, amount, approval_id)
    found = reached(state, contracts, task, wanted, at)
    if found is not None:
        raise found
    return reserves


def _money(entry: AgentEntry, known: int | None) -> int:
    """Return what one call of an agent costs at most, in micro-dollars.

    Raises:
        AgentError: if nobody can say, or it may cost more than the entry allows for one call.
    """
    cap = entry.max_cost
    if known is None and cap is None:
        raise AgentError(
            f"agent '{entry.name}' has no bound on what it costs, under a budget in money",
            cause="a price that is not known counts as more than is left",
            hint=f"{_line_to_add(entry)} under agents/{entry.name} in .roadmap/{SWARM}; "
            "it takes effect with the next run",
        )
    if known is not None and cap is not None and known > cap:
        raise AgentError(
            f"agent '{entry.name}' may cost {budgets.shown('microdollars', known)} for this "
            f"request, more than its max_cost of {budgets.shown('microdollars', cap)}",
            hint=f"lower 'max_output_tokens', or raise 'max_cost', under agents/{entry.name} in "
            f".roadmap/{SWARM}; it takes effect with the next run",
        )
    return known if known is not None else int(cap or 0)


def _line_to_add(entry: AgentEntry) -> str:
    if entry.adapter != "http":
        return "add 'max_cost: MICRODOLLARS', what one call of it costs at most,"
    lacking = [name for name in ("prices", "max_output_tokens") if name not in entry.settings]
    return f"add {' and '.join(f'{chr(39)}{name}: …{chr(39)}' for name in lacking)}"


def reached(
    state: State, contracts: Contracts, task: Task, wanted: Wanted, at: str
) -> BudgetReached | None:
    """Return why a dispatch does not fit into the budgets as they are now; None where it does."""
    over = budgets.overrun_by(state, wanted.agent)
    if over is not None:
        return BudgetReached(
            f"agent '{wanted.agent}' took more than was reserved for it, by {over}",
            wanted,
            None,
            f"correct its prices or its max_cost in .roadmap/{SWARM}, then run 'git esaa cost "
            f"--correct {over} --microdollars N --evidence TEXT'",
        )
    short = budgets.shortage(state, contracts, task, wanted.agent, at, wanted.amount)
    if short is None:
        return None
    what = wanted.approval_id or wanted.task_id
    return BudgetReached(
        f"{short}, for '{what}' by {wanted.agent}",
        wanted,
        short,
        f"raise {short.scope.where}, which takes effect with the next run, or wait for another "
        "day or run; 'git esaa cost' shows what was spent",
    )


class Held:
    """The dispatches of one run that did not fit when they were tried, until they do."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._wanted: dict[str, Wanted] = {}
        self._asked: set[tuple[str, int]] = set()

    def hold(self, wanted: Wanted) -> None:
        """Leave a dispatch aside; others go on."""
        self._wanted[wanted.approval_id or wanted.task_id] = wanted

    def of(self, name: str) -> BudgetReached | None:
        """Return why a task, or a review by its approval, still does not fit; None where it may."""
        wanted = self._wanted.get(name)
        if wanted is None:
            return None
        state, contracts = self._engine.log.load()
        task, at = state.tasks[wanted.task_id], self._engine.moment(state)
        found = reached(state, contracts, task, wanted, at)
        if found is None:
            del self._wanted[name]
        return found

    def first(self) -> BudgetReached | None:
        """Return the first that still does not fit, of what could be done otherwise."""
        state, _ = self._engine.log.load()
        for name, wanted in list(self._wanted.items()):
            state_now = state.tasks[wanted.task_id].state
            waits = TaskState.TODO if wanted.approval_id is None else TaskState.IN_PROGRESS
            found = self.of(name) if state_now == waits else None
            if found is not None:
                return found
        return None

    def ask_ahead(self) -> None:
        """Ask for more where nothing that others hold will do, while the run waits for others."""
        found = self.first()
        if found is None or found.short is None or found.short.may_end:
            return
        asked = found.short.scope.name, found.short.limit
        if asked not in self._asked:
            self._asked.add(asked)
            self._engine.say(f"{found.message}: {self.ask(found).hint}")

    def ask(self, found: BudgetReached) -> BudgetReached:
        """Have a person asked for more of the budget that is short, once; return what to say.

        The sum is what all that was left aside may need together.
        """
        if found.short is None:
            return found
        engine, short = self._engine, found.short

        def step(tx: Transaction) -> Approval:
            before = _asked(tx.state, short)
            if before is not None:
                return before
            raised = Raise(
                account=short.scope.name,
                unit=cast(Any, short.unit),  # the schema of the event says whether it is one
                amount=self._missing(tx.state, tx.contracts, short, tx.at),
            )
            nonce = engine.draw(NONCE_BYTES).hex()
            asked = AskForBudget(
                task_id=found.wanted.task_id, log_id=tx.log_id, nonce=nonce, raised=raised
            )
            (stored,) = tx.ask(asked)
            return tx.state.approvals[str(stored.event.approval_id)]

        asked = _asked(engine.log.load()[0], short) or transact(engine, step)
        name, raised = asked.approval_id, asked.raises
        if asked.state != PENDING or raised is None:
            words = f"{name}, which asked for more of it, was {asked.state} by {asked.decided_by}"
            return BudgetReached(f"{found.message}; {words}", found.wanted, short, str(found.hint))
        more = budgets.shown(short.unit, raised.amount)
        hint = f"{name} asks an approver for {more} more: run 'git esaa review {name} --approve', "
        return BudgetAsked(found.message, found.wanted, short, f"{hint}then 'git esaa run'")

    def _missing(self, state: State, contracts: Contracts, short: budgets.Shortage, at: str) -> int:
        """Return by how much a limit is too low for all that was left aside because of it."""
        under = (
            getattr(one.amount, short.unit)
            for one in self._wanted.values()
            if any(
                scope.name == short.scope.name
                for scope in budgets.scopes(
                    state, contracts, state.tasks[one.task_id], one.agent, at
                )
            )
        )
        wanted: int = sum(under)
        return max(1, short.spent + short.held + wanted - short.limit)


def _asked(state: State, short: budgets.Shortage) -> Approval | None:
    """Return the request for more of a budget that is open, or was denied; None where none is."""
    account = state.accounts.get(short.scope.name) or Account()
    asked = state.approvals.get(account.asked or "")
    return asked if asked is not None and asked.state in (PENDING, DENIED, RETURNED) else None
