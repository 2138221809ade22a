"""A server that has the first half of a log, and a clone that has the whole of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.shared import Shared, build, copy


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Shared:
    return build(tmp_path_factory.mktemp("shared"), git)


@pytest.fixture
def shared(template: Shared, tmp_path: Path) -> Shared:
    return copy(template, tmp_path)
