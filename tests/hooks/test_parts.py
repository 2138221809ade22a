"""A push that a server has no time for: refused in words, and sent by `git esaa push` in parts.

The pushes are real. Where the hook is to come to its end at a certain event, its own alarm rings
there, so that it does not matter how fast the machine is.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from esaa_git.faults import Point, arm
from esaa_git.remote.parts import Branch
from esaa_git.remote.remote import Remote
from tests.support.shared import LOG, MAIN, Shared
from tests.support.warm import CHECKOUT

EVENTS_IN_TIME = 6
"""A task takes five events, so the first half ends before its effect, and the second has it."""

SLOW = f"""
import signal
from esaa_git.verification.checks import EventChecker

check, seen = EventChecker.check, []

def check_slowly(self, oid):
    seen.append(oid)
    if len(seen) > {EVENTS_IN_TIME}:
        signal.raise_signal(signal.SIGALRM)
    check(self, oid)

EventChecker.check = check_slowly
"""


@pytest.fixture
def empty(shared: Shared) -> Shared:
    """A server to which nothing was pushed yet, and that wants effects with their events."""
    for ref in (LOG, MAIN):
        shared.run(shared.server, "update-ref", "-d", ref)
    shared.configure("esaa.requireEffects")
    return shared


@pytest.fixture
def slow(empty: Shared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    """Its hook has time for six events."""
    folder = tmp_path / "slow"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SLOW)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), CHECKOUT]))
    return empty


class Interrupted(Exception):
    """The machine of whoever pushes is turned off."""


def test_a_push_for_which_the_time_is_too_short_is_refused_in_words(shared: Shared) -> None:
    shared.configure("esaa.hookTimeout", "1ms")
    said = shared.refused("--atomic", LOG, MAIN)
    assert "error: the push is refused: too much at once" in said
    assert "caused by: " in said
    assert "'git esaa push' sends a long log in several pushes" in said
    shared.configure("esaa.hookTimeout", "60")
    shared.taken("--atomic", LOG, MAIN)


def test_a_long_log_goes_in_parts_with_its_effects_and_on_after_an_interruption(
    slow: Shared,
) -> None:
    chain = [one.oid for one in slow.project.chain()]
    effect = slow.project.head(f"{MAIN}~1")
    seen: list[str] = []

    def watch(point: Point) -> None:
        if point is Point.PUSH_BEGUN:
            seen.append(slow.refs())
            if len(seen) == 4:
                raise Interrupted

    with arm(watch), pytest.raises(Interrupted):
        Remote(slow.project.repository, "origin").push()
    # All of it took too long, and nothing of that was taken. The second half has an effect.
    begun, half = f"{LOG} {chain[4]}", f"{LOG} {chain[9]}\n{MAIN} {effect}"
    assert seen == ["", "", begun, half]
    assert slow.refs() == half
    with arm(watch):
        Remote(slow.project.repository, "origin").push()
    assert len(seen) == 5
    assert (slow.at(LOG), slow.at(MAIN)) == (chain[-1], slow.project.head(MAIN))


def test_the_branch_goes_as_far_as_the_last_effect_of_a_part(shared: Shared) -> None:
    chain = [one.oid for one in shared.project.chain()]
    tip = shared.project.head(MAIN)
    first = shared.project.head(f"{MAIN}~1")
    here = shared.project.repository
    nothing_there = Branch(here, "main", tip, None)
    assert nothing_there.along(chain[:5]) == {}
    assert nothing_there.along(chain[:6]) == {MAIN: first}
    assert nothing_there.along(chain[:10]) == {MAIN: first}
    assert nothing_there.along(chain) == {MAIN: tip}
    nothing_there.moved({LOG: chain[5], MAIN: first})
    nothing_there.moved({LOG: chain[7]})
    assert nothing_there.along(chain[:10]) == {}
    assert nothing_there.along(chain[6:]) == {MAIN: tip}


def test_a_branch_without_the_effect_stays_where_it_is(shared: Shared) -> None:
    chain = [one.oid for one in shared.project.chain()]
    tip = shared.project.head(MAIN)
    here = shared.project.repository
    below = shared.project.head(f"{MAIN}~2")
    beside = shared.project.git("commit-tree", f"{tip}^{{tree}}", "-p", below, "-m", "beside")
    for branch in (
        Branch(here, "main", None, None),
        Branch(here, "main", below, None),
        Branch(here, "main", beside, None),
        Branch(here, "main", tip, tip),
        Branch(here, "main", tip, beside),
        Branch(here, "other", tip, None),
    ):
        assert branch.along(chain[:6]) == {}
