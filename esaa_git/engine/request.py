"""The request: what the holder of an attempt is told, and the commit that it is told about."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from esaa_git.core import canonical
from esaa_git.core.contracts import Contracts
from esaa_git.core.globs import GlobSet
from esaa_git.core.machine import AttemptState
from esaa_git.core.state import State
from esaa_git.core.task import Attempt, Task
from esaa_git.core.view import purified_view
from esaa_git.engine.engine import Engine
from esaa_git.engine.goeson import NOTHING, Begun
from esaa_git.engine.lease import Lease
from esaa_git.engine.questions import answers
from esaa_git.engine.transaction import Transaction
from esaa_git.errors import RepositoryError
from esaa_git.ports.agent import Request
from esaa_git.ports.files import FileEntry


def branch_tip(engine: Engine, tx: Transaction) -> str:
    """Return the tip of the run's working branch."""
    return _tip(engine, tx.state)


def _tip(engine: Engine, state: State) -> str:
    branch = str(state.run.branch)
    tip = engine.branch.tip(branch)
    if tip is None:
        raise RepositoryError(
            f"the working branch '{branch}' is gone",
            hint=f"restore it with 'git branch {branch} {state.run.base}', or check out the branch "
            "that has its work now, and run 'git esaa run' there",
        )
    return tip


def build_request(
    engine: Engine,
    tx: Transaction,
    task_id: str,
    agent: str,
    *,
    has_checkout: bool,
    begun: Begun = NOTHING,
) -> Request:
    """Return the request for the task's current attempt: exactly what will be sent."""
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    return request_for(
        engine,
        tx.state,
        tx.contracts,
        task,
        task.attempt,
        agent,
        has_checkout=has_checkout,
        begun=begun,
    )


def request_for(
    engine: Engine,
    state: State,
    contracts: Contracts,
    task: Task,
    attempt: Attempt,
    agent: str,
    *,
    has_checkout: bool,
    begun: Begun = NOTHING,
) -> Request:
    """Return the request for an attempt on the task, whether it is open or only thought of.

    Args:
        begun: what it begins with beside the base.
        has_checkout: the agent sees the files of the base by itself; otherwise those that the
            task may need travel in the view, as far as the policy's budget goes.
    """
    view = purified_view(state, contracts, task, attempt, agent, engine.blobs.read)
    if answered := answers(engine.blobs, task):
        view["task"]["notes"] = [*view["task"].get("notes", ()), *answered]
    if not has_checkout:
        view["files"] = context_files(engine, state, contracts, task, attempt.base)
    files = begun.files
    if files is not None:
        view["continues"] = {
            "attempt_id": files.attempt_id,
            "paths": sorted(files.changes)[:MAX_NAMED],
        }
    body = canonical.encode(view)
    return Request(
        task.task_id,
        attempt.attempt_id,
        attempt.base,
        body,
        contracts.agent.kind(task.kind).read_patterns,
        attempt.deadline,
        body,
        begun={} if files is None else files.changes,
        session=begun.session,
    )


def next_attempt(
    engine: Engine, state: State, contracts: Contracts, task: Task, agent: str, mode: str
) -> Attempt:
    """Return the attempt that would be opened on the task at this moment; nothing is recorded."""
    now = engine.moment(state)
    number = task.attempts_total + 1
    lease = Lease.begin(f"{task.task_id}-A{number}", now, contracts)
    return Attempt(
        attempt_id=lease.name,
        number=number,
        agent=agent,
        state=AttemptState.ACTIVE,
        opened=now,
        deadline=lease.deadline,
        base=_tip(engine, state),
        mode=mode,
    )


MAX_NAMED = 500
"""How many files are named, those without their content included."""

MAX_LOOKED_AT = 2000
"""How many files are looked at for their size, so that a request costs a bounded time."""


def context_files(
    engine: Engine,
    state: State,
    contracts: Contracts,
    task: Task,
    base: str,
    changes: Mapping[str, FileEntry | None] | None = None,
) -> list[dict[str, Any]]:
    """Return the files that the task may need, with their content as far as the budget goes.

    Which: those that match the task's `context`, else its kind's, else all; and always only those
    that the kind may read. First come those that the task may write by its own `writes`, then what
    its dependencies left, then the others, each group in order of path. A file is carried whole
    or, where it does not fit any more or is no text, by its name and size alone. With `changes`,
    what a proposal would make of its paths goes before all, and takes the place of what is there.
    """
    changed = {path: entry for path, entry in (changes or {}).items() if entry is not None}
    unchanged = (
        (path, entry)
        for path, entry in _chosen(engine, state, contracts, task, base)
        if path not in (changes or {})
    )
    left = contracts.policy.max_context_bytes
    found: list[dict[str, Any]] = []
    for looked_at, (path, entry) in enumerate(chain(changed.items(), unchanged)):
        if len(found) == MAX_NAMED or looked_at == MAX_LOOKED_AT:
            break
        content = engine.blobs.read(entry.oid)
        named: dict[str, Any] = {"path": path, "bytes": len(content)}
        if entry.mode == "100755":
            named["executable"] = True
        text = _text(content) if len(content) <= left else None
        if text is not None:
            named["content"] = text
            left -= len(content)
        found.append(named)
    return found


def _chosen(
    engine: Engine, state: State, contracts: Contracts, task: Task, base: str
) -> Iterator[tuple[str, FileEntry]]:
    wanted, readable = _globs(task, contracts)
    own = GlobSet(task.writes)
    left_behind = {path for name in task.depends_on for path in _paths_of(state.tasks[name])}
    second: list[tuple[str, FileEntry]] = []
    third: list[tuple[str, FileEntry]] = []
    for path, entry in engine.trees.paths(base, wanted.prefixes):
        if not (wanted.matches(path) and readable.matches(path)):
            continue
        if task.writes and own.matches(path):
            yield path, entry
        elif path in left_behind:
            second.append((path, entry))
        elif len(third) < MAX_LOOKED_AT:
            third.append((path, entry))
    yield from second
    yield from third


def _globs(task: Task, contracts: Contracts) -> tuple[GlobSet, GlobSet]:
    kind = contracts.agent.kind(task.kind)
    wanted = task.context or kind.context
    return (kind.read if wanted is None else GlobSet(wanted)), kind.read


def _paths_of(task: Task) -> tuple[str, ...]:
    return () if task.result is None else task.result.paths


def _text(content: bytes) -> str | None:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text
