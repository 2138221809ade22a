"""Canonical JSON: one byte sequence for one value, and nothing else is taken for it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.core.canonical import NotCanonical, decode, digest, encode, nests_deeper
from esaa_git.core.limits import JSON_DEPTH

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


@pytest.mark.parametrize(
    ("opening", "closing"),
    [
        (b"[", b"]"),
        (b'{"a":', b"}"),
        (b'{"[":[', b"]}"),
        (b'["\\"{[",[', b"]]"),
        (b'["\\\\",', b"]"),
    ],
)
def test_how_deep_a_value_may_nest_is_ours_to_say(opening: bytes, closing: bytes) -> None:
    each = len(closing)
    most = JSON_DEPTH // each
    innermost = b"1" if opening.endswith(b":") else b'"]"'
    assert decode(opening * most + innermost + closing * most + b"\n")
    for depth in (most + 1, 500, 20_000):
        with pytest.raises(NotCanonical, match=f"deeper than {JSON_DEPTH}"):
            decode(opening * depth + innermost + closing * depth + b"\n")


@pytest.mark.parametrize("text", ["[" * 999, '"[{' * 99, "\\[" * 99, '\\"[' * 99])
def test_brackets_in_a_text_are_no_depth(text: str) -> None:
    assert decode(encode({"text": text, "list": [text]})) == {"text": text, "list": [text]}


def depth_of(value: Any) -> int:
    below = value.values() if isinstance(value, dict) else value
    is_nested = isinstance(value, dict | list)
    return 1 + max(map(depth_of, below), default=0) if is_nested else 0


@given(
    st.recursive(
        st.text('[]{}"\\a', max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text('[]{}"\\', max_size=3), inner, max_size=3)
        ),
        max_leaves=20,
    ),
    st.integers(1, 6),
)
def test_depth_is_told_exactly_without_parsing(value: Any, limit: int) -> None:
    assert nests_deeper(encode(value), limit) == (depth_of(value) > limit)


@pytest.mark.parametrize("data", [b"[" * 10**6, b'"' + b"[" * 10**6, b'"\\' * 10**6, b"[]" * 10**6])
def test_megabytes_that_are_no_json_are_refused(data: bytes) -> None:
    with pytest.raises(NotCanonical):
        decode(data)


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
