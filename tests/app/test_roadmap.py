"""Contracts that HEAD has and the checkout has not: the hint brings them."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from esaa_git.app.roadmap import roadmap_files
from esaa_git.core.plan import PLAN
from esaa_git.errors import RepositoryError
from esaa_git.store.repository import open_repository
from tests.conftest import Git

WITHOUT = {
    "cone": ("sparse-checkout", "set", "--cone", "src"),
    "sparse index": ("sparse-checkout", "set", "--cone", "--sparse-index", "src"),
    "patterns": ("sparse-checkout", "set", "--no-cone", "/src/"),
    "deleted": ("rm", "--quiet", "-r", ".roadmap"),
}


@pytest.mark.parametrize("how", WITHOUT)
def test_the_hint_brings_the_contracts_that_head_has(how: str, repo: Path, git: Git) -> None:
    for path in ("src/a.py", f".roadmap/{PLAN}"):
        (repo / path).parent.mkdir(exist_ok=True)
        (repo / path).write_text("project: here\n")
    git(repo, "add", "--force", ".")
    git(repo, "commit", "--quiet", "--message", "contracts")
    git(repo, *WITHOUT[how])
    with pytest.raises(RepositoryError, match=r"no '.roadmap' folder here") as caught:
        roadmap_files(open_repository(repo))
    command = shlex.split(str(caught.value.hint).split("'")[1])
    git(repo, *command[1:])
    assert PLAN in roadmap_files(open_repository(repo))
