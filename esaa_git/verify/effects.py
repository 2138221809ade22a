"""Check 11: the effects on the branch are those that the log closed tasks with, and no others."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from operator import add
from typing import Protocol

import pygit2

from esaa_git.errors import CorruptedError
from esaa_git.store import commitform
from esaa_git.store.log import EventCommit, read_contracts, read_event_commit
from esaa_git.store.objects import (
    COMMIT,
    Commit,
    MalformedObject,
    decode_commit,
    decode_tree,
    split_signature,
    tree_of_commit,
)
from esaa_git.store.statetree import Reader, load_state
from esaa_git.trust.allowed_signers import SignatureRefused
from esaa_git.trust.roles import ROLES, signer_set
from esaa_git.trust.signers import SignerSet
from esaa_git.verify.checks import Closed, EffectForm, Failure, effect_form

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
    relinked: list[Relinked] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Relinked:
    """An effect that the branch holds in another commit than its own.

    `how` is `same-tree-changes`, `patch-id` or `squashed`; `is_recorded` says that the log names
    the commit.
    """

    seq: int
    task_id: str
    effect_commit: str
    carried_by: str
    how: str
    is_recorded: bool


class Explain(Protocol):
    """Looks for effects in other commits than their own (`esaa_git.verify.relink`)."""

    def __call__(
        self,
        missing: Sequence[Closed],
        claims: Mapping[str, Commit],
        history: Sequence[tuple[str, Commit]],
    ) -> list[Relinked]:
        """Return which commits of the history, newest first, carry which effects.

        Args:
            missing: effects that are not on the branch.
            claims: commits on it that claim events as effects the log does not know.
        """
        ...


REWRITTEN = (
    "where the branch was rebased or squashed, run 'git esaa verify --relink' to look for its "
    "effects by what they change"
)


class EffectChecker:
    """Holds effect commits against the log, one after another.

    Consecutive effects share signers and most of their trees, so both are remembered.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._signers: dict[str, SignerSet] = {}
        self._trees: dict[str, _RawTree] = {}

    def check(self, closed: Closed, *, is_partial: bool = False) -> bool:
        """Hold one effect commit against the log, and answer whether that could be done.

        It could not where the commit or its parent is not here and `is_partial` says that this is
        no fault: the branch was not fetched, or not all of it.

        Everything in it follows from the log, but for its parent: what it changes is exactly what
        the event says, and its author, message, trailers and signature are the orchestrator's.

        Raises:
            Failure: check 11, naming the event that closed the task.
        """
        try:
            self._check(closed)
        except KeyError as error:
            if is_partial:
                return False
            hint = REWRITTEN if closed.effect_commit in error.args else None
            message = f"object {error} is missing"
            raise _failure(closed, message, "corrupted", hint) from error
        except (MalformedObject, CorruptedError, pygit2.GitError) as error:
            raise _failure(closed, str(error), "corrupted") from error
        return True

    def _check(self, closed: Closed) -> None:
        kind, data = self._reader(closed.effect_commit)
        parts = split_signature(data)
        if kind != COMMIT or parts is None:
            raise _failure(closed, "it is not a signed commit")
        payload, armored = parts
        commit = decode_commit(payload)
        if len(commit.parents) != 1 or commit.headers or commit.signatures:
            raise _failure(closed, "it has not exactly one parent")
        form = closed.form or form_of(self._reader, closed)
        expected = commitform.effect_commit(
            tree=commit.tree,
            parents=commit.parents,
            agent=form.agent,
            ts=form.ts,
            summary=form.summary,
            event_commit=form.event_commit,
            run_id=form.run_id,
            task_id=closed.task_id,
            attempt_id=closed.attempt_id,
            assisted_by=form.assisted_by,
        )
        if payload != expected:
            raise _failure(closed, _difference(commit, form))
        self._check_signature(closed, form, payload, armored)
        before = tree_of_commit(self._reader(commit.parents[0])[1])
        found = dict(self.changes_between(before, commit.tree))
        # What the branch had already when the effect arrived is no difference, but has to be there.
        already = {
            path: entry_at(self._reader, commit.tree, path)
            for path in form.changes.keys() - found.keys()
        }
        if {**found, **already} != form.changes:
            raise _failure(closed, "it changes other files, or to another content, than the event")

    def _check_signature(
        self, closed: Closed, form: EffectForm, payload: bytes, armored: bytes
    ) -> None:
        signers = self._signers.get(form.contracts_tree)
        if signers is None:
            signers = signer_set(read_contracts(self._reader, form.contracts_tree))
            self._signers[form.contracts_tree] = signers
        try:
            roles = signers.verify(payload, armored, form.ts).principals & ROLES
        except SignatureRefused as error:
            raise _failure(closed, f"signature: {error}") from error
        if "orchestrator" not in roles:
            raise _failure(closed, "it is not signed by an orchestrator")

    def changes_between(
        self, before: str | None, after: str | None, prefix: str = ""
    ) -> Iterator[tuple[str, tuple[str, str] | None]]:
        """Yield (path, (mode, blob)) for every file that differs, None where it is gone.

        Subtrees with the same id are not opened, so the cost follows the difference.
        """
        old = {} if before is None else self._tree(before)
        new = {} if after is None else self._tree(after)
        for raw in sorted({name for name, _ in old.items() ^ new.items()}):
            name = raw.decode("utf-8", "surrogateescape")
            left, right = old.get(raw), new.get(raw)
            left_tree, right_tree = _subtree(left), _subtree(right)
            if left is not None and left_tree is None and (right is None or right_tree is not None):
                yield prefix + name, None
            if left_tree is not None or right_tree is not None:
                yield from self.changes_between(left_tree, right_tree, f"{prefix}{name}/")
            if right is not None and right_tree is None:
                yield prefix + name, (right[:-20].decode("ascii", "replace"), right[-20:].hex())

    def _tree(self, oid: str) -> _RawTree:
        tree = self._trees.get(oid)
        if tree is None:
            if len(self._trees) >= REMEMBERED_TREES:
                self._trees.clear()
            tree = self._trees[oid] = _split_tree(self._reader(oid)[1])
        return tree


