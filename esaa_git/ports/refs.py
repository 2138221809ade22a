"""Refs: names that commits have, moved by compare-and-swap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref is to go from one commit to another; `old` is None where it must not exist yet."""

    name: str
    old: str | None
    new: str
    message: str


class RefStore(Protocol):
    """The refs of one repository, by their full names."""

    def read(self, name: str) -> str | None:
        """Return the commit that a ref names directly, or None where it does not exist."""
        ...

    def list(self, prefix: str) -> Sequence[str]:
        """Return the names that begin so, sorted."""
        ...

    def move(self, moves: Sequence[RefMove]) -> None:
        """Move the refs in this order, all of them or none.

        When it returns, the refs and what they name have survived a power cut.

        Raises:
            ConflictError: if a ref is locked, or is not where its move begins; nothing has moved.
            RepositoryError: if they cannot be written; where the first has moved, the others
                follow by the journal.
        """
        ...

    def delete(self, names: Iterable[str]) -> None:
        """Delete refs, wherever they are: those that nobody else moves, and nothing is lost with.

        A power cut may bring them back.
        """
        ...
