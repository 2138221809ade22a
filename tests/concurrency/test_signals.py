"""Signals to a run with agents at work: all end, every attempt is on record, nothing stays."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.cli.run import INTERRUPTED
from tests.concurrency.runs import AGENT, SECONDS, command, left, running, surroundings, wait
from tests.concurrency.terminal import at_a_terminal, has_handed_on
from tests.conftest import Git
from tests.support.project import Project, make_project, task

Make = Callable[..., Project]


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Make:
    def made(seconds: float | str, **policy: str) -> Project:
        names = [f"T-{number}" for number in range(1, 5)]
        tasks = (task(name, writes=[f"src/{name}.txt"]) for name in names)
        project = make_project(tmp_path / "project", git, *tasks, policy=policy)
        project.program(AGENT.format(seconds=seconds))
        project.commit("Agents that take their time")
        return project

    return made


def _is_clean(project: Project, *, killed: bool = False) -> None:
    """Assert that nothing is at work and nothing lies about.

    Temporary folders of a run that was killed go with the first run a minute later.
    """
    assert left(project) == []
    assert killed or list((project.path.parent / "tmp").iterdir()) == []
    assert project.status() == ""
    assert not list((project.path / ".git").rglob("*.json.*.new"))
    project.check()


def _attempts(project: Project) -> Counter[str]:
    """Return how the attempts on record ended; one that did not is `active`."""
    ends = Counter(str(one["cause"]) for one in project.payloads("task.update"))
    active = sum(one.active_attempt is not None for one in project.state().tasks.values())
    assert project.actions().count("attempt.create") == ends.total() + active
    return ends + Counter(active=active)


def test_the_first_ctrl_c_lets_agents_finish_and_starts_no_others(make: Make) -> None:
    project = make(2.0)
    with running(project) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == INTERRUPTED
    assert "finishing what is under way; Ctrl-C again calls it off" in err
    assert "stopped: 3 attempts made on 'main', nobody is at work; 'git esaa run' goes on" in out
    assert _attempts(project) == Counter(accepted=3)
    assert project.task("T-4").attempts_total == 0
    _is_clean(project)
    project.ok("run")
    assert project.state().run.state == "success"


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,)],
    ids=["ctrl-c twice", "SIGTERM", "SIGHUP"],
)
def test_a_second_ctrl_c_or_any_other_signal_calls_everybody_off(
    make: Make, signals: tuple[signal.Signals, ...]
) -> None:
    project = make(300.0)
    with running(project) as process:
        for one in signals:
            process.send_signal(one)
            time.sleep(0.2)
        out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == INTERRUPTED
    assert "calling off what is under way" in err
    assert "nobody is at work" in out
    assert _attempts(project) == Counter(released=3)
    for name in ("T-1", "T-2", "T-3", "T-4"):
        assert (project.task(name).state, project.task(name).attempts_used) == ("todo", 0)
    _is_clean(project)


WAYS = {
    "git": ["git", "esaa", "run"],
    "alias": ["git", "-c", "alias.e=esaa run", "e"],
    "shell alias": ["git", "-c", "alias.e=!git esaa run", "e"],
    "script": ["sh", "-c", "git esaa run; exit $?"],
    "make": ["make", "-s", "-f", "../Makefile"],
    "program": ["git-esaa", "run"],
}
"""How people start a run; git hands on the SIGINT that the terminal sends to both."""


def _waiting(project: Project, go: Path) -> None:
    """Have the agents work until the file is there."""
    waits = f"import os\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)"
    project.program(AGENT.replace("time.sleep({seconds})", waits).format())
    project.commit("Agents that wait")
    project.agree()
    (project.path.parent / "Makefile").write_text("run:\n\tgit esaa run\n")


@pytest.mark.parametrize("way", WAYS)
def test_one_ctrl_c_at_a_terminal_counts_once_whatever_the_run_was_started_with(
    make: Make, tmp_path: Path, way: str
) -> None:
    project = make(0)
    go = tmp_path / "go"
    _waiting(project, go)
    with at_a_terminal(project, WAYS[way]) as terminal:
        if way == "git":
            # So that its copy comes second, and not by chance as one with the terminal's.
            os.kill(terminal.pid, signal.SIGSTOP)
        terminal.press()
        wait(lambda: terminal.shows("finishing what is under way"), "the run hears of it")
        if way == "git":
            os.kill(terminal.pid, signal.SIGCONT)
            wait(lambda: has_handed_on(terminal.pid), "git hands it on")
        go.touch()
        status, shown = terminal.ended()
    assert status != 0
    assert "stopped: 1 attempts made on 'main', nobody is at work" in shown
    assert _attempts(project) == Counter(accepted=1)
    assert project.task("T-2").attempts_total == 0
    _is_clean(project)


def test_ctrl_c_pressed_again_at_a_terminal_calls_everybody_off(make: Make, tmp_path: Path) -> None:
    project = make(0)
    _waiting(project, tmp_path / "never")
    with at_a_terminal(project, WAYS["git"]) as terminal:
        terminal.press()
        wait(lambda: terminal.shows("finishing what is under way"), "the run hears of it")
        wait(lambda: has_handed_on(terminal.pid), "git hands it on")
        terminal.press()
        _, shown = terminal.ended()
    assert "calling off what is under way" in shown
    assert _attempts(project) == Counter(released=1)
    _is_clean(project)


def test_a_run_that_cools_down_is_stopped_at_once(make: Make) -> None:
    project = make(0, attempts__cooldown="PT50M")
    project.program("print('I am done!')")
    project.commit("Agents that answer nothing of use")
    # One of them: a run stops by itself where three fail alike.
    with running(project, "--task", "T-1", at_work=None) as process:
        wait(lambda: project.tip() is not None, "a run")
        wait(lambda: project.actions().count("output.rejected") == 1, "a rejection")
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == INTERRUPTED
    assert "stopped: 1 attempts made on 'main', nobody is at work" in out
    _is_clean(project)


def test_after_a_kill_the_next_run_takes_up_what_was_under_way(make: Make, tmp_path: Path) -> None:
    go = tmp_path / "go"
    # The program is pinned for the run, so what it does then is told from outside.
    project = make(f"0 if __import__('os').path.exists({str(go)!r}) else 300")
    with running(project) as process:
        process.kill()
        process.wait()
        wait(lambda: left(project) == [], "the agents of a run that was killed end")
    assert _attempts(project) == Counter(active=3)
    go.touch()
    following = subprocess.run(
        command(project, "--parallel", "3"),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env=surroundings(project),
    )
    assert following.returncode == 0, following
    assert "T-1-A1: its process is gone, and it is taken up again" in following.stderr
    assert _attempts(project) == Counter(accepted=4)
    assert all(one.attempts_total == 1 for one in project.state().tasks.values())
    _is_clean(project, killed=True)


def test_two_runs_at_once_share_the_tasks_and_both_end_well(make: Make) -> None:
    project = make(1.0)
    with running(project) as first:
        second = subprocess.run(
            command(project, "--parallel", "2"),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=surroundings(project),
        )
        out, err = first.communicate(timeout=SECONDS)
    assert (first.returncode, second.returncode) == (0, 0), (out, err, second)
    assert "run success: 4 tasks done" in out
    assert "run success: 4 tasks done" in second.stdout
    done = [line for line in (out + second.stdout).splitlines() if line.startswith("done ")]
    assert len(done) == 4
    assert _attempts(project) == Counter(accepted=4)
    assert project.actions().count("run.end") == 1
    _is_clean(project)
