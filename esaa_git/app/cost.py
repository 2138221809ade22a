"""What agents cost: the totals of the budgets in force, a breakdown, and corrections of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.accounts import Account
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.state import State
    from esaa_git.report.costs import By, Costs


@dataclass(frozen=True, slots=True)
class Total:
    """One budget that is in force, and how much of one unit of it is spent and held.

    Attributes:
        words: whose budget it is.
        limit: with what people granted beside it.
        unknown: the part of what is spent in micro-dollars that nobody reported.
        asked: the approval by which more is asked for, and that nobody has decided.
    """

    words: str
    unit: str
    limit: int
    spent: int
    reserved: int
    unknown: int = 0
    asked: str | None = None

    @property
    def left(self) -> int:
        """What may still be reserved; less than nothing where histories were brought together."""
        return self.limit - self.spent - self.reserved

    def to_json(self) -> dict[str, Any]:
        names = ("words", "unit", "limit", "spent", "reserved", "left", "unknown", "asked")
        document = {name: getattr(self, name) for name in names}
        return {"budget": document.pop("words"), **document}


def totals(state: State, contracts: Contracts, now: str) -> list[Total]:
    """Return what is spent of the budgets in force, those of tasks under way included.

    Args:
        now: RFC 3339, by which the day is told.
    """
    from esaa_git.core.accounts import Account
    from esaa_git.core.budgets import standing

    found = []
    for scope in standing(state, contracts, now):
        account = state.accounts.get(scope.name) or Account()
        for unit, limit in scope.budget.limits().items():
            spent, reserved, granted = (
                getattr(amount, unit)
                for amount in (account.spent, account.reserved, account.granted)
            )
            unknown = account.unknown if unit == "microdollars" else 0
            asked = _asked(state, account, unit)
            found.append(Total(scope.words, unit, limit + granted, spent, reserved, unknown, asked))
    return found


def _asked(state: State, account: Account, unit: str) -> str | None:
    from esaa_git.core.entries import PENDING

    asked = state.approvals.get(account.asked or "")
    if asked is None or asked.raises is None or asked.state != PENDING:
        return None
    return asked.approval_id if asked.raises.unit == unit else None


def note_how_far(project: Project) -> None:
    """Say that budgets hold in this clone alone, where a run does not share its log."""
    state, contracts = project.log.load()
    remotes = project.repository.remotes()
    if project.engine.sharing is None and remotes and totals(state, contracts, _now(project)):
        project.note(
            "note: budgets count what is spent in this clone, and what others spend once 'git esaa "
            f"sync' brings it; 'git esaa run --remote {remotes[0]}' holds them together"
        )


def note_exceeded(project: Project) -> None:
    """Say which budgets are exceeded by what several clones have spent each for itself."""
    from esaa_git.core.budgets import shown

    if project.log.tip() is None:
        return
    state, contracts = project.log.load()
    for one in totals(state, contracts, _now(project)):
        if one.left < 0:
            project.note(
                f"note: the budget of {one.words} is exceeded by {shown(one.unit, -one.left)}: "
                "clones that do not share their log each count for themselves"
            )


def _now(project: Project) -> str:
    from esaa_git.core.event import timestamp

    return timestamp(project.engine.clock.now())


def cost(project: Project, by: By) -> tuple[Costs, list[Total]]:
    """Return what agents took, broken down, and the totals of the budgets in force.

    Raises:
        RepositoryError: if there is no log yet.
    """
    from esaa_git.report.costs import costs

    state, contracts = project.log.load()
    events = (stored.event for stored in project.log.events())
    return costs(events, state, by), totals(state, contracts, _now(project))


def correct(
    project: Project, event_id: str, microdollars: int, evidence: str, actor: str | None = None
) -> None:
    """Record what a dispatch has cost; an admin says so, and how it is known.

    Raises:
        RefusedError: if nothing was reserved by this event, or it is not settled yet.
        UsageError: if the text names no event.
    """
    from esaa_git.app.history import event_named
    from esaa_git.engine.corrections import correct_cost

    named = event_named(project, event_id)
    correct_cost(project.engine, named, microdollars, project.actor(actor), evidence)
