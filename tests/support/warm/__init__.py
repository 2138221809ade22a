"""Hooks that start in a hundredth of a second: git starts them, and a warm process runs them.

A push in a test starts one to three hooks, and each would import all of git-esaa anew, which takes
ten times as long as its checks. With `environment()` the Python that git starts hands its streams,
folder, environment and arguments to a process that has imported everything; that one forks, and
the hook's own file is run in the child. What the start itself does is proved where tests leave
this out: tests/app/test_hooks.py, tests/servers.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import esaa_git

CHECKOUT = str(Path(esaa_git.__file__).resolve().parents[1])
SOCKET = "TESTS_WARM_SOCKET"


def cold() -> dict[str, str]:
    """The variable with which a hook finds this checkout."""
    return {"PYTHONPATH": CHECKOUT}


def environment() -> dict[str, str]:
    """The variables with which it is run by the warm process."""
    here = str(Path(__file__).parent)
    return {"PYTHONPATH": os.pathsep.join([here, CHECKOUT]), SOCKET: _server()}


@functools.cache
def _server() -> str:
    """Start the process, which ends with this one, and return where it listens."""
    # No object that tidies up when it is let go of: a fork of this process lets go of everything.
    folder = tempfile.mkdtemp(prefix=".warm-", dir=os.environ["HOME"])
    place = f"{folder}/socket"
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server.py")), place],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **cold()},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.read(1), "the process that runs hooks did not start"

    @atexit.register
    def end() -> None:
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)

    return place
