"""The wheel, built from this checkout and installed far away from it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

# Building, and fetching the dependencies, depends on the network more than on us.
pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


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


@pytest.mark.parametrize("kind", ["hooks", "templates"])
def test_the_wheel_carries_every_file_of_the_folder(kind: str, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    inside = f"esaa_git/_data/{kind}/"
    packed = {name.removeprefix(inside) for name in names if name.startswith(inside)}
    assert packed == files_below(CHECKOUT / kind)
    assert packed


def test_the_wheel_carries_neither_tests_nor_benchmarks(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.startswith("esaa_git-")} == {"esaa_git"}


@pytest.mark.parametrize("kind", ["hooks", "templates"])
def test_the_installed_package_finds_its_folders(
    kind: str, prefix: Path, installed_environ: dict[str, str], tmp_path: Path
) -> None:
    program = f"from esaa_git.resources import resource_path; print(resource_path('{kind}'))"
    done = run(prefix / "bin" / "python", "-c", program, cwd=tmp_path, env=installed_environ)
    folder = Path(done.stdout.strip())
    assert folder.is_relative_to(prefix)
    assert files_below(folder) == files_below(CHECKOUT / kind)


def test_an_installed_hook_can_be_executed_where_the_checkout_says_so(prefix: Path) -> None:
    (hooks,) = prefix.glob("lib/python*/site-packages/esaa_git/_data/hooks")
    for name in files_below(CHECKOUT / "hooks"):
        wanted = os.access(CHECKOUT / "hooks" / name, os.X_OK)
        assert os.access(hooks / name, os.X_OK) == wanted, name


@pytest.mark.parametrize(
    ("source", "installed"),
    [
        ("docs/man/git-esaa.1", "share/man/man1/git-esaa.1"),
        ("docs/completion/git-esaa.bash", "share/bash-completion/completions/git-esaa"),
        ("docs/completion/_git-esaa", "share/zsh/site-functions/_git-esaa"),
        ("docs/completion/git-esaa.fish", "share/fish/vendor_completions.d/git-esaa.fish"),
    ],
)
def test_the_man_page_and_the_completions_lie_where_they_are_looked_for(
    source: str, installed: str, prefix: Path
) -> None:
    assert (prefix / installed).read_bytes() == (CHECKOUT / source).read_bytes()


def where_man_finds(page: str, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        ["man", "-w", page], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def test_git_esaa_help_opens_the_man_page(
    prefix: Path, installed_environ: dict[str, str], tmp_path: Path
) -> None:
    installed = str(prefix / "share" / "man" / "man1" / "git-esaa.1")
    # Minimal systems have no `man`, or a stand-in that only says so.
    if shutil.which("man") is None or where_man_finds(installed, tmp_path) != installed:
        pytest.skip("this machine has no working 'man'")
    assert where_man_finds("git-esaa", tmp_path, installed_environ) == installed
    page = run("git", "esaa", "--help", cwd=tmp_path, env=installed_environ | {"MANPAGER": "cat"})
    assert "git esaa" in page.stdout
    assert "EXIT STATUS" in page.stdout


def test_the_demo_runs_from_an_unrelated_folder(
    installed_environ: dict[str, str], tmp_path: Path
) -> None:
    done = run("git", "esaa", "demo", cwd=tmp_path, env=installed_environ)
    assert "49 events" in done.stdout
