"""What an embedding program may get wrong is refused in words, before anything happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import esaa_git
from esaa_git.app import tasks
from esaa_git.errors import UsageError
from tests.conftest import Git
from tests.support.project import make_project, task


@pytest.fixture
def project(tmp_path: Path, git: Git) -> esaa_git.Project:
    made = make_project(tmp_path / "project", git, task("T-1"))
    return esaa_git.open(made.path)


@pytest.mark.parametrize(
    "call",
    [
        lambda project: esaa_git.run(project, parallel=0),
        lambda project: esaa_git.run(project, steps=0),
        lambda project: esaa_git.run(project, sandbox="castle"),
        lambda project: esaa_git.verify(project, record=True),
        lambda project: esaa_git.verify(project, require=2),
        lambda project: esaa_git.verify(project, jobs=0),
    ],
)
def test_an_argument_that_means_nothing_is_refused(
    project: esaa_git.Project, call: Callable[[esaa_git.Project], object]
) -> None:
    esaa_git.apply_plan(project)
    before = esaa_git.state(project).seq
    with pytest.raises(UsageError) as caught:
        call(project)
    assert caught.value.hint
    assert esaa_git.state(project).seq == before


def test_an_envelope_may_be_text(project: esaa_git.Project) -> None:
    esaa_git.apply_plan(project)
    esaa_git.claim(project, "T-1")
    said = esaa_git.submit(project, "{", task_id="T-1")
    assert said.kind == "rejected"


def test_a_misspelt_part_of_a_task_is_refused_and_not_dropped(project: esaa_git.Project) -> None:
    esaa_git.apply_plan(project)
    before = esaa_git.state(project).seq
    given = {"task_id": "T-9", "kind": "impl", "title": "x", "write": ["src/**"]}
    with pytest.raises(UsageError, match="a task has no 'write'"):
        tasks.add(project, given, None)
    assert esaa_git.state(project).seq == before
