"""Signals to a run with agents at work: everybody ends, every attempt is on record, nothing stays.

The run is a process of its own, with a folder for temporary files of its own, so that what it
leaves behind can be seen: files in that folder, and processes whose command line names it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from esaa_git.cli.run import INTERRUPTED
from tests.conftest import Git
from tests.support.project import Project, make_project, task

SECONDS = 60.0
PROGRAM = "import sys; from esaa_git.cli.main import main; sys.exit(main())"
ROOT = Path(__file__).resolve().parents[2]
AGENT = """
import json, sys, time
request = json.load(sys.stdin)
time.sleep({seconds})
name = request["task"]["task_id"]
update = {{"op": "write", "path": f"src/{{name}}.txt", "content": name}}
print(json.dumps({{
    "action": "agent.result",
    "task_id": name,
    "attempt_id": request["attempt_id"],
    "payload": {{"summary": "done", "file_updates": [update]}},
}}))
"""

Make = Callable[[float], Project]


@pytest.fixture
def make(tmp_path: Path, git: Git) -> Make:
    def made(seconds: float, **policy: str) -> Project:
        names = [f"T-{number}" for number in range(1, 5)]
        tasks = (task(name, writes=[f"src/{name}.txt"]) for name in names)
        project = make_project(tmp_path / "project", git, *tasks, policy=policy)
        project.program(AGENT.format(seconds=seconds))
        project.commit("Agents that take their time")
        (tmp_path / "tmp").mkdir()
        return project

    return made


@contextmanager
def running(project: Project, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A run of three at once, all three at work."""
    temporary = project.path.parent / "tmp"
    command = [sys.executable, "-c", PROGRAM, "-C", str(project.path), "run", "--parallel", "3"]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    try:
        _wait(lambda: len(_agents(project)) == 3, "three agents at work")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _agents(project: Project) -> list[int]:
    """Return the processes that run the agents' program, confined or about to be."""
    program = str(project.path / ".roadmap" / "agents" / "agent").encode()
    return [pid for pid, arguments in _processes() if program in arguments[:3]]


def _left(project: Project) -> list[int]:
    """Return every process, of ours or of an agent, that has to do with the project."""
    here = os.fsencode(project.path.parent)
    return [
        pid
        for pid, arguments in _processes()
        if pid != os.getpid() and any(here in argument for argument in arguments)
    ]


def _processes() -> Iterator[tuple[int, list[bytes]]]:
    for place in Path("/proc").glob("[0-9]*"):
        try:
            yield int(place.name), (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue


def _wait(is_so: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < until, f"in vain: {what}"
        time.sleep(0.02)


def _is_clean(project: Project) -> None:
    """Assert that nothing is at work and nothing lies about."""
    assert _left(project) == []
    assert list((project.path.parent / "tmp").iterdir()) == []
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
    assert "stopped: 3 attempts made, nobody is at work; 'git esaa run' goes on" in out
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
    for one in project.state().tasks.values():
        assert (one.state, one.attempts_used) == ("todo", 0)
    _is_clean(project)


def test_after_a_kill_the_next_run_takes_over_once_the_leases_are_over(
    tmp_path: Path, make: Callable[..., Project]
) -> None:
    project = make(300.0, attempts__ttl="PT5S")
    with running(project) as process:
        process.kill()
        process.wait()
        _wait(lambda: _left(project) == [], "the agents of a run that was killed end")
    assert _attempts(project) == Counter(active=3)
    project.program(AGENT.format(seconds=0))
    said = project.esaa("run", "--parallel", "3")
    assert said.code == 0, said
    assert "waiting: 'T-1' is held by agent until " in said.err
    assert project.actions().count("attempt.timeout") == 3
    assert all(one.is_done for one in project.state().tasks.values())
    project.check()


def test_two_runs_at_once_share_the_tasks_and_both_end_well(tmp_path: Path, make: Make) -> None:
    project = make(1.0)
    command = [sys.executable, "-c", PROGRAM, "-C", str(project.path), "run", "--parallel", "2"]
    with running(project) as first:
        second = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(ROOT)},
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
