"""Canonical JSON: one byte sequence for one value (docs/FORMAT.md, "Canonical JSON").

UTF-8 without escapes for printable text, keys sorted by code point, separators `,` and `:`,
no floats, no lone surrogates, a final LF. `encode` and `decode` are inverse to each other on
exactly these bytes; anything else `decode` refuses with `NotCanonical`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, NoReturn

from esaa_git.core.limits import JSON_DEPTH

MAX_INTEGER = 2**53 - 1
"""Integers beyond it lose digits in other languages' JSON readers, so no schema admits them."""


_ROUND = bytes.maketrans(b"[]{}", b"()()")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class NotCanonical(ValueError):
    """The bytes are not the canonical JSON of any value."""


_encoder = json.JSONEncoder(
    ensure_ascii=False,
    sort_keys=True,
    separators=(",", ":"),
    allow_nan=False,
    check_circular=False,
)


def _refuse_float(text: str) -> NoReturn:
    raise NotCanonical(f"'{text[:40]}' is not an integer")


_decoder = json.JSONDecoder(parse_float=_refuse_float, parse_constant=_refuse_float)


def encode(value: Any) -> bytes:
    """Return the canonical JSON of a value made of dicts, lists, strings, integers, booleans, null.

    Raises:
        NotCanonical: for a lone surrogate, or a value that nests too deeply. A float is caught
            when the bytes are decoded, which every event is before it is stored.
    """
    try:
        return _encoder.encode(value).encode() + b"\n"
    except (ValueError, TypeError, RecursionError) as error:
        raise NotCanonical(str(error)) from error


def decode(data: bytes) -> Any:
    """Return the value of canonical JSON bytes.

    Raises:
        NotCanonical: if the bytes are not exactly what `encode` writes for that value, which
            covers duplicate keys, other spacing, floats, lone surrogates and a missing LF; or if
            they nest more than `JSON_DEPTH` lists and objects.
    """
    if nests_deeper(data, JSON_DEPTH):
        raise NotCanonical(f"nested deeper than {JSON_DEPTH} levels")
    try:
        value = _decoder.decode(data.decode())
    except NotCanonical:
        raise
    except ValueError as error:
        raise NotCanonical(str(error)) from error
    if encode(value) != data:
        raise NotCanonical("the same value has another canonical form")
    return value


def nests_deeper(data: bytes, limit: int) -> bool:
    """Answer whether lists and objects nest deeper than this, before the JSON is parsed.

    Exact for JSON; of other bytes it may say either. Only operations on the whole: megabytes are
    looked at in milliseconds, whatever they hold.
    """
    if data.count(b"[") + data.count(b"{") <= limit:
        return False
    # What stands between two quotes is no bracket, once the escapes are gone.
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in data else data
    brackets = b"".join(plain.split(b'"')[::2]).translate(_ROUND, _NO_BRACKETS)
    for level in range(limit):
        pairs = len(brackets)
        brackets = brackets.replace(b"()", b"")  # the innermost level
        if len(brackets) in (0, pairs):
            return level + brackets.count(b"(") > limit
    return bool(brackets)


def digest(data: bytes) -> str:
    """Return the SHA-256 of the bytes as 64 lower-case hexadecimal digits."""
    return sha256(data).hexdigest()
