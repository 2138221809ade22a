"""What is looked at before an agent is paid, beside its program and the checks of its task."""

from __future__ import annotations

from typing import Final, Protocol


class Preflight(Protocol):
    """Finds what would keep an answer from being worked out or recorded."""

    def look(self, branch: str) -> None:
        """Return if an attempt on the branch could come to its end here, as far as can be known.

        It is asked before each dispatch; what cannot have changed since is not looked at again.

        Raises:
            ConflictError: if something of a person's is half done in a checkout of the branch.
            MismatchError: if log and branch do not agree.
            RepositoryError: if files of the branch are not here, or an index cannot be read.
            AgentError: if there is no room for throwaway folders.
        """
        ...


class _NoPreflight:
    def look(self, branch: str) -> None:
        pass


NO_PREFLIGHT: Final[Preflight] = _NoPreflight()
"""For what has neither files nor checkouts."""
