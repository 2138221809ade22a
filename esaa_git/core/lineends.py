"""How a file's text is written beside what it says: a byte order mark, and the ends of its lines.

An edit or a patch says what changes of a text. Whoever writes one sees lines, and types LF; the
form is the file's own, and stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from esaa_git.core.rejection import RejectCode, Rejected

MARK: Final = "\ufeff"
"""The byte order mark, as text."""


@dataclass(frozen=True, slots=True)
class TextForm:
    """The form of one file: its mark, and the end that all its lines have.

    `end` is None where lines end in both ways, or none ends: then a change is taken to the letter.
    """

    mark: str
    end: str | None

    @classmethod
    def of(cls, text: str) -> TextForm:
        """Return the form of a text."""
        lines, crlf = text.count("\n"), text.count("\r\n")
        end = None
        if lines and crlf in (0, lines):
            end = "\r\n" if crlf else "\n"
        return cls(MARK if text.startswith(MARK) else "", end)

    def plain(self, text: str) -> str:
        """Return a text, the file's or that of a change to it, as it is without the form."""
        text = text.removeprefix(MARK)
        return text if self.end is None else text.replace("\r\n", "\n")

    def written(self, plain: str) -> str:
        """Return a plain text in this form."""
        return self.mark + (plain.replace("\n", "\r\n") if self.end == "\r\n" else plain)


def kept(what: str) -> Rejected:
    """Return the refusal of an edit or a hunk that changes nothing but the form."""
    return Rejected(
        RejectCode.INVALID_VALUE,
        f"{what} changes only line ends or the byte order mark, which stay as the file has them; "
        "to change those, write the whole file",
        {"reason": "form-only"},
    )


def end_of(line: str) -> str:
    """Return the name of a line's end."""
    if line.endswith("\r\n"):
        return "CRLF"
    return "LF" if line.endswith("\n") else "no line end"
