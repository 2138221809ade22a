"""Starting git: sealed from what surrounds us, and an error that says what git said."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from esaa_git.errors import RepositoryError
from esaa_git.store.program import run_git
from tests.conftest import Git


def test_takes_and_returns_bytes(repo: Path) -> None:
    oid = run_git(repo, "hash-object", "-w", "--stdin", input=b"\xff\r\n\0").decode().strip()

    assert run_git(repo, "cat-file", "blob", oid) == b"\xff\r\n\0"


def test_ctrl_c_ends_a_git_that_waits_for_others_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In git's place: what git starts says nothing of git's own signals, which it cannot tell.
    tells = "#!{}\nprint(open('/proc/self/status').read().partition('SigBlk:')[2].split()[0])\n"
    (tmp_path / "git").write_text(tells.format(sys.executable))
    (tmp_path / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        blocked, open_to_it = run_git(tmp_path, "gc"), run_git(tmp_path, "fetch", waits=True)
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

    interrupt = 1 << signal.SIGINT - 1
    assert int(blocked, 16) & interrupt
    assert not int(open_to_it, 16) & interrupt


def test_standard_input_is_empty_and_never_the_terminal(repo: Path) -> None:
    ours = os.dup(0)
    reading, writing = os.pipe()
    os.write(writing, b"typed\n")
    os.close(writing)
    os.dup2(reading, 0)
    try:
        printed = run_git(repo, "-c", "alias.x=!cat", "x")
    finally:
        os.dup2(ours, 0)
        os.close(ours)

    assert printed == b""
    assert os.read(reading, 100) == b"typed\n"
    os.close(reading)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GIT_DIR", "/nowhere/.git"),
        ("GIT_WORK_TREE", "/nowhere"),
        ("GIT_INDEX_FILE", "/nowhere/index"),
        ("GIT_OBJECT_DIRECTORY", "/nowhere/objects"),
        ("GIT_COMMON_DIR", "/nowhere"),
    ],
)
def test_a_variable_that_points_git_elsewhere_does_not_reach_it(
    repo: Path, git: Git, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    assert run_git(repo, "ls-files") == b"README.md\n"

    monkeypatch.setenv(variable, value)

    assert run_git(repo, "ls-files") == b"README.md\n"
    assert run_git(repo, "cat-file", "-p", "HEAD:README.md") == b"# Example\n"


def test_pathspec_variables_do_not_change_what_a_pathspec_means(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_ICASE_PATHSPECS", "1")

    assert run_git(repo, "ls-files", "--", "readme.md") == b""
    assert run_git(repo, "--literal-pathspecs", "ls-files", "--", "README.md") == b"README.md\n"


def test_a_setting_that_the_person_gave_with_git_c_still_counts(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Given Once")

    assert run_git(repo, "config", "user.name") == b"Given Once\n"


def test_no_hook_runs(repo: Path, tmp_path: Path) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho ran >>'{tmp_path}/trace'\n")
    hook.chmod(0o755)

    run_git(repo, "checkout", "-b", "other")

    assert run_git(repo, "symbolic-ref", "HEAD") == b"refs/heads/other\n"
    assert not (tmp_path / "trace").exists()


def test_no_automatic_gc_and_no_file_system_monitor(repo: Path, git: Git) -> None:
    git(repo, "config", "gc.auto", "1")
    git(repo, "config", "core.fsmonitor", "true")

    assert run_git(repo, "config", "gc.auto") == b"0\n"
    assert run_git(repo, "config", "maintenance.auto") == b"false\n"
    assert run_git(repo, "config", "core.fsmonitor") == b"false\n"


def test_a_filter_sees_the_locale_of_the_person(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")

    assert run_git(repo, "-c", 'alias.x=!echo "$LC_ALL $LANGUAGE"', "x") == b"C.UTF-8 C\n"


def test_replace_refs_are_not_followed(repo: Path, git: Git) -> None:
    original = git(repo, "rev-parse", "HEAD:README.md")
    other = git(repo, "hash-object", "-w", "--stdin", stdin="other\n")
    git(repo, "replace", original, other)
    assert git(repo, "cat-file", "blob", original) == "other"

    assert run_git(repo, "cat-file", "blob", original) == b"# Example\n"


def test_variables_of_the_caller_come_last(repo: Path) -> None:
    environment = {"GIT_OPTIONAL_LOCKS": "1"}

    printed = run_git(repo, "-c", "alias.x=!echo $GIT_OPTIONAL_LOCKS", "x", env=environment)

    assert printed == b"1\n"
    assert run_git(repo, "-c", "alias.x=!echo $GIT_OPTIONAL_LOCKS", "x") == b"0\n"


def test_a_failure_names_the_subcommand_and_carries_what_git_said(repo: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        run_git(repo, "-c", "a.b=c", "--literal-pathspecs", "cat-file", "blob", "nosuch")

    assert caught.value.message == f"'git cat-file' failed in '{repo}'"
    assert caught.value.cause == "fatal: Not a valid object name nosuch"


def test_a_failure_without_words_carries_the_status(repo: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        run_git(repo, "config", "no.such")

    assert caught.value.cause == "exit status 1"


def test_a_git_that_was_killed_is_an_error(repo: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        run_git(repo, "hash-object", "--stdin", "-w", "-t", "nosuch", input=b"")
    assert "invalid object type" in str(caught.value.cause)

    with pytest.raises(RepositoryError) as caught:
        run_git(repo, "-c", "alias.x=!kill -9 $PPID", "x")
    assert caught.value.cause == "ended by signal 9"


def test_what_git_says_is_bounded(repo: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        run_git(repo, "-c", "alias.x=!yes complaint | head -c 100000 >&2; exit 3 #", "x")

    assert len(str(caught.value.cause)) <= 2000


def test_a_missing_git_is_said_so(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))

    with pytest.raises(RepositoryError) as caught:
        run_git(repo, "status")

    assert caught.value.message == "cannot run 'git'"
    assert "install git" in str(caught.value.hint)


def test_a_folder_that_is_gone_is_an_error_of_git(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError) as caught:
        run_git(tmp_path / "gone", "status")

    assert "gone" in str(caught.value.cause)
