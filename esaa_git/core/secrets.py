"""Finds secrets in text, in whatever notation it is written down, in time linear in its length.

A text is read in several views: as it stands without invisible characters, then with one level of
backslash escapes undone after another (a JSON string inside a JSON string has two), then with
percent signs undone. What a rule finds in a view is a span of the original. So a token after a line
break is seen as one, although JSON spells that line break with a letter, and a secret that was
escaped three times is cut out in its place.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Final

from esaa_git.core import secret_rules as rules
from esaa_git.core.secret_values import is_id, is_random, is_secret, is_told
from esaa_git.core.textviews import Span, views

REDACTED: Final = b"[redacted]"

LEAST_HANDED: Final = 6
"""A value that was handed to an agent is looked for from so many characters on."""

_TELLING_LENGTH: Final = 6
"""So many characters after its beginning tell what may be a token from other words."""

_BREAK: Final = r"(?:\r?\n[ \t>|#*]*)"


@cache
def _re2() -> Any:
    import re2  # 7 ms that a command without an agent need not pay

    return re2


@cache
def _options() -> Any:
    options = _re2().Options()
    options.encoding = options.Encoding.LATIN1
    options.log_errors = False
    return options


@cache
def _options_of_many() -> Any:
    options = _re2().Options()
    options.encoding = options.Encoding.LATIN1
    options.log_errors = False
    # So that the automaton of all patterns together fits in, and is not built again and again.
    options.max_mem = 32 << 20
    options.never_capture = True
    return options


@cache
def compiled(pattern: bytes) -> Any:
    """Return a pattern of RE2 over bytes.

    Raises:
        ValueError: saying what RE2 does not take.
    """
    re2 = _re2()
    try:
        return re2.compile(pattern, _options())
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise ValueError(said.decode() if isinstance(said, bytes) else str(said)) from error


def _stem(beginning: str) -> bytes:
    """Return the letters that a token's beginning has in any case, before its pattern branches."""
    found = re.match(r"[\w-]*", beginning)
    stem = "" if found is None else found[0]
    is_doubtful = beginning[len(stem) : len(stem) + 1] in ("?", "*", "{")
    return (stem[:-1] if is_doubtful else stem).encode()


_STEMS: Final = tuple(_stem(row[0]) for row in rules.TOKENS)


@cache
def _token(number: int) -> Any:
    beginning, alphabet, least, most = rules.TOKENS[number]
    # A line may have been broken within what is certain; never after it.
    body = f"(?:{alphabet}{_BREAK}?){{{least - 1}}}{alphabet}{{1,{min(most - least + 1, 900)}}}"
    return compiled(f"\\b({beginning}{body})".encode())


@cache
def _any_token() -> Any:
    """Return one pattern for how all tokens begin: most texts hold none, and are known by it."""
    begin = (
        f"(?:{beginning}(?:{alphabet}{_BREAK}?){{{min(least - 1, _TELLING_LENGTH)}}})"
        for beginning, alphabet, least, _ in rules.TOKENS
    )
    return _re2().compile(f"\\b(?:{'|'.join(begin)})".encode(), _options_of_many())


def _tokens(data: bytes) -> Iterator[Any]:
    """Yield the patterns of tokens that this text may hold: few, and the others cost nothing."""
    if _any_token().search(data):
        for number, stem in enumerate(_STEMS):
            if stem in data:
                yield _token(number)


@cache
def _shapes() -> tuple[Any, ...]:
    return tuple(compiled(pattern) for pattern in (*rules.SHAPES, *rules.KEY_BLOCKS))


@cache
def _options_of_tools() -> tuple[Any, ...]:
    return tuple(compiled(pattern) for pattern in rules.OPTIONS)


_VALUE: Final = (
    rb"""(?:[ \t]{0,4}\[[^\]\n]{0,40}\])?["'`]?[)\]]?[ \t]{0,8}"""
    rb"""(?:=>|:=|\?=|[:=>])[ \t]{0,8}(?:[|>][-+]?)?(?:\r?\n[ \t]{1,20})?"""
    rb"""(?:[a-zA-Z][\w.]{0,20}\()?"""
    rb"""(?:"([^"\n]{4,})"|'([^'\n]{4,})'|`([^`\n]{4,})`|([^\s"'`<>{}()\[\];|&\\]{6,}))"""
)


