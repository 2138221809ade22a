"""Check 11: the effects on the branch are those that the log closed tasks with, and no others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pygit2

from esaa_git.core.event import Event
from esaa_git.core.state import Task
from esaa_git.errors import CorruptedError
from esaa_git.git import commitform
from esaa_git.git.log import ROLES, read_contracts, read_event_commit, signer_set
from esaa_git.git.objects import (
    COMMIT,
    MalformedObject,
    TreeEntry,
    decode_commit,
    decode_tree,
    split_signature,
)
from esaa_git.git.signers import SignatureRefused
from esaa_git.git.statetree import Reader, load_state
from esaa_git.git.verification import Closed, Failure


def check_effect(reader: Reader, closed: Closed) -> None:
    """Hold one effect commit against the log.

    Everything in it follows from the log, but for its parent: what it changes is exactly what
    the event says, and its author, message, trailers and signature are the orchestrator's.

    Raises:
        Failure: check 11, naming the event that closed the task.
    """
    try:
        _check_effect(reader, closed)
    except KeyError as error:
        raise _failure(closed, f"object {error} is missing", "corrupted") from error
    except (MalformedObject, CorruptedError, pygit2.GitError) as error:
        raise _failure(closed, str(error), "corrupted") from error


def _check_effect(reader: Reader, closed: Closed) -> None:
    kind, data = reader(closed.effect_commit)
    parts = split_signature(data)
    if kind != COMMIT or parts is None:
        raise _failure(closed, "it is not a signed commit")
    payload, armored = parts
    commit = decode_commit(data)
    if len(commit.parents) != 1 or commit.headers:
        raise _failure(closed, "it has not exactly one parent")
    named = commitform.trailers(commit.message.decode("utf-8", "replace")).get("ESAA-Event")
    if named is None:
        raise _failure(closed, "it names no event")
    written = read_event_commit(reader, named)
    event = written.event
    if event.action != "orchestrator.file.write" or event.attempt_id != closed.attempt_id:
        raise _failure(closed, f"it names another event, {event.event_id}")
    closing = read_event_commit(reader, closed.event_commit)
    task, run_id = _closed_task(reader, closing.tree["roadmap"].oid, closing.event)
    contracts = read_contracts(reader, closing.tree["contracts"].oid)
    try:
        roles = signer_set(contracts).verify(payload, armored).principals & ROLES
    except SignatureRefused as error:
        raise _failure(closed, f"signature: {error}") from error
    if "orchestrator" not in roles:
        raise _failure(closed, "it is not signed by an orchestrator")
    _check_message(closed, payload, commit.tree, commit.parents, task, closing.event, named, run_id)
    before = decode_commit(reader(commit.parents[0])[1]).tree
    found = dict(changes_between(reader, before, commit.tree))
    if found != _wanted(event):
        raise _failure(closed, "it changes other files, or to another content, than the event")


def _closed_task(reader: Reader, roadmap: str, closing: Event) -> tuple[Task, str]:
    state = load_state(reader, roadmap, seq=closing.seq, ts=closing.ts)
    return state.tasks[str(closing.task_id)], str(state.run.run_id)


def _check_message(
    closed: Closed,
    payload: bytes,
    tree: str,
    parents: tuple[str, ...],
    task: Task,
    closing: Event,
    event_commit: str,
    run_id: str,
) -> None:
    assert task.result is not None
    said = decode_commit(payload).message.decode("utf-8", "replace")
    expected = commitform.effect_commit(
        tree=tree,
        parents=parents,
        agent=task.result.agent,
        ts=closing.ts,
        summary=task.result.summary,
        event_commit=event_commit,
        run_id=run_id,
        task_id=task.task_id,
        attempt_id=closed.attempt_id,
        assisted_by=commitform.trailers(said).get("Assisted-by"),
    )
    if payload != expected:
        raise _failure(closed, "its author, time or message is not what the log says")


def _wanted(event: Event) -> dict[str, tuple[str, str] | None]:
    wanted: dict[str, tuple[str, str] | None] = {}
    for file in event.payload["files"]:
        if "from" in file:
            wanted[file["from"]] = None
        wanted[file["path"]] = (file["mode"], file["after"]) if "after" in file else None
    return wanted


def changes_between(
    reader: Reader, before: str | None, after: str | None, prefix: str = ""
) -> Iterator[tuple[str, tuple[str, str] | None]]:
    """Yield (path, (mode, blob)) for every file that differs, None where it is gone.

    Subtrees with the same id are not opened, so the cost follows the difference.
    """
    old = {} if before is None else decode_tree(reader(before)[1])
    new = {} if after is None else decode_tree(reader(after)[1])
    for name in sorted(old.keys() | new.keys()):
        left, right = old.get(name), new.get(name)
        if left == right:
            continue
        left_tree, right_tree = _tree(left), _tree(right)
        if left is not None and left_tree is None and (right is None or right_tree is not None):
            yield prefix + name, None
        if left_tree is not None or right_tree is not None:
            yield from changes_between(reader, left_tree, right_tree, f"{prefix}{name}/")
        if right is not None and right_tree is None:
            yield prefix + name, (right.mode, right.oid)


def _tree(entry: TreeEntry | None) -> str | None:
    return entry.oid if entry is not None and entry.is_tree else None


def check_branch(
    repository: pygit2.Repository,
    tip: str,
    closed: Sequence[Closed],
    *,
    stop_at: Iterable[str] = (),
    known: frozenset[str] = frozenset(),
) -> int:
    """Find every effect in the branch's history, and no commit that only poses as one.

    Args:
        stop_at: commits whose history was looked at before.
        known: effect commits of the log before the range that `closed` covers.

    Returns:
        how many commits were looked at.

    Raises:
        Failure: check 11.
    """
    missing = {one.effect_commit: one for one in closed}
    effects = known | missing.keys()
    walker = repository.walk(pygit2.Oid(hex=tip), pygit2.enums.SortMode.NONE)
    for oid in stop_at:
        if oid in repository:
            walker.hide(pygit2.Oid(hex=oid))
    count = 0
    for commit in walker:
        count += 1
        oid = str(commit.id)
        missing.pop(oid, None)
        if oid in effects:
            continue
        if "ESAA-Event" in commitform.trailers(commit.message):
            message = f"commit {oid[:12]} on the branch claims an event, and the log knows no such"
            raise Failure(11, "mismatch", None, oid, message)
    if missing:
        first = min(missing.values(), key=lambda one: one.seq)
        raise _failure(first, "it is not on the branch; was the branch rolled back or rewritten?")
    return count


def _failure(closed: Closed, message: str, outcome: str = "mismatch") -> Failure:
    where = f"effect {closed.effect_commit[:12]} of {closed.task_id}"
    return Failure(11, outcome, closed.seq, closed.effect_commit, f"{where}: {message}")
