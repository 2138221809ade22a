"""The ports in memory: a whole orchestrator in one process and in milliseconds, without git.

Contents have git's own ids, commits are values named by the SHA-1 of what they say, refs are a
dict, and a merge settles what only one side changed. It does what `esaa_git.ports.log` promises and
no more, so that the adapters on git can be held against it.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha1
from typing import Any, Final

import yaml

from esaa_git.core import canonical
from esaa_git.core.contract_rules import check_attachments, check_lawful
from esaa_git.core.contracts import ALLOWED_SIGNERS, AgentEntry, Check, Contracts, is_contract_file
from esaa_git.core.event import Event, StoredEvent
from esaa_git.core.invariants import Violation
from esaa_git.core.plan import load_plan
from esaa_git.core.projection import evolve, projection_hash
from esaa_git.core.state import EMPTY, State, Task
from esaa_git.engine import run
from esaa_git.engine.engine import Engine
from esaa_git.errors import ConflictError, RepositoryError
from esaa_git.ports.agent import AgentAdapter, Answer, Request, Workspace
from esaa_git.ports.branch import BranchMove, Effect, InTheWay
from esaa_git.ports.checks import Audit, CheckResult
from esaa_git.ports.files import Conflict, FileEntry, NotAFile
from esaa_git.ports.local import Followup
from esaa_git.ports.log import Attachments, Tip
from esaa_git.resources import resource_path

EVENTS: Final = "refs/esaa/events"
START: Final = datetime(2026, 1, 31, 9, tzinfo=UTC)
SIGNATURE: Final = b"-----BEGIN SSH SIGNATURE-----\nin memory\n-----END SSH SIGNATURE-----\n"

Entry = FileEntry | NotAFile
Files = Mapping[str, Entry]


class MemoryClock:
    """Stands still until it is told to go forward, or somebody sleeps."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return time.monotonic()

    def between(self, least: float, most: float) -> float:
        return random.uniform(least, most)

    def sleep(self, seconds: float) -> None:
        self.forward(seconds=seconds)

    def forward(self, **duration: float) -> None:
        self.moment += timedelta(**duration)


# ---------------------------------------------------------------------------------- the repository


@dataclass(frozen=True)
class Commit:
    """A commit: the commits before it, what stands in its tree, and what its message says."""

    parents: tuple[str, ...]
    files: Files
    message: Mapping[str, Any]

    @property
    def oid(self) -> str:
        said = {
            "parents": self.parents,
            "files": {path: _named(entry) for path, entry in self.files.items()},
            "message": self.message,
        }
        return sha1(canonical.encode(said)).hexdigest()


def _named(entry: Entry) -> str:
    return entry.what if isinstance(entry, NotAFile) else f"{entry.mode} {entry.oid}"


@dataclass
class Repository:
    """Blobs, commits and refs; `checkout` holds the files of whoever has `current` checked out."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    current: str = "main"
    checkout: dict[str, Entry] = field(default_factory=dict)

    def put(self, commit: Commit) -> str:
        self.commits[commit.oid] = commit
        return commit.oid

    def files(self, commit: str) -> Files:
        return self.commits[commit].files

    def ancestors(self, commit: str) -> Iterator[str]:
        """Yield a commit and all that come before it, each once."""
        seen: set[str] = set()
        queue = [commit]
        while queue:
            oid = queue.pop()
            if oid not in seen:
                seen.add(oid)
                yield oid
                queue.extend(self.commits[oid].parents)

    def swap(self, moves: Sequence[tuple[str, str | None, str]]) -> None:
        """Move refs from where they were expected, all or none."""
        for ref, old, _ in moves:
            if self.refs.get(ref) != old:
                raise ConflictError(f"'{ref}' moved", cause=f"expected {old}")
        for ref, _, new in moves:
            self.refs[ref] = new


class MemoryBlobs:
    """A `BlobStore`."""

    def __init__(self, repository: Repository) -> None:
        self._blobs = repository.blobs

    def read(self, oid: str) -> bytes:
        return self._blobs[oid]

    def write(self, content: bytes) -> str:
        oid = sha1(b"blob %d\0%s" % (len(content), content)).hexdigest()
        self._blobs[oid] = content
        return oid


class MemoryTrees:
    """`Trees`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def entry(self, commit: str, path: str) -> Entry | None:
        files = self._repository.files(commit)
        if path in files:
            return files[path]
        names = path.split("/")
        for depth in range(1, len(names)):
            above = files.get("/".join(names[:depth]))
            if above is not None:
                return above if isinstance(above, NotAFile) else NotAFile("a file in its way")
        below = any(other.startswith(f"{path}/") for other in files)
        return NotAFile("a directory") if below else None

    def paths(self, commit: str, below: Sequence[str] = ("",)) -> Iterator[tuple[str, FileEntry]]:
        for path, entry in sorted(self._repository.files(commit).items()):
            if isinstance(entry, FileEntry) and is_below(path, below):
                yield path, entry