@cache
def _named() -> Any:
    return compiled(rules.NAMES + _VALUE)


@cache
def _serviced() -> Any:
    return compiled(rules.SERVICES + _VALUE)


@cache
def _any_shape() -> Any:
    """Return one pattern for all but tokens: what it does not find, none of the others does."""
    shapes = (*rules.SHAPES, *rules.KEY_BLOCKS, *rules.OPTIONS)
    named = (rules.NAMES + _VALUE, rules.SERVICES + _VALUE)
    every = b"|".join(b"(?:%s)" % one for one in (*shapes, *named))
    return _re2().compile(every, _options_of_many())


def find(data: bytes, handed: Iterable[bytes] = (), patterns: Iterable[bytes] = ()) -> list[Span]:
    """Return the spans of a text that are secrets, in order, none touching another.

    Args:
        data: the text, UTF-8 where it is text at all.
        handed: values that are secret whatever they look like.
        patterns: expressions of RE2 whose whole matches are secrets too.

    Raises:
        ValueError: if a pattern is none.
    """
    wanted, more = _spellings(handed), tuple(compiled(pattern) for pattern in patterns)
    spans: list[Span] = []
    for view in views(data):
        found = [*_values(view.data, wanted), *_matches(view.data, more), *_shaped(view.data)]
        spans.extend(view.original(start, end) for start, end in found if start < end)
    return _joined(spans)


def holds(data: bytes, handed: Iterable[bytes]) -> bool:
    """Answer whether one of these values stands in a text, in whatever notation."""
    return next(_standing(data, handed), None) is not None


def blotted(text: str, handed: Mapping[str, str]) -> str:
    """Return a text without the values of variables that are redacted (`told`)."""
    data = text.encode("utf-8", "surrogatepass")
    values = [value.encode("utf-8", "surrogateescape") for value in told(handed)]
    spans = _joined(_standing(data, values))
    return redact(data, spans).decode("utf-8", "surrogatepass") if spans else text


def _standing(data: bytes, handed: Iterable[bytes]) -> Iterator[Span]:
    wanted = _spellings(handed)
    for view in views(data) if wanted else ():
        for start, end in _values(view.data, wanted):
            yield view.original(start, end)


def redact(data: bytes, spans: Iterable[Span]) -> bytes:
    """Return the text with these spans replaced by `[redacted]`."""
    made, at = [], 0
    for start, end in spans:
        made += [data[at:start], REDACTED]
        at = end
    return b"".join([*made, data[at:]])


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _values(data: bytes, wanted: Iterable[bytes]) -> Iterator[Span]:
    for value in wanted:
        at = data.find(value)
        while at >= 0:
            yield at, at + len(value)
            at = data.find(value, at + len(value))


def _matches(data: bytes, patterns: Iterable[Any]) -> Iterator[Span]:
    for pattern in patterns:
        for match in pattern.finditer(data):
            yield match.span()


def _shaped(data: bytes) -> Iterator[Span]:
    yield from _groups(data, _tokens(data))
    if _any_shape().search(data):
        yield from _in_shape(data)
    yield from _encoded(data)


def _groups(data: bytes, patterns: Iterable[Any]) -> Iterator[Span]:
    for pattern in patterns:
        for match in pattern.finditer(data):
            yield match.span(1)


def _in_shape(data: bytes) -> Iterator[Span]:
    yield from _groups(data, _shapes())
    for pattern in _options_of_tools():
        for match in pattern.finditer(data):
            if is_told(match.group(1)):
                yield match.span(1)
    for match in _named().finditer(data):
        if span := _judged(data, match, is_service=False):
            yield span
    for match in _serviced().finditer(data):
        if span := _judged(data, match, is_service=True):
            yield span


def told(handed: Mapping[str, str]) -> list[str]:
    """Return the values, by their variables, that are redacted wherever they stand.

    A single word, a number or a path says nothing of its own, unless the variable's name says that
    its value is a secret.
    """
    return [
        value
        for name, value in handed.items()
        if len(value) >= LEAST_HANDED
        and (_names_a_secret(name) or not _ORDINARY.fullmatch(value.encode("utf-8", "replace")))
    ]


