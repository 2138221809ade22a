"""The one predicate of a carrier: a commit that changes what its events say, and nothing beside.

Hook, `verify` and relinking judge by `fault_of`, from the commit, the log's effects and what the
log says of the commit (`core.state.Carrier`), and from nothing else: so a fresh clone comes to the
verdict of the repository that recorded it (docs/FORMAT.md, "Relinked effects").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256

import pygit2

from esaa_git.core.event import epoch_seconds
from esaa_git.core.events.file_write import images
from esaa_git.core.state import Beside, Carrier
from esaa_git.errors import EsaaError
from esaa_git.store import commitform
from esaa_git.store.difference import unified_diff
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.objects import Commit, MalformedObject, decode_commit
from esaa_git.store.repository import Repository
from esaa_git.store.trailers import bears_our_name, trailers_of
from esaa_git.verification.chain import Chain, touches
from esaa_git.verification.changes import Image, TreeChanges, image_at
from esaa_git.verification.effects import Closed, EffectForm, form_of, written_event

SAME, PATCH, SQUASHED = "same-tree-changes", "patch-id", "squashed"
MERGED, ACCEPTED, LOST = "merged", "accepted", "lost"

_SAID = ("esaa-event", "esaa-run", "esaa-task", "esaa-attempt")


class LoggedEffect:
    """One effect as the log has it: every path before and after."""

    def __init__(self, repository: Repository, closed: Closed) -> None:
        reader = repository.read
        closing = read_event_commit(reader, closed.event_commit)
        written = written_event(reader, closing, closed)
        self.closed = closed
        self.form: EffectForm = closed.form or form_of(reader, closed)
        self.before: Mapping[str, Image] = {
            path: image for path, image, _ in images(written.effect.files)
        }
        self._repository = repository

    @property
    def after(self) -> Mapping[str, Image]:
        return self.form.changes

    @cached_property
    def patch(self) -> str | None:
        return patch_id(self._repository, self.before, self.after)

    @cached_property
    def said(self) -> Mapping[str, Sequence[str]]:
        """What its own commit says of us, summary and all."""
        return trailers_of(self.form.commit(self.closed, "0" * 40, (), self.form.log_id))


class Candidate:
    """One commit of the branch, held against its first parent."""

    def __init__(self, repository: Repository, differ: TreeChanges, oid: str, commit: Commit):
        self.oid = oid
        self.commit = commit
        self.repository = repository
        self._differ = differ

    @cached_property
    def changes(self) -> Mapping[str, Image]:
        return dict(self._differ.between(self._parent, self.commit.tree))

    @cached_property
    def before(self) -> Mapping[str, Image]:
        return {path: self.image_before(path) for path in self.changes}

    def image_before(self, path: str) -> Image:
        parent = self._parent
        return None if parent is None else image_at(self.repository.read, parent, path)

    def image(self, path: str) -> Image:
        if path in self.changes:
            return self.changes[path]
        return image_at(self.repository.read, self.commit.tree, path)

    @cached_property
    def said(self) -> Mapping[str, Sequence[str]]:
        return trailers_of(self.commit.payload)

    @cached_property
    def patch(self) -> str | None:
        return patch_id(self.repository, self.before, self.changes)

    @cached_property
    def _parent(self) -> str | None:
        if not self.commit.parents:
            return None
        return decode_commit(self.repository.read(self.commit.parents[0])[1]).tree


# -- the predicate ------------------------------------------------------------------------------


def fault_of(carrier: Carrier, candidate: Candidate, effects: Sequence[LoggedEffect]) -> str | None:
    """Say why a commit is not the carrier that a record makes it, or return None where it is.

    Args:
        carrier: the record, of the log or about to be made.
        effects: those of the record, in the order of the log.
    """
    if carrier.how == LOST:
        return "it is on record as a merge that lost effects, and not as one that carries any"
    if not effects:
        return "it carries no effect"
    if carrier.how != ACCEPTED:
        wrong = _wrong_claim(carrier, candidate, effects)
        if wrong is not None:
            return wrong
    try:
        if carrier.how == MERGED:
            return _fault_of_merge(candidate, effects)
        if carrier.how in (SAME, PATCH):
            if len(effects) == 1 and copies(effects[0], candidate) in (SAME, carrier.how):
                return None
            return "it does not change what the effect changed, and only that"
        if carrier.how == SQUASHED:
            wrong = _without_part(carrier, candidate, effects)
            if wrong is not None:
                return wrong
        beside = {one.path: _images_of(one) for one in carrier.beside}
        found = changes_beside(candidate, effects)
    except (KeyError, MalformedObject, pygit2.GitError) as error:
        return f"what it stands on cannot be read: {error}"
    if found == beside:
        return None
    path = min(found.items() ^ beside.items(), key=lambda one: one[0])[0]
    return f"it changes '{path}', which neither event nor record says"


def changes_beside(
    candidate: Candidate, effects: Sequence[LoggedEffect]
) -> dict[str, tuple[Image, Image]]:
    """Return what a commit makes of paths but for what its effects say: before and after.

    A path of an effect that is not as that, or a later one that found it so, left it is among
    them, whether or not the commit changes it.
    """
    ends = Chain(effects).allowed()
    found = {
        path: (candidate.before[path], image)
        for path, image in candidate.changes.items()
        if path not in ends or image not in ends[path]
    }
    for path, allowed in ends.items():
        if path not in candidate.changes and candidate.image(path) not in allowed:
            found[path] = (candidate.image_before(path), candidate.image(path))
    return found


def _without_part(
    carrier: Carrier, candidate: Candidate, effects: Sequence[LoggedEffect]
) -> str | None:
    """Say which effect has no part in a squash, or return None where each has.

    Where people's commits are in it, one may have undone an effect: what the last effect on a path
    left is enough then.
    """
    chain, is_made = Chain(effects), carrier.merged is not None
    for number, effect in enumerate(effects):
        if not chain.has_part(number, candidate) and not (
            is_made and chain.is_left(number, candidate)
        ):
            return f"it changes nothing that {effect.closed.task_id} changed"
    if is_made or any(touches(candidate, effect) for effect in effects):
        return None
    return "it changes nothing that its effects changed"


def copies(effect: LoggedEffect, candidate: Candidate) -> str | None:
    """Say how a commit is a copy of an effect: by its trees, else by its lines; None for none."""
    try:
        if len(candidate.commit.parents) > 1 or candidate.changes.keys() != effect.after.keys():
            return None
        if candidate.changes == effect.after:
            return SAME
        is_same = effect.patch is not None and effect.patch == candidate.patch
    except KeyError:
        return None  # what it stands on is not here (a shallow clone)
    return PATCH if is_same else None


def _fault_of_merge(candidate: Candidate, effects: Sequence[LoggedEffect]) -> str | None:
    parents = candidate.commit.parents
    if len(parents) < 2:
        return "it is no merge"
    for effect in effects:
        oid = effect.closed.effect_commit
        if not any(_leads_to(candidate.repository, parent, oid) for parent in parents):
            return f"it merges nothing that holds {oid[:12]}"
    if not is_merge_of(candidate.repository, candidate.commit.tree, parents):
        return "its tree is not git's merge of its parents"
    return None


def _leads_to(repository: Repository, tip: str, oid: str) -> bool:
    if tip == oid:
        return True
    return oid in repository.odb and repository.raw.descendant_of(
        pygit2.Oid(hex=tip), pygit2.Oid(hex=oid)
    )


def is_merge_of(repository: Repository, tree: str, parents: Sequence[str]) -> bool:
    """Answer whether a tree is what git makes of two commits, without writing anything."""
    if len(parents) != 2:
        return False
    index = repository.merge_commits(*parents)
    if index.conflicts is not None:
        return False
    found = repository.raw[tree].peel(pygit2.Tree)
    return len(found.diff_to_index(index)) == 0


def _wrong_claim(
    carrier: Carrier, candidate: Candidate, effects: Sequence[LoggedEffect]
) -> str | None:
    """Say what a carrier claims that is not true of its effects.

    It names nothing of ours but what the effects' own commits name. A copy that claims anything
    names event, run, task and attempt; it has the effect's author and time, and so has one that
    bears our name.
    """
    expected: dict[str, set[str]] = {}
    for effect in effects:
        for name, values in effect.said.items():
            expected.setdefault(name, set()).update(values)
    said = candidate.said
    for name, values in said.items():
        for value in values:
            if value not in expected.get(name, ()):
                return f"it claims '{value[:40]}', and its effects say no such"
    if carrier.how not in (SAME, PATCH):
        return None
    if said and any(not said.get(name) for name in _SAID):
        return "it claims an event without its run, task and attempt"
    form = effects[0].form
    author = f"{commitform.identity(form.agent)} {epoch_seconds(form.ts)} +0000"
    is_signed_for = bool(said) or bears_our_name(candidate.commit.payload)
    if is_signed_for and candidate.commit.author != author.encode():
        return "its author or time is not that of the effect"
    return None


# -- what a record says -------------------------------------------------------------------------


def _images_of(one: Beside) -> tuple[Image, Image]:
    before = None if one.before is None else (str(one.before_mode), one.before)
    return before, None if one.after is None else (str(one.mode), one.after)


def recorded_beside(found: Mapping[str, tuple[Image, Image]]) -> tuple[Beside, ...]:
    """Return what stands beside effects as it is recorded, by path."""

    def one(path: str, before: Image, after: Image) -> Beside:
        return Beside(
            path,
            None if before is None else before[0],
            None if before is None else before[1],
            None if after is None else after[0],
            None if after is None else after[1],
        )

    return tuple(one(path, *found[path]) for path in sorted(found))


def in_order(effects: Iterable[LoggedEffect]) -> list[LoggedEffect]:
    """Return effects as the log has them."""
    return sorted(effects, key=lambda one: one.closed.seq)


def patch_id(
    repository: Repository, before: Mapping[str, Image], after: Mapping[str, Image]
) -> str | None:
    """Return one name for changes that add and remove the same lines in the same context.

    It is what git-patch-id(1) with `--verbatim` compares: line numbers and blob ids are left
    out, white space counts (a change of it is a change of meaning in some languages). Where there
    are no lines to compare (a binary file, an empty one, a mode), the blobs themselves count.

    None where a content is not in this repository.
    """
    digest = sha256()
    try:
        for path in sorted(after):
            patch = unified_diff(repository, path, before.get(path), after[path])
            lines = patch.split(b"\n")
            kept = [line for line in lines if not line.startswith((b"@@ ", b"index "))]
            if b"\n@@ " not in patch:
                kept.append(repr((before.get(path), after[path])).encode())
            content = b"\n".join(kept)
            digest.update(b"%d\n%b" % (len(content), content))
    except (EsaaError, pygit2.GitError, ValueError):
        return None
    return digest.hexdigest()