_RawTree = dict[bytes, bytes]
"""Names to mode and raw id, one after the other: as little as comparing two trees takes."""

REMEMBERED_TREES = 64


_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)


def _split_tree(data: bytes) -> _RawTree:
    found = _ENTRY.findall(data)
    modes, names, oids = zip(*found, strict=True) if found else ((), (), ())
    if 22 * len(found) + sum(map(len, modes)) + sum(map(len, names)) != len(data):
        raise MalformedObject("a tree entry is cut off")
    return dict(zip(names, map(add, modes, oids), strict=True))


def _subtree(entry: bytes | None) -> str | None:
    return entry[-20:].hex() if entry is not None and entry[:-20] == b"40000" else None


def form_of(reader: Reader, closed: Closed) -> EffectForm:
    """Return the form of an effect whose events have to be read from the log first."""
    closing = read_event_commit(reader, closed.event_commit)
    written = written_event(reader, closing, closed)
    state = load_state(
        reader, closing.tree["roadmap"].oid, seq=closing.event.seq, ts=closing.event.ts
    )
    tree = closing.tree["contracts"].oid
    return effect_form(
        written.oid,
        written.event,
        closing.event,
        state.tasks[closed.task_id],
        state,
        read_contracts(reader, tree),
        tree,
    )


def written_event(reader: Reader, closing: EventCommit, closed: Closed) -> EventCommit:
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


def _difference(commit: Commit, form: EffectForm) -> str:
    """Say in what an effect commit is not what the log says it is."""
    named = commitform.trailers(commit.message.decode("utf-8", "replace")).get("ESAA-Event")
    if named is None:
        return "it names no event"
    if named != form.event_commit:
        return f"it names {named[:12]}, and {form.event_id} is what wrote it"
    return "its author, time or message is not what the log says"


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


def check_branch(
    reader: Reader,
    tip: str,
    closed: Sequence[Closed],
    *,
    is_known: Callable[[str, bytes], bool],
    seen: Collection[str] = (),
    verified: str | None = None,
    shallow: Collection[str] = (),
    explain: Explain | None = None,
) -> Walked:
    """Find every effect in the branch's history, and no commit that only poses as one.

    The history is that of the raw commits: a grafts file, a replace ref or a commit graph shows
    git, and libgit2, another one.

    Args:
        closed: what the branch has to hold.
        is_known: answers whether a commit, with its message, is an effect that the log names.
        seen: commits whose history need not be looked at again, such as one older than the log.
        verified: a tip of this branch that was looked at before; the branch has to hold it.
        shallow: commits at which the history that is here ends.
        explain: looks for what is not found as it should be in other commits.

    Raises:
        Failure: check 11.
    """
    missing = {one.effect_commit: one for one in closed}
    claims: dict[str, Commit] = {}
    hiding = {*seen, *(() if verified is None else (verified,))}
    holds_verified = verified in (None, tip)
    walked = Walked(tip)
    for oid, commit, is_cut in _history(reader, tip, hiding, shallow):
        walked.commits += 1
        walked.is_cut |= is_cut
        missing.pop(oid, None)
        holds_verified |= verified in commit.parents
        if claims_event(commit.message) and not is_known(oid, commit.message):
            if explain is None:
                raise _unfounded(oid)
            claims[oid] = commit
    if walked.is_cut:
        walked.beyond = set(missing) | (set() if holds_verified else {str(verified)})
        missing = {}
    elif not holds_verified:
        message = f"the branch does not contain {str(verified)[:12]}, which was verified here"
        raise Failure(11, "mismatch", None, tip, message, REWRITTEN)
    for oid, _, _ in _history(reader, tip, (), shallow) if missing and hiding else ():
        missing.pop(oid, None)
    if explain is not None and (missing or claims):
        history = [(oid, commit) for oid, commit, _ in _history(reader, tip, seen, shallow)]
        walked.relinked = explain(list(missing.values()), claims, history)
        for one in walked.relinked:
            missing.pop(one.effect_commit, None)
            claims.pop(one.carried_by, None)
    if claims:
        raise _unfounded(next(iter(claims)))
    if missing:
        first = min(missing.values(), key=lambda one: one.seq)
        message = "it is not on the branch; was the branch rolled back or rewritten?"
        raise _failure(first, message, hint=REWRITTEN)
    return walked


def _unfounded(oid: str) -> Failure:
    what = f"commit {oid[:12]} on the branch claims an event, and the log knows no such"
    return Failure(11, "mismatch", None, oid, what, REWRITTEN)


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


def _failure(
    closed: Closed, message: str, outcome: str = "mismatch", hint: str | None = None
) -> Failure:
    where = f"effect {closed.effect_commit[:12]} of {closed.task_id}"
    return Failure(11, outcome, closed.seq, closed.effect_commit, f"{where}: {message}", hint)
