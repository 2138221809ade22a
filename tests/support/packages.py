"""Packages as pip would leave them behind, written by a test."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest


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
