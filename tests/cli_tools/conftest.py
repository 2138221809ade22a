"""The real tools of coding agents, installed once into a folder that outlives the tests.

`ESAA_TEST_TOOLS` names that folder. What is not in it is installed there from the package
registries; where that cannot be done, the tests skip and say why.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

NPM = {
    "claude": "@anthropic-ai/claude-code",
    "codex": "@openai/codex",
    "gemini": "@google/gemini-cli",
    "opencode": "opencode-ai",
    "copilot": "@github/copilot",
}
PIP = {"aider": "aider-chat"}

Tool = Callable[[str], Path]


@pytest.fixture(scope="session")
def tool(outer_environ: dict[str, str]) -> Tool:
    """Return the path of a tool, installed if need be."""
    outer = outer_environ
    named = outer.get("ESAA_TEST_TOOLS")

    def find(name: str) -> Path:
        if named is None:
            pytest.skip("ESAA_TEST_TOOLS names no folder to install the tools in")
        folder = Path(named).absolute()
        if name in NPM:
            path = folder / "node_modules" / ".bin" / name
            npm = shutil.which("npm", path=outer.get("PATH"))
            command = [npm, "install", "--prefix", folder, NPM[name]] if npm else None
        else:
            path = folder / name / "bin" / name
            command = [sys.executable, "-m", "venv", folder / name]
        if not path.exists():
            if command is None:
                pytest.skip(f"{NPM[name]} is not installed, and there is no npm to install it with")
            folder.mkdir(parents=True, exist_ok=True)
            _install(command, outer, name)
            if name in PIP:
                pip = [folder / name / "bin" / "python", "-m", "pip", "install", "-q", PIP[name]]
                _install(pip, outer, name)
        version = subprocess.run(
            [path, "--version"],
            capture_output=True,
            env=dict(os.environ),
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        if version.returncode:
            pytest.skip(f"'{name} --version' fails: {version.stderr.decode(errors='replace')}")
        return path

    return find


def _install(command: list[str | Path | None], environ: dict[str, str], name: str) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, env=environ, timeout=600, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        pytest.skip(f"{name} cannot be installed: {said[-1] if said else 'no word'}")
