"""The trailers of a message, and what it claims by them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from esaa_git.hooks.program import possible_claims
from esaa_git.store.commitform import claimed, claimed_seq, claims, trailers

EVENT = "d" * 40
PLAIN = f"T-1: done\n\nESAA-Event: {EVENT}\nESAA-Task: T-1\n".encode()

CLAIMS = {
    "a trailer": PLAIN,
    "in another case": f"fix\n\nesaa-EVENT: {EVENT}\n".encode(),
    "without a value": b"fix\n\nESAA-Event:\n",
    "twice": PLAIN + f"ESAA-Event: {EVENT}\n".encode(),
    "among other words": f"fix\n\nsome words\nESAA-Event: {EVENT}\n".encode(),
    "with empty lines after it": PLAIN + b"\n \n\n",
    "as the only paragraph": f"ESAA-Event: {EVENT}".encode(),
    "with a letter that looks like another": f"fix\n\ne\u017fAA-Event: {EVENT}\n".encode(),
    "beside bytes that are no text": f"fix\n\nESAA-Event: {EVENT}\n".encode() + b"\xff\xfe\n",
}
NO_CLAIMS = {
    "no trailer": b"fix\n",
    "in an earlier paragraph": PLAIN + b"\nand more\n",
    "in the middle of a line": f"fix\n\nsee ESAA-Event: {EVENT}\n".encode(),
    "another name": f"fix\n\nX-ESAA-Event: {EVENT}\n".encode(),
    "nothing at all": b"",
}


@pytest.mark.parametrize("message", CLAIMS.values(), ids=CLAIMS.keys())
def test_a_message_claims_an_event_by_a_trailer_of_its_last_paragraph(message: bytes) -> None:
    assert claims(message)
    assert possible_claims([("oid", b"tree 0\n\n" + message)])


@pytest.mark.parametrize("message", NO_CLAIMS.values(), ids=NO_CLAIMS.keys())
def test_what_is_no_such_trailer_claims_nothing(message: bytes) -> None:
    assert not claims(message)


@given(st.lists(st.sampled_from([*"ESAeventEVENT:- \n\u017f\u00e9", "ESAA-Event:", "\n\n"])))
@example(["e\u017fAA-Event:"])
def test_a_hook_sorts_out_nothing_that_claims_an_event(parts: list[str]) -> None:
    message = "".join(parts).encode()

    if claims(message):
        assert possible_claims([("oid", message)]) == {"oid": message}


def test_trailers_are_ours_and_each_is_there_once() -> None:
    found = trailers(PLAIN + b"ESAA-Run: RUN-1\nESAA-Run: RUN-2\nSigned-off-by: A <a@b.c>\n")

    assert found == {"ESAA-Event": EVENT, "ESAA-Task": "T-1"}


def test_everything_that_is_claimed_is_found_whatever_its_case() -> None:
    found = claimed(b"squash\n\nESAA-Task: T-1\nesaa-task:T-2 \nESAA-Event: two words\n")

    assert found == {"esaa-task": ["T-1", "T-2"]}


@pytest.mark.parametrize(
    ("said", "seq"),
    [("42", 42), ("", None), ("-1", None), ("4" * 15, int("4" * 15)), ("4" * 16, None)],
)
def test_a_sequence_number_that_a_message_claims_is_bounded(said: str, seq: int | None) -> None:
    assert claimed_seq(f"claim T-1\n\nESAA-Seq: {said}\n".encode()) == seq