class MemoryMerger:
    """A `Merger` that settles what at most one side changed."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def merge_file(
        self, path: str, base: FileEntry, ours: FileEntry, theirs: FileEntry
    ) -> FileEntry | Conflict:
        mode = _settled(base.mode, ours.mode, theirs.mode)
        oid = _settled(base.oid, ours.oid, theirs.oid)
        if mode is None or oid is None:
            return Conflict(path, "both sides changed it", "<<<<<<< branch\n>>>>>>> proposal\n")
        return FileEntry(mode, oid)

    def renamed_to(self, base: str, tip: str, path: str) -> str | None:
        before, after = self._repository.files(base), self._repository.files(tip)
        added = [name for name in after if name not in before and after[name] == before[path]]
        return added[0] if len(added) == 1 else None


def _settled(base: str, ours: str, theirs: str) -> str | None:
    if theirs in (base, ours):
        return ours
    return theirs if ours == base else None


class MemoryBranch:
    """A `WorkingBranch`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.hooks: tuple[str, ...] = ()

    def tip(self, branch: str) -> str | None:
        return self._repository.refs.get(f"refs/heads/{branch}")

    def current(self) -> str:
        return self._repository.current

    def protected(self) -> Sequence[str]:
        return self.hooks

    def move(self, move: BranchMove, message: str) -> None:
        self._repository.swap([(f"refs/heads/{move.branch}", move.old, move.new)])

    def contains(self, tip: str, commit: str) -> bool:
        return commit in self._repository.ancestors(tip)

    def keep_snapshot(self, name: str, commits: Mapping[str, str], most: int) -> list[str]:
        prefix = "refs/esaa/snapshots/"
        refs = self._repository.refs
        kept = [f"{prefix}{name}/{part}" for part in commits]
        refs.update(zip(kept, commits.values(), strict=True))
        names = sorted({ref.split("/")[3] for ref in refs if ref.startswith(prefix)})
        for old in names[:-most]:
            for ref in [ref for ref in refs if ref.startswith(f"{prefix}{old}/")]:
                del refs[ref]
        return kept


