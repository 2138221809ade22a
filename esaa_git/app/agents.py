"""A trial task for one agent, in a repository that is made for it and thrown away.

The agent is asked as in a run, through its adapter, confined, and its answer is judged by the
verifier. Nothing is recorded: there is no log, and no key signs.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from esaa_git.app.project import Project, SystemClock
from esaa_git.core import canonical
from esaa_git.core.contracts import AGENT_CONTRACT, AgentEntry, Contracts
from esaa_git.core.event import after, timestamp
from esaa_git.core.machine import AttemptState, TaskState
from esaa_git.core.rejection import Rejected
from esaa_git.core.state import Attempt, State, Table, Task
from esaa_git.core.state import Project as ProjectRecord
from esaa_git.core.view import purified_view
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


@dataclass(frozen=True, slots=True)
class Trial:
    """What an agent was asked, what came back, and what that amounts to.

    `content` is what the file would hold, None where the answer does not write it.
    """

    request: Request
    answer: Answer
    verdict: Accepted | Repeated | Rejected
    content: bytes | None

    @property
    def is_as_asked(self) -> bool:
        """Whether the file would hold the one line, whatever stands around it."""
        return self.content is not None and self.content.strip() == CONTENT


def anchored(entry: AgentEntry, root: Path | None) -> AgentEntry:
    """Return the entry with the paths that start at the operator's checkout made absolute."""
    settings = dict(entry.settings)
    if root is None:
        return entry

    def absolute(path: str) -> str:
        return path if Path(path).is_absolute() else str(root.absolute() / path)

    for name in ("folder", "file"):
        if name in settings:
            settings[name] = absolute(settings[name])
    if "/" in settings.get("program", ""):
        settings["program"] = absolute(settings["program"])
    if "/" in settings.get("command", [""])[0]:
        program, *arguments = settings["command"]
        settings["command"] = [absolute(program), *arguments]
    return replace(entry, settings=settings)


def adapter_at(folder: Path, entry: AgentEntry, contracts: Contracts, sandbox: str) -> AgentAdapter:
    """Return the adapter of an agent that works on the repository in this folder."""
    project = Project(folder)
    project.sandbox = sandbox
    return project.make_agent(entry, trial_contracts(contracts))


def trial_contracts(contracts: Contracts) -> Contracts:
    """Return the contracts with boundaries of the trial; policy, prompts and profiles are theirs.

    Args:
        contracts: of the project.
    """
    return Contracts({**contracts.files, AGENT_CONTRACT: _CONTRACT})


def run_trial(folder: Path, adapter: AgentAdapter, contracts: Contracts) -> Trial:
    """Ask the agent and judge what it answers.

    Raises:
        AgentError: as `AgentAdapter.answer`.
    """
    from esaa_git.engine.verifier import Accepted, Verifier
    from esaa_git.store.merge import GitMerger
    from esaa_git.store.trees import GitBlobs

    project = Project(folder)
    in_force = trial_contracts(contracts)
    state = _state(str(project.repository.raw.head.target), adapter.name)
    task = state.tasks[TASK_ID]
    attempt = task.attempt
    assert attempt is not None
    view: dict[str, Any] = purified_view(state, in_force, task, attempt, adapter.name)
    if not adapter.has_checkout:
        view["files"] = []
    body = canonical.encode(view)
    request = adapter.prepare(
        Request(TASK_ID, attempt.attempt_id, attempt.base, body, ("**",), attempt.deadline, body)
    )
    answer = adapter.answer(request, lambda: None)
    blobs = GitBlobs(project.repository)
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
    return Trial(request, answer, verdict, content)


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


def make_repository(folder: Path) -> None:
    """Make a repository with one commit."""
    import pygit2

    raw = pygit2.init_repository(str(folder), initial_head="main")
    builder = raw.TreeBuilder()
    readme = raw.create_blob(b"A repository to try an agent in.\n")
    builder.insert("README", readme, pygit2.enums.FileMode.BLOB)
    author = pygit2.Signature("git-esaa", "git-esaa@localhost", int(time.time()), 0)
    raw.create_commit("refs/heads/main", author, author, "A beginning\n", builder.write(), [])


@contextmanager
def trial_folder(*, keep: bool) -> Iterator[Path]:
    """Make a repository to try an agent in; in the end it is removed, unless it is kept."""
    import tempfile

    from esaa_git.folders import throwaway_folder

    if keep:
        top = Path(tempfile.mkdtemp(prefix="esaa-trial-"))
        make_repository(top / "repository")
        yield top
        return
    with throwaway_folder("trial") as top:
        make_repository(top / "repository")
        yield top
