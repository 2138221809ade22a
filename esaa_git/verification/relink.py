"""Effects on a branch that was rebased or squashed: which commit carries them now.

The log names each effect by its commit, and keeps what the effect made of every path. So where
the commit is gone, another one can be recognised (docs/FORMAT.md, "Relinked effects"):

- `same-tree-changes`: it changes the same paths to the same blobs and modes, and nothing else;
- `patch-id`: it changes the same paths by the same lines in the same context, as git-patch-id(1)
  with `--verbatim` has it; what else stands in those files may be another;
- `squashed`: it has what the effects come to as one change (`esaa_git.verification.chain`); or it
  is git's merge of its parent with a commit that holds effects, and people's own;
- `merged`: it is git's merge of what holds the effect with something else;
- `accepted`: it changes more than that, and an admin answers for it.

Carriers stand on the branch in the order of their effects. Nothing is believed for a message's
sake: what is proposed here is judged by the one predicate (`esaa_git.verification.carrier`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from esaa_git.core.state import Carrier
from esaa_git.store.objects import Commit, MalformedObject
from esaa_git.store.repository import Repository
from esaa_git.verification.branch import Relinked, Unexplained
from esaa_git.verification.carrier import (
    ACCEPTED,
    MERGED,
    PATCH,
    SAME,
    SQUASHED,
    Candidate,
    LoggedEffect,
    changes_beside,
    copies,
    fault_of,
    in_order,
    recorded_beside,
)
from esaa_git.verification.chain import replayed, touches
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
        carriers: what the log says of commits already.
        accept: commits for which an admin answers, whatever they change beside effects.
        by: who that is.
    """

    def __init__(
        self,
        repository: Repository,
        closed: Sequence[Closed],
        *,
        carriers: Mapping[str, Carrier],
        accept: Collection[str] = (),
        by: str | None = None,
    ) -> None:
        self._repository = repository
        self._carriers = carriers
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

        def look_for_origins(*, with_people: bool) -> None:
            for one in candidates:
                taken = {id(match.effect) for match in found if match.candidate is not one}
                left = [effect for effect in effects if id(effect) not in taken]
                made = self._made_of(
                    one, left, origins, claims=one.oid in posing, with_people=with_people
                )
                if made is not None:
                    made_of[one.oid], held = made
                    found[:] = [match for match in found if match.candidate is not one]
                    found.extend(_Match(one, effect, SQUASHED) for effect in held)

        look_for_origins(with_people=True)
        found += self._matches(_not_in(found, effects), candidates)
        if _not_in(found, effects):
            look_for_origins(with_people=False)
        linked: list[Relinked] = []
        unexplained: list[Unexplained] = []
        for one in candidates:
            mine = [match for match in found if match.candidate is one]
            if one.oid in self._accept:
                mine = self._answered_for(one, mine, _not_in(found, effects))
            lacking: tuple[str, ...] = ()
            if one.oid in posing:
                mine, lacking = self._claimed(one, mine)
            if not mine:
                continue
            held = in_order(match.effect for match in mine)
            said = self._on_record(one, held)
            mine += [_Match(one, effect, SQUASHED) for effect in said]
            carrier, beside = self._carrier(one, mine, made_of.get(one.oid))
            if carrier is None and not beside and not lacking:
                continue  # what it claims is not true, and the branch check says so
            if carrier is None or lacking:
                names = tuple(effect.closed.task_id for effect in held)
                unexplained.append(Unexplained(one.oid, names, tuple(sorted(beside)), lacking))
                continue
            linked += [_link(effect.closed, one.oid, carrier) for effect in held]
        return sorted(linked, key=lambda link: link.seq), unexplained

    # -- effects that are missing -------------------------------------------------------------

    def _matches(
        self, effects: Sequence[LoggedEffect], candidates: Sequence[Candidate]
    ) -> list[_Match]:
        """Return a carrier for each effect that has one; carriers stand in the effects' order.

        Each copy is of one effect. What has none is looked for in squashes, between the carriers
        of the effects before it and after it; one of these may be a copy of the last by chance.
        """
        placed = self._copies(effects, candidates)
        lasts, last = [0] * len(effects), len(candidates) - 1
        for number in reversed(range(len(effects))):
            last = min(last, placed[number][0]) if number in placed else last
            lasts[number] = last
        tried: dict[int, set[int]] = {}
        first = 0
        for number in range(len(effects)):
            if number in placed:
                first = max(first, placed[number][0])
                continue
            for at in range(first, lasts[number] + 1):
                if at not in tried:
                    tried[at] = self._squashed(at, effects, candidates, placed)
                if number in tried[at]:
                    placed |= dict.fromkeys(tried[at], (at, SQUASHED))
                    first = max(first, at)
                    tried.clear()
                    break
        return [
            _Match(candidates[at], effects[number], how)
            for number, (at, how) in sorted(placed.items())
        ]

    def _copies(
        self, effects: Sequence[LoggedEffect], candidates: Sequence[Candidate]
    ) -> dict[int, tuple[int, str]]:
        found: dict[int, tuple[int, str]] = {}
        first = 0
        for number, effect in enumerate(effects):
            for at in range(first, len(candidates)):
                how = copies(effect, candidates[at])
                if how is not None:
                    found[number], first = (at, how), at + 1
                    break
        return found

    def _squashed(
        self,
        at: int,
        effects: Sequence[LoggedEffect],
        candidates: Sequence[Candidate],
        placed: Mapping[int, tuple[int, str]],
    ) -> set[int]:
        """Return the effects that a commit took the place of, with all that it is known for."""
        one = candidates[at]
        if len(one.commit.parents) > 1:
            return set()
        there = {number for number, (place, _) in placed.items() if place == at}
        asked = [n for n in range(len(effects)) if n in there or n not in placed]
        chain = [effects[number] for number in asked]
        if not any(touches(one, effect) for effect in chain):
            return set()
        on_record = self._on_record(one, chain)
        held = _replayed(one, [*on_record, *chain])
        known = {id(effect) for effect in (*on_record, *(effects[number] for number in there))}
        if not known.issubset(map(id, held)):
            return set()
        return {number for number in asked if any(effects[number] is one for one in held)}

    def _on_record(
        self, candidate: Candidate, beside: Sequence[LoggedEffect]
    ) -> list[LoggedEffect]:
        """Return the effects that the log says this commit carries alone, but for some."""
        carrier = self._carriers.get(candidate.oid)
        if carrier is None or carrier.how not in (SAME, PATCH, SQUASHED):
            return []
        held = [one for one in self._closed if one.task_id in carrier.tasks]
        effects = in_order(LoggedEffect(self._repository, one) for one in held)
        if fault_of(carrier, candidate, effects) is not None:
            return []
        known = {one.closed.task_id for one in beside}
        return [one for one in effects if one.closed.task_id not in known]

    def _answered_for(
        self, candidate: Candidate, mine: list[_Match], lost: Sequence[LoggedEffect]
    ) -> list[_Match]:
        """Return what a commit carries for which an admin answers: all that it has a part of."""
        chain = in_order([*(match.effect for match in mine), *lost])
        held = set(map(id, _replayed(candidate, chain, is_answered_for=True)))
        return mine + [_Match(candidate, one, SQUASHED) for one in lost if id(one) in held]

    def _made_of(
        self,
        candidate: Candidate,
        effects: Sequence[LoggedEffect],
        origins: Origins,
        *,
        claims: bool,
        with_people: bool,
    ) -> tuple[Carrier, list[LoggedEffect]] | None:
        """Return a squash of what is at hand, and the effects in it.

        Args:
            effects: those that it may carry.
            claims: it says that it carries effects, which need not be missing.
            with_people: of effects and commits of people; without them, where git merged a file
                that the branch had changed as well, so that no content tells.
        """
        if len(candidate.commit.parents) != 1 or not origins:
            return None
        if not claims and not any(touches(candidate, effect) for effect in effects):
            return None
        origin = origins.of(candidate)
        if origin is None or bool(origin.people) != with_people:
            return None
        known = {one.closed.effect_commit: one for one in effects}
        if not with_people and not claims and not origin.effects.issubset(known):
            return None
        held = [
            known.get(one.effect_commit) or LoggedEffect(self._repository, one)
            for one in self._closed
            if one.effect_commit in origin.effects
        ]
        if not all(
            touches(candidate, effect) or origins.has_undone(origin, candidate, effect.after)
            for effect in held
        ):
            return None
        carrier = Carrier(
            candidate.oid,
            tuple(one.closed.task_id for one in held),
            SQUASHED,
            recorded_beside(changes_beside(candidate, held)),
            origin.commit,
            origin.people,
        )
        return None if fault_of(carrier, candidate, held) else (carrier, held)

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

    def _claimed(
        self, candidate: Candidate, mine: list[_Match]
    ) -> tuple[list[_Match], tuple[str, ...]]:
        """Return what a commit that poses as an effect carries: what it claims, and what else.

        Nothing, where it claims an event that the log does not know, unless an admin answers for
        it. With it, the tasks whose effects it claims beside others, and does not carry.
        """
        said = candidate.said
        events = set(said.get("esaa-event", ()))
        if not said:
            return self._alike(candidate, mine), ()
        known = {match.effect.closed.effect_commit: match for match in mine}
        named = [
            known[one.effect_commit].effect
            if one.effect_commit in known
            else LoggedEffect(self._repository, one)
            for task_id in said.get("esaa-task", ())
            for one in self._by_task.get(task_id, ())
        ]
        named = in_order(one for one in named if one.form.event_commit in events)
        found = self._as_named(candidate, named, known)
        rest = [match for match in mine if match not in found]
        carried = {match.effect.form.event_commit for match in found}
        lacking = [one for one in named if one.form.event_commit not in carried]
        if candidate.oid in self._accept:
            return found + rest, ()
        unknown = events - {one.form.event_commit for one in named}
        if unknown or (lacking and not found):
            return [], ()
        return found + rest, tuple(one.closed.task_id for one in lacking)

    def _alike(self, candidate: Candidate, mine: list[_Match]) -> list[_Match]:
        """Return what a commit carries that bears a name of ours and claims nothing."""
        if len(candidate.commit.parents) > 1:  # a merge of ours, under our own name
            return [
                _Match(candidate, LoggedEffect(self._repository, closed), MERGED)
                for closed in self._closed
                if closed.effect_commit in candidate.commit.parents
            ]
        if mine or len(candidate.commit.parents) != 1:
            return mine
        effects = (LoggedEffect(self._repository, closed) for closed in self._closed)
        copied = ((effect, copies(effect, candidate)) for effect in effects)
        return [_Match(candidate, effect, how) for effect, how in copied if how is not None]

    def _as_named(
        self,
        candidate: Candidate,
        named: Sequence[LoggedEffect],
        known: Mapping[str, _Match],
    ) -> list[_Match]:
        """Return what claims may be true by: copies, merges, squashes, or an admin's answer."""
        is_merge = len(candidate.commit.parents) > 1
        held = [] if is_merge else _replayed(candidate, named, is_answered_for=True)
        found: list[_Match] = []
        for effect in named:
            match = known.get(effect.closed.effect_commit)
            if match is not None:
                found.append(match)
            elif is_merge:
                found.append(_Match(candidate, effect, MERGED))
            elif any(effect is one for one in held):
                found.append(_Match(candidate, effect, copies(effect, candidate) or SQUASHED))
        return found


def _not_in(found: Sequence[_Match], effects: Sequence[LoggedEffect]) -> list[LoggedEffect]:
    taken = {match.effect.closed.effect_commit for match in found}
    return [effect for effect in effects if effect.closed.effect_commit not in taken]


def _replayed(
    candidate: Candidate, effects: Sequence[LoggedEffect], *, is_answered_for: bool = False
) -> list[LoggedEffect]:
    try:
        return replayed(candidate, in_order(effects), is_answered_for=is_answered_for)
    except (KeyError, MalformedObject):
        return []  # what it stands on is not here (a shallow clone)


def _by_seq(closed: Sequence[Closed]) -> list[Closed]:
    return sorted(closed, key=lambda one: one.seq)


def _link(closed: Closed, oid: str, carrier: Carrier) -> Relinked:
    return Relinked(
        closed.seq, closed.task_id, closed.effect_commit, oid, carrier.how, False, carrier
    )
