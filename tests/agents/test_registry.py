"""From an entry to its adapter, without paying for the others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import esaa_git
from esaa_git.agents.command import CommandAgent
from esaa_git.agents.registry import make_agent
from esaa_git.agents.scripted import ScriptedAgent
from esaa_git.core.contracts import AgentEntry
from esaa_git.errors import AgentError
from esaa_git.ports.agent import AgentAdapter
from tests.agents.memory import context, entry, no_pause, request


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


def test_a_recorded_agent_costs_no_import_that_runs_programs() -> None:
    # In an interpreter of its own, since this one has imported everything.
    source = """
import sys
from datetime import datetime
from pathlib import Path
from esaa_git.agents.registry import make_agent
from esaa_git.agents.adapter import AdapterContext
from esaa_git.core.contracts import AgentEntry

agent = AgentEntry("coder", sys.argv[1], None, {"folder": ".", "command": ["true"]})
make_agent(agent, AdapterContext(Path(), None, None, None, None, 1, "none", None))
slow = {"subprocess", "selectors", "pygit2", "sandlock"}
slow |= {"esaa_git.store", "esaa_git.trust", "esaa_git.verify"}
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
    assert printed == ["\n", "selectors subprocess\n"]
