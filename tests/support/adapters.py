"""What adapters are given that work in a checkout of a real repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from esaa_git.agents.adapter import AdapterContext
from esaa_git.checkout.workspace import GitWorkspaces
from esaa_git.store.repository import Repository
from esaa_git.store.trees import GitBlobs, GitTrees
from tests.agents.memory import StillClock


def in_checkout(
    root: Path,
    repository: Repository,
    *,
    sandbox: str,
    max_output_bytes: int = 1 << 20,
    prompt: Callable[[str], bytes | None] = lambda _: None,
    sessions: Path | None = None,
) -> AdapterContext:
    """Return an attempt's context on this repository, at a time that stands still."""
    return AdapterContext(
        root=root,
        trees=GitTrees(repository),
        blobs=GitBlobs(repository),
        workspaces=GitWorkspaces(repository),
        clock=StillClock(),
        max_output_bytes=max_output_bytes,
        sandbox=sandbox,
        prompt=prompt,
        sessions=sessions,
    )
