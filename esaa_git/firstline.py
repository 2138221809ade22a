"""The first line of a script, by which the kernel starts another program (execve(2))."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import Final

LONGEST: Final = 4096
"""Bytes of a first line that are looked at; no kernel takes more."""

_ALONE: Final = "i0v"
_WITH_A_VALUE: Final = "uCa"
_LONG_ALONE: Final = frozenset(
    {"--ignore-environment", "--null", "--debug", "--list-signal-handling"}
    | {"--block-signal", "--default-signal", "--ignore-signal"}
)
_LONG_WITH_A_VALUE: Final = frozenset({"--unset", "--chdir", "--argv0"})
_MAY_HAVE_A_VALUE: Final = frozenset({"--block-signal", "--default-signal", "--ignore-signal"})
_SPLIT: Final = re.compile(r"[^\\$#]*")
"""What `env -S` splits as a shell would; it has escapes and variables of its own."""


def words_of(content: bytes) -> list[str]:
    """Return the interpreter and the one argument that a first line gives it; none without one.

    Args:
        content: the script, or its first `LONGEST` bytes.
    """
    if not content.startswith(b"#!"):
        return []
    line = content[2:LONGEST].split(b"\n", 1)[0].strip(b" \t\r\0")
    text = line.decode("utf-8", "surrogateescape")
    return re.split(r"[ \t]+", text, maxsplit=1) if text else []


def command_of_env(words: Sequence[str]) -> list[str] | None:
    """Return the command by which `env` starts a script, for the first lines that are plain.

    Args:
        words: as `words_of` gives them: `env` with one program, or with `-S` and a command.

    None where it is another program, has other options, or sets variables.
    """
    if len(words) != 2 or words[0].rpartition("/")[2] != "env":
        return None
    rest = words[1]
    split = _split(rest[2:], []) if rest.startswith("-S") else [rest]
    if not split or split[0].startswith("-") or "=" in split[0] or " " in split[0]:
        return None
    return split


def program_of_env(arguments: Sequence[str]) -> str | None:
    """Return the program that `env` starts, by the options of GNU env(1); None where unknown.

    Args:
        arguments: what follows `env`.
    """
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            break
        if not word.startswith("-"):
            words.insert(0, word)
            break
        rest = _after_long(word, words) if word.startswith("--") else _after_short(word, words)
        if rest is None:
            return None
        words = rest
    return next((word for word in words if "=" not in word), None)


def _after_long(word: str, words: list[str]) -> list[str] | None:
    name, equals, value = word.partition("=")
    if name == "--split-string":
        return _split(value, words) if equals else _split_next(words)
    if name in _LONG_WITH_A_VALUE:
        return words if equals else words[1:]
    known = name in _MAY_HAVE_A_VALUE or (name in _LONG_ALONE and not equals)
    return words if known else None


def _after_short(word: str, words: list[str]) -> list[str] | None:
    for at, letter in enumerate(word[1:], 2):
        if letter == "S":
            return _split(word[at:], words) if word[at:] else _split_next(words)
        if letter in _WITH_A_VALUE:
            return words if word[at:] else words[1:]
        if letter not in _ALONE:
            return None
    return words


def _split_next(words: list[str]) -> list[str] | None:
    return _split(words[0], words[1:]) if words else None


def _split(text: str, after: list[str]) -> list[str] | None:
    if not _SPLIT.fullmatch(text):
        return None
    try:
        return [*shlex.split(text), *after]
    except ValueError:
        return None
