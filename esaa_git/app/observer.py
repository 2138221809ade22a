"""Whom a use case tells what happens while it works: its only call back to its caller."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


class Observer(Protocol):
    """What a caller passes that wants to hear of the work before its result is there."""

    def note(self, text: str) -> None:
        """Take a line that a person should see and that is no part of the result."""
        ...

    def progress(self, done: int, total: int) -> None:
        """Take how much of a long work is done, in steps of any kind; all of it at its end.

        Between one work and the next, a person may be asked something: for a passphrase, say.
        """
        ...


class Silent:
    """Hears nothing: for callers that look at results alone."""

    def note(self, text: str) -> None: ...

    def progress(self, done: int, total: int) -> None: ...


@dataclass(slots=True)
class Notes:
    """Keeps the notes, in order, for a caller that hands them on with the result."""

    lines: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.lines.append(text)

    def progress(self, done: int, total: int) -> None: ...