class MemoryEffects:
    """An `EffectCommits`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def commit_effect(self, effect: Effect, sign: Callable[[bytes], bytes]) -> str:
        sign(effect.event_commit.encode())
        files = _changed(self._repository.files(effect.parent), effect.changes)
        said = {name: value for name, value in asdict(effect).items() if name != "changes"}
        return self._repository.put(Commit((effect.parent,), files, said))

    def commit_merge(
        self, branch: str, effect_commit: str, ts: str, sign: Callable[[bytes], bytes]
    ) -> str:
        tip = self._repository.refs.get(f"refs/heads/{branch}")
        if tip is None:
            raise RepositoryError(f"the working branch '{branch}' is gone")
        mine = set(self._repository.ancestors(tip))
        base = next(oid for oid in self._repository.ancestors(effect_commit) if oid in mine)
        before, ours, theirs = map(self._repository.files, (base, tip, effect_commit))
        files = dict(ours)
        for path in sorted({*before, *theirs}):
            if theirs.get(path) == before.get(path) or theirs.get(path) == ours.get(path):
                continue
            if ours.get(path) != before.get(path):
                raise ConflictError(f"'{path}' conflicts with what '{branch}' has become")
            files = _changed(files, {path: theirs.get(path)})
        sign(effect_commit.encode())
        return self._repository.put(Commit((tip, effect_commit), files, {"ts": ts}))


class MemoryCheckouts:
    """A `Checkouts` with one checkout, of the current branch."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def in_the_way(
        self, branch: str, commit: str, changes: Mapping[str, FileEntry | None]
    ) -> list[InTheWay]:
        if branch != self._repository.current:
            return []
        before, here = self._repository.files(commit), self._repository.checkout
        return [
            InTheWay(path, ".", "it has uncommitted changes")
            for path, wanted in sorted(changes.items())
            if here.get(path) not in (before.get(path), wanted)
        ]

    def uncommitted(self, branch: str, below: Sequence[str]) -> list[str]:
        tip = self._repository.refs.get(f"refs/heads/{branch}")
        if tip is None or branch != self._repository.current:
            return []
        before, here = self._repository.files(tip), self._repository.checkout
        return sorted(path for path in {*before, *here} if here.get(path) != before.get(path))

    def lock(self, branch: str) -> None:
        """Nobody else is there."""

    def unlock(self) -> None:
        """Nobody else is there."""

    def follow(self, branch: str, old: str, new: str, paths: Sequence[str]) -> list[InTheWay]:
        if branch != self._repository.current:
            return []
        after, here = self._repository.files(new), self._repository.checkout
        left = self.in_the_way(branch, old, {path: after.get(path) for path in paths})
        named = {path.path for path in left}
        followed = {path: after.get(path) for path in paths if path not in named}
        self._repository.checkout = _changed(here, followed)
        return left


def _changed(files: Files, changes: Mapping[str, Entry | None]) -> dict[str, Entry]:
    after = dict(files)
    for path, entry in changes.items():
        if entry is None:
            after.pop(path, None)
        else:
            after[path] = entry
    return after


# ----------------------------------------------------------------------------------------- the log


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
            raise RepositoryError("there is no event log in this repository yet")
        last = self.recorded[self._loaded]
        return last.state, last.contracts

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
        self._log_id = log_id

    def write(
        self, event: Event, state: State, contracts: Contracts, attachments: Attachments
    ) -> str:
        said = {
            "log_id": self._log_id,
            "event_sha256": event.sha256,
            "contracts": contracts.pins,
            "exchange": dict(attachments.exchange),
        }
        parents = () if self._last is None else (self._last,)
        self._last = self._log.repository.put(Commit(parents, attachments.files, said))
        self._log.recorded[self._last] = Recorded(
            event, state, contracts, attachments, self._log_id
        )
        return self._last

    def sign(self, payload: bytes) -> bytes:
        return SIGNATURE

    def commit(self, branch: BranchMove | None = None) -> None:
        if self._last is None or self._last == self._start:
            return
        moves = [(EVENTS, self._start, self._last)]
        if branch is not None:
            moves.append((f"refs/heads/{branch.branch}", branch.old, branch.new))
        self._log.repository.swap(moves)
        self._log.load()


class MemoryJournal:
    """A `Journal`."""

    def __init__(self) -> None:
        self.followup: Followup | None = None

    def write(self, followup: Followup) -> None:
        self.followup = followup

    def read(self) -> Followup | None:
        return self.followup

    def clear(self) -> None:
        self.followup = None

    def pause(self) -> None:
        """Keep it: there is no other process to leave it to."""


def audit(log: MemoryEventLog) -> Audit:
    """Replay the log and hold every event and every recorded state against it."""
    state = EMPTY
    count = 0
    for count, stored in enumerate(log.events(), start=1):
        recorded = log.recorded[stored.commit]
        event, attached = stored.event, recorded.attachments
        try:
            check_lawful(state, event, recorded.contracts)
            check_attachments(
                event,
                {path: (entry.mode, entry.oid) for path, entry in attached.files.items()},
                attached.exchange,
            )
            state = evolve(state, event)
        except Violation as error:
            return Audit("mismatch", 1, count, None, 7, event.event_id, str(error))
        if state != recorded.state:
            message = "the recorded state is another one"
            return Audit("mismatch", 1, count, None, 7, event.event_id, message)
    return Audit("ok", 1, count, projection_hash(state))


