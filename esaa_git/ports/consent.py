"""The consent of the user of this machine: asked for right before anything is started or given."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from esaa_git.core.agent_contract import Check
from esaa_git.core.contracts import AgentEntry
from esaa_git.core.programs import Programs


class NamedFiles(Protocol):
    """The files that commands name, wherever they are taken from.

    Attributes:
        root: the top of the operator's checkout, None in a bare repository.
    """

    root: Path | None

    def which(self, program: str) -> str | None:
        """Return where a program is that is named without a '/', None where it is not on PATH."""
        ...

    def installed(self, program: str) -> Sequence[str]:
        """Return what is read to run a program of neither PATH nor the tree, beside itself.

        Args:
            program: its absolute path.
        """
        ...

    def on_disk(self, path: str) -> str | None:
        """Return the SHA-256 of a file of the checkout, None where there is none.

        Of a pinned program, here and in the others, it is that of what is pinned.
        """
        ...

    def in_tree(self, path: str) -> str | None:
        """Return the SHA-256 of a file of the tree that a program works in; None for none."""
        ...

    def beginning(self, path: str) -> bytes | None:
        """Return the first `firstline.LONGEST` bytes of what `on_disk` has the digest of."""
        ...

    def beginning_in_tree(self, path: str) -> bytes | None:
        """Return the first `firstline.LONGEST` bytes of what `in_tree` has the digest of."""
        ...

    def under(self, folder: str) -> Sequence[tuple[str, str]] | None:
        """Return path and SHA-256 of every file below a folder; None for more than one can show."""
        ...

    def whole(self) -> str:
        """Return the id of the tree that a program works in; empty where there is none.

        Of a checkout it is that of the files that git tracks, as they stand there.
        """
        ...

    def of_agents(self) -> Sequence[tuple[str, str]]:
        """Return path and SHA-256 of the files of `.roadmap/agents/`: one may load another."""
        ...


class Consent(Protocol):
    """What the user agreed to, outside of the repository."""

    def require_agent(
        self, entry: AgentEntry, base: str | None = None, programs: Programs | None = None
    ) -> None:
        """Return if everything that an agent's entry asks for was agreed to.

        Args:
            base: the commit that it works on, where there is one already.
            programs: the pinned ones that would run.

        Raises:
            NotAllowed: naming what was not.
        """
        ...

    def require_checks(self, checks: Sequence[Check], base: str | None = None) -> None:
        """Return if everything that these checks ask for was agreed to, as `require_agent`."""
        ...
