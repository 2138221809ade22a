"""The wheel, built from this checkout and installed far away from it."""

from __future__ import annotations

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import CHECKOUT, run

# Building, and fetching the dependencies, depends on the network more than on us.
pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


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