# -------------------------------------------------------------------------------------- the engine


def is_below(path: str, below: Sequence[str]) -> bool:
    """Answer whether a path is, or lies below, one of these; '' is the root."""
    return any(one in ("", path) or path.startswith(f"{one}/") for one in below)


Answering = Callable[[Request], Answer | bytes]
"""A scripted agent: from a request to its answer, or to the bytes of one."""


class MemoryAgent:
    """An `AgentAdapter` around a function."""

    sandbox = "in-process"

    def __init__(
        self,
        entry: AgentEntry,
        answering: Answering,
        requests: list[Request],
        *,
        has_checkout: bool = True,
    ) -> None:
        self.has_checkout = has_checkout
        self.name = entry.name
        self.adapter = entry.adapter
        self.model = entry.model
        self._answering = answering
        self._requests = requests

    def ready(self) -> None:
        pass

    def prepare(self, request: Request) -> Request:
        return request

    def answer(self, request: Request, pause: Callable[[], None]) -> Answer:
        self._requests.append(request)
        said = self._answering(request)
        return said if isinstance(said, Answer) else Answer(said, 0)


class MemoryRoster:
    """What others left is put here by a test."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.orphans: list[str] = []

    def enter(self, name: str) -> None:
        if name not in self.names:
            self.names.append(name)

    def leave(self, name: str) -> None:
        if name in self.names:
            self.names.remove(name)

    def left_behind(self) -> list[str]:
        found, self.orphans = self.orphans, []
        return found


class NoWorkspaces:
    """For adapters that lay out no checkout."""

    def open(
        self, base: str, changes: Mapping[str, FileEntry | None] | None = None
    ) -> AbstractContextManager[Workspace]:
        raise AssertionError("nobody asks for a checkout here")


class MemoryChecker:
    """Runs no program: a check passes unless a file of the tree holds the words `NAME fails`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self.trees: list[dict[str, Entry]] = []

    def ready(self, checks: Sequence[Check]) -> None:
        pass

    def run(
        self,
        checks: Sequence[Check],
        base: str,
        changes: Mapping[str, FileEntry | None],
        pause: Callable[[], None],
    ) -> list[CheckResult]:
        tree = {**self._repository.files(base), **changes}
        self.trees.append({path: entry for path, entry in tree.items() if entry is not None})
        contents = [
            self._repository.blobs[entry.oid]
            for entry in tree.values()
            if isinstance(entry, FileEntry)
        ]
        results: list[CheckResult] = []
        for check in checks:
            passed = not any(f"{check.name} fails".encode() in content for content in contents)
            reason = "" if passed else "it left with exit status 1"
            results.append(CheckResult(check.name, passed, reason, "output\n", 1))
            if not passed:
                break
        return results


