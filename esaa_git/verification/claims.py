"""Check 11, on one commit of a branch: what the log says to what it claims.

`ClaimJudge` is the one predicate: the hook of a server, that of a clone, `verify`, and `sync`
ask it. A commit that claims an event (`store.trailers`), or bears a name under which we alone
commit, has to be the effect of a task, or a carrier that the log names and that is one; a claim of
another log is let be where a `run.init` lists that log, or where the commit is older than this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from esaa_git.core.events import RunInit
from esaa_git.core.state import Carrier, State
from esaa_git.store.eventcommit import read_commit, read_event_commit
from esaa_git.store.objects import Commit, raw_parent
from esaa_git.store.repository import Repository
from esaa_git.store.trailers import claimed_ids, speaks_of_us
from esaa_git.verification.carrier import LOST, Candidate, LoggedEffect, fault_of, in_order
from esaa_git.verification.changes import TreeChanges
from esaa_git.verification.effects import Closed, closings, is_closing_effect

SILENT, EFFECT, CARRIER, FOREIGN, UNFOUNDED = "silent", "effect", "carrier", "foreign", "unfounded"


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands behind a commit.

    `kind` is `silent` for one that says nothing of us, `effect`, `carrier` (with its record),
    `foreign`, or `unfounded`; `why` says of a carrier that is none what is wrong with it, and of
    a foreign claim why it is let be.
    """

    kind: str
    why: str = ""
    carrier: Carrier | None = None
    is_on_record: bool = False
    """The log says that it carries effects, whether or not it was found to."""

    @property
    def is_founded(self) -> bool:
        return self.kind != UNFOUNDED


class ClaimJudge:
    """Judges commits of branches by one log, from the state at its tip.

    Args:
        known: by effect commit, where effects were closed, as far as that is known already.
    """

    def __init__(
        self,
        repository: Repository,
        state: State,
        tip: str,
        log_id: str | None,
        known: Mapping[str, Closed] | None = None,
    ) -> None:
        self._repository = repository
        self._tip = tip
        self.state = state
        self.log_id = log_id
        self._known = known or {}
        self._differ = TreeChanges(repository.read)

    @classmethod
    def at(cls, repository: Repository, tip: str, state: State) -> ClaimJudge:
        """Return the judge by a log that ends with this commit, whose state is known."""
        trailers = read_event_commit(repository.read, tip).trailers
        return cls(repository, state, tip, trailers.get("ESAA-Log"))

    @cached_property
    def carriers(self) -> Mapping[str, Carrier]:
        """Every commit that the log says something of, by its id."""
        return dict(self.state.carriers)

    def standing(
        self, oid: str, commit: Commit, *, is_older: Callable[[str], bool] = lambda _: False
    ) -> Standing:
        """Return what stands behind a commit of a branch.

        Args:
            is_older: answers whether a commit leads to the base of the log's first run; it is
                asked only where nothing else stands behind a claim.
        """
        carrier, fault = self.carriers.get(oid), None
        if carrier is not None and carrier.how != LOST:
            fault = self.fault_of(carrier, commit)
            if fault is None:
                return Standing(CARRIER, carrier=carrier)
        if not speaks_of_us(commit.payload):
            return Standing(SILENT)
        if is_closing_effect(self.state, oid, commit.message):
            return Standing(EFFECT)
        logs = set(claimed_ids(commit.payload).get("esaa-log", ())) - {self.log_id}
        if logs and logs.issubset(self.state.run.foreign_logs):
            return Standing(FOREIGN, f"of log {min(logs)}, which a run.init lists")
        if is_older(oid):
            return Standing(FOREIGN, "older than the log")
        if fault is not None:
            why = f"the log says that it carries effects, but {fault}"
            return Standing(UNFOUNDED, why, is_on_record=True)
        why = (
            ""
            if claimed_ids(commit.payload)
            else "its author or committer is one under which git-esaa alone commits"
        )
        return Standing(UNFOUNDED, why)

    def fault_of(self, carrier: Carrier, commit: Commit) -> str | None:
        """Say why a commit is not what the log says of it, or return None where it is."""
        effects = self.effects(carrier.tasks)
        if len(effects) != len(carrier.tasks):
            return "the log closed no such effect"
        candidate = Candidate(self._repository, self._differ, carrier.commit, commit)
        return fault_of(carrier, candidate, effects)

    def effects(self, tasks: tuple[str, ...]) -> list[LoggedEffect]:
        """Return the effects of tasks that are done, in the order of the log."""
        results = [self.state.tasks[name].result for name in tasks if name in self.state.tasks]
        attempts = {
            one.effect_commit: one.attempt_id
            for one in results
            if one is not None and one.effect_commit is not None
        }
        found = closings(self._repository.read, self._tip, attempts, self._known)
        return in_order(LoggedEffect(self._repository, closed) for closed in found)

    def first_base(self) -> str | None:
        """Return the commit that the log's first run began on."""
        oid: str | None = self._tip
        genesis = self._tip
        while oid is not None:
            genesis, oid = oid, raw_parent(read_commit(self._repository.read, oid))
        first = read_event_commit(self._repository.read, genesis).event.payload
        return first.base if isinstance(first, RunInit) else None
