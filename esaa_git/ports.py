"""What the orchestrator needs of the world, as small protocols.

Adapters (`esaa_git.git`, `esaa_git.agents`) implement them; `esaa_git.cli` wires them together.
Ids of git objects are 40 hexadecimal digits, times are RFC 3339 as `esaa_git.core.event` writes
them, contents are bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from esaa_git.core.contracts import Check, Contracts
from esaa_git.core.event import Event
from esaa_git.core.rejection import Rejected
from esaa_git.core.state import State


class Clock(Protocol):
    """Time as an argument, so that a recorded run can be made again to the byte."""

    def now(self) -> datetime:
        """Return the present moment, with a time zone."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A regular file in a tree: mode `100644` or `100755`, and the blob with its content."""

    mode: str
    oid: str


class NotAFile:
    """Stands in a tree where a file was asked for: a symlink, a submodule or a directory."""

    def __init__(self, what: str) -> None:
        self.what = what


@dataclass(frozen=True, slots=True)
class Attachments:
    """What travels in an event's tree beside the event: after-images, and the exchange.

    `files` maps a path to its entry after the effect; `exchange` maps `request.json` and
    `response` to blobs.
    """

    files: Mapping[str, FileEntry] = field(default_factory=dict)
    exchange: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event with the id of the commit that carries it."""

    event: Event
    commit: str


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a log ends: the commit, and what the next event binds itself to."""

    commit: str
    seq: int
    ts: str
    event_sha256: str
    log_id: str


class LogTransaction(Protocol):
    """A chain of events being written after one tip. Nothing counts until `commit`."""

    def write(
        self, event: Event, state: State, contracts: Contracts, attachments: Attachments
    ) -> str:
        """Write the objects of one event and return its commit id; no ref moves."""
        ...

    def sign(self, payload: bytes) -> bytes:
        """Return the orchestrator's armoured signature of a commit's unsigned bytes."""
        ...

    def commit(self, branch: BranchMove | None = None) -> None:
        """Move the log's ref, and then the working branch, from where this transaction began.

        Raises:
            ConflictError: if either ref is not where it was, or is locked; nothing has moved.
        """
        ...


@dataclass(frozen=True, slots=True)
class BranchMove:
    """The working branch is to go from one commit to another, both ids."""

    branch: str
    old: str
    new: str


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

    def publish(self, tip: str, branch: str, branch_tip: str | None) -> None:
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


class BlobStore(Protocol):
    """Contents by id."""

    def read(self, oid: str) -> bytes:
        """Return the content of a blob."""
        ...

    def write(self, content: bytes) -> str:
        """Store a content and return its id."""
        ...


