"""A trial task for one agent, in a repository that is made for it and thrown away.

The agent is asked as in a run, through its adapter, confined, and its answer is judged by the
verifier. Nothing is recorded: there is no log, and no key signs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, assert_never

from esaa_git.app.door import TrialConsent
from esaa_git.app.pinning import wanted_contracts
from esaa_git.app.project import Project, SystemClock
from esaa_git.core import canonical
from esaa_git.core.agent_contract import AGENT_CONTRACT
from esaa_git.core.contracts import AgentEntry, Contracts
from esaa_git.core.event import after, timestamp
from esaa_git.core.machine import AttemptState, TaskState
from esaa_git.core.rejection import Rejected
from esaa_git.core.state import Project as ProjectRecord
from esaa_git.core.state import State
from esaa_git.core.table import Table
from esaa_git.core.task import Attempt, Task
from esaa_git.core.view import purified_view
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer, Request

if TYPE_CHECKING:
    from esaa_git.engine.verifier import Accepted, Repeated
    from esaa_git.ports.agent import AgentAdapter

FILE: Final = "hello.txt"
CONTENT: Final = b"hello"
TITLE: Final = f"Create the file '{FILE}' with the one line '{CONTENT.decode()}'"
TASK_ID: Final = "TRIAL-1"

MOST_MINUTES: Final = 3
"""How long an agent may take, unless its entry allows less."""

_CONTRACT: Final = f"""\
schema_version: "0.3.0"
actions: [agent.result, issue.report]
kinds:
  trial:
    write: ["{FILE}"]
    read: ["**"]
    review: none
prohibitions:
  paths: []
  operations: []
""".encode()

_VERSION_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class TrialSetup:
    """Whom a trial asks, and how.

    Attributes:
        program: of an agent that is a program; None for others.
        version: what a preset's program says its version is.
        is_recorded: it answers from recordings, so that there is nothing to try.
    """

    agent: str
    adapter: str
    preset: str | None
    model: str | None
    sandbox: str
    hosts: Sequence[str]
    program: str | None
    version: str | None
    is_recorded: bool


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came back in a trial, and what that amounts to.

    Attributes:
        milliseconds: how long it took with all that is around it; `latency_ms` is the adapter's
            own measure.
        action: of the envelope, with its `summary` and the `files` that it would write; of a
            rejected answer there is none of them.
        is_as_asked: the file would hold the one line, whatever stands around it.
        kept: the folder with the trial's repository, request and answer, where it is kept.
        away: why its service could not answer, and what helps; None where it did.
    """

    milliseconds: int
    latency_ms: int
    answered_as: str | None
    usage: Mapping[str, Any]
    tries: Sequence[Mapping[str, Any]]
    rejected: Rejected | None
    action: str
    summary: str
    files: Sequence[Mapping[str, Any]]
    is_as_asked: bool
    kept: Path | None
    away: tuple[str, str | None] | None = None


class Trial:
    """A trial that is prepared: its repository is made, and its agent is ready."""

    def __init__(
        self,
        folder: Path,
        adapter: AgentAdapter,
        contracts: Contracts,
        setup: TrialSetup,
        keep: bool,
    ) -> None:
        self.setup = setup
        self._folder = folder
        self._adapter = adapter
        self._contracts = contracts
        self._keep = keep

    def run(self) -> TrialResult:
        """Ask the agent and judge what it answers.

        Raises:
            AgentError: as `AgentAdapter.answer`.
        """
        from esaa_git.core.answer import Heartbeat, Issue, Lesson, Question, Result, Review
        from esaa_git.core.events.base import encode
        from esaa_git.core.rejection import Rejected, excerpt
        from esaa_git.engine.verifier import Accepted

        began = time.monotonic()
        request, answer, verdict, content = _asked(
            self._folder / "repository", self._adapter, self._contracts
        )
        milliseconds = int((time.monotonic() - began) * 1000)
        if self._keep:
            (self._folder / "request").write_bytes(request.sent)
            (self._folder / "answer").write_bytes(answer.output)
        rejected = verdict if isinstance(verdict, Rejected) else None
        action, summary, files = "", "", []
        if not isinstance(verdict, Rejected):
            payload = verdict.envelope.payload
            proposal = verdict.proposal if isinstance(verdict, Accepted) else None
            action = verdict.envelope.action
            match payload:
                case Result():
                    summary = payload.summary
                case Issue():
                    summary = payload.title
                case Question():
                    summary = excerpt(payload.text, 200)
                case Heartbeat() | Lesson() | Review():
                    pass  # None of these has words for a table.
                case _:
                    assert_never(payload)
            files = [] if proposal is None else [encode(file.recorded()) for file in proposal.files]
        away = answer.unavailable
        return TrialResult(
            milliseconds,
            answer.latency_ms,
            answer.model,
            dict(answer.usage),
            [dict(tried) for tried in answer.tries],
            rejected,
            action,
            summary,
            files,
            content is not None and content.strip() == CONTENT,
            self._folder if self._keep else None,
            None if away is None else (away.reason, away.hint),
        )