@dataclass
class MemoryEngine(Engine):
    """The orchestrator over these ports, with what a test wants to look at and to steer.

    Attributes:
        answering: who answers, by the name of the agent; `""` stands for everybody else.
        requests: what agents were asked, in order.
        lines: what a person was told.
    """

    log: MemoryEventLog
    branch: MemoryBranch
    effects: MemoryEffects
    checkouts: MemoryCheckouts
    journal: MemoryJournal
    clock: MemoryClock
    repository: Repository = field(default_factory=Repository)
    given: Contracts = field(default_factory=lambda: contracts())
    answering: dict[str, Answering] = field(default_factory=dict)
    has_checkout: bool = True
    requests: list[Request] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        return self.log.load()[0]

    @property
    def contracts(self) -> Contracts:
        return self.log.load()[1]

    @property
    def events(self) -> list[Event]:
        return [stored.event for stored in self.log.events()]

    @property
    def actions(self) -> list[str]:
        return [event.action for event in self.events]

    @property
    def last(self) -> Event:
        return next(self.log.events(newest_first=True)).event

    def task(self, task_id: str) -> Task:
        return self.state.tasks[task_id]

    def view(self, index: int = -1) -> dict[str, Any]:
        """Return what an agent was asked, as a value."""
        view: dict[str, Any] = json.loads(self.requests[index].view)
        return view

    def content(self, path: str, branch: str = "main") -> bytes | None:
        """Return a file of the branch."""
        entry = self.repository.files(self.repository.refs[f"refs/heads/{branch}"]).get(path)
        return self.repository.blobs[entry.oid] if isinstance(entry, FileEntry) else None

    def files(self, contents: Mapping[str, bytes | Entry]) -> dict[str, Entry]:
        """Store contents and return their entries."""
        return {
            path: FileEntry("100644", self.blobs.write(item)) if isinstance(item, bytes) else item
            for path, item in contents.items()
        }

    def person_commits(self, changes: Mapping[str, bytes | Entry | None]) -> str:
        """Commit to the current branch as a person would, checkout included."""
        ref = f"refs/heads/{self.repository.current}"
        tip = self.repository.refs.get(ref)
        stored = self.files({path: item for path, item in changes.items() if item is not None})
        entries = {path: stored.get(path) for path in changes}
        before = {} if tip is None else self.repository.files(tip)
        parents = () if tip is None else (tip,)
        commit = self.repository.put(
            Commit(parents, _changed(before, entries), {"by": "person@example.com"})
        )
        self.repository.refs[ref] = commit
        self.repository.checkout = _changed(self.repository.checkout, entries)
        return commit

    def apply(
        self, *tasks: Mapping[str, Any], project: str = "example", by: str | None = None
    ) -> run.Applied:
        """Apply a plan of these tasks, starting a run where none is open."""
        document = json.dumps({"project": project, "tasks": list(tasks)})
        return run.apply(
            self, load_plan(document.encode(), "plan.yaml"), self.given, branch=None, by=by
        )

    def snapshot(self) -> Callable[[], None]:
        """Return a function that puts log, branch, checkout, journal and time back."""
        refs, checkout = dict(self.repository.refs), dict(self.repository.checkout)
        moment, asked, told = self.clock.moment, len(self.requests), len(self.lines)

        def restore() -> None:
            self.repository.refs = dict(refs)
            self.repository.checkout = dict(checkout)
            self.journal.followup = None
            self.clock.moment = moment
            del self.requests[asked:], self.lines[told:]
            self.log._loaded = None

        return restore


def engine(
    answering: Answering | Mapping[str, Answering] | None = None,
    *,
    given: Contracts | None = None,
    files: Mapping[str, bytes | Entry] | None = None,
) -> MemoryEngine:
    """Return an orchestrator over a repository with one commit, and no log yet.

    Args:
        answering: who answers: one function for all, or one for each agent by name.
        given: the contracts that `apply` pins; those of a new project by default.
        files: what the first commit holds.
    """
    repository = Repository()
    log = MemoryEventLog(repository)
    agents = answering if isinstance(answering, Mapping) else {"": answering or oblige}
    made = MemoryEngine(
        log=log,
        trees=MemoryTrees(repository),
        blobs=MemoryBlobs(repository),
        merger=MemoryMerger(repository),
        branch=MemoryBranch(repository),
        effects=MemoryEffects(repository),
        checkouts=MemoryCheckouts(repository),
        journal=MemoryJournal(),
        clock=MemoryClock(),
        make_agent=lambda entry, _: _agent(made, entry),
        new_log_id=lambda: "0123456789abcdef" * 2,
        roster=MemoryRoster(),
        make_checker=lambda: MemoryChecker(repository),
        audit=lambda: audit(log),
        say=lambda line: made.lines.append(line),
        repository=repository,
        given=given or contracts(),
        answering=dict(agents),
    )
    made.person_commits({"README.md": b"# Example\n"} if files is None else files)
    return made