class Trees(Protocol):
    """Files of commits, without a checkout."""

    def entry(self, commit: str, path: str) -> FileEntry | NotAFile | None:
        """Return what stands at the path, or None where nothing does."""
        ...

    def paths(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[tuple[str, FileEntry]]:
        """Yield every regular file of the commit that is, or lies below, one of these paths.

        In the order in which git sorts a tree; `""` is the root.
        """
        ...


@dataclass(frozen=True, slots=True)
class Conflict:
    """A three-way merge that failed, with the conflicting hunks as git marks them."""

    path: str
    reason: str
    hunks: str


@dataclass(frozen=True, slots=True)
class InTheWay:
    """A path that an effect would change and that holds a person's own uncommitted work."""

    path: str
    worktree: str
    reason: str


@dataclass(frozen=True, slots=True)
class Effect:
    """What an accepted proposal does to the working branch, ready to be committed.

    `changes` maps a path to its entry after the effect, or to None where the path goes away.
    """

    branch: str
    parent: str
    changes: Mapping[str, FileEntry | None]
    agent: str
    ts: str
    summary: str
    event_commit: str
    run_id: str
    task_id: str
    attempt_id: str
    assisted_by: str | None


class WorkingBranch(Protocol):
    """The branch that effects arrive on, and the checkouts that follow it."""

    def tip(self, branch: str) -> str | None:
        """Return the commit the branch names, or None where it does not exist."""
        ...

    def current(self) -> str:
        """Return the branch that is checked out here.

        Raises:
            RepositoryError: if there is no commit yet, or HEAD names no branch.
        """
        ...

    def protected(self) -> Sequence[str]:
        """Return globs of what in the tree is the repository's own machinery (its hooks)."""
        ...

    def commit_effect(self, effect: Effect, sign: Callable[[bytes], bytes]) -> str:
        """Store the effect commit and return its id; no ref moves."""
        ...

    def commit_merge(
        self, branch: str, effect_commit: str, ts: str, sign: Callable[[bytes], bytes]
    ) -> str:
        """Store a merge of an effect commit into the branch's tip and return its id.

        Raises:
            ConflictError: if the two do not merge.
        """
        ...

    def move(self, move: BranchMove, message: str) -> None:
        """Move the branch by compare-and-swap."""
        ...

    def contains(self, tip: str, commit: str) -> bool:
        """Answer whether `commit` is `tip` or an ancestor of it."""
        ...

    def in_the_way(
        self, branch: str, commit: str, changes: Mapping[str, FileEntry | None]
    ) -> list[InTheWay]:
        """Return which of the paths hold a person's uncommitted work in a checkout.

        Work that is already what the change would make of the path is not in the way.
        """
        ...

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        """Return the paths with uncommitted work in checkouts of the branch.

        Args:
            below: only those that are, or lie below, one of these; `""` is the root.
        """
        ...

    def hold(self, branch: str) -> None:
        """Keep a person's commits from between a move of the branch and of its checkout.

        Until `let_go`, and as far as that can be done.
        """
        ...

    def let_go(self) -> None:
        """End what `hold` began; where nothing is held, nothing happens."""
        ...

    def follow(self, branch: str, old: str, new: str, paths: Sequence[str]) -> list[InTheWay]:
        """Bring every checkout of the branch from `old` to `new` for these paths."""
        ...

    def keep_snapshot(self, name: str, commits: Mapping[str, str], most: int) -> list[str]:
        """Keep commits under `refs/esaa/snapshots/<name>/`; the newest `most` are kept."""
        ...


class Merger(Protocol):
    """Three-way merges in memory."""

    def merge_file(
        self, path: str, base: FileEntry, ours: FileEntry, theirs: FileEntry
    ) -> FileEntry | Conflict:
        """Merge two changes of one file and return the entry of the merge."""
        ...

    def renamed_to(self, base: str, tip: str, path: str) -> str | None:
        """Return where the path of `base` went by a rename on the way to `tip`, if it did."""
        ...


@dataclass(frozen=True, slots=True)
class Followup:
    """What is left to do once the log has moved: bring the branch and its checkouts after it."""

    log_commit: str
    move: BranchMove
    task_id: str
    paths: Sequence[str]


class Journal(Protocol):
    """Remembers one follow-up across a crash. Local, and worth nothing to anybody else."""

    def write(self, followup: Followup) -> None:
        """Remember it before the log moves."""
        ...

    def read(self) -> Followup | None:
        """Return what a process that died left behind."""
        ...

    def clear(self) -> None:
        """Forget it: it is done."""
        ...

    def pause(self) -> None:
        """Leave it for the next command."""
        ...


class Roster(Protocol):
    """Who is at work on what in this repository, across its processes. Local."""

    def enter(self, name: str) -> None:
        """Note that this process is at work on an attempt, or a review by its approval."""
        ...

    def leave(self, name: str) -> None:
        """Note that it no longer is."""
        ...

    def left_behind(self) -> list[str]:
        """Return, once, what processes that are gone were at work on."""
        ...


@dataclass(frozen=True, slots=True)
class Audit:
    """What a verification found.

    `check` is the number of the check that failed (docs/FORMAT.md, "Verification"), and `recovery`
    the command that goes back to the last sound event, where there is one.
    """

    outcome: str
    checked_from: int
    checked_to: int
    projection_hash: str | None = None
    check: int | None = None
    event_id: str | None = None
    message: str = ""
    recovery: str | None = None

    @property
    def is_ok(self) -> bool:
        return self.outcome == "ok"


@dataclass(frozen=True, slots=True)
class Request:
    """What an agent is asked: the purified view, and exactly what is sent of it.

    `view` is canonical JSON (docs/FORMAT.md, "The request"). `sent` is the text or document that
    reaches the agent, which an adapter may render from the view by a prompt template, then named
    by `template`; its SHA-256 goes into the dispatch event, and it is what the record keeps.
    """

    task_id: str
    attempt_id: str
    base: str
    view: bytes
    read: Sequence[str]
    deadline: str
    sent: bytes
    template: str | None = None
    changes: Mapping[str, FileEntry | None] = field(default_factory=dict)
    """What the agent's checkout holds beside the base: the proposal that a reviewer looks at."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back from an agent, unjudged.

    `failure` says how the agent failed where it did (it could not be started, it left with an
    error, it ran out of time), and `code` then is the reject code it amounts to.

    Attributes:
        model: who answered, by the service's or program's own word.
        usage: what the answer took, as `agent.result` records it (docs/FORMAT.md): integers, and
            where the price is from. What an adapter measured goes before what an agent claims.
        tries: each call of a service that failed before one succeeded, oldest first: `status`
            (an HTTP status, or 0 for a broken connection), `reason`, `waited_ms` until the next.
    """

    output: bytes
    latency_ms: int
    failure: str | None = None
    code: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    truncated: bool = False
    model: str | None = None
    usage: Mapping[str, Any] = field(default_factory=dict)
    tries: Sequence[Mapping[str, Any]] = ()


class AgentAdapter(Protocol):
    """The proposer: the stochastic side of the boundary. It answers, and never writes.

    One object serves one attempt at a time, in whichever thread calls it.

    Attributes:
        sandbox: the confinement that will be in force, as the dispatch event names it.
        has_checkout: the agent sees the files of the base by itself, so the view holds none.
    """

    name: str
    adapter: str
    model: str | None
    has_checkout: bool

    @property
    def sandbox(self) -> str: ...

    def ready(self) -> None:
        """Raise the AgentError that `answer` would raise, before an attempt is opened."""
        ...

    def prepare(self, request: Request) -> Request:
        """Return the request with `sent` and `template` as they will reach the agent.

        Nothing is started and no service is asked: it is also what `git esaa context` shows.
        """
        ...

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        """Ask the agent with a prepared request and return whatever came back.

        Args:
            pause: called at least every 50 ms while the agent is at work. What it raises passes
                through, and leaves neither a process, a connection nor a directory behind.

        Raises:
            AgentError: if the agent cannot be asked at all (the program does not exist, the
                folder of recorded answers is missing): no attempt should be spent on that.
        """
        ...


@dataclass(frozen=True, slots=True)
class Harvest:
    """What a checkout holds that its base does not, as the `file_updates` of an envelope.

    `fault` is set where the difference cannot be proposed at all (a symlink, a submodule, a file
    too large to read).
    """

    updates: Sequence[Mapping[str, Any]]
    fault: Rejected | None = None


class Workspace(Protocol):
    """A throwaway checkout, with a git directory of its own that shares the objects read-only.

    Attributes:
        path: the top of the checkout.
        home, tmp: empty folders beside it, for whatever runs in there.
        readable: folders outside of it that have to be readable for git to work in there.
    """

    path: Path
    home: Path
    tmp: Path
    readable: Sequence[Path]

    def harvest(self, max_bytes: int) -> Harvest:
        """Return how the checkout differs from what was laid out; ignored files stay out.

        Nothing in the checkout is believed or obeyed: neither its git directory nor its
        configuration, attributes' filter programs or hooks.
        """
        ...


class Workspaces(Protocol):
    """Makes throwaway checkouts."""

    def open(
        self, base: str, changes: Mapping[str, FileEntry | None] | None = None
    ) -> AbstractContextManager[Workspace]:
        """Lay out a commit, with these paths changed, and remove it in the end.

        Raises:
            AgentError: if it cannot be laid out (the disk is full, say).
        """
        ...


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How one check of a proposed tree ended; `output` is the end of what it printed."""

    name: str
    passed: bool
    reason: str
    output: str
    duration_ms: int


class Checker(Protocol):
    """Runs the checks that a contract demands, confined, on a proposed tree."""

    def ready(self, checks: Sequence[Check]) -> None:
        """Look, before an agent is asked, whether these can be run here.

        Raises:
            AgentError: if a program is missing that no proposal could bring.
        """
        ...

    def run(
        self,
        checks: Sequence[Check],
        base: str,
        changes: Mapping[str, FileEntry | None],
        pause: Callable[[], None],
    ) -> Sequence[CheckResult]:
        """Run them in order on the base with these changes; the first that fails is the last.

        Raises:
            AgentError: if checks cannot be run here at all (no confinement, no room).
        """
        ...
