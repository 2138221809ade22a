"""From an entry to its adapter, without paying for the others."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import esaa_git
from esaa_git.agents.command import CommandAgent
from esaa_git.agents.registry import check_swarm, make_agent
from esaa_git.agents.scripted import ScriptedAgent
from esaa_git.core.contracts import SWARM, AgentEntry, Contracts
from esaa_git.errors import AgentError, ConfigurationError
from esaa_git.ports.agent import AgentAdapter
from tests.agents.memory import context, entry, no_pause, request
from tests.support.packages import Packages


def made(agent: AgentEntry, root: Path | None = None, max_output_bytes: int = 1000) -> AgentAdapter:
    return make_agent(agent, context(root, max_output_bytes=max_output_bytes))


def test_each_adapter_has_its_class_and_gets_its_root(tmp_path: Path) -> None:
    (tmp_path / "T-1000.json").write_bytes(b"recorded")
    scripted = made(entry("scripted", folder="."), tmp_path)
    assert isinstance(scripted, ScriptedAgent)
    assert scripted.answer(request(), no_pause).output == b"recorded"

    (tmp_path / "agent.sh").write_text("#!/bin/sh\ncat\n", encoding="utf-8")
    (tmp_path / "agent.sh").chmod(0o755)
    command = made(entry("command", command=["./agent.sh"]), tmp_path, max_output_bytes=3)
    assert isinstance(command, CommandAgent)
    answer = command.answer(request(b"answer"), no_pause)
    assert (answer.output, answer.truncated) == (b"answ", True)


def test_an_unknown_adapter_is_named_with_the_known() -> None:
    with pytest.raises(AgentError, match="agent 'coder': no adapter 'telepathy'") as caught:
        made(entry("telepathy"))
    assert caught.value.cause == ("there are: acp, command, http, local, scripted, worktree")


def test_the_package_that_brings_an_adapter_is_named_where_it_is_missing() -> None:
    unknown = AgentEntry("coder", "telepathy", None, {}, "esaa-git-telepathy")
    check_swarm(swarm({"adapter": "telepathy", "package": "esaa-git-telepathy", "any": [1.5]}))
    with pytest.raises(AgentError, match="agent 'coder': no adapter 'telepathy'") as caught:
        made(unknown)
    assert caught.value.cause == (
        "by this repository's word the package 'esaa-git-telepathy' brings it; it is not installed"
    )
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("look at what it is, for it gets all your rights, ")
    assert caught.value.hint.endswith("then run 'pip install esaa-git-telepathy'")


@pytest.mark.parametrize("package", ["--index-url=http://x", "a b", "x;y", "", "a" * 101, ["a"]])
def test_a_package_has_a_name_that_can_be_passed_to_pip(package: Any) -> None:
    with pytest.raises(ConfigurationError, match="agents/coder/package: "):
        check_swarm(swarm({"adapter": "telepathy", "package": package}))


# ----------------------------------------------------------------------------- adapters of packages

TELEPATHY = """
from esaa_git.agents.adapter import Adapter

class Made:
    # Says in its model which settings it was given.
    has_checkout, sandbox = False, "in-process"

    def __init__(self, entry, context):
        self.name, self.adapter, self.model = entry.name, entry.adapter, str(dict(entry.settings))


DEAF = Adapter({"type": "object"}, ("none",), Made)
SILENT = Adapter({"type": "object"}, ("in-process",), Made)
TIMED = Adapter(
    {"properties": {"timeout": {"const": "PT90S"}}},
    ("in-process",),
    Made,
)
BROKEN = Adapter({"type": "telepathy"}, ("in-process",), Made)
"""


@pytest.fixture
def packages(tmp_path: Path) -> Iterator[Packages]:
    found = Packages(tmp_path / "packages")
    names = {"deaf": "DEAF", "silent": "SILENT", "timed": "TIMED", "broken": "BROKEN"}
    found.add("esaa-git-telepathy", TELEPATHY, adapters=names)
    yield found
    found.remove()


@pytest.mark.parametrize("asked", ["auto", "landlock", "bubblewrap"])
def test_an_adapter_that_confines_nothing_has_to_be_asked_for(
    packages: Packages, asked: str
) -> None:
    with pytest.raises(AgentError, match="adapter 'deaf' cannot be confined as asked") as caught:
        make_agent(entry("deaf"), context(sandbox=asked))
    assert caught.value.cause == f"it works in: none; asked for was '{asked}'"
    assert caught.value.hint == "'git esaa run --sandbox none' runs agents with all your rights"
    make_agent(entry("deaf"), context(sandbox="none"))
    make_agent(entry("silent"), context(sandbox=asked))


def test_a_timeout_is_checked_as_it_is_written_and_given_in_milliseconds(
    packages: Packages,
) -> None:
    written = {"adapter": "timed", "timeout": "PT1M30S"}
    agent = swarm(written).swarm.agent("coder")
    assert agent.settings == {"timeout": 90_000}
    assert make_agent(agent, context()).model == "{'timeout': 90000}"


def test_a_schema_of_settings_that_is_none_is_the_packages_fault(packages: Packages) -> None:
    with pytest.raises(ConfigurationError, match="adapter 'broken' cannot be used") as caught:
        check_swarm(swarm({"adapter": "broken"}))
    assert caught.value.cause is not None
    assert caught.value.cause.startswith("its schema of settings is not one: ")


def swarm(agent: dict[str, Any]) -> Contracts:
    document = {"schema_version": "0.3.0", "agents": {"coder": agent}, "kinds": {}}
    return Contracts({SWARM: json.dumps(document).encode()})


def test_a_recorded_agent_costs_no_import_that_runs_programs() -> None:
    # In an interpreter of its own, since this one has imported everything.
    source = """
import sys
from datetime import datetime
from pathlib import Path
from esaa_git.agents.registry import make_agent
from esaa_git.agents.adapter import AdapterContext
from esaa_git.core.contracts import AgentEntry

settings = {"folder": "."} if sys.argv[1] == "scripted" else {"command": ["true"]}
agent = AgentEntry("coder", sys.argv[1], None, settings)
make_agent(agent, AdapterContext(Path(), None, None, None, None, 1, "none", None))
slow = {"subprocess", "esaa_git.sandbox.runner", "pygit2", "sandlock"}
slow |= {"esaa_git.store", "esaa_git.trust", "esaa_git.verification"}
print(*sorted(slow & set(sys.modules)))
"""
    folder = Path(esaa_git.__file__).parent.parent
    printed = [
        subprocess.run(
            [sys.executable, "-c", source, adapter],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
        for adapter in ("scripted", "command")
    ]
    assert printed == ["\n", "esaa_git.sandbox.runner subprocess\n"]
