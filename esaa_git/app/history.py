"""What happened, by whom, and what came of it: read from the log, changing nothing.

No more of the log is read than the answer needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from esaa_git.app import project as wiring
from esaa_git.app.project import Project
from esaa_git.app.selection import Selection, history_of, parse_since, select
from esaa_git.core.attachments import exchange_of
from esaa_git.core.event import Event, StoredEvent, event_id
from esaa_git.core.events import AttemptCreate, FileWrite, RunInit
from esaa_git.core.events.fields import Exchange
from esaa_git.core.said import beside
from esaa_git.errors import MismatchError, UsageError
from esaa_git.store.eventcommit import EventCommit, read_event_commit
from esaa_git.store.position import (
    events_about,
    events_between,
    events_up_to,
    find_event,
    is_position,
    state_at,
    tip_of,
    walk_forward,
)

if TYPE_CHECKING:
    from esaa_git.core.entries import Approval, Note
    from esaa_git.core.state import State
    from esaa_git.core.task import Task
    from esaa_git.report.compare import FileChange, RecordChange
    from esaa_git.report.standing import Standing
    from esaa_git.verification.provenance import Provenance


# -- log --------------------------------------------------------------------------------------


def events(
    project: Project,
    *,
    task: str | None = None,
    actor: str | None = None,
    action: str | None = None,
    since: str | None = None,
    grep: str | None = None,
    limit: int | None = None,
    reverse: bool = False,
) -> Iterator[StoredEvent]:
    """Return the events that every given filter admits, the newest first, as they are asked for.

    Args:
        since: a time or a span before now, as `parse_since` reads it.
        limit: at most so many; with `reverse`, the same ones turned round.

    Raises:
        UsageError: for a filter that means nothing, or can never match.
        RepositoryError: if there is no log.
    """
    selection = Selection(
        task,
        actor,
        action,
        None if since is None else parse_since(since, wiring.SystemClock().now()),
        grep,
        frozenset() if task is None else _approvals(project, task),
        limit,
    ).check()
    tip = tip_of(project.repository)
    if reverse and selection.limit is None:
        return select(events_up_to(project.repository, tip.oid), selection, newest_first=False)
    found = project.log.events(newest_first=True)
    if selection.task is not None and not set("*?[") & set(selection.task):
        found = events_about(project.repository, tip.oid, selection.task, selection.approvals)
    newest = select(found, selection)
    return reversed(list(newest)) if reverse else newest


def _approvals(project: Project, task: str) -> frozenset[str]:
    """Return the approvals asked for these tasks: a decision names the approval alone."""
    approvals = state_at(project.repository, tip_of(project.repository).oid).approvals
    return frozenset(
        approval_id
        for approval_id, approval in approvals.items()
        if fnmatchcase(approval.task_id, task)
    )


# -- state ------------------------------------------------------------------------------------


def state(project: Project, at: str | None = None) -> State:
    """Return the state that the log records at an event, by default at the last one.

    Args:
        at: the event: `EV-00000042`, `42`, `@` for the last one, `@~3` for the third before it.

    Raises:
        UsageError: if the text means no event.
        RepositoryError: if there is no log.
    """
    return state_at(project.repository, find_event(project.repository, at or "@"))


# -- show -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """One event, who signed it, the paths of what travels beside it, and what people remarked.

    `not_kept` names the sides of its exchange (`request`, `response`) of which the policy in force
    kept a digest at the most, and `said` what its words say (`esaa_git.core.said.beside`). Remarks
    on a run stand with the event that began it.
    """

    stored: StoredEvent
    signature: Provenance
    files: tuple[str, ...]
    not_kept: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    said: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ShownTask:
    """One task, the approvals asked for it, its events, the newest first, and the notes on it.

    `standing` is what has become of the task since it was done.
    """

    task: Task
    approvals: tuple[Approval, ...]
    events: tuple[StoredEvent, ...]
    attempts_allowed: int
    standing: Standing
    notes: tuple[Note, ...] = ()


def show(project: Project, what: str) -> ShownEvent | ShownTask:
    """Return one event (`EV-00000042`, `42`, `@`, `@~3`) or one task, in full.

    A run (`RUN-0001`) is shown as the event that began it.

    Raises:
        UsageError: if the text means neither.
        RepositoryError: if there is no log.
    """
    if is_position(what):
        return _event(project, find_event(project.repository, what))
    state, _ = project.log.load()
    if what not in state.tasks and what.startswith("RUN-"):
        for stored in project.log.events(newest_first=True):
            if isinstance(stored.event.payload, RunInit) and stored.event.payload.run_id == what:
                return _event(project, stored.commit)
    return _task(project, what)


def event_named(project: Project, what: str) -> str:
    """Return the id of the event that a text means.

    Raises:
        UsageError: if it means none.
    """
    if not is_position(what):
        _find_task(project.log.load()[0], what)  # says what else it may have been meant to be
    oid = find_event(project.repository, what)
    return read_event_commit(project.repository.read, oid).event.event_id


def _event(project: Project, oid: str) -> ShownEvent:
    from esaa_git.verification.provenance import provenance_of

    found = read_event_commit(project.repository.read, oid)
    signature = provenance_of(project.repository, found)
    files = tuple(_files(project, found))
    state, _ = project.log.load()
    notes = state.notes_on(found.event.event_id)
    if isinstance(found.event.payload, RunInit):
        notes = (*state.notes_on(found.event.payload.run_id), *notes)
    stored = StoredEvent(found.event, oid)
    said = beside(found.event.payload, project.words)
    return ShownEvent(stored, signature, files, _not_kept(found.event), notes, said)


def _not_kept(event: Event) -> tuple[str, ...]:
    exchange = exchange_of(event.payload)
    if not isinstance(exchange, Exchange):
        return ()
    sides = (("request", exchange.request), ("response", exchange.response))
    return tuple(name for name, part in sides if part is None or part.blob is None)


def _files(project: Project, found: EventCommit) -> Iterator[str]:
    """Yield the paths, in the event's commit, of the contents that travel beside the event."""
    from esaa_git.store.objects import files_below

    for part in ("files", "exchange"):
        if part in found.tree:
            tree = found.tree[part].oid
            for path, _ in files_below(project.repository.read, tree):
                yield f"{part}/{path}"


