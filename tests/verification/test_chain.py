"""Effects replayed as one change: what a squash of them has to hold, and what it must not lack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest

from esaa_git.verification.chain import replayed
from esaa_git.verification.changes import Image


def _blob(content: str | None) -> Image:
    return None if content is None else ("100644", content)


@dataclass(frozen=True, eq=False)
class Effect:
    before: Mapping[str, Image]
    after: Mapping[str, Image]


@dataclass
class Commit:
    """A commit by what is before it and after it."""

    before: dict[str, Image]
    then: dict[str, Image] = field(default_factory=dict)

    @property
    def changes(self) -> Mapping[str, Image]:
        paths = self.before.keys() | self.then.keys()
        return {path: self.then.get(path) for path in paths if self._differs(path)}

    def _differs(self, path: str) -> bool:
        return self.before.get(path) != self.then.get(path)

    def image(self, path: str) -> Image:
        return self.then.get(path)


def effect(**paths: tuple[str | None, str | None]) -> Effect:
    before = {path: _blob(images[0]) for path, images in paths.items()}
    return Effect(before, {path: _blob(images[1]) for path, images in paths.items()})


def commit(before: str = "", then: str = "") -> Commit:
    """A commit by its files: `a1 b2` is 'a' with the content '1', and 'b' with '2'."""
    sides = [{word[0]: _blob(word[1:]) for word in side.split()} for side in (before, then)]
    return Commit(*sides)


ANCHOR = effect(z=(None, "1"))
WRITTEN = effect(a=(None, "1"))

# name: effects in the order of the log, what a commit found, what it left, how many it stands for
CASES: dict[str, tuple[list[Effect], Commit, int]] = {
    "written and deleted": ([WRITTEN, effect(a=("1", None)), ANCHOR], commit("", "z1"), 3),
    "renamed": ([WRITTEN, effect(a=("1", None), b=(None, "1"))], commit("", "b1"), 2),
    "renamed twice": (
        [WRITTEN, effect(a=("1", None), b=(None, "2")), effect(b=("2", None), c=(None, "2"))],
        commit("", "c2"),
        3,
    ),
    "written anew": ([WRITTEN, effect(a=("1", "2"))], commit("", "a2"), 2),
    "as it was": ([effect(a=("0", "1")), effect(a=("1", "0")), ANCHOR], commit("a0", "a0 z1"), 3),
    "deleted and written again": (
        [WRITTEN, effect(a=("1", None)), effect(a=(None, "1"))],
        commit("", "a1"),
        3,
    ),
    "half of it undone": (
        [effect(a=(None, "1"), b=(None, "1")), effect(a=("1", None))],
        commit("", "b1"),
        2,
    ),
    "without the last": ([WRITTEN, effect(a=("1", "2"))], commit("", "a1"), 1),
    "an effect is dropped": ([WRITTEN, ANCHOR], commit("", "z1"), 1),
    "one file of two is dropped": ([effect(a=(None, "1"), b=(None, "1"))], commit("", "b1"), 0),
    "the renamed file is dropped": (
        [WRITTEN, effect(a=("1", None), b=(None, "1")), ANCHOR],
        commit("", "z1"),
        1,
    ),
    "a later effect did not find it": (
        [WRITTEN, effect(a=("0", None)), ANCHOR],
        commit("a0", "z1"),
        2,  # that one, which took another file away, and the last
    ),
    "another content": ([WRITTEN, effect(a=("1", "2"))], commit("", "a3"), 0),
    "it was there before": ([WRITTEN, ANCHOR], commit("a1", "a1 z1"), 1),
    "nothing at all": ([WRITTEN, effect(a=("1", None))], commit("", "q1"), 0),
}


@pytest.mark.parametrize("name", CASES)
def test_a_commit_stands_for_the_effects_that_come_to_it(name: str) -> None:
    effects, made, count = CASES[name]
    assert len(replayed(made, effects)) == count


def _random_chain(random: Random) -> tuple[dict[str, Image], list[Effect], dict[str, Image]]:
    files: dict[str, Image] = {path: _blob("0") for path in "abc" if random.random() < 0.5}
    start, effects = dict(files), list[Effect]()
    for number in range(random.randint(1, 7)):
        after: dict[str, Image] = {}
        for path in random.sample("abcde", random.randint(1, 3)):
            content = random.choice([None, "0", "1", str(number + 2)])
            if _blob(content) != files.get(path):
                after[path] = _blob(content)
        if after:
            effects.append(Effect({path: files.get(path) for path in after}, after))
            files |= after
    return start, effects, files


def _last(effects: Sequence[Effect], path: str) -> Effect | None:
    return next((one for one in reversed(effects) if path in one.after), None)


def test_a_squash_stands_for_its_whole_branch_and_not_for_what_it_drops() -> None:
    """For any branch: all of its effects; and without a file's last content, not that effect."""
    random = Random(7)
    for _ in range(500):
        start, effects, files = _random_chain(random)
        effects.append(ANCHOR)
        files["z"] = _blob("1")
        assert replayed(Commit(start, files), effects) == effects
        path = random.choice("abcde")
        last = _last(effects, path)
        if last is not None:
            assert last not in replayed(Commit(start, {**files, path: _blob("other")}), effects)