def keys(handed: Mapping[str, str]) -> list[str]:
    """Return the values that may stand in no file either: by name, or drawn by lot."""
    return [
        value
        for name, value in handed.items()
        if len(value) >= LEAST_HANDED
        and (_names_a_secret(name) or is_random(value.encode("utf-8", "replace"), 12))
    ]


def _names_a_secret(name: str) -> bool:
    return _TELLING.search(name.encode("utf-8", "replace")) is not None


_TELLING: Final = re.compile(
    rb"(?i)(?:passw|passphrase|pwd|secret|token|credential|creds|(?:^|_)(?:pass|pw|auth|pat|key)s?$"
    rb"|key(?:_?id)?$|_key_|apikey|dsn$|(?:database|db|redis|mongo|amqp|broker)_?ur[il]$)"
)
_ORDINARY: Final = re.compile(
    rb"[A-Za-z]+|[0-9.,:+-]+|[~.]?/[^\s]*|https?://[^@\s]*|[A-Za-z]:\\.*"
    rb"|[a-z]{2}_[A-Z]{2}(?:\.[\w-]+)?|[a-z]{2,}(?:-[a-z]+)+-\d"
)


def _spellings(handed: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return the values, each line of them too, as text, and in base64, base32 and digits.

    As text, that is in UTF-8 and in UTF-16.
    """
    found: set[bytes] = set()
    lines = {line.strip() for value in handed for line in (value, *value.split(b"\n"))}
    for line in (line for line in lines if len(line) >= LEAST_HANDED):
        text = line.decode("utf-8", "replace")
        for value in (line, text.encode("utf-16-le"), text.encode("utf-16-be")):
            found |= {value, binascii.hexlify(value), binascii.hexlify(value).upper()}
            found.add(base64.b32encode(value).rstrip(b"=")[: len(value) * 8 // 5])
            for skipped in range(3):
                # What is before and after shares characters with it; those between are its own.
                coded = base64.b64encode(bytes(skipped) + value)
                last = len(coded) - 4 if coded.endswith(b"=") else len(coded)
                own = coded[(0, 2, 3)[skipped] : last]
                if len(own) >= 2 * LEAST_HANDED:
                    found |= {own, own.translate(_URL_SAFE)}
    return tuple(sorted(found, key=lambda one: (-len(one), one)))


_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

_RUN: Final = re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")
_TEXT: Final = re.compile(rb"[\t\n\r\x20-\x7e]+")


def _encoded(data: bytes) -> Iterator[Span]:
    """Yield what is base64 of a text with a secret in it."""
    for match in _RUN.finditer(data):
        run = match[0].rstrip(b"=")
        try:
            decoded = base64.b64decode(run + b"=" * (-len(run) % 4), validate=True)
        except (binascii.Error, ValueError):
            continue
        if _TEXT.fullmatch(decoded) and any(
            pattern.search(decoded) for pattern in (*_tokens(decoded), *_shapes())
        ):
            yield match.span()


def _judged(data: bytes, match: Any, *, is_service: bool) -> Span | None:
    group = next(number for number in (2, 3, 4, 5) if match.group(number) is not None)
    value: bytes = match.group(group)
    start, end = match.span(group)
    is_quoted = group != 5
    if not is_quoted:
        value = value.rstrip(b".,:")
        end = start + len(value)
    if is_service:
        return (start, end) if is_id(value) else None
    name = _NAME_BEFORE.search(data[max(0, match.start() - 60) : match.end(1)])
    whole = name[0] if name else match.group(1)
    after = data[match.end(1) : match.start(group)]
    is_argument = after.endswith(b"(")
    if is_argument and not is_quoted:
        return None  # what a call is given stands elsewhere
    before = data[data.rfind(b"\n", 0, match.start()) + 1 : match.end(1) - len(whole)]
    is_line = not before.strip(b" \t-") and data[end : end + 1] in b"\r\n"
    if b"\n" in after and before.strip(b" \t-\"'"):
        return None
    is_tight = not is_quoted and (after == b"=" or (is_line and after.strip() == b":"))
    if is_argument and not is_random(value, 7):
        return None
    return (start, end) if is_secret(whole, value, is_quoted, is_tight) else None


_NAME_BEFORE: Final = re.compile(rb"[A-Za-z0-9_.-]*\Z")
