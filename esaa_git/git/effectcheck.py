"""Check 11: the effects on the branch are those that the log closed tasks with, and no others."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush

import pygit2

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event
from esaa_git.core.lawful import attribution
from esaa_git.core.state import Task
from esaa_git.errors import CorruptedError
from esaa_git.git import commitform
from esaa_git.git.log import (
    ROLES,
    EventCommit,
    read_contracts,
    read_event_commit,
    signer_set,
)
from esaa_git.git.objects import (
    COMMIT,
    Commit,
    MalformedObject,
    TreeEntry,
    decode_commit,
    decode_tree,
    split_signature,
)
from esaa_git.git.signers import SignatureRefused
from esaa_git.git.statetree import Reader, load_state
from esaa_git.git.verification import Closed, Failure

_CLAIM = re.compile(r"^ESAA-Event:", re.MULTILINE | re.IGNORECASE)


def claims_event(message: bytes) -> bool:
    """Answer whether a commit's message says that it is the effect of an event."""
    text = message.decode("utf-8", "replace")
    return _CLAIM.search(text.rstrip().rsplit("\n\n", 1)[-1]) is not None


@dataclass
class Walked:
    """What looking through a branch found.

    `is_cut` says that the history which is here ends early (a shallow clone), and `beyond` are
    the commits looked for that may lie before that.
    """

    tip: str
    commits: int = 0
    is_cut: bool = False
    beyond: set[str] = field(default_factory=set)


def check_effect(reader: Reader, closed: Closed, *, is_partial: bool = False) -> bool:
    """Hold one effect commit against the log, and answer whether that could be done.

    It could not where the commit or its parent is not here and `is_partial` says that this is
    no fault: the branch was not fetched, or not all of it.

    Everything in it follows from the log, but for its parent: what it changes is exactly what
    the event says, and its author, message, trailers and signature are the orchestrator's.

    Raises:
        Failure: check 11, naming the event that closed the task.
    """
    try:
        _check_effect(reader, closed)
    except KeyError as error:
        if is_partial:
            return False
        raise _failure(closed, f"object {error} is missing", "corrupted") from error
    except (MalformedObject, CorruptedError, pygit2.GitError) as error:
        raise _failure(closed, str(error), "corrupted") from error
    return True


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
    closing = read_event_commit(reader, closed.event_commit)
    written = _written(reader, closing, closed)
    event = written.event
    if named != written.oid:
        raise _failure(closed, f"it names {named[:12]}, and {event.event_id} is what wrote it")
    task, run_id = _closed_task(reader, closing.tree["roadmap"].oid, closing.event)
    contracts = read_contracts(reader, closing.tree["contracts"].oid)
    try:
        roles = signer_set(contracts).verify(payload, armored).principals & ROLES
    except SignatureRefused as error:
        raise _failure(closed, f"signature: {error}") from error
    if "orchestrator" not in roles:
        raise _failure(closed, "it is not signed by an orchestrator")
    expected = _expected(
        closed, commit.tree, commit.parents, task, closing.event, named, run_id, contracts
    )
    if payload != expected:
        raise _failure(closed, "its author, time or message is not what the log says")
    before = decode_commit(reader(commit.parents[0])[1]).tree
    found = dict(changes_between(reader, before, commit.tree))
    wanted = _wanted(event)
    # What the branch had already when the effect arrived is no difference, but has to be there.
    already = {path: entry_at(reader, commit.tree, path) for path in wanted.keys() - found.keys()}
    if {**found, **already} != wanted:
        raise _failure(closed, "it changes other files, or to another content, than the event")


def _written(reader: Reader, closing: EventCommit, closed: Closed) -> EventCommit:
    """Return the last effect of the attempt that the log holds before the closing event."""
    oid = closing.parent
    while oid is not None:
        found = read_event_commit(reader, oid)
        if found.event.attempt_id == closed.attempt_id:
            if found.event.action == "orchestrator.file.write":
                return found
            if found.event.action == "attempt.create":
                break
        oid = found.parent
    raise _failure(closed, "the log holds no effect of its attempt")


def _closed_task(reader: Reader, roadmap: str, closing: Event) -> tuple[Task, str]:
    state = load_state(reader, roadmap, seq=closing.seq, ts=closing.ts)
    return state.tasks[str(closing.task_id)], str(state.run.run_id)


def _expected(
    closed: Closed,
    tree: str,
    parents: tuple[str, ...],
    task: Task,
    closing: Event,
    event_commit: str,
    run_id: str,
    contracts: Contracts,
) -> bytes:
    """Return the bytes that the effect's signature has to cover."""
    assert task.result is not None
    return commitform.effect_commit(
        tree=tree,
        parents=parents,
        agent=task.result.agent,
        ts=closing.ts,
        summary=task.result.summary,
        event_commit=event_commit,
        run_id=run_id,
        task_id=task.task_id,
        attempt_id=closed.attempt_id,
        assisted_by=attribution(task, contracts),
    )


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
    old = {} if before is None else decode_tree(reader(before)[1], any_names=True)
    new = {} if after is None else decode_tree(reader(after)[1], any_names=True)
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


