"""The trailers of a message as we write it."""

from __future__ import annotations

import pytest

from esaa_git.store.commitform import claimed_seq, trailers

EVENT = "d" * 40
PLAIN = f"T-1: done\n\nESAA-Event: {EVENT}\nESAA-Task: T-1\n".encode()


def test_trailers_are_ours_and_each_is_there_once() -> None:
    found = trailers(PLAIN + b"ESAA-Run: RUN-1\nESAA-Run: RUN-2\nSigned-off-by: A <a@b.c>\n")

    assert found == {"ESAA-Event": EVENT, "ESAA-Task": "T-1"}


@pytest.mark.parametrize(
    ("said", "seq"),
    [("42", 42), ("", None), ("-1", None), ("4" * 15, int("4" * 15)), ("4" * 16, None)],
)
def test_a_sequence_number_that_a_message_claims_is_bounded(said: str, seq: int | None) -> None:
    assert claimed_seq(f"claim T-1\n\nESAA-Seq: {said}\n".encode()) == seq
