"""Versions of tools that are known not to work with a confinement.

Each was tried with a whole turn against a model on loopback (docs/guides/coding-agents.md and
acp.md name the versions). A version below the first that fails is let through, as is one that
nobody has tried.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Unfit:
    """A tool that fails at a level of confinement.

    Attributes:
        program: the name of its file.
        level: the confinement, with namespaces or without.
        since: the first version that was seen to fail.
        why: what the tool does that the level does not let it do.
        argument: a word of its command line with which alone it fails; None for any.
    """

    program: str
    level: str
    since: tuple[int, ...]
    why: str
    argument: str | None = None


KNOWN: Final = (
    Unfit(
        "claude",
        "landlock",
        (2, 1, 328),
        "it writes its files through /proc/self/fd, which sandlock 0.9 answers with ELOOP",
    ),
    Unfit(
        "opencode",
        "landlock",
        (1, 18),
        "it serves itself on a port, and Landlock lets no program listen",
        argument="acp",
    ),
)


def suspect(words: Sequence[str], level: str) -> Unfit | None:
    """Return what is known of the program that these words start, its version left aside."""
    name = PurePath(words[0]).name
    for one in KNOWN:
        if (one.program, one.level) == (name, level.removesuffix("-pid")) and one.argument in (
            None,
            *words[1:],
        ):
            return one
    return None


def fails(one: Unfit, said: str | None) -> bool:
    """Answer whether it is a version that fails, by what the tool says of its version."""
    found = _VERSION.search(said or "")
    return found is not None and tuple(map(int, found.group().split("."))) >= one.since
