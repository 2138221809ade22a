"""Effects that one commit took the place of, replayed as one change in the order of the log.

A squash has no commit for what happened in between: a file that one effect wrote and a later one
deleted, renamed or wrote anew. So each effect is held against what the chain made of its paths. A
later effect counts for an earlier one only where it found the path as that one left it: then the
work of the earlier one is in it, or was taken away by it. Nothing else passes for a file that is
not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from esaa_git.verification.changes import Image


class Step(Protocol):
    """One effect: each path that it changes, before and after."""

    @property
    def before(self) -> Mapping[str, Image]: ...

    @property
    def after(self) -> Mapping[str, Image]: ...


_Step = TypeVar("_Step", bound=Step)


class Result(Protocol):
    """What a commit made of its first parent."""

    @property
    def changes(self) -> Mapping[str, Image]: ...

    def image(self, path: str) -> Image: ...


class Chain:
    """Some effects, in the order of the log."""

    def __init__(self, effects: Sequence[Step]) -> None:
        self._effects = effects
        self._writers: dict[str, list[int]] = {}
        for number, effect in enumerate(effects):
            for path in effect.after:
                self._writers.setdefault(path, []).append(number)

    def ends(self, number: int, path: str) -> Iterator[Image]:
        """Yield what a path may be after an effect: this, and what later ones made of it."""
        image = self._effects[number].after[path]
        yield image
        for later in self._writers[path]:
            if later > number and self._effects[later].before[path] == image:
                image = self._effects[later].after[path]
                yield image

    def allowed(self) -> Mapping[str, set[Image]]:
        """Return what each path may be after all of them; nothing where they contradict."""
        found: dict[str, set[Image]] = {}
        for path, writers in self._writers.items():
            first, *rest = (set(self.ends(number, path)) for number in writers)
            found[path] = first.intersection(*rest)
        return found

    def is_in(self, number: int, result: Result) -> bool:
        """Answer whether a commit has each path of an effect as it, or the chain since, left it."""
        return all(
            result.image(path) in self.ends(number, path) for path in self._effects[number].after
        )

    def has_part(self, number: int, result: Result) -> bool:
        """Answer whether an effect has a part in what a commit made.

        It has where the commit changes one of its paths. It has where the commit changes none,
        since the chain led one of them back to what it was before.
        """
        after = self._effects[number].after
        return touches(result, self._effects[number]) or any(
            result.image(path) in self._starts(number, path) for path in after
        )

    def is_left(self, number: int, result: Result) -> bool:
        """Answer whether a commit has each path of an effect as the last that wrote it left it."""
        return all(
            result.image(path) == self._effects[self._writers[path][-1]].after[path]
            for path in self._effects[number].after
        )

    def _starts(self, number: int, path: str) -> Iterator[Image]:
        """Yield what a path was before an effect, and before earlier ones that led to that."""
        image = self._effects[number].before[path]
        yield image
        for earlier in reversed(self._writers[path]):
            if earlier < number and self._effects[earlier].after[path] == image:
                image = self._effects[earlier].before[path]
                yield image


def touches(result: Result, effect: Step) -> bool:
    """Answer whether a commit changes a path of an effect."""
    return not result.changes.keys().isdisjoint(effect.after)


def replayed(
    result: Result, effects: Sequence[_Step], *, is_answered_for: bool = False
) -> list[_Step]:
    """Return those of these effects that a commit took the place of: as many as it can be.

    One that stands on a later one drops out with it. There are none where the commit changes no
    path of theirs.

    Args:
        is_answered_for: a person answers for whatever the commit made of the paths that it changes.
    """

    def is_part(chain: Chain, number: int, effect: _Step) -> bool:
        if is_answered_for and touches(result, effect):
            return True
        return chain.is_in(number, result) and chain.has_part(number, result)

    left, count = list(effects), len(effects) + 1
    while len(left) < count:
        chain, count = Chain(left), len(left)
        numbered = list(enumerate(left))
        # Most commits of a branch have nothing of any effect.
        if not any(
            touches(result, one) and is_part(chain, number, one) for number, one in numbered
        ):
            return []
        left = [one for number, one in numbered if is_part(chain, number, one)]
    return left
