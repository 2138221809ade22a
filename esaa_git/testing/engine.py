"""The orchestrator over a world in memory: a whole run in one process, in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from esaa_git.agents.adapter import Adapter, AdapterContext
from esaa_git.agents.registry import make
from esaa_git.core.contracts import SWARM, AgentEntry, Contracts
from esaa_git.core.event import Event
from esaa_git.core.events import OutputRejected
from esaa_git.core.plan import load_plan
from esaa_git.core.said import Refusal
from esaa_git.core.said import decode as decode_refusal
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine import run as runs
from esaa_git.engine.cycle import cycle
from esaa_git.engine.engine import Engine
from esaa_git.engine.options import Options, Report
from esaa_git.engine.schedule import PlanOrder
from esaa_git.ports.agent import AgentAdapter, Answer, Request
from esaa_git.ports.files import FileEntry
from esaa_git.testing.answers import Answering, oblige
from esaa_git.testing.branches import MemoryBranch, MemoryCheckouts, MemoryEffects, changed
from esaa_git.testing.contracts import Place, contracts, template_document
from esaa_git.testing.log import MemoryEventLog, audit
from esaa_git.testing.world import (
    Commit,
    Entry,
    MemoryBlobs,
    MemoryChecker,
    MemoryClock,
    MemoryJournal,
    MemoryMerger,
    MemoryTrees,
    MemoryWorkerRegistry,
    NoWorkspaces,
    Repository,
)


class MemoryChance:
    """Bytes that are no chance, and never the same."""

    def __init__(self) -> None:
        self._drawn = 0

    def __call__(self, count: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(count)


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
        goes_on: bool = False,
    ) -> None:
        self.has_checkout = has_checkout
        self.goes_on = goes_on
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


@dataclass
class MemoryEngine(Engine):
    """The orchestrator over these ports, with what a test wants to look at and to steer.

    Attributes:
        answering: who answers, by the name of the agent; `""` stands for all others.
        goes_on: such an agent finds the files of its last attempt (`ports.agent.GoesOn`).
        requests: what agents that follow a script were asked, in order.
        lines: what a person was told.
    """

    log: MemoryEventLog
    branch: MemoryBranch
    effects: MemoryEffects
    checkouts: MemoryCheckouts
    journal: MemoryJournal
    clock: MemoryClock
    repository: Repository = field(default_factory=Repository)
    given: Contracts = field(default_factory=contracts)
    answering: dict[str, Answering] = field(default_factory=dict)
    has_checkout: bool = True
    goes_on: bool = False
    requests: list[Request] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    planned: list[str] = field(default_factory=list)

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
    def refusals(self) -> list[Refusal]:
        """Why answers were refused, in words, oldest first."""
        refused = [one.payload for one in self.events if isinstance(one.payload, OutputRejected)]
        return [decode_refusal(self.blobs.read(one.exchange.refusal.blob)) for one in refused]

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
            Commit(parents, changed(before, entries), {"by": "person@example.com"})
        )
        self.repository.refs[ref] = commit
        self.repository.checkout = changed(self.repository.checkout, entries)
        return commit

    def apply(
        self, *tasks: Mapping[str, Any], project: str = "example", by: str | None = None
    ) -> runs.Applied:
        """Apply a plan of these tasks, starting a run where none is open."""
        self.planned = [task["task_id"] for task in tasks]
        document = json.dumps({"project": project, "tasks": list(tasks)})
        return runs.apply(
            self, load_plan(document.encode(), "plan.yaml"), self.given, branch=None, by=by
        )

    def run(self, options: Options | None = None) -> Report:
        """Have the agents work through what was applied, as `git esaa run` does."""
        return cycle(self, options or Options(order=PlanOrder(self.planned)))

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
            self.log.forget()

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
    lines: list[str] = []
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
        registry=MemoryWorkerRegistry(),
        make_checker=lambda: MemoryChecker(repository),
        audit=lambda: audit(log),
        say=lines.append,
        draw=MemoryChance(),
        lines=lines,
        repository=repository,
        given=given or contracts(),
        answering=dict(agents),
    )
    made.person_commits({"README.md": b"# Example\n"} if files is None else files)
    return made


def engine_with(
    adapter: Adapter,
    settings: Mapping[str, Any] | None = None,
    *,
    name: str = "agent",
    files: Mapping[str, bytes | Entry] | None = None,
) -> MemoryEngine:
    """Return an orchestrator that asks an adapter of yours for every task.

    The adapter is made for each attempt as a run makes it, its settings held against its schema.
    It has no checkout and no program to confine: for those, try it in a repository.

    Args:
        adapter: what your package registers under `esaa_git.adapters`.
        settings: its entry of `agents_swarm.yaml`, without `adapter`.
        name: of the agent, as the record has it.
        files: what the first commit holds.

    Raises:
        ConfigurationError: if an entry cannot have these settings. Those that the adapter's own
            schema refuses are refused by `run`.
    """
    kinds = template_document(SWARM)["kinds"]
    swarm: dict[Place, Any] = {
        (SWARM, "agents"): {name: {"adapter": name, **(settings or {})}},
        (SWARM, "kinds"): dict.fromkeys(kinds, name),
    }
    made = engine(given=contracts(swarm), files=files)

    def make_agent(entry: AgentEntry, given: Contracts) -> AgentAdapter:
        context = AdapterContext(
            root=None,
            trees=made.trees,
            blobs=made.blobs,
            workspaces=NoWorkspaces(),
            clock=made.clock,
            max_output_bytes=given.policy.max_output_bytes,
            sandbox="auto",
            prompt=given.prompt,
        )
        return make(adapter, entry, context)

    made.make_agent = make_agent
    return made


def _agent(made: MemoryEngine, entry: AgentEntry) -> AgentAdapter:
    answering = made.answering.get(entry.name) or made.answering[""]
    return MemoryAgent(
        entry, answering, made.requests, has_checkout=made.has_checkout, goes_on=made.goes_on
    )