def _task(project: Project, task_id: str) -> ShownTask:
    from esaa_git.app.standing import standing_of
    from esaa_git.core.contract_rules import attempts_allowed

    state, contracts = project.log.load()
    task = _find_task(state, task_id)
    approvals = tuple(one for one in state.approvals.values() if one.task_id == task_id)
    selection = Selection(task=task_id, approvals=frozenset(one.approval_id for one in approvals))
    repository = project.repository
    candidates = events_about(repository, tip_of(repository).oid, task_id, selection.approvals)
    history = tuple(history_of(candidates, selection))
    allowed = attempts_allowed(task, contracts)
    standing = standing_of(project, state, task, history)
    return ShownTask(task, approvals, history, allowed, standing, state.notes_on(task_id))


def _find_task(state: State, task_id: str) -> Task:
    task = state.tasks.get(task_id)
    if task is not None:
        return task
    from difflib import get_close_matches

    close = get_close_matches(task_id, list(state.tasks), n=1)
    raise UsageError(
        f"'{task_id}' is neither an event nor a task",
        hint=f"did you mean '{close[0]}'?"
        if close
        else "'git esaa task list' names the tasks; an event is written EV-00000042, 42, @ or @~3",
    )


# -- diff -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed between two event commits: records, and files that effects wrote."""

    before: str
    after: str
    records: tuple[RecordChange, ...]
    files: tuple[FileChange, ...]


def difference(project: Project, before: str, after: str) -> Difference:
    """Return what changed between two events, whichever is the older one.

    Raises:
        UsageError: if a text means no event.
        RepositoryError: if there is no log.
    """
    from esaa_git.report.compare import compare
    from esaa_git.store.difference import documents_between

    repository = project.repository
    old, new = find_event(repository, before), find_event(repository, after)
    files = _written(project, old, new)
    documents = documents_between(repository, old, new)
    records = compare(state_at(repository, old), state_at(repository, new), documents)
    return Difference(old, new, tuple(records), tuple(files))


