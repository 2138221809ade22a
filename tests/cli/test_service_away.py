"""Whole commands while a service is away, and after it is back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Git
from tests.support.model_server import ModelServer, Received, Step, answer, fault, model_server
from tests.support.project import KINDS, Project, make_project, task

pytest.importorskip("httpx2", reason="the extra 'http' is not installed")


def good(asked: Received) -> Step:
    found = re.search(rb"(T-\d+)-A\d+", asked.body)
    assert found is not None
    task_id, attempt_id = found[1].decode(), found[0].decode()
    update = {"op": "write", "path": f"src/{task_id}.txt", "content": "hi\n"}
    envelope = {
        "action": "agent.result",
        "task_id": task_id,
        "attempt_id": attempt_id,
        "payload": {"summary": "wrote it", "file_updates": [update]},
    }
    return answer("chat", json.dumps(envelope))


def asking(path: Path, git: Git, server: ModelServer, **kinds: Any) -> Project:
    """A project of three tasks, whose agents are a model behind a service, and a program."""
    project = make_project(path, git, *(task(f"T-{number}") for number in (1, 2, 3)))
    model = {"adapter": "http", "dialect": "chat", "model": "m", "url": server.url, "max_tries": 1}
    stand_in = {"adapter": "scripted", "folder": ".roadmap/answers"}
    agents = {"model": model, "stand-in": stand_in}
    project.swarm(agents, {**dict.fromkeys(KINDS, "model"), **kinds})
    project.commit("a model")
    return project


def test_a_run_says_until_when_a_service_is_away_and_the_next_one_goes_on(
    tmp_path: Path, git: Git
) -> None:
    with model_server(fault(429, "slow down", Retry_After="86400")) as server:
        project = asking(tmp_path / "here", git, server)
        said = project.fails(13, "run")
        assert re.search(r"the service of agent 'model' is not available until \d{4}-", said)
        assert "status 429: slow down" in said
        assert "git esaa run" in said
        assert len(server.received) == 1
        assert "output.rejected" not in project.actions()
        assert not project.state().run.blocked
        tried = project.fails(13, "agent", "test", "model")
        assert "error: the service of agent 'model' is not available: " in tried
        assert "hint: run 'git esaa agent test model' again later" in tried
        server.steps = [good]
        project.ok("run")
    assert all(one.is_done and one.attempts_used == 1 for one in project.state().tasks.values())
    project.check()


def test_the_next_agent_of_the_kind_takes_over(tmp_path: Path, git: Git) -> None:
    with model_server(fault(402, "pay")) as server:
        project = asking(tmp_path / "here", git, server, impl=["model", "stand-in"])
        for number in (1, 2, 3):
            done = {"summary": "nothing to do"}
            project.answer(
                f"T-{number}",
                {
                    "action": "agent.result",
                    "task_id": f"T-{number}",
                    "attempt_id": "{{attempt_id}}",
                    "payload": done,
                },
            )
        project.ok("run")
        assert len(server.received) == 1
    holders = [payload["agent"] for payload in project.payloads("attempt.create")]
    assert holders == ["model", "stand-in", "stand-in", "stand-in"]


def test_a_refused_key_stops_a_run_at_the_first_and_nothing_is_spent(
    tmp_path: Path, git: Git
) -> None:
    with model_server(fault(401, "no such key")) as server:
        project = asking(tmp_path / "here", git, server)
        assert "refuses the key" in project.fails(11, "run", "--parallel", "3", "--overlap")
        assert len(server.received) <= 3
    assert all(one.attempts_used == 0 for one in project.state().tasks.values())