@contextmanager
def trial(project: Project, name: str, *, sandbox: str, keep: bool) -> Iterator[Trial]:
    """Prepare a trial of an agent; in the end its repository is removed, unless it is kept.

    Raises:
        AgentError: if the agent cannot be asked at all.
    """
    from esaa_git.agents.registry import check_swarm

    contracts = wanted_contracts(project, whole=False)
    check_swarm(contracts)
    entry = _anchored(contracts.swarm.agent(name), project.repository.workdir)
    with _trial_folder(keep=keep) as top:
        asking = Project(top / "repository")
        asking.sandbox = sandbox
        consent = TrialConsent(project.consent, contracts.swarm.agent(name))
        adapter = asking.make_agent(entry, _trial_contracts(contracts), consent)
        adapter.ready()
        confined = adapter.sandbox
        program, version = _installed(adapter.inner, top)
        setup = TrialSetup(
            name,
            entry.adapter,
            entry.settings.get("preset"),
            entry.model,
            confined,
            list(entry.settings.get("hosts", ())),
            program,
            version,
            entry.adapter == "scripted",
        )
        yield Trial(top, adapter, contracts, setup, keep)


def _anchored(entry: AgentEntry, root: Path | None) -> AgentEntry:
    """Return the entry with the paths that start at the operator's checkout made absolute."""
    from esaa_git.agents.registry import ADAPTERS

    settings = dict(entry.settings)
    entry = replace(entry, setups=())  # what they go by is not in this repository
    if root is None or entry.adapter not in ADAPTERS.built_in:
        return entry  # what the settings of another package's adapter mean is not ours to say

    def absolute(path: str) -> str:
        return path if Path(path).is_absolute() else str(root.absolute() / path)

    for name in ("folder", "file"):
        if name in settings:
            settings[name] = absolute(settings[name])
    return replace(entry, settings=settings)


def _trial_contracts(contracts: Contracts) -> Contracts:
    """Return a project's contracts with the boundaries of the trial in them."""
    return contracts.with_files({AGENT_CONTRACT: _CONTRACT})


def _installed(adapter: AgentAdapter, top: Path) -> tuple[str | None, str | None]:
    """Return where a preset's tool is, and which version it says it is."""
    from esaa_git.agents.programs import environment
    from esaa_git.agents.worktree import WorktreeAgent
    from esaa_git.sandbox import confinement

    if not isinstance(adapter, WorktreeAgent):
        return None, None
    program = adapter.program()
    if adapter.preset is None:
        return program, None
    home = top / "home"
    home.mkdir()
    try:
        outcome = confinement.run(
            adapter.sandbox,
            [program, "--version"],
            rules=confinement.Rules(adapter.own_places(), (home,)),
            cwd=home,
            env=environment(adapter.name, (), home=home, tmp=home, ours={}),
            body=b"",
            max_output_bytes=10_000,
            until=time.monotonic() + _VERSION_SECONDS,
            pause=lambda: None,
        )
    except confinement.NotStarted as error:
        raise AgentError(
            f"agent '{adapter.name}': '{program}' cannot be started",
            cause=str(error),
            hint=f"run '{adapter.preset.install}'",
        ) from error
    if outcome.status:
        raise AgentError(
            f"agent '{adapter.name}': '{program} --version' fails when confined",
            cause=outcome.stderr.decode("utf-8", "replace").strip()[-500:] or "it says nothing",
            hint="name what it has to read outside of its own folder under 'read' in "
            f"its entry, or run '{adapter.preset.install}'",
        )
    version = outcome.output.decode("utf-8", "replace").strip().splitlines()
    return program, version[0] if version else ""


