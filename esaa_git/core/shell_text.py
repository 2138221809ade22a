"""The simple commands of a shell's text: words, assignments and redirections, quotes taken off.

What a shell would make of the text when it runs (variables, substitutions, patterns, another
folder) is not worked out: it is named as what cannot be read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]]*\])?\+?=")

BEFORE_A_COMMAND: Final = frozenset(
    {"!", "{", "}", "if", "then", "else", "elif", "fi", "do", "done", "while", "until", "time"}
)
NOT_READ: Final = frozenset(
    {"cd", "pushd", "popd", "eval", "trap", "alias", "case", "esac", "function", "select", "coproc"}
    | {"chdir", "hash", "enable", "autoload", "emulate", "unalias", "complete", "mapfile", "read"}
)
SETS: Final = frozenset({"export", "declare", "typeset", "local", "readonly", "unset"})

_OPERATORS: Final = ";&|()\n`"
_QUIET: Final = "?#!$"  # of `$?` and the like, which name no word


@dataclass(slots=True)
class Simple:
    """One simple command.

    Attributes:
        words: its words.
        patterns: which of them hold a pattern that a shell expands.
        reads: the files that its input is taken from.
    """

    words: list[str] = field(default_factory=list)
    patterns: set[int] = field(default_factory=set)
    reads: list[str] = field(default_factory=list)


def commands_of(text: str) -> tuple[list[Simple], list[str]]:
    """Return the simple commands of a shell's text, and why it cannot be read for sure, if so."""
    return _Scan(text).read()


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found = [Simple()]
        self._faults: dict[str, None] = {}
        self._redirect = ""

    def read(self) -> tuple[list[Simple], list[str]]:
        while self._at < len(self._text):
            char = self._text[self._at]
            if char in " \t\r":
                self._at += 1
            elif char == "#":
                end = self._text.find("\n", self._at)
                self._at = len(self._text) if end < 0 else end
            elif char in "<>":
                self._redirection()
            elif char in _OPERATORS:
                self._at += 1
                self._expansion(char)
                if char == "&" and self._text[self._at : self._at + 1] == ">":
                    continue  # `&>FILE`
                self._found.append(Simple())
            else:
                self._word()
        return [one for one in self._found if one.words or one.reads], list(self._faults)

    def _redirection(self) -> None:
        found = re.compile(r"<<<|<<-?|<>|<&|>>|>&|>\||[<>]").match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        if found[0].startswith("<<") or self._text[self._at : self._at + 1] == "(":
            self._faults["its text is given to a program as input"] = None
        words = self._found[-1].words
        before = self._text[found.start() - 1] if found.start() else " "
        if words and words[-1].isdigit() and before.isdigit():
            words.pop()  # the number of what is redirected
        self._redirect = found[0]

    def _word(self) -> None:
        word, pattern = self._one()
        here = self._found[-1]
        if self._redirect:
            if self._redirect in ("<", "<>", "<<<"):
                here.reads.append(word)
            self._redirect = ""
            return
        if pattern:
            here.patterns.add(len(here.words))
        here.words.append(word)

    def _one(self) -> tuple[str, bool]:
        """Take one word, and say whether a shell expands a pattern in it."""
        text, made, pattern = self._text, "", False
        while self._at < len(text):
            char = text[self._at]
            if char in " \t\r<>" or char in _OPERATORS:
                break
            self._at += 1
            if char == "'":
                end = text.find("'", self._at)
                end = self._unclosed() if end < 0 else end
                made += text[self._at : end]
                self._at = end + 1
            elif char == '"':
                made += self._quoted()
            elif char == "\\":
                made += text[self._at : self._at + 1].replace("\n", "")
                self._at += 1
            else:
                self._expansion(char)
                pattern = pattern or char in "*?[{" or (char == "~" and not made)
                made += char
        return made, pattern and made not in ("[", "[[", "{")

    def _quoted(self) -> str:
        text, made = self._text, ""
        while self._at < len(text):
            char = text[self._at]
            self._at += 1
            if char == '"':
                return made
            if char == "\\" and text[self._at : self._at + 1] in ('"', "\\", "$", "`", "\n"):
                made += text[self._at].replace("\n", "")
                self._at += 1
                continue
            self._expansion(char, quoted=True)
            made += char
        self._unclosed()
        return made

    def _expansion(self, char: str, *, quoted: bool = False) -> None:
        after = self._text[self._at : self._at + 1]
        if char == "`":
            self._faults["a command stands inside of another in its text"] = None
        elif (
            char == "$"
            and after not in _QUIET
            and (after not in " \t\r\n\"';&|)<>" or (not quoted and after in "'\""))
        ):
            self._faults["a variable or a substitution stands in its text"] = None

    def _unclosed(self) -> int:
        self._faults["a quote in its text is not closed"] = None
        return len(self._text)
