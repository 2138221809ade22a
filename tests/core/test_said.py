"""What was said of an answer, as it is kept beside its event, and as it is told."""

from __future__ import annotations

import pytest

from esaa_git.core import canonical
from esaa_git.core.entries import Rejection
from esaa_git.core.machine import Cause
from esaa_git.core.said import GONE, MalformedRefusal, Refusal, decode, encode, told, why_blocked
from esaa_git.core.task import Blocked, Task

SAID = Refusal(message="no", detail={"path": "a", "deep": {"nested": [1]}}, preview="no answer")


def read(blob: str) -> bytes:
    return {"refusal": encode(SAID), "text": b"name it \xff"}[blob]


def test_what_is_written_is_read_again_with_whatever_stands_in_its_detail() -> None:
    assert decode(encode(SAID)) == SAID


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}\n",
        b'{"message":"no"}',
        canonical.encode({"message": "", "detail": {}, "preview": ""}),
        canonical.encode({"message": "no", "detail": [], "preview": ""}),
        canonical.encode({"message": "no", "detail": {}, "preview": "", "more": 1}),
        canonical.encode({"message": "no", "detail": {}, "preview": "x" * 1001}),
    ],
)
def test_what_is_no_refusal_is_told_apart(data: bytes) -> None:
    with pytest.raises(MalformedRefusal):
        decode(data)
    assert told(Rejection("T-1-A1", "NO_RESULT", "x"), lambda _: data).message == GONE


@pytest.mark.parametrize(
    "wrong",
    [
        Refusal(message="", detail={}, preview=""),
        Refusal(message="no", detail={"share": 0.5}, preview=""),  # type: ignore[dict-item]
        Refusal(message="\ud800", detail={}, preview=""),
    ],
)
def test_nothing_is_written_that_could_not_be_read(wrong: Refusal) -> None:
    with pytest.raises(MalformedRefusal):
        encode(wrong)


@pytest.mark.parametrize(
    ("rejection", "message"),
    [
        (Rejection("T-1-A1", "INVALID_JSON", refusal="refusal"), "no"),
        (Rejection("T-1-A1", "INVALID_JSON", refusal="gone"), GONE),
        (Rejection("T-1-A1", "REVIEW_CHANGES_REQUESTED", text="text"), "name it \ufffd"),
        (Rejection("T-1-A1", "REVIEW_CHANGES_REQUESTED", text="gone"), GONE),
        (Rejection("T-1-A1", "AGENT_TIMEOUT"), "no answer came before the deadline"),
    ],
)
def test_a_rejection_is_told_with_its_words_or_that_they_are_gone(
    rejection: Rejection, message: str
) -> None:
    said = told(rejection, read)
    assert (said.code, said.message) == (rejection.code, message)
    assert bool(said.detail) == ("detail" in said.to_json()) == (message == "no")


@pytest.mark.parametrize(
    ("cause", "last", "why"),
    [
        (
            Cause.DENIED,
            Rejection("A", "REVIEW_CHANGES_REQUESTED", text="text"),
            "x: name it \ufffd",
        ),
        (Cause.ATTEMPTS_SPENT, Rejection("A", "INVALID_JSON", refusal="refusal"), "x: no"),
        (Cause.ATTEMPTS_SPENT, Rejection("A", "AGENT_TIMEOUT"), "x"),
        (Cause.ISSUE, Rejection("A", "INVALID_JSON", refusal="refusal"), "x"),
        (Cause.DENIED, None, "x"),
    ],
)
def test_why_a_task_is_blocked_ends_in_what_was_said(
    cause: Cause, last: Rejection | None, why: str
) -> None:
    blocked = Task("T-1", "spec", "T", blocked=Blocked(cause, "x"), rejection=last)
    assert why_blocked(blocked, read) == why
