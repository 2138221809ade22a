"""What is kept of an exchange: redaction before the cap, digests of the whole."""

from __future__ import annotations

from typing import Any

import pytest

from esaa_git.core.canonical import digest
from esaa_git.core.contracts import StoragePolicy
from esaa_git.core.storage import (
    PREVIEW_CHARACTERS,
    kept,
    part,
    preview,
    redact,
    redact_value,
)
from esaa_git.testing.contracts import contracts

SECRET = "tok_" + 12 * "x"


def policy(max_bytes: int = 1000, *patterns: str) -> StoragePolicy:
    return StoragePolicy("full", "full", max_bytes, patterns or ("tok_x{12}",))


def test_every_match_of_every_pattern_is_blotted_out() -> None:
    rules = policy(1000, "a+", r"\d{3}")
    assert redact("aa b 123 c 45 a", rules) == "[redacted] b [redacted] c 45 [redacted]"


def test_without_patterns_nothing_is() -> None:
    assert redact(SECRET, StoragePolicy("full", "full", 10, ())) == SECRET


# ---------------------------------------------------------------------------------------- exchanges


def test_a_secret_is_blotted_out_before_the_rest_is_cut_off() -> None:
    """Cut first, and the beginning of the secret would stay, in a shape that no pattern knows."""
    data = f"before {SECRET} after".encode()
    for size in range(len(data) + 10):
        stored = kept(data, "full", policy(size))
        assert stored is not None
        assert stored == b"before [redacted] after"[:size]


def test_bytes_that_are_not_text_stay_as_they_are() -> None:
    data = b"\xff\x00 " + SECRET.encode() + b" \xed\xa0\x80"
    assert kept(data, "full", policy()) == b"\xff\x00 [redacted] \xed\xa0\x80"


@pytest.mark.parametrize("how", ["digest", "none"])
def test_nothing_is_stored_where_the_policy_keeps_no_text(how: str) -> None:
    assert kept(b"said", how, policy()) is None


def test_an_event_names_salted_digest_and_size_of_the_whole() -> None:
    data, salt = 50 * b"said ", bytes(32)
    whole = {"sha256": digest(salt + data), "bytes": 250}
    assert part(data, "full", salt) == whole == part(data, "digest", salt)
    assert part(data, "none", salt) is None


# -------------------------------------------------------------------------------- values in events


def test_strings_are_redacted_wherever_they_stand() -> None:
    value: Any = {"a": SECRET, "b": [f"x {SECRET}", 7, True, None, {"c": SECRET}]}
    assert redact_value(value, policy()) == {
        "a": "[redacted]",
        "b": ["x [redacted]", 7, True, None, {"c": "[redacted]"}],
    }


def test_a_tuple_comes_out_as_a_list() -> None:
    assert redact_value(("a", SECRET), policy()) == ["a", "[redacted]"]


def test_the_schema_s_own_words_stay() -> None:
    assert redact_value({"summary": "summary"}, policy(10, "summary")) == {"summary": "[redact"}


@pytest.mark.parametrize("text", ["://a:b@" * 30, "x" * 200, "a short one ://a:b@"])
def test_no_string_outgrows_the_bound_that_it_met(text: str) -> None:
    for rules in (contracts().storage, policy(10, "x")):
        assert len(redact_value(text, rules)) <= len(text)


# ----------------------------------------------------------------------------------------- previews


def test_a_preview_is_the_beginning_in_printable_text() -> None:
    assert preview(b"plain\ntext", policy()) == "plain\ntext"
    shown = preview(b"\x1b[31m\xff\t\r\xe2\x80\xa8\xe2\x80\xaeend", policy())
    assert shown == "\ufffd[31m\ufffd\ufffd\ufffd\ufffd\ufffdend"
    assert preview(b"x" * 5000, policy()) == "x" * PREVIEW_CHARACTERS


@pytest.mark.parametrize("shift", range(20))
def test_a_preview_never_shows_a_part_of_a_secret(shift: int) -> None:
    """Whatever comes before is blotted out to nearly nothing, so the cut falls anywhere."""
    rules = policy(1000, "b{1000,}", "tok_x{12}")
    data = b"b" * (8 * PREVIEW_CHARACTERS - shift) + SECRET.encode() + b" end"
    assert preview(data, rules) == "[redacted] end"
