"""Effects on a branch that was rebased or squashed: which commit carries them now.

The log names each effect by its commit, and keeps what the effect made of every path. So where
the commit is gone, another one can be recognised (docs/FORMAT.md, "Relinked effects"):

- `same-tree-changes`: it changes the same paths to the same blobs and modes, and nothing else;
- `patch-id`: it changes the same paths by the same lines in the same context, as git-patch-id(1)
  with `--verbatim` has it; what else stands in those files may be another;
- `squashed`: it brings every path to where this effect, or a later one that went on from there,
  left it.

Carriers stand on the branch in the order of their effects. Nothing is believed for a message's
sake: a commit that claims to be a copy has to be one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

import pygit2

from esaa_git.core.event import epoch_seconds
from esaa_git.core.events.file_write import images
from esaa_git.errors import EsaaError
from esaa_git.store import commitform
from esaa_git.store.difference import unified_diff
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.objects import Commit, MalformedObject, decode_commit
from esaa_git.store.repository import Repository
from esaa_git.verification.branch import Relinked
from esaa_git.verification.changes import Image, TreeChanges, image_at
from esaa_git.verification.effects import Closed, EffectForm, Link, form_of, written_event

SAME, PATCH, SQUASHED = "same-tree-changes", "patch-id", "squashed"


@dataclass(frozen=True, slots=True)
class _Effect:
    """One effect as the log has it: every path before and after."""

    closed: Closed
    form: EffectForm
    before: Mapping[str, Image]

    @property
    def after(self) -> Mapping[str, Image]:
        return self.form.changes


class _Candidate:
    """One commit of the branch, held against its first parent."""

    def __init__(self, repository: Repository, differ: TreeChanges, oid: str, commit: Commit):
        self.oid = oid
        self.commit = commit
        self._repository = repository
        self._differ = differ

    @cached_property
    def changes(self) -> Mapping[str, Image]:
        parent = self._parent
        return dict(self._differ.between(parent, self.commit.tree))

    @cached_property
    def before(self) -> Mapping[str, Image]:
        parent = self._parent
        if parent is None:
            return dict.fromkeys(self.changes)
        return {path: image_at(self._repository.read, parent, path) for path in self.changes}

    def image(self, path: str) -> Image:
        if path in self.changes:
            return self.changes[path]
        return image_at(self._repository.read, self.commit.tree, path)

    @cached_property
    def _parent(self) -> str | None:
        if not self.commit.parents:
            return None
        return decode_commit(self._repository.read(self.commit.parents[0])[1]).tree


@dataclass(frozen=True, slots=True)
class _Carrier:
    """A commit that is taken for the carrier of an effect.

    `later` are the effects after it, of which a squash may hold what they went on to.
    """

    candidate: _Candidate
    effect: _Effect
    how: str
    later: Sequence[_Effect] = ()


def carries_exactly(carrier: _Carrier, claims: Mapping[str, Sequence[str]] | None = None) -> bool:
    """Answer whether a commit brings what an effect left, and claims nothing else of it.

    A squash changes one of the effect's paths at least, and has each of them as the effect left
    it, or a later one that found it so. A copy was compared whole before it is one
    (`Relinker._is_copy`).

    Args:
        claims: what the commit's message claims, where it claims events (`commitform.claimed`).
            It then names the effect's event, run, task and attempt; a copy names no other beside
            them, and has the effect's author and time.
    """
    if carrier.how == SQUASHED and not _holds(carrier):
        return False
    return claims is None or _claims_truly(carrier, claims)


def _holds(carrier: _Carrier) -> bool:
    candidate, effect = carrier.candidate, carrier.effect
    try:
        if candidate.changes.keys().isdisjoint(effect.after):
            return False
        return all(
            candidate.image(path) in _ends(path, image, carrier.later)
            for path, image in effect.after.items()
        )
    except (KeyError, MalformedObject):
        return False


def _ends(path: str, image: Image, later: Sequence[_Effect]) -> Iterator[Image]:
    """Yield what the path may be in a squash: this, and what later effects made of it."""
    yield image
    for effect in later:
        if path in effect.after and effect.before.get(path) == image:
            image = effect.after[path]
            yield image


def _claims_truly(carrier: _Carrier, claims: Mapping[str, Sequence[str]]) -> bool:
    closed, form = carrier.effect.closed, carrier.effect.form
    said = {
        "esaa-event": form.event_commit,
        "esaa-run": form.run_id,
        "esaa-task": closed.task_id,
        "esaa-attempt": closed.attempt_id,
    }
    if any(value not in claims.get(name, ()) for name, value in said.items()):
        return False
    if carrier.how == SQUASHED:
        return True
    author = f"{commitform.identity(form.agent)} {epoch_seconds(form.ts)} +0000"
    is_author = carrier.candidate.commit.author == author.encode()
    return is_author and all(len(claims[name]) == 1 for name in said)


class Relinker:
    """Finds the commits that carry effects; an `Explain` for `esaa_git.verification.branch`.

    Args:
        links: what the log says of effects in other commits. Each is looked at again.
        closed: every effect that the log names.
        search: look at every commit of the branch, and not only at those that the log names.
    """

    def __init__(
        self,
        repository: Repository,
        links: Iterable[Link],
        closed: Iterable[Closed],
        *,
        search: bool,
    ) -> None:
        self._repository = repository
        self._search = search
        self._recorded: dict[str, set[str]] = {}
        for link in links:
            self._recorded.setdefault(link.effect_commit, set()).add(link.reached_by)
        self._by_task = {one.task_id: one for one in closed}
        self._differ = TreeChanges(repository.read)
        self._patches: dict[str, str | None] = {}

    def __call__(
        self,
        missing: Sequence[Closed],
        posing: Mapping[str, Commit],
        history: Sequence[tuple[str, Commit]],
    ) -> list[Relinked]:
        wanted = set().union(*self._recorded.values()) if self._recorded else set()
        candidates = [
            _Candidate(self._repository, self._differ, oid, commit)
            for oid, commit in reversed(history)
            if self._search or oid in wanted
        ]
        effects = [self._effect(one) for one in sorted(missing, key=lambda one: one.seq)]
        found = self._carriers(effects, candidates)
        for one in candidates:
            if one.oid in posing:
                mine = [carrier for carrier in found if carrier.candidate is one]
                others = [carrier for carrier in found if carrier.candidate is not one]
                found = others + self._claimed(one, mine)
        return sorted(map(self._link, found), key=lambda link: link.seq)

    # -- effects that are missing -------------------------------------------------------------

    def _carriers(
        self, effects: Sequence[_Effect], candidates: Sequence[_Candidate]
    ) -> list[_Carrier]:
        """Return a carrier for each effect that has one; carriers stand in the effects' order."""
        found: list[_Carrier] = []
        after_copy, after_squash = 0, 0
        for number, effect in enumerate(effects):
            match = self._copied(effect, candidates, after_copy)
            if match is None:
                later = effects[number + 1 :]
                match = self._squashed(effect, later, candidates, after_squash)
            if match is not None:
                at, carrier = match
                found.append(carrier)
                # A squash may carry the next effect too; a copy is of one.
                after_copy, after_squash = at + 1, at + (carrier.how != SQUASHED)
        return found

    def _copied(
        self, effect: _Effect, candidates: Sequence[_Candidate], first: int
    ) -> tuple[int, _Carrier] | None:
        for at in range(first, len(candidates)):
            carrier = self._copy_of(effect, candidates[at])
            if carrier is not None:
                return at, carrier
        return None

    def _squashed(
        self,
        effect: _Effect,
        later: Sequence[_Effect],
        candidates: Sequence[_Candidate],
        first: int,
    ) -> tuple[int, _Carrier] | None:
        for at in range(first, len(candidates)):
            carrier = _Carrier(candidates[at], effect, SQUASHED, later)
            if self._is_open_to(effect, candidates[at]) and carries_exactly(carrier):
                return at, carrier
        return None

    def _copy_of(self, effect: _Effect, candidate: _Candidate) -> _Carrier | None:
        """Return the carrier of an effect, which may be on the branch itself, that is a copy."""
        how = self._is_copy(effect, candidate) if self._is_open_to(effect, candidate) else None
        return None if how is None else _Carrier(candidate, effect, how)

    def _is_open_to(self, effect: _Effect, candidate: _Candidate) -> bool:
        """Answer whether a commit may be taken for the carrier: searched for, or recorded."""
        return self._search or self._is_recorded(effect, candidate)

    def _is_recorded(self, effect: _Effect, candidate: _Candidate) -> bool:
        return candidate.oid in self._recorded.get(effect.closed.effect_commit, ())

    def _link(self, carrier: _Carrier) -> Relinked:
        closed, oid = carrier.effect.closed, carrier.candidate.oid
        is_recorded = self._is_recorded(carrier.effect, carrier.candidate)
        return Relinked(
            closed.seq, closed.task_id, closed.effect_commit, oid, carrier.how, is_recorded
        )

    # -- how a commit can carry an effect -----------------------------------------------------

    def _is_copy(self, effect: _Effect, candidate: _Candidate) -> str | None:
        try:
            if len(candidate.commit.parents) > 1 or candidate.changes.keys() != effect.after.keys():
                return None
            if candidate.changes == effect.after:
                return SAME
            theirs = self._patch(candidate.oid, candidate.before, candidate.changes)
            ours = self._patch(effect.closed.effect_commit, effect.before, effect.after)
        except KeyError:
            return None  # what it stands on is not here (a shallow clone)
        return PATCH if ours is not None and ours == theirs else None

    def _patch(
        self, key: str, before: Mapping[str, Image], after: Mapping[str, Image]
    ) -> str | None:
        if key not in self._patches:
            self._patches[key] = patch_id(self._repository, before, after)
        return self._patches[key]

    # -- commits that claim to be effects -----------------------------------------------------

    def _claimed(self, candidate: _Candidate, carried: list[_Carrier]) -> list[_Carrier]:
        """Return what a commit that claims events carries; nothing, where a claim is not true."""
        claims = commitform.claimed(candidate.commit.message)
        known = {carrier.effect.closed.effect_commit: carrier for carrier in carried}
        found: list[_Carrier] = []
        events = set(claims.get("esaa-event", ()))
        for task_id in claims.get("esaa-task", ()):
            closed = self._by_task.get(task_id)
            if closed is None:
                return []
            effect = self._effect(closed)
            carrier = known.get(closed.effect_commit) or self._copy_of(effect, candidate)
            if carrier is None or not carries_exactly(carrier, claims):
                return []
            events.discard(effect.form.event_commit)
            found.append(carrier)
        rest = [carrier for carrier in carried if carrier not in found]
        return [] if events or not found else found + rest

    def _effect(self, closed: Closed) -> _Effect:
        reader = self._repository.read
        closing = read_event_commit(reader, closed.event_commit)
        written = written_event(reader, closing, closed)
        before = {path: image for path, image, _ in images(written.effect.files)}
        return _Effect(closed, closed.form or form_of(reader, closed), before)


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