def entry_at(reader: Reader, tree: str, path: str) -> tuple[str, str] | None:
    """Return (mode, blob) of the file at the path of a tree, or None where there is none."""
    *folders, name = path.split("/")
    for folder in folders:
        below = decode_tree(reader(tree)[1], any_names=True).get(folder)
        if below is None or not below.is_tree:
            return None
        tree = below.oid
    found = decode_tree(reader(tree)[1], any_names=True).get(name)
    return None if found is None or found.is_tree else (found.mode, found.oid)


def _tree(entry: TreeEntry | None) -> str | None:
    return entry.oid if entry is not None and entry.is_tree else None


def check_branch(
    reader: Reader,
    tip: str,
    closed: Sequence[Closed],
    *,
    is_known: Callable[[str], bool],
    seen: Collection[str] = (),
    verified: str | None = None,
    shallow: Collection[str] = (),
) -> Walked:
    """Find every effect in the branch's history, and no commit that only poses as one.

    The history is that of the raw commits: a grafts file, a replace ref or a commit graph shows
    git, and libgit2, another one.

    Args:
        closed: what the branch has to hold.
        is_known: answers whether a commit is an effect that the log names anywhere.
        seen: commits whose history need not be looked at again, such as one older than the log.
        verified: a tip of this branch that was looked at before; the branch has to hold it.
        shallow: commits at which the history that is here ends.

    Raises:
        Failure: check 11.
    """
    missing = {one.effect_commit: one for one in closed}
    hiding = {*seen, *(() if verified is None else (verified,))}
    holds_verified = verified in (None, tip)
    walked = Walked(tip)
    for oid, commit, is_cut in _history(reader, tip, hiding, shallow):
        walked.commits += 1
        walked.is_cut |= is_cut
        missing.pop(oid, None)
        holds_verified |= verified in commit.parents
        if claims_event(commit.message) and not is_known(oid):
            what = f"commit {oid[:12]} on the branch claims an event, and the log knows no such"
            raise Failure(11, "mismatch", None, oid, what)
    if walked.is_cut:
        walked.beyond = set(missing) | (set() if holds_verified else {str(verified)})
        return walked
    if not holds_verified:
        message = f"the branch does not contain {str(verified)[:12]}, which was verified here"
        raise Failure(11, "mismatch", None, tip, message)
    for oid, _, _ in _history(reader, tip, (), shallow) if missing and hiding else ():
        missing.pop(oid, None)
    if missing:
        first = min(missing.values(), key=lambda one: one.seq)
        raise _failure(first, "it is not on the branch; was the branch rolled back or rewritten?")
    return walked


def _history(
    reader: Reader, tip: str, seen: Collection[str], shallow: Collection[str]
) -> Iterator[tuple[str, Commit, bool]]:
    """Yield the commits that lead to `tip` and not to those `seen`, each with whether it is cut.

    Newest first by the committer's clock, and hiding what leads to `seen` as far as it is met,
    as git-rev-list(1) does: where clocks are wrong, a commit may come that `seen` would hide.
    """
    hidden = set(seen)
    met = {tip, *seen}
    commits: dict[str, Commit] = {}
    queue: list[tuple[int, str]] = []
    for oid in met:
        commit = _commit(reader, oid, is_needed=oid not in hidden)
        if commit is not None:
            commits[oid] = commit
            heappush(queue, (-_seconds(commit), oid))
    waiting = sum(oid not in hidden for _, oid in queue)
    while waiting:
        _, oid = heappop(queue)
        commit = commits.pop(oid)
        is_hidden = oid in hidden
        waiting -= not is_hidden
        is_cut = False
        for parent in commit.parents:
            if is_hidden and parent not in hidden:
                hidden.add(parent)
                waiting -= parent in commits
            if parent in met:
                continue
            met.add(parent)
            needed = not is_hidden and oid not in shallow
            found = _commit(reader, parent, is_needed=needed)
            if found is None:
                is_cut = not is_hidden
                continue
            commits[parent] = found
            heappush(queue, (-_seconds(found), parent))
            waiting += parent not in hidden
        if not is_hidden:
            yield oid, commit, is_cut


def _commit(reader: Reader, oid: str, *, is_needed: bool) -> Commit | None:
    try:
        kind, data = reader(oid)
        if kind != COMMIT:
            raise MalformedObject("it is not a commit")
        return decode_commit(data)
    except KeyError as error:
        if not is_needed:
            return None
        message = f"commit {oid[:12]} of the branch is missing"
        raise Failure(11, "corrupted", None, oid, message) from error
    except (MalformedObject, pygit2.GitError) as error:
        message = f"commit {oid[:12]} of the branch cannot be read: {error}"
        raise Failure(11, "corrupted", None, oid, message) from error


def _seconds(commit: Commit) -> int:
    words = commit.committer.rsplit(b" ", 2)
    return int(words[1]) if len(words) == 3 and words[1].isdigit() else 0


def _failure(closed: Closed, message: str, outcome: str = "mismatch") -> Failure:
    where = f"effect {closed.effect_commit[:12]} of {closed.task_id}"
    return Failure(11, outcome, closed.seq, closed.effect_commit, f"{where}: {message}")
