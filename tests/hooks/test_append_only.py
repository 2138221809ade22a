"""The fallback hook: a real push through it, and the attacks that it is there to stop."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.resources import resource_path

Git = Callable[..., str]
LOG = "refs/esaa/events"


def commit(git: Git, repo: Path, parents: list[str], text: str, *, signed: bool = True) -> str:
    """Store a commit that looks like an event to a hook that verifies nothing."""
    tree = git(repo, "write-tree").strip()
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += ["author a <a@b> 1 +0000", "committer a <a@b> 1 +0000"]
    if signed:
        lines += ["gpgsig -----BEGIN SSH SIGNATURE-----", " AAAA", " -----END SSH SIGNATURE-----"]
    data = "\n".join([*lines, "", text, ""]).encode()
    stored = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"],
        cwd=repo,
        input=data,
        capture_output=True,
        check=True,
    )
    return stored.stdout.decode().strip()


@pytest.fixture
def server(tmp_path: Path, git: Git) -> Path:
    bare = tmp_path / "server.git"
    git(tmp_path, "init", "--bare", "--quiet", str(bare))
    hook = bare / "hooks" / "pre-receive"
    hook.write_bytes(resource_path("hooks", "append-only.sh").read_bytes())
    hook.chmod(0o755)
    return bare


@pytest.fixture
def log(repo: Path, server: Path, git: Git) -> list[str]:
    """Three events that were pushed, and taken."""
    git(repo, "remote", "add", "origin", str(server))
    chain: list[str] = []
    for number in range(3):
        chain.append(commit(git, repo, chain[-1:], f"event {number}"))
    git(repo, "push", "--quiet", "origin", f"{chain[-1]}:{LOG}")
    assert git(server, "rev-parse", LOG).strip() == chain[-1]
    return chain


def refused(repo: Path, server: Path, git: Git, *refspecs: str) -> str:
    """Push, prove that nothing moved on the server, and return what it said."""
    before = git(server, "for-each-ref")
    pushed = subprocess.run(
        ["git", "push", "origin", *refspecs],
        cwd=repo,
        capture_output=True,
        text=True,
        env=os.environ,
        check=False,
    )
    assert pushed.returncode != 0
    assert git(server, "for-each-ref") == before
    return pushed.stderr


def test_an_append_of_several_events_is_taken(
    repo: Path, server: Path, log: list[str], git: Git
) -> None:
    fourth = commit(git, repo, [log[-1]], "event 3")
    fifth = commit(git, repo, [fourth], "event 4")
    git(repo, "push", "--quiet", "origin", f"{fifth}:{LOG}")
    assert git(server, "rev-parse", LOG).strip() == fifth


def test_a_log_on_a_branch_is_guarded_as_well(
    repo: Path, server: Path, log: list[str], git: Git
) -> None:
    branch = "refs/heads/esaa/events"
    git(server, "config", "esaa.eventsRef", branch)
    git(repo, "push", "--quiet", "origin", f"{log[-1]}:{branch}")
    assert "only grows" in refused(repo, server, git, f"+{log[0]}:{branch}")


def test_deletion_is_refused(repo: Path, server: Path, log: list[str], git: Git) -> None:
    assert log
    assert "is not deleted" in refused(repo, server, git, f":{LOG}")


def test_a_rollback_is_refused(repo: Path, server: Path, log: list[str], git: Git) -> None:
    assert "only grows" in refused(repo, server, git, f"+{log[-2]}:{LOG}")


def test_a_rewritten_event_is_refused(repo: Path, server: Path, log: list[str], git: Git) -> None:
    other = commit(git, repo, [log[-2]], "another event 2")
    assert "only grows" in refused(repo, server, git, f"+{other}:{LOG}")


def test_a_merge_is_refused(repo: Path, server: Path, log: list[str], git: Git) -> None:
    aside = commit(git, repo, [log[0]], "aside")
    merge = commit(git, repo, [log[-1], aside], "merge")
    assert "merge" in refused(repo, server, git, f"{merge}:{LOG}")


def test_an_unsigned_event_under_a_signed_one_is_refused(
    repo: Path, server: Path, log: list[str], git: Git
) -> None:
    unsigned = commit(git, repo, [log[-1]], "no signature", signed=False)
    signed = commit(git, repo, [unsigned], "signed")
    assert "0 signatures" in refused(repo, server, git, f"{signed}:{LOG}")


def test_a_second_genesis_is_refused(repo: Path, server: Path, log: list[str], git: Git) -> None:
    root = commit(git, repo, [], "another beginning")
    joined = commit(git, repo, [log[-1], root], "joined")
    assert "refused" in refused(repo, server, git, f"{joined}:{LOG}")


def test_replace_refs_are_refused(repo: Path, server: Path, log: list[str], git: Git) -> None:
    assert "signed one" in refused(repo, server, git, f"{log[0]}:refs/replace/{log[1]}")


def test_other_refs_are_left_alone(repo: Path, server: Path, log: list[str], git: Git) -> None:
    assert log
    git(repo, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    git(repo, "push", "--quiet", "--force", "origin", f"{log[0]}:refs/heads/main")
    assert git(server, "rev-parse", "refs/heads/main").strip() == log[0]


def test_names_beside_the_log_are_known_ones_alone(
    repo: Path, server: Path, log: list[str], git: Git
) -> None:
    assert log
    for name in ("refs/esaa/anything", "refs/esaa/inbox/k/d", "refs/esaa/checkpoints/07"):
        assert "no name that we know" in refused(repo, server, git, f"{log[0]}:{name}")
    for name in ("refs/ESAA/x", "refs/Esaa"):
        assert "by another name" in refused(repo, server, git, f"{log[0]}:{name}")


def test_a_name_that_git_would_take_for_another_is_refused(
    repo: Path, server: Path, log: list[str], git: Git
) -> None:
    short = ("refs/heads/esaa/events", "refs/tags/esaa/events", "refs/remotes/esaa/events/HEAD")
    for ref in ("refs/heads/refs/esaa/events", "refs/tags/refs/heads/main", "refs/refs/x", *short):
        assert "for another name" in refused(repo, server, git, f"{log[0]}:{ref}")
    git(
        repo, "push", "--quiet", "origin", f"{log[0]}:refs/heads/esaa/work", f"{log[0]}:refs/tags/v"
    )
    git(server, "update-ref", "refs/tags/refs/heads/main", log[0])
    git(repo, "push", "--quiet", "origin", ":refs/tags/refs/heads/main")


def checkpoint(git: Git, repo: Path, seq: int, tip: str, name: str = "checkpoint.json") -> str:
    """Store a commit that looks like a checkpoint to a hook that verifies nothing."""
    text = f'{{"checkpoint":{{"schema":"x","seq":{seq},"tip":"{tip}","ts":"x"}},"signatures":[]}}\n'
    blob = git(repo, "hash-object", "-w", "--stdin", stdin=text).strip()
    tree = git(repo, "mktree", stdin=f"100644 blob {blob}\t{name}\n").strip()
    return git(repo, "commit-tree", tree, "-m", "x").strip()


def test_a_checkpoint_is_one_of_an_event_of_the_log(
    repo: Path, server: Path, log: list[str], git: Git
) -> None:
    ref = "refs/esaa/checkpoints/2"
    good, other = checkpoint(git, repo, 2, log[1]), commit(git, repo, [], "another")
    for attack, word in (
        (log[1], "one file"),
        (checkpoint(git, repo, 3, log[2]), "its name says"),
        (checkpoint(git, repo, 2, log[2]), "another event's number"),
        (checkpoint(git, repo, 2, other), "no event of the log"),
        (checkpoint(git, repo, 2, log[1], "x"), "one file"),
        (git(repo, "rev-parse", f"{good}:checkpoint.json").strip(), ""),
    ):
        assert word in refused(repo, server, git, f"{attack}:{ref}")
    git(repo, "push", "--quiet", "origin", f"{good}:{ref}")
    assert "not deleted" in refused(repo, server, git, f":{ref}")
    assert "not replaced" in refused(repo, server, git, f"+{checkpoint(git, repo, 2, '')}:{ref}")


def test_a_log_on_a_branch_is_known_by_its_form(repo: Path, server: Path, git: Git) -> None:
    """No setting names it. A commit with the words and no event.json is none."""
    branch, said = "refs/heads/esaa/events", "x\n\nESAA-Log: 1\nESAA-Seq: 1\n"
    said += "ESAA-Event-SHA256: 1\nESAA-Prev-SHA256: 0"
    git(repo, "remote", "add", "origin", str(server))
    git(repo, "push", "--quiet", "origin", f"{commit(git, repo, [], said)}:refs/heads/topic")
    git(repo, "push", "--quiet", "origin", ":refs/heads/topic")
    (repo / "event.json").write_text("{}\n")
    git(repo, "add", "event.json")
    log = commit(git, repo, [], said)
    git(repo, "push", "--quiet", "origin", f"{log}:{branch}")
    assert "only grows" in refused(repo, server, git, f"+{commit(git, repo, [], 'x')}:{branch}")
    assert "not deleted" in refused(repo, server, git, f":{branch}")
    git(repo, "push", "--quiet", "origin", f"{commit(git, repo, [log], said)}:{branch}")


def test_a_proposal_is_one_that_the_log_names(
    repo: Path, server: Path, log: list[str], git: Git
) -> None:
    ref = "refs/esaa/proposals/T-1/T-1-A1"
    good, other = (commit(git, repo, [], text) for text in ("a proposal", "another"))
    (repo / "event.json").write_text(f'{{"payload":{{"proposal":{{"commit":"{good}"}}}}}}\n')
    git(repo, "add", "event.json")
    event = commit(git, repo, [log[-1]], "agent.result\n\nESAA-Attempt: T-1-A1")
    assert "named by no event" in refused(repo, server, git, f"{good}:{ref}")
    git(repo, "push", "--quiet", "--atomic", "origin", f"{event}:{LOG}", f"{good}:{ref}")
    unsigned = commit(git, repo, [], "a proposal", signed=False)
    for attack in (other, unsigned, log[0], git(repo, "rev-parse", f"{good}^{{tree}}").strip()):
        refused(repo, server, git, f"+{attack}:{ref}")
    assert "named by no event" in refused(repo, server, git, f"{good}:{ref[:-1]}2")
    assert "no name" in refused(repo, server, git, f"{good}:refs/esaa/proposals/T-2/T-2-A1/x")
    git(repo, "push", "--quiet", "origin", f":{ref}")
