"""Somebody clones a stranger's repository and types every command of the README: nothing is lost.

The clone's swarm, reviewers, checks and plan start a program that leaves a mark, and ask for a
secret. Its log is the stranger's as well. The commands are read from the README, so a new one is
tried here as soon as it is written there.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.project import make_project, result, run, task, write

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECRET = "made-up-" + "cloud-secret"

LEFT_OUT = {
    "demo": "it makes a repository of its own",
    "help": "it reads nothing",
    "mcp": "it waits for a client",
    "clone": "it makes another clone; what it does there is what is done here",
}


def commands() -> list[list[str]]:
    """Return every 'git esaa' command of the README, in order, its placeholders filled in."""
    blocks = re.findall(r"^\$ git esaa (.*?)(?:\s+#.*)?$", README, re.MULTILINE)
    named = re.findall(r"`git esaa ([^`]+)`", README)
    found: dict[str, list[str]] = {}
    for text in [*blocks, *named]:
        if "|" in text:  # as in 'key list|create'
            continue
        words = shlex.split(text.replace("TEXT PATH...", "text a.txt").replace("TEXT", "text"))
        words = ["guest" if word == "NAME" else word for word in words]
        if words[0] not in LEFT_OUT and "--version" not in words:
            found.setdefault(shlex.join(words), words)
    return list(found.values())


def test_every_command_of_the_readme_starts_nothing_of_a_strangers(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "marker"
    trap = f'#!/bin/sh\necho "$0 $CLOUD_SECRET" >> {marker}\n'
    stranger = make_project(tmp_path / "stranger", git, task("T-1"))
    stranger.answers(T_1=result("T-1", write("a.txt", "a\n")))
    stranger.commit()
    stranger.ok("run")
    entry = {"adapter": "command", "command": ["./.roadmap/agents/guest"], "env": ["CLOUD_SECRET"]}
    for name in ("guest", "judge", "my-agent", "example-agent"):
        stranger.write(f".roadmap/agents/{name}", trap, executable=True)
    stranger.write("check.sh", trap, executable=True)
    swarm = {
        "schema_version": "0.3.0",
        "agents": {"guest": entry, "judge": {**entry, "command": ["./.roadmap/agents/judge"]}},
        "kinds": dict.fromkeys(("spec", "impl", "qa", "hotfix"), "guest"),
        "reviewers": {"impl": "judge"},
    }
    stranger.write(".roadmap/agents_swarm.yaml", json.dumps(swarm))
    checks = [{"name": "trap", "run": ["./check.sh"]}]
    stranger.amend_yaml(
        "AGENT_CONTRACT.yaml", kinds__impl__checks=checks, kinds__impl__review="agent"
    )
    stranger.plan(
        task("T-1"),
        *(task(f"T-{n}", checks=[{"name": "own", "run": ["./check.sh", str(n)]}]) for n in (2, 3)),
    )
    stranger.commit("A trap")
    stranger.agree()
    stranger.ok("plan", "apply")  # in force as well
    git(tmp_path, "clone", "--quiet", str(stranger.path), "victim")
    victim = tmp_path / "victim"
    git(victim, "fetch", "--quiet", "origin", "refs/esaa/*:refs/esaa/*")
    monkeypatch.setenv("CLOUD_SECRET", SECRET)

    tried = commands()
    assert len(tried) > 25
    refused = 0
    for words in tried:
        said = run("-C", str(victim), *words)
        assert not marker.exists(), (words, marker.read_text())
        assert SECRET not in said.out + said.err, words
        assert said.code != 70, (words, said.err)
        refused += said.code == 12
        if words[0] in ("run", "agent") and "list" not in words and "--sandbox" not in words:
            assert "git esaa allow" in said.err, (words, said.err)
    assert refused >= 3

    # The trap is one: where its user agrees, it springs.
    run("-C", str(victim), "allow", "--yes")
    run("-C", str(victim), "agent", "test", "guest", "--sandbox", "none")
    assert marker.exists()
