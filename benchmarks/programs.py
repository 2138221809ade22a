"""Programs run as users run them: git, git-esaa, and Python with nothing but our imports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import logs
from benchmarks.logs import Key, contracts

ROOT = Path(__file__).resolve().parents[1]


def git_esaa() -> list[str]:
    """Return the command of the installed program, or what its launcher does."""
    script = Path(sys.executable).with_name("git-esaa")
    if script.exists():
        return [str(script)]
    return [
        sys.executable,
        "-c",
        "import sys; from esaa_git.cli.main import main; sys.exit(main())",
    ]


def run(
    command: Sequence[str],
    folder: Path,
    *,
    ours: bool = True,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> bytes:
    """Run a program to its end, and return what it printed.

    One that is not `ours` is kept from this checkout's modules.

    Args:
        data: what it reads from standard input.
        env: variables that it has besides, or in place of, those of this process.

    Raises:
        RuntimeError: with its own words, if it fails.
    """
    variables = {**_environment(ours), **(env or {})}
    done = subprocess.run(command, cwd=folder, env=variables, input=data, capture_output=True)
    if done.returncode:
        said = done.stderr.decode(errors="replace") or done.stdout.decode(errors="replace")
        raise RuntimeError(f"{' '.join(command[-4:])} ended with {done.returncode}: {said[-2000:]}")
    return done.stdout


def _environment(ours: bool) -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**found, "PYTHONPATH": str(ROOT)} if ours else found


def path_in_hooks() -> str:
    """Return the PATH that git gives to a hook: the folder of its own programs comes first."""
    found = subprocess.run(["git", "--exec-path"], check=True, capture_output=True, text=True)
    return os.pathsep.join((found.stdout.rstrip("\n"), os.environ.get("PATH", os.defpath)))


def signing_repository(folder: Path, key: Key) -> None:
    """Make a repository in which git signs with the key and knows who may."""
    logs.Subject(folder, key)
    signers = folder / ".git" / "allowed_signers"
    signers.write_bytes(contracts(key).files["allowed_signers"])
    for name, value in {
        "user.signingKey": str(key.path),
        "gpg.format": "ssh",
        "gpg.ssh.allowedSignersFile": str(signers),
    }.items():
        subprocess.run(["git", "-C", str(folder), "config", name, value], check=True)


def git_commit(folder: Path) -> None:
    """Make one empty signed commit."""
    run(["git", "commit", "-q", "-S", "--allow-empty", "-m", "an event"], folder)
