"""Copies of what a fixture made once, repositories in it, at the cost of its files but objects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def copy_folder(source: Path, target: Path) -> Path:
    """Copy a folder, links as links, and have objects of git under a second name.

    Nobody writes into an object that is there, git and git-esaa no more than a test: one that is to
    be damaged is removed first.
    """
    return Path(shutil.copytree(source, target, symlinks=True, copy_function=_copy))


def _copy(source: str, target: str) -> None:
    if "/objects/" in source:
        os.link(source, target)
    else:
        shutil.copy2(source, target)
