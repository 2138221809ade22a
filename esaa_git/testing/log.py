"""An event log in memory, and its audit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from esaa_git.core.approvals import check_subject
from esaa_git.core.attachments import check_attachments
from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event, StoredEvent
from esaa_git.core.events.base import encode
from esaa_git.core.events.spec import ADMIN, APPROVER, ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.policy_rules import check_policy
from esaa_git.core.projection import evolve, projection_hash
from esaa_git.core.refnames import proposal_ref
from esaa_git.core.state import EMPTY, State
from esaa_git.errors import NoLog
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.checks import Audit
from esaa_git.ports.log import Attachments, ProposalRef, Tip
from esaa_git.testing.world import Commit, Repository

EVENTS: Final = "refs/esaa/events"
SIGNATURE: Final = b"-----BEGIN SSH SIGNATURE-----\nin memory\n-----END SSH SIGNATURE-----\n"


@dataclass(frozen=True)
class Recorded:
    """What the commit of an event carries."""

    event: Event
    state: State
    contracts: Contracts
    attachments: Attachments
    log_id: str


class MemoryEventLog:
    """An `EventLog`."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self.recorded: dict[str, Recorded] = {}
        self._loaded: str | None = None

    def tip(self) -> Tip | None:
        oid = self.repository.refs.get(EVENTS)
        if oid is None:
            return None
        last = self.recorded[oid]
        return Tip(oid, last.event.seq, last.event.ts, last.event.sha256, last.log_id)

    def load(self) -> tuple[State, Contracts]:
        self._loaded = self.repository.refs.get(EVENTS)
        if self._loaded is None:
            raise NoLog
        last = self.recorded[self._loaded]
        return last.state, last.contracts

    def forget(self) -> None:
        """Let the next decision load the log anew, as if another process had moved it."""
        self._loaded = None

    def state_at(self, commit: str) -> State:
        return self.recorded[commit].state

    def begin(self, *, log_id: str | None = None) -> MemoryLogTransaction:
        if log_id is not None:
            return MemoryLogTransaction(self, None, log_id)
        if self._loaded is None:
            self.load()
        assert self._loaded is not None
        return MemoryLogTransaction(self, self._loaded, self.recorded[self._loaded].log_id)

    def events(self, *, newest_first: bool = False) -> Iterator[StoredEvent]:
        oid = self.repository.refs.get(EVENTS)
        found = []
        while oid is not None:
            found.append(StoredEvent(self.recorded[oid].event, oid))
            oid = next(iter(self.repository.commits[oid].parents), None)
        return iter(found if newest_first else found[::-1])


class MemoryLogTransaction:
    """A `LogTransaction`."""

    def __init__(self, log: MemoryEventLog, start: str | None, log_id: str) -> None:
        self._log = log
        self._start = self._last = start
        self.log_id = log_id

    def write(
        self, event: Event, state: State, contracts: Contracts, attachments: Attachments
    ) -> str:
        said = {
            "log_id": self.log_id,
            "event_sha256": event.sha256,
            "contracts": [encode(pin) for pin in contracts.pins],
            "programs": [encode(pin) for pin in contracts.program_pins or ()],
            "exchange": dict(attachments.exchange),
        }
        parents = () if self._last is None else (self._last,)
        self._last = self._log.repository.put(Commit(parents, attachments.files, said))
        self._log.recorded[self._last] = Recorded(event, state, contracts, attachments, self.log_id)
        return self._last

    @property
    def alone(self) -> bool:
        return False

    def roles(self, actor: str) -> frozenset[str]:
        return frozenset({APPROVER, ADMIN})

    def sign_decision(self, document: bytes, actor: str) -> bytes:
        return SIGNATURE

    def sign(self, payload: bytes, actor: str = ORCHESTRATOR) -> bytes:
        return SIGNATURE

    def commit(
        self, branch: BranchMove | None = None, proposals: Sequence[ProposalRef] = ()
    ) -> None:
        if self._last is None or self._last == self._start:
            return
        moves = [(EVENTS, self._start, self._last)]
        if branch is not None:
            moves.append((f"refs/heads/{branch.branch}", branch.old, branch.new))
        for one in proposals:
            ref = proposal_ref(EVENTS, one.task_id, one.attempt_id)
            moves.append((ref, self._log.repository.refs.get(ref), one.commit))
        self._log.repository.swap(moves)
        self._log.load()


def audit(log: MemoryEventLog) -> Audit:
    """Replay the log and hold every event and every recorded state against it."""
    state = EMPTY
    count = 0
    for count, stored in enumerate(log.events(), start=1):
        recorded = log.recorded[stored.commit]
        event, attached = stored.event, recorded.attachments
        try:
            check_contract_rules(state, event, recorded.contracts)
            check_policy(state, event, recorded.contracts)
            check_subject(state, event, attached.subject, recorded.log_id)
            check_attachments(
                event,
                {path: (entry.mode, entry.oid) for path, entry in attached.files.items()},
                attached.exchange,
                attached.decision,
            )
            state = evolve(state, event)
        except Violation as error:
            return Audit("mismatch", 1, count, None, 7, event.event_id, str(error))
        if state != recorded.state:
            message = "the recorded state is another one"
            return Audit("mismatch", 1, count, None, 7, event.event_id, message)
    return Audit("ok", 1, count, projection_hash(state))
