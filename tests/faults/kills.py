"""Commands that are killed at a chosen moment, by a real SIGKILL of a real process.

A command runs in a forked child with a process group of its own, which dies as a whole: the
command, and every git that it has started. Forking spares the start of Python, so hundreds of
kills fit into a test.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from esaa_git.faults import Point, arm
from tests.conftest import Git
from tests.support import copies
from tests.support.project import Project, Said

KILLED = -signal.SIGKILL

Moment = tuple[str, int]
"""A fault point, and which of the times that it is met."""


@dataclass(frozen=True, slots=True)
class Life:
    """How a child ended: its status, negative for a signal, and the points that it came to."""

    status: int
    met: tuple[str, ...]

    @property
    def moments(self) -> list[Moment]:
        """Every moment at which the child could have been killed."""
        seen: Counter[str] = Counter()
        found = []
        for point in self.met:
            seen[point] += 1
            found.append((point, seen[point]))
        return found


def live(work: Callable[[], Said], *, until: Moment | None = None) -> Life:
    """Do the work in a child, and kill the child at the moment."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        _be_a_child(work, until, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        met = tuple(stream.read().decode().split())
    _, status = os.waitpid(child, 0)
    return Life(os.waitstatus_to_exitcode(status), met)


def _be_a_child(work: Callable[[], Said], until: Moment | None, writing: int) -> None:
    status = 99
    try:
        os.setpgid(0, 0)
        seen: Counter[str] = Counter()

        def met(point: Point) -> None:
            os.write(writing, f"{point}\n".encode())
            seen[point] += 1
            if until == (point.value, seen[point]):
                os.killpg(0, signal.SIGKILL)

        with arm(met):
            status = work().code
    finally:
        os._exit(status)


def copied(project: Project, place: Path, git: Git) -> Project:
    """Return the project in another place, its files as old as they were."""
    shutil.rmtree(place, ignore_errors=True)
    copies.copy_folder(project.path, place)
    copy = Project(place, git)
    copy.agree()  # it lies elsewhere, where nobody agreed to anything yet
    return copy


def standing(project: Project) -> dict[str, object]:
    """Return what has to be the same in the end: log, branch, files, and what git says of them."""
    refs = project.refs()
    return {
        "log": refs.get("refs/esaa/events"),
        "branch": refs["refs/heads/main"],
        "head": refs["HEAD"],
        "files": json.dumps(project.files(inside_git=()), sort_keys=True),
        "status": project.status(),
    }
