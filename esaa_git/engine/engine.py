"""The orchestrator's parts in one place: what `esaa_git.cli` wires and every decision uses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from esaa_git.core.contracts import AgentEntry, Contracts
from esaa_git.core.event import timestamp
from esaa_git.core.state import State
from esaa_git.engine.lease import WALL_CLOCK, Leases
from esaa_git.ports.agent import AgentAdapter
from esaa_git.ports.branch import Checkouts, EffectCommits, WorkingBranch
from esaa_git.ports.checks import Audit, Checker
from esaa_git.ports.files import BlobStore, Merger, Trees
from esaa_git.ports.local import Clock, Journal, WorkerRegistry
from esaa_git.ports.log import EventLog
from esaa_git.ports.preflight import NO_PREFLIGHT, Preflight

if TYPE_CHECKING:
    from esaa_git.engine.sharing import Sharing
    from esaa_git.engine.verifier import Verifier


HALT_POLL: Final = 30.0
"""How often a run asks elsewhere whether it is to stop, in seconds."""


@dataclass
class Engine:
    """One repository's orchestrator.

    Attributes:
        make_agent: gives the adapter of an agent of the swarm.
        registry: knows what processes here are at work on, also those that are gone.
        make_checker: gives what runs the checks that contracts demand of a proposed tree.
        audit: verifies the log and the branch, from the last verified point.
        draw: gives so many random bytes: a nonce, a salt.
        starter: gives the person who has agents work here, where it is one with a key.
        say: tells a person what happens, one line at a time.
        housekeeping: told after each transaction how many events there are, with nothing locked.
        turn: held around each try to decide and append, so that processes here take turns.
        preflight: looks, before an agent is asked, for what would keep its answer from counting.
        leases: judges whether an attempt has had its time.
        sharing: the log that other machines append to as well, for a worker.
        halted_elsewhere: returns in words who stopped the log on a remote, where that is not here
            yet; asked every `halt_poll` seconds of a run.
    """

    log: EventLog
    trees: Trees
    blobs: BlobStore
    merger: Merger
    branch: WorkingBranch
    effects: EffectCommits
    checkouts: Checkouts
    journal: Journal
    clock: Clock
    make_agent: Callable[[AgentEntry, Contracts], AgentAdapter]
    new_log_id: Callable[[], str]
    registry: WorkerRegistry
    make_checker: Callable[[], Checker]
    audit: Callable[[], Audit]
    say: Callable[[str], None]
    draw: Callable[[int], bytes]
    starter: Callable[[], str | None] = lambda: None
    turn: Callable[[], AbstractContextManager[None]] = nullcontext
    housekeeping: Callable[[int], None] = lambda _seq: None
    preflight: Preflight = NO_PREFLIGHT
    leases: Leases = WALL_CLOCK
    sharing: Sharing | None = None
    halted_elsewhere: Callable[[], str | None] = lambda: None
    halt_poll: float = HALT_POLL

    def moment(self, state: State) -> str:
        """Return the time that what is decided now has: in a log, it never goes back (INV-005)."""
        return max(timestamp(self.clock.now()), state.ts)

    @cached_property
    def checker(self) -> Checker:
        return self.make_checker()

    @cached_property
    def verifier(self) -> Verifier:
        from esaa_git.engine.salts import recorded_result
        from esaa_git.engine.verifier import Verifier

        return Verifier(
            self.trees,
            self.blobs,
            self.merger,
            self.branch.protected(),
            lambda attempt_id: recorded_result(self.log, attempt_id),
        )
