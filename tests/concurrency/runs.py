"""A run in a process of its own, agents that take their time, and what is left of them.

The run has a folder for temporary files of its own, so that what it leaves behind can be seen:
files in that folder, and processes whose command line names it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.patience import patience
from tests.support.project import Project

SECONDS = patience(60.0)
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


def command(project: Project, *options: str) -> list[str]:
    """The command line of a run, as another process."""
    return [sys.executable, "-c", PROGRAM, "-C", str(project.path), "run", *options]


def surroundings(project: Project) -> dict[str, str]:
    """Its environment, with a folder for temporary files of its own."""
    temporary = project.path.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}


@contextmanager
def running(
    project: Project, *options: str, at_work: int | None = 3
) -> Iterator[subprocess.Popen[str]]:
    """A run of three at once, with so many agents at work where that is said."""
    process = subprocess.Popen(
        command(project, "--parallel", "3", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=surroundings(project),
        start_new_session=True,
    )
    try:
        if at_work is not None:
            wait(lambda: len(agents(project)) == at_work, "agents at work")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def agents(project: Project) -> list[int]:
    """Return the processes that run the program of the agents, as it is pinned."""
    here, program = os.fsencode(project.path.parent), b"/pinned/.roadmap/agents/agent"
    return [
        pid
        for pid, arguments in processes()
        if any(one.startswith(here) and one.endswith(program) for one in arguments[:3])
    ]


def left(project: Project) -> list[int]:
    """Return every process, of ours or of an agent, that has to do with the project."""
    here = os.fsencode(project.path.parent)
    return [
        pid
        for pid, arguments in processes()
        if pid != os.getpid() and any(here in argument for argument in arguments)
    ]


def processes() -> Iterator[tuple[int, list[bytes]]]:
    """Yield every process of the machine, with its arguments."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            yield int(place.name), (place / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue


def wait(is_so: Callable[[], bool], what: str) -> None:
    """Wait until it is so, and fail after a minute, or more where the machine is busy."""
    until = time.monotonic() + patience(60.0)
    while not is_so():
        assert time.monotonic() < until, f"in vain: {what}"
        time.sleep(0.02)
