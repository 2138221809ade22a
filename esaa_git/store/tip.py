"""What the last event of a log says: its place, the state after it, the contracts in force."""

from __future__ import annotations

from dataclasses import dataclass

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event
from esaa_git.core.state import State
from esaa_git.errors import CorruptedError
from esaa_git.ports.log import Tip
from esaa_git.store.eventcommit import EventCommit, contracts_of, read_event_commit
from esaa_git.store.objects import MalformedObject, Reader
from esaa_git.store.repository import Repository
from esaa_git.store.statetree import load_state, pinned_programs
from esaa_git.trust.decision import CarriedDecision, carried_by

_PINNED = ("contracts", "programs")
"""The trees beside an event that change with an authorised run.init alone."""


@dataclass(frozen=True, slots=True)
class LoadedTip:
    """What one tip says."""

    tip: Tip
    state: State
    contracts: Contracts
    contracts_tree: str
    programs_tree: str | None
    state_tree: str

    def has_contracts_of(self, reader: Reader, other: EventCommit) -> bool:
        """Answer whether the same contracts and programs are beside another event."""
        tree = other.tree
        trees = tuple(None if (at := tree.get(name)) is None else at.oid for name in _PINNED)
        return (
            trees == (self.contracts_tree, self.programs_tree)
            and pinned_programs(reader, tree["roadmap"].oid) == self.state.programs
        )


def load_tip(repository: Repository, target: str, known: LoadedTip | None = None) -> LoadedTip:
    """Return what the event commit says of the log up to it.

    Contracts that are those of another tip that is `known` are not decoded again.
    """
    found = read_event_commit(repository.read, target)
    event = found.event
    try:
        tip = Tip(target, event.seq, event.ts, event.sha256, found.trailers["ESAA-Log"])
        roadmap, contracts = found.tree["roadmap"].oid, found.tree["contracts"].oid
        state = load_state(repository.read, roadmap, seq=event.seq, ts=event.ts)
        beside = found.tree.get("programs")
        programs = None if beside is None else beside.oid
        if known is not None and known.has_contracts_of(repository.read, found):
            in_force = known.contracts
        else:
            in_force = contracts_of(repository.read, found)
        return LoadedTip(tip, state, in_force, contracts, programs, roadmap)
    except (KeyError, MalformedObject) as error:
        raise CorruptedError(
            f"event commit {target[:12]} is incomplete",
            cause=str(error),
            hint="run 'git esaa verify'",
        ) from error


def decision_of(read: Reader, event: Event, log_id: str | None) -> CarriedDecision | None:
    """Return the decision that an event names; None where it is not here, or names none.

    Args:
        log_id: of the log that it was recorded in; None where that is not known.
    """
    try:
        return carried_by(event, log_id, read)
    except (KeyError, MalformedObject):
        return None
