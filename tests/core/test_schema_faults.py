"""What is wrong with a file that people edit, in their words."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.agents.registry import check_swarm
from esaa_git.core import canonical
from esaa_git.core.contracts import SWARM, Contracts
from esaa_git.core.schema_faults import checked
from esaa_git.errors import ConfigurationError


def said(document: Any, schema: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        checked(document, schema, "file")
    return caught.value.message


ADAPTERS = "scripted, command, worktree, acp, http, local"
PRESETS = "claude-code, codex, gemini, opencode, copilot, aider"


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, "agents/a: 'adapter' is missing"),
        (
            {"adapter": "comand"},
            f"agents/a/adapter: 'comand' is not one of {ADAPTERS}",
        ),
        ({"adapter": "command"}, "agents/a: 'command' is missing"),
        ({"adapter": "command", "command": "x"}, "agents/a/command: expected a list, found 'x'"),
        (
            {"adapter": "worktree"},
            "agents/a: 'preset' is missing or 'command' is missing",
        ),
        (
            {"adapter": "worktree", "preset": "clude"},
            f"agents/a/preset: 'clude' is not one of {PRESETS}",
        ),
        (
            {"adapter": "worktree", "preset": 7},
            "agents/a/preset: expected text, found 7 or 'command' is missing",
        ),
        (
            {"adapter": "worktree", "preset": "codex", "command": ["x"]},
            " or ".join(
                f"{where}there is no entry of the name '{name}'"
                for where, name in (("agents/a: ", "command"), ("", "preset"))
            ),
        ),
        ({"adapter": "http"}, "agents/a: 'dialect' is missing"),
        (
            {"adapter": "http", "dialect": "x", "url": "u", "model": "m"},
            "agents/a/dialect: 'x' is not one of chat, responses, messages",
        ),
        (
            {"adapter": "http", "dialect": "chat", "url": "u"},
            "agents/a: 'model' is missing",
        ),
        (
            {"adapter": "command", "command": ["x"], "limits": {"processes": 0}},
            "agents/a/limits/processes: 0 is less than the minimum of 1",
        ),
        (
            {"adapter": "scripted", "folder": "x", "timeout": "PT1S"},
            "agents/a: there is no entry of the name 'timeout'",
        ),
        (
            {"adapter": "command", "command": ["x"], "timeout": 7},
            "agents/a/timeout: expected text, found 7",
        ),
        (
            {"adapter": "command", "command": ["x"], "package": "p"},
            "agents/a: there is no entry of the name 'package'",
        ),
        ({"adapter": "local", "model": 7}, "agents/a/model: expected text, found 7"),
        ({"adapter": "local", "x": 1}, "agents/a: there is no entry of the name 'x'"),
        (7, "agents/a: expected a mapping of names to values, found 7"),
    ],
)
def test_of_an_agent_the_form_is_spoken_of_that_it_comes_closest_to(entry: Any, words: str) -> None:
    swarm = {"schema_version": "0.3.0", "agents": {"a": entry}, "kinds": {}}
    with pytest.raises(ConfigurationError) as caught:
        check_swarm(Contracts({SWARM: canonical.encode(swarm)}))
    assert caught.value.message == f"'.roadmap/{SWARM}': {words}"
    assert caught.value.hint == (
        f"correct '.roadmap/{SWARM}'; the comments that 'git esaa init' writes explain every entry"
    )


@pytest.mark.parametrize(
    ("kinds", "words"),
    [
        (None, "kinds: expected a mapping of names to values, found nothing"),
        ({"impl": None}, "kinds/impl: expected text or a list, found nothing"),
        ({"impl": 7}, "kinds/impl: expected text or a list, found 7"),
        ({"impl": []}, "kinds/impl: expected at least one entry, found an empty list"),
        ({"impl": ["a", 7]}, "kinds/impl/1: expected text, found 7"),
        ({"impl": ["a", "a"]}, "kinds/impl: one stands twice in ['a', 'a']"),
        ({"impl": ""}, "kinds/impl: '' is no name: letters, digits"),
        ({"im pl": "a"}, "kinds: 'im pl' is no name: letters, digits"),
    ],
)
def test_of_who_does_a_kind_it_is_said_what_is_expected(kinds: Any, words: str) -> None:
    agents = {"a": {"adapter": "scripted"}}
    swarm = {"schema_version": "0.3.0", "agents": agents, "kinds": kinds}
    assert said(swarm, "SWARM").startswith(f"'file': {words}")


def test_what_a_terminal_would_obey_is_spelled_out() -> None:
    plan = {"project": "x", "tasks": [], "\x1b[2J": 1}
    unknown = "there is no entry of the name '\\x1b[2J'"
    assert said(plan, "PLAN") == f"'file': {unknown}; there is project, tasks"


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (None, "expected a mapping of names to values, found nothing"),
        ({"tasks": []}, "'project' is missing"),
        ({"project": "x", "tasks": None}, "tasks: expected a list, found nothing"),
        ({"project": "x", "tasks": ["T-1"]}, "task number 1: expected a mapping of names to"),
        ({"project": "x", "tasks": [{"kind": "impl"}]}, "task number 1: 'task_id' is missing"),
        (
            {"project": "x", "tasks": [{"task_id": "T-1", "kind": "impl"}]},
            "task 'T-1': 'title' is missing",
        ),
        (
            {
                "project": "x",
                "tasks": [{"task_id": "T-1", "kind": "impl", "title": "x", "depend_on": []}],
            },
            "task 'T-1': there is no entry of the name 'depend_on'",
        ),
    ],
)
def test_a_task_is_named_by_its_id(plan: Any, words: str) -> None:
    assert said(plan, "PLAN").startswith(f"'file': {words}")
