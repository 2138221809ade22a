"""Text that strangers wrote, before a person's terminal or the log gets it.

Names, messages and outputs come from agents, pushers and files. What does not print in them
(control characters, line separators, direction marks, lone surrogates) can disguise the rest.
"""

from __future__ import annotations


def visible(text: str, *, keep: str = "\n") -> str:
    """Return the text with everything that does not print as a backslash escape.

    Args:
        keep: characters that stay although they do not print; by default line feeds.
    """
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode()
        for char in text
    )


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
