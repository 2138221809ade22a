"""Canonical JSON: one byte sequence for one value, and nothing else is taken for it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from esaa_git.core.canonical import NotCanonical, decode, digest, encode

VALUES: list[tuple[Any, bytes]] = [
    (None, b"null\n"),
    (True, b"true\n"),
    (0, b"0\n"),
    (-7, b"-7\n"),
    (2**53 - 1, b"9007199254740991\n"),
    ("", b'""\n'),
    ([], b"[]\n"),
    ({}, b"{}\n"),
    ({"b": 1, "a": [1, {"d": 2, "c": 3}]}, b'{"a":[1,{"c":3,"d":2}],"b":1}\n'),
    ({"Z": 1, "a": 2, "é": 3, "\U0001f327": 4}, '{"Z":1,"a":2,"é":3,"🌧":4}\n'.encode()),
    ('a/b\\c"d', b'"a/b\\\\c\\"d"\n'),
    ("\x00\x1f\n\t\x7f", b'"\\u0000\\u001f\\n\\t\x7f"\n'),
    ("one\u2028line", '"one\u2028line"\n'.encode()),
]


@pytest.mark.parametrize(("value", "data"), VALUES)
def test_a_value_has_one_form_and_comes_back_from_it(value: Any, data: bytes) -> None:
    assert encode(value) == data
    assert decode(data) == value


def test_keys_are_sorted_by_code_point_and_not_by_utf16() -> None:
    # In UTF-16 the second would come first.
    assert encode({"\U00010000": 1, "\uff00": 2}) == '{"\uff00":2,"\U00010000":1}\n'.encode()


def test_the_order_of_insertion_leaves_no_trace() -> None:
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{}", id="no final LF"),
        pytest.param(b"{}\n\n", id="two final LF"),
        pytest.param(b"{}\r\n", id="CRLF"),
        pytest.param(b" {}\n", id="leading space"),
        pytest.param(b'{"a": 1}\n', id="a space"),
        pytest.param(b'{"b":1,"a":2}\n', id="unsorted keys"),
        pytest.param(b'{"a":1,"a":1}\n', id="duplicate key"),
        pytest.param(b"1.0\n", id="float"),
        pytest.param(b"1e3\n", id="exponent"),
        pytest.param(b"-0\n", id="negative zero"),
        pytest.param(b"NaN\n", id="NaN"),
        pytest.param(b"Infinity\n", id="Infinity"),
        pytest.param(b"-Infinity\n", id="-Infinity"),
        pytest.param(b'"\\u0041"\n', id="escaped letter"),
        pytest.param(b'"\\u00e9"\n', id="escaped printable letter"),
        pytest.param(b'"\\u001F"\n', id="escape in capitals"),
        pytest.param(b'"\\/"\n', id="escaped slash"),
        pytest.param(b'"\\ud800"\n', id="lone surrogate"),
        pytest.param(b'"\\udc00\\ud800"\n', id="surrogates the wrong way round"),
        pytest.param(b'"\\ud83c\\udf27"\n', id="escaped pair"),
        pytest.param(b'"\xed\xa0\x80"\n', id="surrogate in UTF-8"),
        pytest.param(b'"\xff"\n', id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}\n", id="byte order mark"),
        pytest.param(b"{}\n{}\n", id="two values"),
        pytest.param(b"9" * 5000 + b"\n", id="more digits than Python reads"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000 + b"\n", id="deeper than Python reads"),
    ],
)
def test_any_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(data)


def test_whatever_the_depth_there_is_a_value_or_the_one_error() -> None:
    outcomes = set()
    # Where an interpreter gives up is its own: about 1,000 in Python 3.11, and more in later ones.
    for depth in (*range(850, 1050), *(2**power for power in range(7, 18))):
        try:
            decode(b"[" * depth + b"]" * depth + b"\n")
        except NotCanonical:
            outcomes.add("refused")
        else:
            outcomes.add("taken")
    assert outcomes == {"taken", "refused"}


@pytest.mark.parametrize("value", ["\ud800", {"\udfff": 1}, {1: 1, "a": 2}, {1, 2}, object()])
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonical):
        encode(value)


def test_a_value_without_an_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(NotCanonical):
        encode(endless)


def test_a_float_cannot_come_back() -> None:
    with pytest.raises(NotCanonical):
        decode(encode({"price": 1.5}))


def test_the_digest_is_sha256_in_lower_case() -> None:
    assert digest(b"abc") == sha256(b"abc").hexdigest()
    assert digest(b"").startswith("e3b0c442")
