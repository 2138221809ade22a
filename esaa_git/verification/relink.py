"""Effects on a branch that was rebased or squashed: which commit carries them now.

The log names each effect by its commit, and keeps what the effect made of every path. So where
the commit is gone, another one can be recognised (docs/FORMAT.md, "Relinked effects"):

- `same-tree-changes`: it changes the same paths to the same blobs and modes, and nothing else;
- `patch-id`: it changes the same paths by the same lines in the same context, as git-patch-id(1)
  with `--verbatim` has it; what else stands in those files may be another;
- `squashed`: it brings every path to where this effect, or a later one that went on from there,
  left it; or it is git's merge of its parent with a commit that holds effects and people's own;
- `merged`: it is git's merge of what holds the effect with something else;
- `accepted`: it changes more than that, and an admin answers for it.

Carriers stand on the branch in the order of their effects. Nothing is believed for a message's
sake: what is proposed here is judged by the one predicate (`esaa_git.verification.carrier`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from esaa_git.core.state import Carrier
from esaa_git.store.objects import Commit
from esaa_git.store.repository import Repository
from esaa_git.verification.branch import Relinked, Unexplained
from esaa_git.verification.carrier import (
    ACCEPTED,
    MERGED,
    SQUASHED,
    Candidate,
    LoggedEffect,
    changes_beside,
    copies,
    fault_of,
    holds,
    in_order,
    recorded_beside,
)
from esaa_git.verification.changes import TreeChanges
from esaa_git.verification.effects import Closed
from esaa_git.verification.origins import Origins


@dataclass(frozen=True, slots=True)
class _Match:
    """A commit that is taken for the carrier of an effect."""

    candidate: Candidate
    effect: LoggedEffect
    how: str


class Relinker:
    """Finds the commits that carry effects; an `Explain` for `esaa_git.verification.branch`.

    Args:
        closed: every effect that the log names.
        accept: commits for which an admin answers, whatever they change beside effects.
        by: who that is.
    """

    def __init__(
        self,
        repository: Repository,
        closed: Sequence[Closed],
        *,
        accept: Collection[str] = (),
        by: str | None = None,
    ) -> None:
        self._repository = repository
        self._accept = accept
        self._by = by
        self._closed = closed
        self._by_task: dict[str, list[Closed]] = {}
        for one in closed:
            self._by_task.setdefault(one.task_id.lower(), []).append(one)
        self._differ = TreeChanges(repository.read)

    def __call__(
        self,
        missing: Sequence[Closed],
        posing: Mapping[str, Commit],
        tip: str,
        history: Sequence[tuple[str, Commit]],
    ) -> tuple[list[Relinked], list[Unexplained]]:
        candidates = [
            Candidate(self._repository, self._differ, oid, commit)
            for oid, commit in reversed(history)
        ]
        effects = [LoggedEffect(self._repository, one) for one in _by_seq(missing)]
        sought = self._closed if posing else missing
        origins = Origins(self._repository, tip, [one.effect_commit for one in sought])
        found: list[_Match] = []
        made_of: dict[str, Carrier] = {}
        for one in candidates:
            carrier, held = self._made_of(one, effects, origins, claims=one.oid in posing)
            if carrier is not None:
                made_of[one.oid] = carrier
                found += [_Match(one, effect, SQUASHED) for effect in held]
                effects = [effect for effect in effects if effect not in held]
        found += self._matches(effects, candidates)
        linked: list[Relinked] = []
        unexplained: list[Unexplained] = []
        for one in candidates:
            mine = [match for match in found if match.candidate is one]
            if one.oid in self._accept:
                lost = {match.effect.closed.effect_commit for match in found}
                mine += [
                    _Match(one, effect, SQUASHED)
                    for effect in effects
                    if effect.closed.effect_commit not in lost
                    and not one.changes.keys().isdisjoint(effect.after)
                ]
            if one.oid in posing:
                mine = self._claimed(one, mine)
            if not mine:
                continue
            carrier, beside = self._carrier(one, mine, made_of.get(one.oid))
            held = in_order(match.effect for match in mine)
            if carrier is None and not beside:
                continue  # what it claims is not true, and the branch check says so
            if carrier is None:
                names = tuple(effect.closed.task_id for effect in held)
                unexplained.append(Unexplained(one.oid, names, tuple(sorted(beside))))
                continue
            linked += [_link(effect.closed, one.oid, carrier) for effect in held]
        return sorted(linked, key=lambda link: link.seq), unexplained

    # -- effects that are missing -------------------------------------------------------------

    def _matches(
        self, effects: Sequence[LoggedEffect], candidates: Sequence[Candidate]
    ) -> list[_Match]:
        """Return a carrier for each effect that has one; carriers stand in the effects' order."""
        found: list[_Match] = []
        after_copy, after_squash = 0, 0
        for number, effect in enumerate(effects):
            match = self._copied(effect, candidates, after_copy)
            if match is None:
                match = self._squashed(effect, effects[number + 1 :], candidates, after_squash)
            if match is not None:
                at, carrier = match
                found.append(carrier)
                # A squash may carry the next effect too; a copy is of one.
                after_copy, after_squash = at + 1, at + (carrier.how != SQUASHED)
        return found

    def _copied(
        self, effect: LoggedEffect, candidates: Sequence[Candidate], first: int
    ) -> tuple[int, _Match] | None:
        for at in range(first, len(candidates)):
            how = copies(effect, candidates[at])
            if how is not None:
                return at, _Match(candidates[at], effect, how)
        return None

    def _squashed(
        self,
        effect: LoggedEffect,
        later: Sequence[LoggedEffect],
        candidates: Sequence[Candidate],
        first: int,
    ) -> tuple[int, _Match] | None:
        for at in range(first, len(candidates)):
            one = candidates[at]
            if len(one.commit.parents) < 2 and holds(one, effect, later):
                return at, _Match(one, effect, SQUASHED)
        return None

    def _made_of(
        self,
        candidate: Candidate,
        effects: Sequence[LoggedEffect],
        origins: Origins,
        *,
        claims: bool,
    ) -> tuple[Carrier | None, list[LoggedEffect]]:
        """Return a squash of effects and people's commits that are at hand, and those effects.

        Args:
            claims: it says that it carries effects, which need not be missing.
        """
        if len(candidate.commit.parents) != 1 or not origins:
            return None, []
        paths = {path for effect in effects for path in effect.after}
        if not claims and paths.isdisjoint(candidate.changes):
            return None, []
        origin = origins.of(candidate)
        if origin is None or not origin.people:
            return None, []  # what holds effects alone is known by its content
        known = {one.closed.effect_commit: one for one in effects}
        held = [
            known.get(one.effect_commit) or LoggedEffect(self._repository, one)
            for one in self._closed
            if one.effect_commit in origin.effects
        ]
        carrier = Carrier(
            candidate.oid,
            tuple(one.closed.task_id for one in held),
            SQUASHED,
            recorded_beside(changes_beside(candidate, held)),
            origin.commit,
            origin.people,
        )
        return (None, []) if fault_of(carrier, candidate, held) else (carrier, held)

    # -- what a commit carries ----------------------------------------------------------------

    def _carrier(
        self, candidate: Candidate, mine: Sequence[_Match], made: Carrier | None
    ) -> tuple[Carrier | None, Collection[str]]:
        """Return what is to be recorded of a commit, or None and what it changes beside."""
        effects = in_order(match.effect for match in mine)
        tasks = tuple(one.closed.task_id for one in effects)
        if made is not None and made.tasks == tasks:
            return made, ()
        hows = {match.how for match in mine}
        carrier = Carrier(candidate.oid, tasks, mine[0].how if len(mine) == 1 else SQUASHED)
        if MERGED in hows:
            carrier = replace(carrier, how=MERGED)
        if fault_of(carrier, candidate, effects) is None:
            return carrier, ()
        beside = changes_beside(candidate, effects)
        if candidate.oid in self._accept:
            accepted = replace(
                carrier, how=ACCEPTED, beside=recorded_beside(beside), accepted_by=self._by
            )
            if fault_of(accepted, candidate, effects) is None:
                return accepted, ()
        return None, beside.keys()

    def _claimed(self, candidate: Candidate, mine: list[_Match]) -> list[_Match]:
        """Return what a commit that poses as an effect carries: what it claims, and what else.

        Nothing, where it claims an event whose effect it does not carry.
        """
        said = candidate.said
        events = set(said.get("esaa-event", ()))
        known = {match.effect.closed.effect_commit: match for match in mine}
        found: list[_Match] = []
        for task_id in said.get("esaa-task", ()):
            for closed in self._by_task.get(task_id, ()):
                match = known.get(closed.effect_commit) or self._match(candidate, closed)
                if match is not None and match.effect.form.event_commit in events:
                    events.discard(match.effect.form.event_commit)
                    found.append(match)
        if not said and not mine and len(candidate.commit.parents) == 1:  # a copy in other words
            effects = (LoggedEffect(self._repository, closed) for closed in self._closed)
            copied = ((effect, copies(effect, candidate)) for effect in effects)
            mine = [_Match(candidate, effect, how) for effect, how in copied if how is not None]
        if not said and len(candidate.commit.parents) > 1:  # a merge of ours, under our own name
            mine = [
                _Match(candidate, LoggedEffect(self._repository, closed), MERGED)
                for closed in self._closed
                if closed.effect_commit in candidate.commit.parents
            ]
        rest = [match for match in mine if match not in found]
        return [] if events else found + rest

    def _match(self, candidate: Candidate, closed: Closed) -> _Match | None:
        """Return what a claim may be true by: a copy, a merge, or that an admin answers for it."""
        effect = LoggedEffect(self._repository, closed)
        if len(candidate.commit.parents) > 1:
            return _Match(candidate, effect, MERGED)
        how = copies(effect, candidate)
        if how is None and not candidate.changes.keys().isdisjoint(effect.after):
            how = SQUASHED
        return None if how is None else _Match(candidate, effect, how)


def _by_seq(closed: Sequence[Closed]) -> list[Closed]:
    return sorted(closed, key=lambda one: one.seq)


def _link(closed: Closed, oid: str, carrier: Carrier) -> Relinked:
    return Relinked(
        closed.seq, closed.task_id, closed.effect_commit, oid, carrier.how, False, carrier
    )
