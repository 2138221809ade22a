"""The event log, alone and shared with other machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event, StoredEvent
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.state import State
from esaa_git.ports.branch import BranchMove
from esaa_git.ports.files import FileEntry


@dataclass(frozen=True, slots=True)
class Attachments:
    """What travels in an event's tree beside the event: after-images, exchange and decision.

    `files` maps a path to its entry after the effect; `exchange` maps `request.json`, `response`,
    `text` and `salt` to blobs, `decision` its `document.json` and `signature`. `subject` is what a
    request is about.
    """

    files: Mapping[str, FileEntry] = field(default_factory=dict)
    exchange: Mapping[str, str] = field(default_factory=dict)
    decision: Mapping[str, str] = field(default_factory=dict)
    subject: bytes | None = None


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a log ends: the commit, and what the next event binds itself to."""

    commit: str
    seq: int
    ts: str
    event_sha256: str
    log_id: str


@dataclass(frozen=True, slots=True)
class ProposalRef:
    """The commit that shows what an attempt proposes."""

    task_id: str
    attempt_id: str
    commit: str


class LogTransaction(Protocol):
    """A chain of events being written after one tip. Nothing counts until `commit`.

    Attributes:
        log_id: of the log that is continued, or begun.
    """

    log_id: str

    def write(
        self, event: Event, state: State, contracts: Contracts, attachments: Attachments
    ) -> str:
        """Write the objects of one event and return its commit id; no ref moves."""
        ...

    @property
    def alone(self) -> bool:
        """Whether a person's key is at hand, and the orchestrator's is not."""
        ...

    def roles(self, actor: str) -> frozenset[str]:
        """Return the roles, in the contracts in force, of the key that signs for a person."""
        ...

    def sign_decision(self, document: bytes, actor: str) -> bytes:
        """Return a person's armoured signature of a decision document.

        Raises:
            KeyUnavailable: if their key is not at hand, or is no SSH key.
        """
        ...

    def sign(self, payload: bytes, actor: str = ORCHESTRATOR) -> bytes:
        """Return the armoured signature of a commit's unsigned bytes.

        Args:
            actor: by the key that signs this actor's events.
        """
        ...

    def commit(
        self, branch: BranchMove | None = None, proposals: Sequence[ProposalRef] = ()
    ) -> None:
        """Move the log's ref, and then the working branch, from where this transaction began.

        Refs of proposals, which the events name, move with them.

        Raises:
            ConflictError: if either ref is not where it was, or is locked; nothing has moved.
        """
        ...


class EventLog(Protocol):
    """The append-only log of one repository."""

    def tip(self) -> Tip | None:
        """Return where the log ends, or None where there is no log yet."""
        ...

    def load(self) -> tuple[State, Contracts]:
        """Return the state and the contracts at the tip, both loaded as far as they are read."""
        ...

    def state_at(self, commit: str) -> State:
        """Return the state that an event of this log left."""
        ...

    def begin(self, *, log_id: str | None = None) -> LogTransaction:
        """Start a transaction after the tip that the last `load` saw; with `log_id`, a log."""
        ...

    def events(self, *, newest_first: bool = False) -> Iterator[StoredEvent]:
        """Yield the events."""
        ...


class SharedLog(Protocol):
    """The log that several machines append to, and the working branch that travels with it.

    Attributes:
        name: what people call it.
    """

    name: str

    def publish(
        self,
        tip: str,
        branch: str,
        branch_tip: str | None,
        proposals: Sequence[ProposalRef] = (),
    ) -> None:
        """Append by compare-and-swap what leads to `tip`; log and branch move there, or neither.

        Raises:
            ConflictError: if either has moved on there; nothing has moved.
            RefusedError: if it is refused for another reason; nothing has moved.
            RemoteUnreachable: if it cannot be reached, or broke off before it answered.
        """
        ...

    def catch_up(self) -> bool:
        """Move log, branch and checkouts here forward to what is there; say whether they moved.

        What is new is verified before anything moves.

        Raises:
            ConflictError: if that is no mere going forward, or uncommitted work is in the way.
            MismatchError, CorruptedError: if what is there does not hold.
            RemoteUnreachable: if it cannot be reached.
        """
        ...
