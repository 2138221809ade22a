"""The backstop for servers that run no pre-receive: one ref at a time, by a real push."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from esaa_git.app.hooks import install, uninstall
from esaa_git.store.repository import open_repository
from tests.support.shared import LOG, MAIN, Shared, health
from tests.support.warm import environment


@pytest.fixture
def full(shared: Shared) -> Shared:
    """A server with the update hook alone, on which all honest events have arrived."""
    server = open_repository(shared.server)
    assert uninstall(server, "pre-receive")
    install(server, "update")
    shared.taken("--atomic", LOG, MAIN)
    return shared


def test_an_honest_append_is_taken(full: Shared) -> None:
    forger = full.forger()
    full.taken(f"{forger.add(health(forger))}:{LOG}")
    assert full.at() == forger.parent


def test_a_rollback_and_a_deletion_are_refused(full: Shared) -> None:
    assert "only grows" in full.refused(f"+{full.project.chain()[4].oid}:{LOG}")
    assert "is not deleted" in full.refused(f":{LOG}")


def test_a_forged_event_is_refused(full: Shared) -> None:
    forger = full.forger()
    honest = full.draft(forger.add(health(forger)))
    forged = replace(honest, signed=None).write(full.project.repository, full.at())
    said = full.refused(f"{forged}:{LOG}")
    assert "check 2, " in said
    assert "EV-00000012" in said


def test_a_forged_event_does_not_stop_what_travels_with_it(full: Shared) -> None:
    """Each ref is a question of its own: this is why pre-receive is the better place."""
    forger = full.forger()
    honest = full.draft(forger.add(health(forger)))
    forged = replace(honest, signed=None).write(full.project.repository, full.at())
    tip = full.at()
    status, said = full.push(f"{forged}:{LOG}", f"{MAIN}:refs/heads/topic")
    assert status != 0
    assert "hook declined" in said or "check 2, " in said
    assert full.at() == tip
    assert full.at("refs/heads/topic") == full.at(MAIN)


def test_replace_refs_are_refused_and_other_refs_left_alone(full: Shared) -> None:
    first, second = full.project.chain()[:2]
    said = full.refused(f"{first.oid}:refs/replace/{second.oid}")
    assert "another history" in said
    full.taken(f"{MAIN}:refs/heads/topic", f"{MAIN}:refs/tags/v1")
    full.taken(":refs/heads/topic")


def test_a_name_that_git_would_take_for_the_logs_is_refused(full: Shared) -> None:
    assert "git would take it for" in full.refused(f"{MAIN}:refs/tags/{LOG}")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("refs/heads/main",),
        ("refs/heads/main", "0" * 40, "garbage"),
        ("0" * 40, "0" * 40, "refs/heads/main"),
        ("refs/heads/../x", "0" * 40, "1" * 40),
    ],
)
def test_garbage_is_refused(full: Shared, arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [Path("hooks") / "update", *arguments],
        cwd=full.server,
        capture_output=True,
        text=True,
        env={**os.environ, "GIT_DIR": ".", **environment()},
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
