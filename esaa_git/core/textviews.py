"""One text in several notations: as it stands, with escapes undone, with percent signs undone.

What is found in a view is a span of the original, so it can be cut out in its place.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final

_LEVELS: Final = 4
"""How often backslash escapes are undone: a JSON string inside of three others has four levels."""

Span = tuple[int, int]


class View:
    """A text with parts of it replaced, which knows where each byte stood in the original."""

    def __init__(self, data: bytes, pieces: list[tuple[int, int, int, int]] | None = None) -> None:
        """Take the bytes, and pieces as (start here, end here, start there, end there)."""
        self.data = data
        self.pieces = pieces or [(0, len(data), 0, len(data))]
        self._starts = [piece[0] for piece in self.pieces]

    def original(self, start: int, end: int) -> Span:
        """Return which span of the original text these bytes are made of."""
        here, last, there, until = self.pieces[bisect_right(self._starts, start) - 1]
        first = there + (start - here) if last - here == until - there else there
        here, last, there, until = self.pieces[bisect_right(self._starts, end - 1) - 1]
        return first, there + (end - here) if last - here == until - there else until

    def replaced(self, pattern: re.Pattern[bytes], by: Any) -> View | None:
        """Return a view with each match replaced by `by(match)`; None where there is none."""
        made, pieces, at, size = [], [], 0, 0
        for match in pattern.finditer(self.data):
            start, end = match.span()
            if start > at:
                for here, last, there, until in self._cut(at, start):
                    pieces.append((size + here - at, size + last - at, there, until))
                made.append(self.data[at:start])
                size += start - at
            new = by(match)
            if new:
                pieces.append((size, size + len(new), *self.original(start, end)))
                made.append(new)
                size += len(new)
            at = end
        if at == 0:
            return None
        for here, last, there, until in self._cut(at, len(self.data)):
            pieces.append((size + here - at, size + last - at, there, until))
        made.append(self.data[at:])
        data = b"".join(made)
        return View(data, pieces) if data else None

    def _cut(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        if start >= end:
            return
        for index in range(bisect_right(self._starts, start) - 1, len(self.pieces)):
            here, last, there, until = self.pieces[index]
            if here >= end:
                return
            if last - here != until - there:
                yield max(here, start), min(last, end), there, until
                continue
            first, final = max(here, start), min(last, end)
            yield first, final, there + first - here, there + final - here


_ESCAPE: Final = re.compile(rb'\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([nrtbf"\'\\/]))')
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b" ", b"f": b" "}
_PERCENT: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_ENTITY: Final = re.compile(rb"&(quot|amp|lt|gt|apos|#34|#39|#x27|#x2F);")
_ENTITIES: Final = {
    b"quot": b'"', b"amp": b"&", b"lt": b"<", b"gt": b">", b"apos": b"'",
    b"#34": b'"', b"#39": b"'", b"#x27": b"'", b"#x2F": b"/",
}  # fmt: skip
# Soft hyphen, zero-width and joining marks, marks of direction, variation selectors, tags.
_INVISIBLE: Final = re.compile(
    rb"\xc2\xad|\xcd\x8f|\xd8\x9c|\xe1\x85[\x9f\xa0]|\xe1\xa0[\x8b-\x8f]|\xe2\x80[\x8b-\x8f\xaa-\xae]"
    rb"|\xe2\x81[\xa0-\xaf]|\xe3\x85\xa4|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xef\xbe\xa0|\xf3\xa0[\x80-\x87]."
    rb"|\xf0\x9b\xb2[\xa0-\xa3]|\xf0\x9d\x85[\xb3-\xba]|\xf0\x93\x90[\xb0-\xbf]|\xf0\x93\x91[\x80-\x95]"
    rb"|\x1b\[[0-9;?]{0,20}[A-Za-z]"
)
_WIDE: Final = re.compile(rb"\xef\xbc[\x81-\xbf]|\xef\xbd[\x80-\x9e]")
"""Letters, digits and signs of ASCII in full width."""


def _unescape(match: re.Match[bytes]) -> bytes:
    code = match[1] or match[2]
    if code is not None:
        return chr(int(code, 16)).encode("utf-8", "surrogatepass")
    return _PLAIN.get(match[3], match[3])


def _plainer(view: View) -> View:
    view = view.replaced(_INVISIBLE, lambda _: b"") or view
    return view.replaced(_WIDE, lambda match: bytes([ord(match[0].decode()) - 0xFEE0])) or view


def views(data: bytes) -> Iterator[View]:
    plain = View(data)
    view = _plainer(plain)
    yield view
    for _ in range(_LEVELS):
        peeled = view.replaced(_ESCAPE, _unescape)
        if peeled is None:
            break
        view = _plainer(peeled)
        yield view
    for pattern, by in (
        (_PERCENT, lambda match: bytes([int(match[1], 16)])),
        (_ENTITY, lambda match: _ENTITIES[match[1]]),
    ):
        peeled = view.replaced(pattern, by)
        if peeled is not None:
            yield peeled
