"""The loader of extensions: what packages bring, and how one that cannot be used is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

import esaa_git
from esaa_git.agents.presets import PRESETS
from esaa_git.agents.registry import ADAPTERS
from esaa_git.core.events.dispatch import Sandbox
from esaa_git.errors import ConfigurationError
from esaa_git.plugins import API, Door
from esaa_git.trust.keys import SIGNERS
from tests.support.packages import Packages


@dataclass(frozen=True)
class Thing:
    """What the door of these tests is for."""

    word: str
    api: int = API


OURS = Thing("ours")
DOOR = Door("esaa_git.things", "thing", Thing, {"built-in": "tests.test_plugins:OURS"})

MAKES_ONE = """
from tests.test_plugins import Thing

THING = Thing("theirs")
OLD = Thing("old", api=0)
WORD = "no thing at all"
"""


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    made = Packages(tmp_path / "packages")
    yield made
    made.remove()


def refused(name: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        DOOR.find(name)
    return caught.value


def test_what_a_package_brings_is_found_by_its_name(packages: Packages) -> None:
    packages.add("some-things", MAKES_ONE, things={"theirs": "THING"})
    found = DOOR.find("theirs")
    assert found is not None
    assert found.word == "theirs"
    assert DOOR.names() == ["built-in", "theirs"]


def test_a_name_that_no_package_has_is_none(packages: Packages) -> None:
    packages.add("some-things", MAKES_ONE, things={"theirs": "THING"})
    assert DOOR.find("other") is None
    assert DOOR.find("THEIRS") is None


def test_no_package_takes_the_place_of_what_is_built_in(packages: Packages) -> None:
    packages.add("some-things", MAKES_ONE, things={"built-in": "THING"})
    found = DOOR.find("built-in")
    assert found is not None
    assert found.word == "ours"
    assert DOOR.names() == ["built-in"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("x = (", "SyntaxError: "),
        ("y = 1", "AttributeError: "),
    ],
)
def test_a_package_that_cannot_be_loaded_is_named_with_its_reason(
    packages: Packages, source: str, reason: str
) -> None:
    packages.add("some-things", source, things={"theirs": "THING"})
    error = refused("theirs")
    assert error.message == "thing 'theirs' of the package 'some-things' cannot be loaded"
    assert error.cause is not None
    assert error.cause.startswith(reason)
    assert error.hint is not None
    assert "pip install --upgrade some-things" in error.hint


def test_an_entry_of_another_kind_is_refused(packages: Packages) -> None:
    packages.add("some-things", MAKES_ONE, things={"theirs": "WORD"})
    error = refused("theirs")
    assert error.message == "thing 'theirs' of the package 'some-things' cannot be used"
    assert error.cause == (
        "'some_things:WORD' is of the type 'str', and an entry of 'esaa_git.things' is "
        "'tests.test_plugins.Thing'"
    )


def test_an_entry_for_another_interface_is_refused(packages: Packages) -> None:
    packages.add("some-things", MAKES_ONE, things={"theirs": "OLD"})
    error = refused("theirs")
    assert error.cause == (
        "it is made for version 0 of the interface for extensions, and this git-esaa has "
        f"version {API}"
    )


def test_two_packages_with_one_name_are_both_named(packages: Packages) -> None:
    packages.add("things-a", MAKES_ONE, things={"theirs": "THING"})
    packages.add("things-b", MAKES_ONE, things={"theirs": "THING"})
    error = refused("theirs")
    assert error.message == "thing 'theirs' is brought by several packages: things-a, things-b"


def test_what_helps_depends_on_what_is_known_of_the_package(packages: Packages) -> None:
    packages.add("some-things", MAKES_ONE, things={"theirs": "THING"})
    assert DOOR.how_to_get(None) == (
        "no package that is installed here brings it (group 'esaa_git.things')",
        "install the package that brings this thing",
    )
    assert DOOR.how_to_get("other-things") == (
        "by this repository's word the package 'other-things' brings it; it is not installed",
        "look at what it is, for it gets all your rights, then run 'pip install other-things'",
    )
    assert DOOR.how_to_get("some-things") == (
        "the package 'some-things' is installed, and has it not under 'esaa_git.things'",
        "run 'python3 -m pip install --upgrade some-things'",
    )


# --------------------------------------------------------------------------------- the doors


@pytest.mark.parametrize("door", [ADAPTERS, PRESETS, SIGNERS], ids=lambda door: door.group)
def test_everything_built_in_comes_through_its_door(door: Door[object]) -> None:
    for name in door.built_in:
        found = door.find(name)
        assert isinstance(found, door.kind)
        assert getattr(found, "api", None) == API


def test_an_adapter_says_words_that_a_dispatch_may_hold() -> None:
    for name in ADAPTERS.built_in:
        adapter = ADAPTERS.find(name)
        assert adapter is not None
        assert adapter.sandboxes
        assert set(adapter.sandboxes) <= set(get_args(Sandbox))


def test_what_is_built_in_is_found_without_reading_any_metadata() -> None:
    source = """
import sys
from esaa_git.agents.registry import ADAPTERS
from esaa_git.agents.presets import PRESETS
from esaa_git.trust.keys import SIGNERS
for door in (ADAPTERS, PRESETS, SIGNERS):
    for name in door.built_in:
        assert door.find(name) is not None
print("importlib.metadata" in sys.modules)
"""
    folder = Path(esaa_git.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=folder, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
