"""A server that has the first half of a log, and a clone that has the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.shared import LOG, MAIN, Shared, build, copy


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Shared:
    return build(tmp_path_factory.mktemp("shared"), git)


@pytest.fixture
def shared(template: Shared, tmp_path: Path) -> Shared:
    return copy(template, tmp_path)


@pytest.fixture(scope="session")
def taken(template: Shared, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    """The honest second half is pushed, and taken."""
    shared = copy(template, tmp_path_factory.mktemp("taken"))
    shared.taken("--atomic", LOG, MAIN)
    return shared


@pytest.fixture
def full(taken: Shared, tmp_path: Path) -> Shared:
    """The server has what the clone has, and the hook let it in."""
    shared = copy(taken, tmp_path)
    assert shared.at(LOG) == shared.project.head(LOG)
    assert shared.at(MAIN) == shared.project.head(MAIN)
    return shared