def _agent(made: MemoryEngine, entry: AgentEntry) -> AgentAdapter:
    answering = made.answering.get(entry.name) or made.answering[""]
    return MemoryAgent(entry, answering, made.requests, has_checkout=made.has_checkout)


# -------------------------------------------------------------------------- what agents may answer


def envelope(request: Request, action: str = "agent.result", /, **payload: Any) -> dict[str, Any]:
    """Return a well-formed envelope for the request."""
    if action == "agent.result":
        payload = {"summary": f"Worked on {request.task_id}.", **payload}
    return {
        "action": action,
        "task_id": request.task_id,
        "attempt_id": request.attempt_id,
        "payload": payload,
    }


def spoken(value: Any) -> bytes:
    """Return a value as an agent would print it."""
    return json.dumps(value, ensure_ascii=False).encode()


def write(path: str, content: str = "text\n", **more: Any) -> dict[str, Any]:
    """Return the update that writes a whole file."""
    return {"op": "write", "path": path, "content": content, **more}


def result(*updates: Mapping[str, Any], **payload: Any) -> Answering:
    """Return an agent that proposes these updates; without any, that nothing needs changing."""
    if updates:
        payload["file_updates"] = list(updates)
    return lambda request: spoken(envelope(request, **payload))


def says(action: str, **payload: Any) -> Answering:
    """Return an agent that answers with this intention."""
    return lambda request: spoken(envelope(request, action, **payload))


def in_turn(*answering: Answering) -> Answering:
    """Return an agent that answers differently each time; the last one stays."""
    left = list(answering)
    return lambda request: (left.pop(0) if len(left) > 1 else left[0])(request)


def oblige(request: Request) -> bytes:
    """Write one file, at a path that every kind of a new project may write."""
    path = f"docs/qa/{request.task_id}.md"
    return result(write(path, f"About {request.task_id}.\n"))(request)


# ---------------------------------------------------------------------------- contracts and tasks

# The key is one that nobody holds.
_SIGNERS: Final = (
    b'orchestrator,approver,admin namespaces="git" ssh-ed25519 '
    b"AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
)


@cache
def template_files() -> Mapping[str, bytes]:
    """Return the contracts of a new project, by name."""
    folder = resource_path("templates", "default")
    files = {
        path.name: path.read_bytes() for path in folder.iterdir() if is_contract_file(path.name)
    }
    return {**files, ALLOWED_SIGNERS: _SIGNERS}


@cache
def template_document(name: str) -> Any:
    """Return what one of them says."""
    return yaml.safe_load(template_files()[name])


Place = tuple[str, ...]
"""A knob: the name of a contract's file, then the keys that lead to the value."""


def contracts(changes: Mapping[Place, Any] | None = None) -> Contracts:
    """Return the contracts of a new project, with the values at these places changed."""
    return _default() if not changes else Contracts(changed_files(changes))


@cache
def _default() -> Contracts:
    return Contracts(template_files())


def changed_files(changes: Mapping[Place, Any]) -> dict[str, bytes]:
    """Return the files of the contracts with the values at these places changed."""
    files = dict(template_files())
    documents: dict[str, Any] = {}
    for (name, *keys), value in changes.items():
        document = documents.setdefault(name, deepcopy(template_document(name)))
        for key in keys[:-1]:
            document = document.setdefault(key, {})
        document[keys[-1]] = value
    for name, document in documents.items():
        files[name] = json.dumps(document).encode()
    return files


def task(task_id: str = "T-1", kind: str = "spec", **more: Any) -> dict[str, Any]:
    """Return the definition of a task."""
    return {"task_id": task_id, "kind": kind, "title": f"Task {task_id}", **more}


def pipeline(*kinds: str) -> Iterable[dict[str, Any]]:
    """Yield tasks of these kinds, each depending on the one before."""
    for number, kind in enumerate(kinds, start=1):
        after = [f"T-{number - 1}"] if number > 1 else []
        yield task(f"T-{number}", kind, depends_on=after)
