"""What adapters are given of the repository and the machine, in one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from esaa_git.ports.agent import Workspaces
from esaa_git.ports.files import BlobStore, Trees
from esaa_git.ports.local import Clock


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One attempt's surroundings; its parts are used by the thread of that attempt alone.

    Attributes:
        root: the top of the operator's checkout, None in a bare repository.
        trees: the files of commits, of which an agent is shown some.
        blobs: their contents.
        workspaces: makes throwaway checkouts.
        clock: tells how far off a deadline is.
        max_output_bytes: how much of an answer is read, from RUNTIME_POLICY.
        sandbox: the confinement that was asked for: `auto`, `landlock`, `bubblewrap` or `none`.
        prompt: gives the text of a pinned prompt template by name, or None.
    """

    root: Path | None
    trees: Trees
    blobs: BlobStore
    workspaces: Workspaces
    clock: Clock
    max_output_bytes: int
    sandbox: str
    prompt: Callable[[str], bytes | None]
