"""An answer that loses against others, again and again, is tried again: it was paid for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esaa_git.engine.cycle import MAX_CONFLICTS, cycle
from esaa_git.engine.options import Options
from esaa_git.engine.transaction import MAX_TRIES
from esaa_git.errors import ConflictError
from esaa_git.ports.branch import Effect
from esaa_git.testing.contracts import task
from esaa_git.testing.engine import MemoryEngine, engine


def crowded(commits: int) -> MemoryEngine:
    """An engine with a person who commits so many times, whenever an effect is being made."""
    made = engine()
    left = iter(range(commits))
    commit_effect = made.effects.commit_effect

    def overtaken(effect: Effect, sign: Callable[[bytes], bytes]) -> Any:
        found = commit_effect(effect, sign)
        number = next(left, None)
        if number is not None:
            made.person_commits({"people.txt": b"%d\n" % number})
        return found

    made.effects.commit_effect = overtaken  # type: ignore[method-assign]
    return made


def test_an_answer_is_recorded_once_the_person_pauses() -> None:
    commits = 3 * MAX_TRIES
    made = crowded(commits)
    made.apply(task("T-1"), task("T-2"))
    report = cycle(made, Options(parallel=2, overlap=True))
    assert report.result == "success"
    assert len(made.requests) == 2
    assert [one.attempts_total for one in made.state.tasks.values()] == [1, 1]
    assert made.content("people.txt") == b"%d\n" % (commits - 1)


def test_where_the_person_never_pauses_the_attempt_is_given_back_and_the_run_says_why() -> None:
    made = crowded(1000)
    made.apply(task("T-1"))
    with pytest.raises(ConflictError, match="moved"):
        cycle(made)
    assert len(made.requests) == 1
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)
    assert made.actions[-1] == "task.update"
    assert made.content("people.txt") == b"%d\n" % ((MAX_CONFLICTS + 1) * MAX_TRIES - 1)
