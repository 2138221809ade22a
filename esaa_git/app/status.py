"""Where a run stands: read from the commit at the tip of the log, whatever the log's length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from esaa_git.app.branches import standing_on
from esaa_git.app.cost import Total, totals
from esaa_git.app.project import finish_interrupted, has_log
from esaa_git.core.event import timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from esaa_git.app.project import Project
    from esaa_git.core.contracts import Contracts
    from esaa_git.core.state import State


@dataclass(frozen=True, slots=True)
class Status:
    """The state at the tip, with the id of the tip's commit and of the log.

    `checked_out` is the branch on which the next run would work; None for a detached HEAD.
    `has_branch` says whether the branch of the run is here.
    `stopped` says who stopped the log and why; None where nobody did.
    `budgets` are those in force.
    """

    state: State
    tip: str | None
    log_id: str | None
    checked_out: str | None
    has_branch: bool
    stopped: str | None = None
    budgets: Sequence[Total] = ()


def status(project: Project) -> Status | None:
    """Return where the run stands, None where there is no log yet.

    What a crash left undone is finished first, or a note says why it cannot be.

    Raises:
        MismatchError: if there was a log, and its ref is gone.
        CorruptedError: if the log ends with something that is no event.
    """
    if not has_log(project):
        return None
    finish_interrupted(project)
    state, contracts = project.log.load()
    tip = project.log.tip()
    return Status(
        state,
        None if tip is None else tip.commit,
        None if tip is None else tip.log_id,
        standing_on(project.repository),
        project.repository.ref_target(f"refs/heads/{state.run.branch}") is not None,
        stopped(project, state),
        totals(state, contracts, timestamp(project.engine.clock.now())),
    )


def stopped(project: Project, state: State) -> str | None:
    """Return in words who stopped the log, when and why; None where nobody did."""
    from esaa_git.engine.halting import told
    from esaa_git.store.trees import GitBlobs

    if state.stop.by is None:
        return None
    return told(GitBlobs(project.repository), state.stop)


def consent_counts(project: Project) -> tuple[int, int]:
    """Return how much contracts and draft ask of this machine, and how much of it was agreed to."""
    from esaa_git.app.asked import gather_briefly
    from esaa_git.app.door import never

    repository = project.repository
    asks = {ask for ask, _, _ in gather_briefly(repository)}
    missing = project.consent.missing(repository, asks)
    given = (ask for ask in asks - missing if never(repository, ask) is None)
    return len(asks), sum(1 for _ in given)


def at_tip(project: Project) -> tuple[State, Contracts]:
    """Return the state at the tip of the log, and the contracts in force.

    Raises:
        RepositoryError: if there is no log yet.
        CorruptedError: if the log ends with something that is no event.
    """
    return project.log.load()


def current_state(project: Project) -> State:
    """Return the state at the tip of the log, as `at_tip`."""
    return at_tip(project)[0]
