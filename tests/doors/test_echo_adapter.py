"""A foreign adapter, from its package to a log that stays readable where it is not installed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from esaa_git.errors import ConfigurationError
from esaa_git.testing.contracts import task as spec
from esaa_git.testing.engine import engine_with
from tests.conftest import Git
from tests.support.packages import install
from tests.support.project import KINDS, Project, make_project, task

PACKAGE = Path(__file__).parent / "echo_adapter"
ENTRY = {"adapter": "echo", "package": "esaa-git-echo", "file": "src/said.txt"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip installs it, in a folder of its own; nothing is fetched."""
    return install(PACKAGE, tmp_path_factory.mktemp("echo"))


@pytest.fixture
def project(tmp_path: Path, git: Git) -> Project:
    made = make_project(tmp_path / "project", git, task("T-1", title="Say hello"))
    swarm(made, ENTRY)
    return made


def swarm(project: Project, entry: dict[str, object]) -> None:
    project.swarm({"echo": entry}, dict.fromkeys(KINDS, "echo"))
    project.commit("The swarm")


class Here:
    """The environment that commands run in: the package is in it until it is removed."""

    def __init__(self, folder: Path) -> None:
        self._patch = pytest.MonkeyPatch()
        self._patch.syspath_prepend(str(folder))

    def remove(self) -> None:
        self._patch.undo()
        sys.modules.pop("esaa_git_echo", None)


@pytest.fixture
def here(installed: Path) -> Iterator[Here]:
    made = Here(installed)
    yield made
    made.remove()


def test_the_package_is_no_longer_than_a_person_writes_in_an_hour() -> None:
    lines = [
        line
        for file in PACKAGE.glob("*.*")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    assert len(lines) <= 65


@pytest.mark.parametrize("file", ["pyproject.toml", "esaa_git_echo.py"])
def test_the_guide_shows_the_package_as_it_is(file: str) -> None:
    guide = (PACKAGE.parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
    shown = (PACKAGE / file).read_text(encoding="utf-8").rstrip()
    assert f"\n{shown}\n```\n" in guide


def test_the_adapter_is_tried_without_git_or_files(here: Here) -> None:
    adapter = import_module("esaa_git_echo").ADAPTER
    made = engine_with(adapter, {"file": "docs/spec/said.md"}, name="echo")
    made.apply(spec("T-1", title="Say hello"))
    assert made.run().result == "success"
    assert made.content("docs/spec/said.md") == b"Say hello\n"

    wrong = engine_with(adapter, {"files": "x"}, name="echo")
    wrong.apply(spec("T-1"))
    with pytest.raises(ConfigurationError, match="there is no entry of the name 'files'"):
        wrong.run()


def test_an_agent_of_a_package_does_a_task_and_the_record_needs_no_package(
    project: Project, here: Here
) -> None:
    project.ok("run")
    assert project.read("src/said.txt") == "Say hello\n"
    (asked,) = project.payloads("orchestrator.dispatch")
    assert (asked["adapter"], asked["sandbox"]) == ("echo", "in-process")

    here.remove()
    project.forget()
    assert project.esaa("verify", "--full").code == 0
    assert "echo by echo" in project.ok("log")
    project.ok("show", "T-1")
    project.ok("status")
    project.ok("plan", "diff")
    project.check()


def test_a_run_says_which_package_is_missing(project: Project) -> None:
    said = project.fails(11, "run")
    assert "agent 'echo': no adapter 'echo'" in said
    assert (
        "by this repository's word the package 'esaa-git-echo' brings it; it is not installed"
        in said
    )
    assert (
        "look at what it is, for it gets all your rights, then run 'pip install esaa-git-echo'"
        in said
    )
    assert project.tip() is None


def test_a_run_that_is_open_says_which_package_is_missing(project: Project, here: Here) -> None:
    project.ok("plan", "apply")
    before = project.tip()
    here.remove()
    assert "the package 'esaa-git-echo' brings it" in project.fails(11, "run")
    assert project.tip() == before


def test_settings_are_checked_before_contracts_are_pinned(project: Project, here: Here) -> None:
    swarm(project, {**ENTRY, "files": "x"})
    for command in (("plan", "diff"), ("plan", "apply"), ("run",)):
        said = project.fails(4, *command)
        assert "agents/echo: there is no entry of the name 'files'" in said
    assert project.tip() is None


def test_without_its_package_a_name_is_taken_for_a_mistake(project: Project) -> None:
    swarm(project, {"adapter": "echo", "file": "src/said.txt"})
    said = project.fails(4, "plan", "apply")
    assert "agents/echo/adapter: 'echo' is not one of scripted, command" in said


def test_the_doctor_and_the_list_of_agents_say_what_is_missing(project: Project) -> None:
    (row,) = project.esaa("agent", "list", "--json").json["agents"]
    assert (
        row["hint"]
        == "look at what it is, for it gets all your rights, then run 'pip install esaa-git-echo'"
    )
    assert "no adapter 'echo'" in project.esaa("doctor").out
