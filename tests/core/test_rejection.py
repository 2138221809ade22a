"""The closed list of reject codes, and what may be quoted in a refusal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.core.rejection import EXPLANATIONS, RejectCode, Rejected, excerpt, together

ANY_TEXT = st.text(st.characters(exclude_categories=()))


def test_the_list_of_codes_is_the_one_that_logs_hold() -> None:
    assert " ".join(RejectCode) == (
        "NOT_UTF8 OUTPUT_TOO_LARGE INVALID_JSON DUPLICATE_KEY NESTING_TOO_DEEP INVALID_VALUE "
        "CONTROL_CHARACTER SCHEMA_VIOLATION UNKNOWN_ACTION FORBIDDEN_ACTION TASK_MISMATCH "
        "ATTEMPT_MISMATCH STALE_ATTEMPT NO_RESULT QUESTIONS_SPENT "
        "EMPTY_PROPOSAL PATH_INVALID PATH_PROTECTED "
        "PATH_NOT_A_FILE BOUNDARY_VIOLATION DUPLICATE_PATH TOO_MANY_FILES PATCH_TOO_LARGE "
        "FILE_TOO_LARGE FILE_MISSING FILE_EXISTS MODE_FORBIDDEN SECRET_EXPOSED "
        "BASE_MISMATCH EDIT_NOT_FOUND "
        "EDIT_AMBIGUOUS PATCH_FAILED WRITE_CONFLICT AGENT_FAILED AGENT_TIMEOUT "
        "AGENT_REFUSED OUTPUT_TRUNCATED "
        "OUTPUT_EMPTY CHECK_FAILED REVIEW_CHANGES_REQUESTED POLICY_DENIED "
        "PLAN_PROGRAM_NOT_PINNED"
    )


def test_a_code_is_spelled_as_it_is_named() -> None:
    assert all(code.name == code.value for code in RejectCode)


@pytest.mark.parametrize("code", RejectCode)
def test_every_code_is_explained_in_one_sentence(code: RejectCode) -> None:
    sentence = EXPLANATIONS[code]
    assert sentence[0].isupper()
    assert sentence.endswith(".")
    assert ". " not in sentence
    assert "\n" not in sentence


def test_nothing_but_codes_is_explained() -> None:
    assert set(EXPLANATIONS) == set(RejectCode)


def test_the_explanations_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        EXPLANATIONS[RejectCode.NOT_UTF8] = "Anything goes."  # type: ignore[index]


def test_a_rejection_is_a_value() -> None:
    one = Rejected(RejectCode.PATH_INVALID, "no", {"reason": "empty"})
    assert one == Rejected(RejectCode.PATH_INVALID, "no", {"reason": "empty"})
    assert one != Rejected(RejectCode.PATH_INVALID, "no", {"reason": "colon"})
    with pytest.raises(AttributeError):
        one.message = "yes"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [
        ("plain text", 10, "plain text"),
        ("plain text", 9, "plain te…"),
        ("naïve ✓", 20, "naïve ✓"),
        ("two\nlines\r\n", 20, r"two\nlines\r\n"),
        ("\x1b[31mred", 20, r"\x1b[31mred"),
        ("a\u202eb", 20, r"a\u202eb"),
        ("a\u2028b", 20, r"a\u2028b"),
        ("a\ud800b", 20, r"a\ud800b"),
        ("\n\n\n", 5, r"\n\n…"),
    ],
)
def test_an_excerpt_shows_what_would_not_print(text: str, limit: int, shown: str) -> None:
    assert excerpt(text, limit) == shown


@given(ANY_TEXT, st.integers(1, 50))
def test_an_excerpt_is_bounded_and_can_be_stored(text: str, limit: int) -> None:
    shown = excerpt(text, limit)
    assert len(shown) <= limit
    assert shown.isprintable()
    assert json.loads(json.dumps(shown, ensure_ascii=False).encode("utf-8")) == shown


def test_faults_of_one_code_are_told_at_once_and_others_wait() -> None:
    faults = [
        Rejected(
            RejectCode.BOUNDARY_VIOLATION, f"'{path}' is outside", {"path": path, "allowed": []}
        )
        for path in ("a", "b", "c", "b")
    ]
    other = Rejected(RejectCode.PATH_INVALID, "'/' is invalid", {"path": "/"})
    found = together([*faults, other])
    assert found.code == RejectCode.BOUNDARY_VIOLATION
    assert found.message == "'a' is outside; the same holds for 2 more: 'b', 'c'"
    assert found.detail == {"path": "a", "allowed": [], "paths": ["a", "b", "c"], "count": 3}
    assert together([other, *faults]) == other


def test_of_very_many_faults_the_first_are_named_and_all_counted() -> None:
    faults = [
        Rejected(RejectCode.PATH_PROTECTED, f"'{number}' is closed", {"path": f"{number}"})
        for number in range(500)
    ]
    found = together(faults)
    assert found.detail["count"] == 500
    assert len(found.detail["paths"]) == 50
    assert len(found.message) < 300
