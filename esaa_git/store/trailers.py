"""What a commit says of us: the one reader of trailers, and of the names that we commit under.

It is wider than git's (git-interpret-trailers(1)), so that no claim is shown by git, or taken for
one by a reader, that we do not see: any spelling of a name, any separator, any paragraph, indented
or not, folded, in any encoding. docs/FORMAT.md, "Claims", says what is one. Hooks, `verify`,
relinking and `sync` all ask here. Importing this module costs a hook next to nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple

_PLAIN = bytes({*range(0x20, 0x7F), *b"\t\n"})
_LINE_LENGTH = 160
"""How much of a line is looked at where it is not plain: a name, white space and an id."""

_UNUSABLE = frozenset({"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"})
"""Encodings of Python's that no other program knows, or that are slow on purpose-made bytes."""


class _Forms(NamedTuple):
    """What a text is searched for. Compiled where it is needed: most pushes never need it."""

    breaks: re.Pattern[str]
    unseen: re.Pattern[str]
    lookalikes: Mapping[int, int]
    trailer: re.Pattern[str]
    id: re.Pattern[str]
    encoding: re.Pattern[bytes]
    our_name: re.Pattern[str]


@cache
def _forms() -> _Forms:
    return _Forms(
        re.compile("\r\n|[\r\v\f\0\x1c-\x1e\x85\u2028\u2029]"),
        # What a reader does not see: default-ignorables, and what moves a terminal's cursor.
        re.compile(
            "\x1b\\[[0-9;?]*[@-~]|[\x01-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f"
            "\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
            "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
        ),
        # Greek and Cyrillic letters that look like those of our names, dashes like the hyphen.
        str.maketrans(
            "\u0410\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0405\u0474"
            "\u0391\u0395\u0397\u039a\u039c\u039d\u039f\u03a1\u03a4"
            "\u0430\u0435\u043a\u043c\u043e\u0440\u0441\u0442\u0443\u0455\u0475"
            "\u0501\u0578\u057d\u03b1\u03b5\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u0261"
            "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u02d7\u2796\u30fc",
            "AEKMHOPCTSVAEHKMNOPTaekmopctysvdnuaekvoptug-----------",
        ),
        re.compile(
            r"^[^\S\n]*(esaa-(?:event-sha256|prev-sha256|event|attempt|log|run|seq|task))"
            # git takes white space before a separator; `trailer.separators` may name any.
            r"[^\S\n]*[^\w\s-]{1,8}"
            # A value is folded by white space at the beginning of the next line.
            r"(?:[^\S\n]|\n(?=[^\S\n]))*"
            r"(\S{0,200})",
            re.MULTILINE,
        ),
        re.compile(r"[0-9a-f]{7}|[0-9a-f]{4,6}(?!\w)|imported-[0-9]"),
        re.compile(rb"^encoding ([^\n]{1,40})$", re.MULTILINE),
        re.compile(
            r"^(?:author|committer) [^\n]*(?:esaa\.invalid\b|git-esaa orchestrator)",
            re.MULTILINE,
        ),
    )


def may_speak_of_us(data: bytes) -> bool:
    """Answer whether a commit may claim something or bear our name, at next to no cost.

    It is never narrower than `claimed_ids` and `bears_our_name`.
    """
    # What is not plain may be a name in another spelling, and so may any text with an encoding.
    return b"esaa" in data.lower() or b"\nencoding " in data or bool(data.translate(None, _PLAIN))


def trailers_of(data: bytes) -> Mapping[str, Sequence[str]]:
    """Return our trailers in a commit: the values by name, in lower case.

    A value ends at the first white space.

    Args:
        data: the raw bytes of the commit, with or without its signature.
    """
    if not may_speak_of_us(data):
        return {}
    found: dict[str, list[str]] = {}
    for text in _texts(data):
        for name, value in _forms().trailer.findall(text):
            values = found.setdefault(name, [])
            if value not in values:
                values.append(value)
    return found


def claimed_ids(data: bytes) -> Mapping[str, Sequence[str]]:
    """Return what a commit claims: those of `trailers_of` that begin with a hexadecimal id.

    Seven digits or more, or four to six that are a word; or the id of an imported log.
    """
    found = {
        name: [value for value in values if _forms().id.match(value)]
        for name, values in trailers_of(data).items()
    }
    return {name: values for name, values in found.items() if values}


def bears_our_name(data: bytes) -> bool:
    """Answer whether author or committer of a commit is one under which we alone commit."""
    head = data.partition(b"\n\n")[0] + b"\n"
    if b"esaa" not in head.lower() and b"\nencoding " not in head:
        return False
    return any(
        _forms().our_name.search(text.partition("\n\n")[0]) is not None
        for text in (head.decode("utf-8", "replace").lower(), *map(_folded, _recoded(data)))
    )


def speaks_of_us(data: bytes) -> bool:
    """Answer whether somebody has to stand behind this commit: it claims, or bears our name."""
    return bool(claimed_ids(data)) or bears_our_name(data)


def _texts(data: bytes) -> Iterator[str]:
    """Yield every text that a reader may be shown of a commit, folded."""
    yield _folded(data.partition(b"\n\n")[2].decode("utf-8", "replace"))
    yield from map(_folded, _recoded(data))


def _recoded(data: bytes) -> Iterator[str]:
    """Yield a commit as git recodes it for the log: by its `encoding` header, headers and all."""
    for name in _forms().encoding.findall(data.partition(b"\n\n")[0]):
        encoding = name.decode("ascii", "replace").strip().lower()
        if encoding.replace("-", "_") in _UNUSABLE or encoding in ("utf-8", "utf8"):
            continue
        try:
            yield data.decode(encoding, "replace")
        except (LookupError, ValueError):  # git shows the bytes as they are
            continue


def _folded(text: str) -> str:
    """Return a text with what does not change how it reads taken away, in lower case."""
    if text.isascii() and not text.encode().translate(None, _PLAIN):
        return text.lower()
    return "\n".join(map(_folded_line, _forms().breaks.sub("\n", text).split("\n")))


def _folded_line(line: str) -> str:
    kept = _forms().unseen.sub("", line)
    head = kept.lstrip()[:_LINE_LENGTH]
    indent = " " if kept[:1].isspace() else ""
    if head.isascii():
        return indent + head.lower()
    plain = unicodedata.normalize("NFKC", head).translate(_forms().lookalikes)
    return indent + plain.casefold()
