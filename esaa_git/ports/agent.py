"""What the author of an adapter implements, and what an adapter is given and returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from esaa_git.core.rejection import Rejected
from esaa_git.ports.files import FileEntry

SessionUse: TypeAlias = Literal["none", "new", "last"]
"""Whether a tool's session is kept for the next attempt of a task: `none` is neither kept nor taken
up; `new` begins one; `last` goes on in that of the attempt before, where it is at hand."""


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
    begun: Mapping[str, FileEntry | None] = field(default_factory=dict)
    """What was changed in its checkout before: the files of the attempt that it goes on from."""
    session: SessionUse = "none"
    """What becomes of the session that the agent's tool keeps of it."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The service behind an agent could not answer: nobody's failed attempt.

    Attributes:
        reason: what it said, on one line.
        seconds: after how long it wants to be asked again; None where it does not say.
        needs_person: only a person can help (an account to be paid), so waiting is of no use.
        hint: what a person can do, with a command where there is one.
    """

    reason: str
    seconds: float | None = None
    needs_person: bool = False
    hint: str | None = None


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
        handed: variables of the user that the agent was given, or the setups that it worked in,
            and their values. What is a secret among them is redacted wherever it said it, and a
            file that holds one is not taken.
        left_out: what it made and its output does not hold: paths, a folder's with `/` at the end.
        unavailable: its service was out of order: no attempt is spent, and the agent rests.
            `failure` stands beside it.
        unwrapped: what the adapter took off around its output (`esaa_git.core.packing.Packing`).
        notes: what a person is told of how it was asked, a line each, said of the attempt.
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
    handed: Mapping[str, str] = field(default_factory=dict, repr=False)
    left_out: Sequence[str] = ()
    unavailable: Unavailable | None = None
    unwrapped: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Ran:
    """What answers, as a dispatch names it.

    Attributes:
        program_sha256: of the pinned program; None where what runs is installed outside.
        program_version: what an installed tool says of itself, one line of 200 characters at most.
        provider: who serves the model, in the words of OpenTelemetry's `gen_ai.provider.name`.
    """

    program_sha256: str | None = None
    program_version: str | None = None
    provider: str | None = None


@runtime_checkable
class NamesWhatRuns(Protocol):
    """An adapter that can say what answers; one that cannot leaves the dispatch without it."""

    def ran(self) -> Ran:
        """Return what will answer. A tool is asked for its version once a process at most."""
        ...


@dataclass(frozen=True, slots=True)
class Most:
    """What answering one request takes at most; None of what an adapter cannot say.

    Attributes:
        microdollars: of the US, all tries together.
        tokens: read and written.
    """

    microdollars: int | None = None
    tokens: int | None = None


@runtime_checkable
class Bounded(Protocol):
    """An adapter that can say what a prepared request takes at most. Nothing is asked for it."""

    def most(self, request: Request) -> Most: ...


def most_of(adapter: object, request: Request) -> Most:
    """Return what an adapter says that a request takes at most."""
    return adapter.most(request) if isinstance(adapter, Bounded) else Most()


@runtime_checkable
class GoesOn(Protocol):
    """An adapter whose agent finds the files of its last attempt in its checkout (`begun`)."""

    goes_on: bool


def may_go_on(adapter: object) -> bool:
    """Answer whether an adapter's agent can begin with the files of its last attempt."""
    return isinstance(adapter, GoesOn) and adapter.goes_on


@runtime_checkable
class SetsUp(Protocol):
    """An adapter whose agent works in what setups provide, which may take long to make."""

    def set_up(self, base: str, pause: Callable[[], None]) -> None:
        """Have it made for a commit, before an attempt is open; at once where it is kept.

        Raises:
            AgentError: if it cannot be made.
        """
        ...


def ran_by(adapter: object) -> Ran:
    """Return what an adapter says of what answers."""
    return adapter.ran() if isinstance(adapter, NamesWhatRuns) else Ran()


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
class Diff:
    """What a checkout holds that its base does not, as the `file_updates` of an envelope.

    `fault` is set where the difference cannot be proposed at all (a symlink, a submodule, a file
    too large to read). `left_out` names what is new and ignored, a folder with `/` at the end.
    """

    updates: Sequence[Mapping[str, Any]]
    fault: Rejected | None = None
    left_out: Sequence[str] = ()


class Workspace(Protocol):
    """A throwaway checkout, with a git directory of its own that shares the objects read-only.

    Attributes:
        top: the folder that holds all of it.
        path: the top of the checkout.
        home, tmp: empty folders beside it, for whatever runs in there.
        readable: folders outside of it that have to be readable for git to work in there.
    """

    top: Path
    path: Path
    home: Path
    tmp: Path
    readable: Sequence[Path]

    def hide(self, paths: Sequence[str]) -> None:
        """Have these paths be no work of anybody: no difference holds them, nor names them."""
        ...

    def diff(self, max_bytes: int, by_products: Sequence[str] = ()) -> Diff:
        """Return how the checkout differs from what was laid out.

        New files that the `.gitignore` files of the base ignore, or one of the globs, stay out and
        are named. Nothing in the checkout is believed or obeyed: neither its git directory nor its
        configuration, attributes' filter programs or hooks.
        """
        ...


class Workspaces(Protocol):
    """Makes throwaway checkouts."""

    def open(
        self,
        base: str,
        changes: Mapping[str, FileEntry | None] | None = None,
        begun: Mapping[str, FileEntry | None] | None = None,
        again: str = "",
    ) -> AbstractContextManager[Workspace]:
        """Lay out a commit, with these paths changed, and remove it in the end.

        What is `begun` is changed after that, as whoever works there would have done it: it is
        part of the difference. It lies where an earlier one lay whose top was `again`, if that
        place is free.

        Raises:
            AgentError: if it cannot be laid out (the disk is full, say).
        """
        ...
