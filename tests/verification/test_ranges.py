"""A range is checked alike in this process and in another."""

from __future__ import annotations

from pathlib import Path

import pytest

from esaa_git.store.position import walk_back
from esaa_git.store.refs import GitRefs
from esaa_git.store.repository import Repository, open_repository
from esaa_git.verification.ranges import Outcome, check_ranges, range_of
from tests.conftest import Git
from tests.support.logs import make_log

LOG = "refs/esaa/events"


@pytest.fixture
def without_effects(tmp_path: Path, git: Git) -> Repository:
    """The log of one task alone: the effect commit that it names is not here."""
    made = make_log(tmp_path / "made", tasks=1)
    here = tmp_path / "here"
    git(tmp_path, "init", "--quiet", str(here))
    git(here, "fetch", "--quiet", str(made.path), f"{LOG}:{LOG}")
    return open_repository(here)


@pytest.mark.parametrize("jobs", [1, 2])
def test_effects_may_be_missing_where_their_branch_is(
    without_effects: Repository, jobs: int
) -> None:
    tip = str(GitRefs(without_effects).read(LOG))
    part = range_of(None, list(walk_back(without_effects, tip)))

    def checked(*, is_partial: bool) -> Outcome:
        (outcome,) = check_ranges(without_effects, iter([part]), True, is_partial, jobs)
        assert outcome.failure is None
        return outcome

    alone = checked(is_partial=True)
    assert (alone.absent, list(alone.effect_failures)) == (1, [])
    fetched = checked(is_partial=False)
    assert fetched.absent == 0
    assert [failure.check for failure in fetched.effect_failures] == [11]
