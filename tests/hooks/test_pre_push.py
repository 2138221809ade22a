"""The hook of a clone: log and branch travel together, and nothing else is held up."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from esaa_git.app.hooks import install, uninstall
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.shared import LOG, MAIN, Shared, health
from tests.support.warm import environment


@pytest.fixture
def clone(shared: Shared) -> Shared:
    """A clone with the hook, and a server without any, which has the first half of the log."""
    assert uninstall(open_repository(shared.server), "pre-receive")
    install(shared.project.repository, "pre-push")
    return shared


def test_log_and_branch_together_are_pushed(clone: Shared) -> None:
    clone.taken(LOG, MAIN)
    assert clone.at(LOG) == clone.project.head(LOG)
    assert clone.at(MAIN) == clone.project.head(MAIN)


def test_a_branch_without_its_events_is_held_back(clone: Shared) -> None:
    said = clone.refused(MAIN)
    assert "error: 'main' would reach 'origin' without the events" in said
    assert f"git push --atomic origin {LOG} main" in said
    assert "git esaa push" in said
    clone.taken(LOG)
    clone.taken(MAIN)


def test_a_new_branch_with_effects_is_held_back_as_well(clone: Shared) -> None:
    assert "without the events" in clone.refused(f"{MAIN}:refs/heads/topic")
    clone.taken(f"{MAIN}~1:refs/heads/topic")


def test_a_log_without_its_effects_is_held_back_where_policy_asks(clone: Shared) -> None:
    clone.project.git("config", "esaa.requireEffects", "true")
    said = clone.refused(LOG)
    assert "without the effect of EV-00000011" in said
    assert f"git push --atomic origin {LOG} main" in said
    clone.taken("--atomic", LOG, MAIN)
    forger = clone.forger()
    clone.taken(f"{forger.add(health(forger))}:{LOG}")


def test_the_branch_that_has_the_effects_is_named_where_the_run_s_own_is_gone(
    clone: Shared,
) -> None:
    git = clone.project.git
    git("config", "esaa.requireEffects", "true")
    git("branch", "--move", "main", "another")
    assert f"git push --atomic origin {LOG} another" in clone.refused(LOG)
    git("switch", "--quiet", "--create", "early", "another~1", "--force")
    git("branch", "--quiet", "--delete", "--force", "another")
    said = clone.refused(LOG)
    assert "--atomic" not in said
    assert "git esaa verify --relink --record" in said


def test_a_log_may_go_ahead_where_policy_does_not_ask(clone: Shared) -> None:
    clone.taken(LOG)


def test_a_copy_of_an_effect_is_held_back(clone: Shared) -> None:
    clone.taken(LOG, MAIN)
    git = clone.project.git
    git("switch", "--quiet", "--create", "topic", f"{MAIN}~1", "--force")
    git("commit", "--quiet", "--allow-empty", "--message", "work beside it")
    git("cherry-pick", MAIN)
    said = clone.refused("topic")
    assert "holds a commit that claims an event, and no log knows it" in said


def test_other_refs_and_ordinary_branches_are_never_held_up(clone: Shared) -> None:
    first = clone.project.git("rev-list", "--max-parents=0", MAIN)
    clone.taken(f"{MAIN}:refs/tags/v1", f"{MAIN}:refs/notes/x", f"{MAIN}:refs/changes/1")
    clone.taken(f"{first}:refs/heads/topic", "HEAD~2:refs/heads/typed")
    clone.taken(":refs/heads/topic", ":refs/tags/v1")
    clone.taken(f"{first}:refs/heads/typed")


def test_an_ordinary_push_asks_the_remote_nothing(clone: Shared) -> None:
    """The URL leads nowhere: a question would fail."""
    head = clone.project.head(f"{MAIN}~1")
    known = clone.at(MAIN)
    for line in (
        f"refs/heads/main {known} refs/heads/main {known}",
        f"refs/heads/main {head} refs/heads/topic {known}",
        f"(delete) {'0' * 40} refs/heads/topic {head}",
        f"main@{{1 day ago}} {head} refs/heads/topic {known}",
        f"refs/tags/v1 {clone.project.head(MAIN)} refs/tags/v1 {'0' * 40}",
    ):
        status, said = _feed(clone, f"{line}\n".encode(), "origin", "/nowhere")
        assert (status, said) == (0, ""), line


def test_nothing_to_push_is_no_fault(clone: Shared) -> None:
    assert _feed(clone, b"", "origin", "/nowhere") == (0, "")


def test_a_remote_with_unknown_events_is_fetched_from_first(
    clone: Shared, tmp_path: Path, git: Git
) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", "clone", "elsewhere.git")
    forger = clone.forger(upto=6)
    aside = forger.add(health(forger))
    git(tmp_path, "init", "--quiet", "--bare", "other.git")
    clone.project.git("push", "--quiet", "--no-verify", "../other.git", f"{aside}:{LOG}")
    clone.project.git("prune", "--expire=now")
    clone.project.git("remote", "add", "other", "../other.git")
    done = _push(clone, "other", MAIN)
    assert done.returncode != 0
    assert "has events that are not here" in done.stderr
    assert f"git fetch other {LOG}" in done.stderr


def test_a_remote_that_cannot_be_asked_is_said_so(clone: Shared) -> None:
    line = f"refs/heads/main {clone.project.head(MAIN)} refs/heads/main {clone.at(MAIN)}\n"
    status, said = _feed(clone, line.encode(), "origin", "/nowhere")
    assert status == 7
    assert "cannot be asked" in said


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (b"garbage\n", ("origin", "url")),
        (b"a b c d\n", ("origin", "url")),
        (b"refs/heads/main " + b"0" * 40 + b" refs/heads/main " + b"0" * 40, ("origin", "url")),
        (b"", ("origin",)),
    ],
)
def test_garbage_is_refused(clone: Shared, data: bytes, arguments: tuple[str, ...]) -> None:
    status, said = _feed(clone, data, *arguments)
    assert status == 2
    assert said.startswith("error: ")
    assert "Traceback" not in said


def _feed(shared: Shared, data: bytes, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [shared.project.path / ".git" / "hooks" / "pre-push", *arguments],
        cwd=shared.project.path,
        input=data,
        capture_output=True,
        env={**os.environ, **environment()},
        check=False,
    )
    return done.returncode, done.stderr.decode()


def _push(shared: Shared, remote: str, *refspecs: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "push", remote, *refspecs],
        cwd=shared.project.path,
        capture_output=True,
        text=True,
        env={**os.environ, **environment()},
        check=False,
    )
