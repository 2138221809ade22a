"""Exact edits: what applies, what is refused and what the refusal tells the agent."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from esaa_git.core.edits import MAX_EDITS, MAX_RESULT, Edit, apply_edits
from esaa_git.core.rejection import RejectCode, Rejected

ANY_TEXT = st.text(st.characters(exclude_categories=()))
TEXT = st.text("ab\n\r\u2028 ", max_size=30)


def refusal(text: str, *edits: Edit) -> Rejected:
    outcome = apply_edits(text, edits)
    assert isinstance(outcome, Rejected)
    return outcome


def detail(text: str, *edits: Edit) -> dict[str, Any]:
    return dict(refusal(text, *edits).detail)


def strings_in(value: object) -> str:
    if isinstance(value, dict):
        return "".join(map(strings_in, value.values()))
    return value if isinstance(value, str) else ""


@pytest.mark.parametrize(
    ("text", "edits", "expected"),
    [
        pytest.param("a\n", [], "a\n", id="no-edit"),
        pytest.param("one two", [Edit("two", "2")], "one 2", id="one"),
        pytest.param("abc", [Edit("abc", "")], "", id="everything"),
        pytest.param("abc", [Edit("b", "b")], "abc", id="nothing-changes"),
        pytest.param("a\nb\n", [Edit("a\nb", "c")], "c\n", id="over-lines"),
        pytest.param("abc", [Edit("a", "b"), Edit("bb", "x")], "xc", id="in-order"),
        pytest.param("abab", [Edit("ab", "x", all=True)], "xx", id="all"),
        pytest.param("aaa", [Edit("aa", "b", all=True)], "ba", id="all-from-the-left"),
        pytest.param("ab", [Edit("b", "bb", all=True)], "abb", id="all-of-one"),
        pytest.param("a\r\nb\r\n", [Edit("a\r\n", "x\r\n")], "x\r\nb\r\n", id="crlf"),
        pytest.param("a\u2028b", [Edit("\u2028", "\n")], "a\nb", id="line-separator"),
        pytest.param("a.b", [Edit(".", r"\1")], r"a\1b", id="nothing-is-a-pattern"),
    ],
)
def test_edits_that_fit_are_made(text: str, edits: list[Edit], expected: str) -> None:
    assert apply_edits(text, edits) == expected


def test_an_old_text_that_is_missing_is_refused_with_the_closest_line() -> None:
    text = "import os\n\ndef total(items):\n    return sum(items)\n"
    outcome = refusal(text, Edit("os", "re"), Edit("def total(item):", "def total(xs):"))
    assert outcome.code is RejectCode.EDIT_NOT_FOUND
    assert outcome.detail == {
        "index": 1,
        "old": "def total(item):",
        "reason": "no-such-text",
        "closest": {"line": 3, "text": "def total(items):"},
    }
    assert "edit 1" in outcome.message
    assert "line is 3" in outcome.message


def test_the_closest_line_is_found_by_the_longest_line_of_the_old_text() -> None:
    text = "}\n" * 5 + "    return compute(a, b)\n" + "}\n" * 5
    edit = Edit("}\n  return compute(a,  b)\n}\n", "")
    assert detail(text, edit)["closest"] == {"line": 6, "text": "    return compute(a, b)"}


def test_of_equally_close_lines_the_first_is_named() -> None:
    assert detail("abcx\nabcy\n", Edit("abcz", ""))["closest"]["line"] == 1


def test_no_line_is_named_where_none_resembles() -> None:
    assert "closest" not in detail("xyz\n\n", Edit("abc", ""))
    assert "closest" not in detail("", Edit("abc", ""))


def test_wrong_line_endings_are_named() -> None:
    crlf = refusal("a\r\nb\r\n", Edit("a\nb\n", ""))
    assert crlf.detail["reason"] == "line-endings"
    assert "end with CRLF" in crlf.message
    lf = refusal("a\nb\n", Edit("a\r\nb\r\n", ""))
    assert lf.detail["reason"] == "line-endings"
    assert "end with LF" in lf.message


def test_a_text_that_an_earlier_edit_took_away_is_named() -> None:
    found = detail("abc\n", Edit("abc", "xyz"), Edit("abc", "uvw"))
    assert found["index"] == 1
    assert found["reason"] == "changed-by-earlier-edit"


def test_an_edit_for_all_places_needs_one() -> None:
    assert refusal("abc", Edit("x", "y", all=True)).code is RejectCode.EDIT_NOT_FOUND


def test_an_old_text_in_several_places_is_refused_with_their_lines() -> None:
    outcome = refusal("x\na\nb a\n\na a", Edit("a", "c"))
    assert outcome.code is RejectCode.EDIT_AMBIGUOUS
    assert outcome.detail == {"index": 0, "lines": [2, 3, 5, 5]}
    assert "lines 2, 3, 5, 5;" in outcome.message


def test_places_that_overlap_count_as_two() -> None:
    assert detail("aaa", Edit("aa", "b")) == {"index": 0, "lines": [1, 1]}


def test_of_many_places_ten_are_named() -> None:
    outcome = refusal("a\n" * 5000, Edit("a", "b"))
    assert outcome.detail["lines"] == list(range(1, 11))
    assert "and more" in outcome.message


def test_an_empty_old_text_is_refused() -> None:
    for every in (False, True):
        outcome = refusal("abc", Edit("", "x", all=every))
        assert outcome.code is RejectCode.INVALID_VALUE
        assert outcome.detail == {"index": 0, "reason": "empty-old"}


def test_nothing_is_applied_when_a_later_edit_is_refused() -> None:
    assert detail("abc", Edit("a", "x"), Edit("nowhere", "y"))["index"] == 1


def test_replacements_cannot_fill_the_memory() -> None:
    grow = Edit("a", "a" * 2000, all=True)
    outcome = refusal("a", *[grow] * 50)
    assert outcome.code is RejectCode.FILE_TOO_LARGE
    assert outcome.detail == {"index": 2, "size": 2000**3, "limit": MAX_RESULT}


def test_a_result_may_be_as_large_as_the_limit() -> None:
    assert apply_edits("a", [Edit("a", "b" * MAX_RESULT)]) == "b" * MAX_RESULT


def test_there_is_a_limit_to_the_number_of_edits() -> None:
    edits = [Edit("a", "a")] * MAX_EDITS
    assert apply_edits("a", edits) == "a"
    assert refusal("a", *edits, Edit("a", "a")).code is RejectCode.PATCH_TOO_LARGE


@pytest.mark.parametrize(
    ("text", "old"),
    [
        pytest.param("a" * 2**20, "a" * 2**19 + "b", id="one-long-line"),
        pytest.param("a\n" * 2**19, "a\n" * 2**18 + "b", id="many-short-lines"),
        pytest.param("ab" * 2**19, "ba" * 2**17 + "c", id="periodic"),
        pytest.param("\n" * 2**20, "x" * 2**20, id="empty-lines"),
        pytest.param(("x" * 79 + "y\n") * 13_000, ("x" * 79 + "z\n") * 13_000, id="alike-lines"),
        pytest.param("\x00\ud800" * 2**19, '"\\' * 2**19, id="all-escaped"),
    ],
)
def test_a_hostile_edit_of_a_large_file_is_refused_in_a_few_words(text: str, old: str) -> None:
    # Comparing every line with every other would not come back.
    outcome = refusal(text, Edit(old, ""))
    assert outcome.code is RejectCode.EDIT_NOT_FOUND
    assert len(strings_in(dict(outcome.detail))) <= 400
    assert len(outcome.message) <= 400


@given(TEXT, TEXT, TEXT)
def test_an_edit_of_what_occurs_once_puts_the_new_text_in_its_place(
    before: str, old: str, after: str
) -> None:
    text = f"{before}<{old}>{after}"
    assert apply_edits(text, [Edit(f"<{old}>", "new")]) == f"{before}new{after}"


@given(TEXT, st.text("ab\n", min_size=1, max_size=3), TEXT)
def test_an_edit_applies_if_and_only_if_its_text_occurs_once(text: str, old: str, new: str) -> None:
    places = [at for at in range(len(text)) if text.startswith(old, at)]
    outcome = apply_edits(text, [Edit(old, new)])
    if len(places) == 1:
        at = places[0]
        assert isinstance(outcome, str)
        wanted_text = text[:at] + new + text[at + len(old) :]
        # What ends a line is for tests/core/test_lineends.py.
        assert outcome.replace("\r", "") == wanted_text.replace("\r", "")
    else:
        assert isinstance(outcome, Rejected)
        wanted = RejectCode.EDIT_AMBIGUOUS if places else RejectCode.EDIT_NOT_FOUND
        assert outcome.code is wanted
        if places:
            lines = [text.count("\n", 0, at) + 1 for at in places]
            assert outcome.detail["lines"] == lines[:10]


@given(ANY_TEXT, st.lists(st.builds(Edit, ANY_TEXT, ANY_TEXT, st.booleans()), max_size=4))
@settings(deadline=None)
def test_any_edits_give_a_text_or_a_refusal_that_can_be_stored(
    text: str, edits: list[Edit]
) -> None:
    outcome = apply_edits(text, edits)
    if isinstance(outcome, Rejected):
        assert outcome.message.isprintable()
        json.dumps(outcome.detail, ensure_ascii=False, allow_nan=False).encode("utf-8")
    else:
        assert isinstance(outcome, str)