def _asked(
    folder: Path, adapter: AgentAdapter, contracts: Contracts
) -> tuple[Request, Answer, Accepted | Repeated | Rejected, bytes | None]:
    """Return what was asked and answered, the verdict, and what the file would hold."""
    from esaa_git.engine.verifier import Accepted, Verifier
    from esaa_git.store.merge import GitMerger
    from esaa_git.store.trees import GitBlobs

    project = Project(folder)
    in_force = _trial_contracts(contracts)
    state = _state(str(project.repository.raw.head.target), adapter.name)
    task = state.tasks[TASK_ID]
    attempt = task.attempt
    assert attempt is not None
    blobs = GitBlobs(project.repository)
    view: dict[str, Any] = purified_view(state, in_force, task, attempt, adapter.name, blobs.read)
    if not adapter.has_checkout:
        view["files"] = []
    body = canonical.encode(view)
    request = adapter.prepare(
        Request(TASK_ID, attempt.attempt_id, attempt.base, body, ("**",), attempt.deadline, body)
    )
    answer = adapter.answer(request, lambda: None)
    verifier = Verifier(project.trees, blobs, GitMerger(project.repository), ())
    verdict: Accepted | Repeated | Rejected
    if answer.failure is not None:
        verdict = _failed(answer)
    else:
        verdict = verifier.judge(
            answer.output,
            state=state,
            contracts=in_force,
            actor=adapter.name,
            now=timestamp(SystemClock().now()),
            task_id=TASK_ID,
            attempt_id=attempt.attempt_id,
        )
    content = None
    if isinstance(verdict, Accepted) and verdict.proposal is not None:
        written = verdict.proposal.tree_changes().get(FILE)
        content = None if written is None else blobs.read(written.oid)
    return request, answer, verdict, content


def _failed(answer: Answer) -> Rejected:
    from esaa_git.core.rejection import RejectCode

    code = RejectCode(answer.code or RejectCode.AGENT_FAILED)
    return Rejected(code, answer.failure or "failed", dict(answer.detail))


def _state(base: str, agent: str) -> State:
    """Return a project with one task, which the agent holds."""
    now = timestamp(SystemClock().now())
    deadline = after(now, MOST_MINUTES * 60_000)
    attempt_id = f"{TASK_ID}-A1"
    task = Task(
        TASK_ID,
        "trial",
        TITLE,
        "Nothing else is to be done, read or installed.",
        acceptance=(f"'{FILE}' stands at the top of the repository.",),
        writes=(FILE,),
        state=TaskState.IN_PROGRESS,
        attempts_used=1,
        attempts_total=1,
        attempt=Attempt(attempt_id, 1, agent, AttemptState.ACTIVE, now, deadline, base, "dispatch"),
    )
    return State(project=ProjectRecord("trial"), tasks=Table({TASK_ID: task}))


def _make_repository(folder: Path) -> None:
    """Make a repository with one commit."""
    import pygit2

    raw = pygit2.init_repository(str(folder), initial_head="main")
    builder = raw.TreeBuilder()
    readme = raw.create_blob(b"A repository to try an agent in.\n")
    builder.insert("README", readme, pygit2.enums.FileMode.BLOB)
    author = pygit2.Signature("git-esaa", "git-esaa@localhost", int(time.time()), 0)
    raw.create_commit("refs/heads/main", author, author, "A beginning\n", builder.write(), [])


@contextmanager
def _trial_folder(*, keep: bool) -> Iterator[Path]:
    """Make a repository to try an agent in; in the end it is removed, unless it is kept."""
    import tempfile

    from esaa_git.folders import throwaway_folder

    if keep:
        top = Path(tempfile.mkdtemp(prefix="esaa-trial-"))
        _make_repository(top / "repository")
        yield top
        return
    with throwaway_folder("trial") as top:
        _make_repository(top / "repository")
        yield top
