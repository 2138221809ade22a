"""The next attempt goes on: from what was kept of the files of the last one, which was rejected.

What an agent proposes is judged against its base, whatever its checkout began with (rules, 5); so
this saves it work and opens nothing. Where the files are not at hand, or the branch has moved in a
way that they do not fit, the attempt begins anew, and that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from esaa_git.core.canonical import digest
from esaa_git.core.contracts import Contracts
from esaa_git.core.events import AgentResult, AttemptCreate, OutputRejected
from esaa_git.core.rejection import Rejected
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.proposal import FileChange, Proposal
from esaa_git.errors import CorruptedError
from esaa_git.ports.agent import AgentAdapter, SessionUse, may_go_on
from esaa_git.ports.files import FileEntry, NotAFile


@dataclass(frozen=True, slots=True)
class GoesOn:
    """The commit of an earlier attempt's files, and what they change of the new base."""

    attempt_id: str
    commit: str
    changes: Mapping[str, FileEntry | None]


@dataclass(frozen=True, slots=True)
class Anew:
    """Why an attempt begins with the base alone although an earlier one was rejected."""

    reason: str


@dataclass(frozen=True, slots=True)
class Begun:
    """What an attempt begins with: files of an earlier one, and which session of its tool."""

    files: GoesOn | None = None
    session: SessionUse = "none"


NOTHING: Final = Begun()


def begun(
    engine: Engine, contracts: Contracts, task: Task, base: str, adapter: AgentAdapter
) -> Begun:
    """Return what an attempt of this agent goes on from; a person is told where it begins anew.

    A session whose files are not at hand would go on from what is not there: it begins anew, too.
    """
    if not may_go_on(adapter):
        return NOTHING
    found = goes_on(engine, contracts, task, base)
    session = _session(contracts, task)
    if isinstance(found, Anew):
        engine.say(f"note: {task.task_id} begins anew: {found.reason}")
        return Begun(None, "none" if session == "none" else "new")
    return Begun(found, session)


def _session(contracts: Contracts, task: Task) -> SessionUse:
    is_anew = contracts.agent.kind(task.kind).retry == "anew"
    if is_anew or not contracts.storage.keep_rejected:
        return "none"
    return "new" if task.rejection is None else "last"


def goes_on(engine: Engine, contracts: Contracts, task: Task, base: str) -> GoesOn | Anew | None:
    """Return what the next attempt on a task has to begin with; None where there is nothing.

    That is so for a first attempt, for one where no files were kept of those before, and where the
    contract says `retry: anew` of the kind.
    """
    if task.rejection is None or contracts.agent.kind(task.kind).retry == "anew":
        return None
    kept = _kept(engine, task.task_id)
    if kept is None:
        return None
    attempt_id, commit = kept
    try:
        proposal = _proposal(engine, commit)
    except (KeyError, CorruptedError):
        proposal = None
    if proposal is None:
        return Anew(f"what was kept of {attempt_id} ({commit[:12]}) is not here")
    fitting = engine.verifier.rebase(proposal, base, engine.verifier.boundary(task, contracts))
    if isinstance(fitting, Rejected):
        return Anew(f"the files of {attempt_id} do not fit the branch: {fitting.message}")
    changes = fitting.tree_changes()
    return GoesOn(attempt_id, commit, changes) if changes else None


def _kept(engine: Engine, task_id: str) -> tuple[str, str] | None:
    """Return the last attempt of a task of which files were kept, and the commit that holds them.

    They are those of an answer that was rejected, or of a result that a reviewer sent back.
    """
    for stored in engine.log.events(newest_first=True):
        payload = stored.event.payload
        if stored.event.task_id != task_id:
            continue
        if isinstance(payload, OutputRejected | AgentResult) and payload.proposal is not None:
            return payload.attempt_id, payload.proposal.commit
        if isinstance(payload, AttemptCreate) and payload.number == 1:
            return None
    return None


def _proposal(engine: Engine, commit: str) -> Proposal | None:
    """Return what a proposal's commit changes of its parent, None where it is not at hand."""
    found = engine.effects.proposed(commit)
    if found is None:
        return None
    parent, _ = found
    files: list[FileChange] = []
    for path, after in engine.trees.changes(parent, commit):
        before = engine.trees.entry(parent, path)
        if isinstance(after, NotAFile):
            return None
        known = None if isinstance(before, NotAFile) else before
        content = b"" if after is None else engine.blobs.read(after.oid)
        files.append(FileChange(path, known, after, size=len(content), sha256=digest(content)))
    return Proposal(tuple(files), parent, 0)