def patches_between(project: Project, before: str, after: str) -> Iterator[bytes]:
    """Return the changes of files between two events as unified diffs, one a file.

    Raises:
        UsageError: if a text means no event.
        RepositoryError: if there is no log.
    """
    repository = project.repository
    return _patches(
        project, _written(project, find_event(repository, before), find_event(repository, after))
    )


def patches_of(project: Project, attempt_id: str) -> Iterator[bytes] | None:
    """Return the recorded effect of an attempt, the current one of its task, as unified diffs.

    None where it changes no files.
    """
    from esaa_git.report.compare import written_between

    state, _ = project.log.load()
    task_id = attempt_id.rpartition("-A")[0]
    found = events_about(project.repository, tip_of(project.repository).oid, task_id)
    for stored in found:
        event = stored.event
        if event.attempt_id != attempt_id:
            continue
        if isinstance(event.payload, FileWrite):
            return _patches(project, written_between([event], state))
        if isinstance(event.payload, AttemptCreate):
            break
    return None


def _patches(project: Project, files: Iterable[FileChange]) -> Iterator[bytes]:
    from esaa_git.store.difference import unified_diff

    for file in files:
        yield unified_diff(project.repository, file.path, file.before, file.after)


def _written(project: Project, old: str, new: str) -> list[FileChange]:
    from esaa_git.report.compare import inverted, written_between

    first, last = (read_event_commit(project.repository.read, oid) for oid in (old, new))
    backwards = first.event.seq > last.event.seq
    if backwards:
        first, last = last, first
    between = events_between(project.repository, first, last.oid)
    files = written_between(
        (stored.event for stored in between), state_at(project.repository, last.oid)
    )
    return inverted(files) if backwards else files


# -- replay -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Replay:
    """What the events project to, held against the state that is recorded at the last of them."""

    commit: str
    state: State
    projection_hash: str
    is_equal: bool
    differences: tuple[RecordChange, ...]

    def require_equal(self) -> None:
        """Refuse a state that is not what the log records.

        Raises:
            MismatchError: naming where they differ.
        """
        if self.is_equal:
            return
        names = ", ".join(f"{one.table}/{one.key}".lstrip("/") for one in self.differences[:5])
        raise MismatchError(
            f"the state recorded at {event_id(self.state.seq)} is not what its events project to",
            cause=f"they differ in {names or 'how the state is stored'}",
            hint="run 'git esaa verify --full' to find the first event where they part",
        )


def replay(project: Project, until: str = "@") -> Replay:
    """Project the events again, from the first one to the one that is named.

    Raises:
        UsageError: if the text means no event.
        MismatchError: if an event does not follow from those before it.
        RepositoryError: if there is no log.
    """
    from esaa_git.core.projection import projection_hash
    from esaa_git.report.compare import compare
    from esaa_git.store.difference import state_tree_id
    from esaa_git.store.tip import load_tip

    oid = find_event(project.repository, until)
    state = _project(project, oid)
    recorded = load_tip(project.repository, oid)
    is_equal = state_tree_id(state) == recorded.state_tree
    different = [] if is_equal else compare(recorded.state, state)
    return Replay(oid, state, projection_hash(state), is_equal, tuple(different))


def _project(project: Project, oid: str) -> State:
    from esaa_git.core.invariants import Violation
    from esaa_git.core.projection import evolve
    from esaa_git.core.state import EMPTY

    total = read_event_commit(project.repository.read, oid).event.seq
    state = EMPTY
    for one in walk_forward(project.repository, oid):
        event = read_event_commit(project.repository.read, one).event
        try:
            state = evolve(state, event)
        except Violation as error:
            raise MismatchError(
                f"{event_id(state.seq + 1)} does not follow from the events before it",
                cause=str(error),
                hint="run 'git esaa verify --full' to see what is wrong with it",
            ) from error
        if state.seq % 500 == 0:
            project.observer.progress(state.seq, total)
    return state
