"""Packages as pip would leave them behind, written by a test."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


def install(source: Path, folder: Path) -> Path:
    """Have pip build and install a package into a folder of its own; nothing is fetched.

    Returns:
        what has to be on the path for the package to be there.
    """
    copy, target = folder / "source", folder / "packages"
    copy.mkdir()
    for file in source.glob("*.*"):
        (copy / file.name).write_bytes(file.read_bytes())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    options = ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    done = subprocess.run(
        [*command, *options, str(copy)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout
    return target


def write_package(
    folder: Path, package: str, source: str, entries: Mapping[str, Mapping[str, str]]
) -> str:
    """Install a package that is one module, and return the module's name.

    Args:
        folder: where packages lie.
        source: of the module.
        entries: attributes of the module by name, by entry-point group.
    """
    module = package.replace("-", "_")
    folder.mkdir(exist_ok=True)
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    about = folder / f"{module}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = [
        line
        for group, found in entries.items()
        for line in (f"[{group}]", *(f"{name} = {module}:{at}" for name, at in found.items()))
    ]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return module


class Packages:
    """The packages that are installed while a test runs."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._modules: list[str] = []
        self._patch = pytest.MonkeyPatch()
        folder.mkdir()
        self._patch.syspath_prepend(str(folder))

    def add(self, package: str, source: str, **groups: Mapping[str, str]) -> None:
        """Install one; the keywords are our groups, without `esaa_git.`."""
        entries = {f"esaa_git.{group}": found for group, found in groups.items()}
        self._modules.append(write_package(self._folder, package, source, entries))

    def remove(self) -> None:
        """Uninstall all of them."""
        self._patch.undo()
        for module in self._modules:
            sys.modules.pop(module, None)
