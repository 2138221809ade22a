"""The wheel of this checkout, built once, and a virtual environment that it is installed in."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run to success; what the program said is the failure's message."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}"
    return done


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest-xdist share, so that each thing in it is made once."""
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "built"
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep the other workers waiting."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def wheel(built: Path, outer_environ: dict[str, str]) -> Path:
    folder = built / "dist"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    with alone(built):
        if not folder.exists():
            run(*build, CHECKOUT, cwd=built, env=outer_environ)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def prefix(wheel: Path, built: Path, outer_environ: dict[str, str]) -> Path:
    """A fresh virtual environment that holds the wheel and its dependencies, and nothing else."""
    prefix = built / "venv"
    # The person's own environment for pip: that is where their package index is configured.
    environ = {name: value for name, value in outer_environ.items() if name != "PYTHONPATH"}
    with alone(built):
        if not (prefix / "bin" / "git-esaa").exists():
            run(sys.executable, "-m", "venv", prefix, cwd=built, env=environ)
            run(prefix / "bin/pip", "install", "--quiet", wheel, cwd=built, env=environ)
    return prefix


@pytest.fixture
def installed_environ(prefix: Path) -> dict[str, str]:
    """The sealed environment with the installation first on PATH."""
    dropped = {"MANPATH", "PYTHONPATH", "VIRTUAL_ENV"}
    environ = {name: value for name, value in os.environ.items() if name not in dropped}
    return environ | {"PATH": f"{prefix / 'bin'}{os.pathsep}{environ['PATH']}"}
