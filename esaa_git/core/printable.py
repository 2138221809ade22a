"""Text that strangers wrote, before a person's terminal or the log gets it.

Names, messages and outputs come from agents, pushers and files. What does not print in them
(control characters, line separators, direction marks, lone surrogates) can disguise the rest.
"""

from __future__ import annotations

import json
import re
from typing import Final

# They print nothing, or join to what stands before them, and count as printable: fillers, a joiner
# of graphemes, selectors of variations (the one of emoji, U+FE0F, stays).
_UNSEEN: Final = re.compile(
    "[\\u034f\\u115f\\u1160\\u17b4\\u17b5\\u2800\\u3164\\ufe00-\\ufe0e\\uffa0\\U000e0100-\\U000e01ef]"
)


def visible(text: str, *, keep: str = "\n") -> str:
    """Return the text with everything that does not print as a backslash escape.

    Args:
        keep: characters that stay although they do not print; by default line feeds.
    """
    if not text.isprintable():
        text = "".join(
            char if char.isprintable() or char in keep else _escaped(char) for char in text
        )
    return text if text.isascii() else _UNSEEN.sub(lambda match: _escaped(match[0]), text)


def ascii_visible(text: str) -> str:
    """Return the text on one line of ASCII, everything else as an escape (`\\u0430`).

    What a person decides by has to be told apart: letters of other alphabets look like ASCII ones.
    """
    return "".join(
        char if char.isascii() else f"\\u{ord(char):04x}" if ord(char) < 1 << 16 else _escaped(char)
        for char in visible(text, keep="")
    )


def json_visible(text: str) -> str:
    """Return a JSON text in which what does not print is spelled as JSON escapes it.

    Such characters stand in strings alone, so the document says the same as before.
    """
    if text.isascii():
        return text
    return "".join(
        char if char == "\n" or visible(char) == char else json.dumps(char)[1:-1] for char in text
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def printable(text: str, *, keep: str = "\n\t") -> str:
    """Return the text fit to be stored: what does not print becomes U+FFFD, CR LF becomes LF.

    Args:
        keep: characters that stay although they do not print; by default line feeds and tabs.
    """
    return "".join(
        char if char.isprintable() or char in keep else "\ufffd"
        for char in text.replace("\r\n", "\n")
    )


def printable_output(output: bytes) -> str:
    """Return the kept end of a program's output as `printable` does.

    It may begin in the middle of a character.
    """
    return printable(output.lstrip(bytes(range(0x80, 0xC0))).decode("utf-8", "replace"))
