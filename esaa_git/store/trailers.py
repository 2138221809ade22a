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
from functools import cache, lru_cache
from typing import NamedTuple

_PLAIN = bytes({*range(0x20, 0x7F), *b"\t\n"})
_ENCODING = b"\nencoding "
_UNUSABLE = frozenset(
    {
        *("utf_8", "utf8"),
        *("idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"),
    }
)
"""UTF-8, which is read anyhow, and encodings of Python's that no other program knows."""


_ENCODING_LENGTH = 40
"""Characters that the name of an encoding has at most; Python knows none that is longer."""


class _Forms(NamedTuple):
    """What a text is searched for. Compiled where it is needed: most pushes never need it."""

    breaks: re.Pattern[str]
    unseen: re.Pattern[str]
    letters: re.Pattern[str]
    unassigned: re.Pattern[str]
    spelled: re.Pattern[str]
    folding: _Folding
    trailer: re.Pattern[str]
    id: re.Pattern[str]
    our_name: re.Pattern[str]


@cache
def _forms() -> _Forms:
    from esaa_git.store.lookalikes import UNSEEN

    return _Forms(
        re.compile("[\r\v\f\0\x1c-\x1e\x85\u2028\u2029]"),
        # What a reader does not see, and what moves a terminal's cursor.
        re.compile(f"\x1b\\[[0-9;?]*[@-~]|[\x01-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f{UNSEEN}]"),
        # What no name of ours is spelled with, by the thousand: nobody has to look each up.
        re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\U00020000-\U0003ffff]+"),
        re.compile("[\ue000-\uf8ff\U00040000-\U000dffff\U000e1000-\U0010ffff]+"),
        re.compile("[^\0-\x7f]+"),
        _Folding(),
        re.compile(
            r"^[^\S\n]*(esaa-(?:event-sha256|prev-sha256|event|attempt|log|run|seq|task))"
            # git takes white space before a separator; `trailer.separators` may name any.
            r"[^\S\n]*[^\w\s-]{1,8}"
            # A value is folded by white space at the beginning of the next line.
            # It may be a trailer as well, so nothing of it is used up.
            r"(?=(?:[^\S\n]|\n(?=[^\S\n]))*"
            # What opens it may stand alone, or before it.
            r"(?:[^\w\s]+[^\S\n]+)*"
            r"((?:[^\w\s]|_)*\S{0,200}))",
            re.MULTILINE,
        ),
        re.compile(r"(?:[^\w\s]|_)*(?:[0-9a-f]{7}|[0-9a-f]{4,6}(?!\w)|imported-[0-9])"),
        re.compile(
            r"^(?:author|committer) (?:[^\n]|\n )*?"
            r"(?:esaa\.[il]nva[il][il]d\b|g[il]t-esaa[^\S\n]+orchestrator)",
            re.MULTILINE,
        ),
    )


class _Folding(dict[int, str]):
    """By code point, what it reads like: in NFKC, as what it looks like, in lower case.

    Character by character, since NFKC of a whole text takes ever longer for marks in a row.
    """

    def __init__(self) -> None:
        from esaa_git.store.lookalikes import LOOKALIKES

        self._like = {one: plain for plain, ones in LOOKALIKES.items() for one in ones}

    def __missing__(self, code: int) -> str:
        like = self._like.get
        one = chr(code)
        plain = like(one) or "".join(
            like(part) or like(part.casefold()) or part.casefold()
            for part in unicodedata.normalize("NFKC", one)
        )
        self[code] = plain
        return plain


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
    found: dict[str, dict[str, None]] = {}
    for text in _texts(data):
        for name, value in _forms().trailer.findall(text):
            found.setdefault(name, {})[value] = None
    return {name: list(values) for name, values in found.items()}


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
    head = data.partition(b"\n\n")[0]
    if not may_speak_of_us(head):
        return False
    raw = _folded(head.decode("utf-8", "replace"))
    return any(map(_names_us, (raw, *_recoded(data))))


def speaks_of_us(data: bytes) -> bool:
    """Answer whether somebody has to stand behind this commit: it claims, or bears our name."""
    return bool(claimed_ids(data)) or bears_our_name(data)


def _names_us(text: str) -> bool:
    return _forms().our_name.search(text.partition("\n\n")[0]) is not None


def _texts(data: bytes) -> Iterator[str]:
    """Yield every text that a reader may be shown of a commit, folded."""
    yield _folded(data.partition(b"\n\n")[2].decode("utf-8", "replace"))
    yield from _recoded(data)


@lru_cache(maxsize=1)
def _recoded(data: bytes) -> Sequence[str]:
    """Return a commit as it is recoded for the log: by its `encoding` header, headers and all.

    Where it has several, git goes by the first and libgit2 by the last; no third is looked at.
    """
    head = b"\n%b\n" % data.partition(b"\n\n")[0]
    texts = []
    first, last = head.find(_ENCODING), head.rfind(_ENCODING)
    for start in sorted({first, last} - {-1}):
        begin = start + len(_ENCODING)
        name = head[begin : head.index(b"\n", begin)].split(b"//")[0]  # `//TRANSLIT`
        encoding = name.decode("ascii", "replace").strip().lower()
        if len(encoding) > _ENCODING_LENGTH or encoding.replace("-", "_") in _UNUSABLE:
            continue
        try:
            texts.append(_folded(data.decode(encoding, "replace")))
        except (LookupError, ValueError):  # git shows the bytes as they are
            continue
    return texts


def _folded(text: str) -> str:
    """Return a text with what does not change how it reads taken away, in lower case.

    In time linear in its length, whatever is in it.
    """
    if text.isascii() and not text.encode().translate(None, _PLAIN):
        return text.lower()
    forms = _forms()
    # What some end a line with, and git does not, is white space to git.
    kept = forms.breaks.sub("\n ", text.replace("\r\n", "\n"))
    kept = forms.unseen.sub("", kept)
    if not kept.isascii():
        kept = forms.unassigned.sub("\ufffd", forms.letters.sub("\u4e00", kept))
        kept = forms.spelled.sub(lambda found: found[0].translate(forms.folding), kept)
    return kept.lower()
