"""What the commits of a range brought: tasks with their checks, approvals and signers.

It says what the log has on record; whether the log holds is for `verify` to say.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from esaa_git.core.events import AgentResult, ApprovalGrant, FileWrite, ReviewResult, TaskUpdate
from esaa_git.errors import UsageError
from esaa_git.report.describe import deciders
from esaa_git.report.summary import Brought, BroughtTask, OtherCommit
from esaa_git.store.commitform import trailers
from esaa_git.store.eventcommit import read_contracts, read_event_commit
from esaa_git.store.files import appending_below, place_of
from esaa_git.store.objects import Commit, decode_commit
from esaa_git.store.position import events_about, tip_of
from esaa_git.store.program import GitFailed, run_git
from esaa_git.verification.claims import CARRIER, EFFECT, SILENT, ClaimJudge
from esaa_git.verification.provenance import provenance_of

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.event import StoredEvent
    from esaa_git.core.state import State
    from esaa_git.core.task import Task
    from esaa_git.store.repository import Repository


def brought(project: Project, base: str, head: str = "HEAD") -> Brought:
    """Return what is reachable from `head` and not from `base`, the oldest first.

    Raises:
        UsageError: if one of them names no commit.
        RepositoryError: if there is no log.
    """
    repository = project.repository
    first, last = (_commit(repository, name) for name in (base, head))
    tip = tip_of(repository).oid
    state, _ = project.log.load()
    judge = ClaimJudge.at(repository, tip, state)
    tasks: list[BroughtTask] = []
    others: list[OtherCommit] = []
    names: tuple[str, ...]
    listed = run_git(repository.git_dir, "rev-list", "--reverse", "--topo-order", last, f"^{first}")
    for oid in listed.decode().split():
        commit = _read(repository, oid)
        standing = judge.standing(oid, commit)
        if standing.kind == EFFECT:
            names = (trailers(commit.message)["ESAA-Task"],)
        elif standing.kind == CARRIER and standing.carrier is not None:
            names = standing.carrier.tasks
        else:
            if standing.kind != SILENT or len(commit.parents) < 2:
                why = "" if standing.kind == SILENT else standing.why or "claims an event in vain"
                others.append(OtherCommit(oid, _author(commit), _subject(commit), why))
            continue
        tasks += [_task(repository, tip, state, oid, state.tasks[name]) for name in names]
    return Brought(first, last, tuple(tasks), tuple(others))


@contextmanager
def page_at(project: Project, file: str) -> Iterator[TextIO]:
    """Give a file that a person names, to append what was found to.

    Raises:
        UsageError: if it cannot be opened.
        RepositoryError: if a link, or what else is no regular file, is in the way in a checkout.
    """
    root, path = place_of(Path(file), project.repository.workdir)
    with ExitStack() as opened:
        try:
            stream = opened.enter_context(appending_below(root, path))
        except OSError as error:
            raise UsageError(
                f"cannot write to '{file}'",
                cause=error.strerror,
                hint="name a file in a folder that is there, or '-'",
            ) from error
        yield opened.enter_context(TextIOWrapper(stream, "utf-8"))


def _task(repository: Repository, tip: str, state: State, oid: str, task: Task) -> BroughtTask:
    attempt_id = "" if task.result is None else task.result.attempt_id
    approvals = {
        one.approval_id: one for one in state.approvals.values() if one.attempt_id == attempt_id
    }
    events = list(events_about(repository, tip, task.task_id, frozenset(approvals)))
    counted = [one for one in events if _says_so(one, attempt_id, approvals)]
    return BroughtTask(
        oid,
        task.task_id,
        task.title,
        "" if task.result is None else task.result.agent,
        tuple(_checks(repository, task, counted)),
        tuple(
            f"{who} ({one.approval_id}, {one.state})"
            for one in approvals.values()
            for who in deciders(one)
        ),
        tuple(dict.fromkeys(_signer(repository, one) for one in reversed(counted))),
    )


def _says_so(stored: StoredEvent, attempt_id: str, approvals: Container[str]) -> bool:
    payload = stored.event.payload
    if isinstance(payload, ApprovalGrant | ReviewResult):
        return payload.approval_id in approvals
    is_about = isinstance(payload, AgentResult | FileWrite | TaskUpdate)
    return is_about and stored.event.attempt_id == attempt_id


def _checks(repository: Repository, task: Task, counted: list[StoredEvent]) -> Iterator[str]:
    """Yield the checks of the task and of its kind, as they were in force when it was closed."""
    if counted:
        closing = read_event_commit(repository.read, counted[0].commit)
        contracts = read_contracts(repository.read, closing.tree["contracts"].oid)
        kind = contracts.agent.kinds.get(task.kind)
        yield from (one.name for one in (kind.checks if kind is not None else ()))
    yield from (one.name for one in task.checks)


def _signer(repository: Repository, stored: StoredEvent) -> str:
    found = provenance_of(repository, read_event_commit(repository.read, stored.commit))
    if not found.holds:
        return f"{stored.event.event_id}: {found.text}"
    return f"{found.fingerprint} ({', '.join(found.roles)})"


def _commit(repository: Repository, name: str) -> str:
    try:
        return (
            run_git(
                repository.git_dir,
                *("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"),
            )
            .decode()
            .strip()
        )
    except GitFailed as error:
        raise UsageError(
            f"there is no commit '{name}'",
            hint="in a pipeline, fetch the whole history: 'git fetch --unshallow origin'",
        ) from error


def _read(repository: Repository, oid: str) -> Commit:
    _, data = repository.read(oid)
    return decode_commit(data)


def _author(commit: Commit) -> str:
    return commit.author.rpartition(b" <")[0].decode("utf-8", "replace")


def _subject(commit: Commit) -> str:
    return commit.message.lstrip(b"\n").partition(b"\n")[0].decode("utf-8", "replace")
