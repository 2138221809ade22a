"""Git's objects, from raw bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from esaa_git.store.objects import (
    bytes_of,
    decode_commit,
    encode_commit,
    name_of,
    raw_parent,
    sign_commit,
)

WHO = "A U Thor <author@example.com> 1 +0000"
TREE, FIRST, SECOND = "a" * 40, "b" * 40, "c" * 40


def test_the_raw_parent_is_the_first_one() -> None:
    commit = encode_commit(TREE, [FIRST, SECOND], WHO, WHO, "message\n")

    assert raw_parent(commit) == FIRST == decode_commit(commit).parents[0]


def test_a_root_commit_has_no_raw_parent_whatever_its_message_says() -> None:
    message = f"subject\n\nparent {FIRST}\n"

    assert raw_parent(encode_commit(TREE, [], WHO, WHO, message)) is None


def test_a_signature_does_not_move_the_raw_parent() -> None:
    commit = encode_commit(TREE, [FIRST], WHO, WHO, "message\n")

    assert raw_parent(sign_commit(commit, b"-----BEGIN-----\nx\n-----END-----\n")) == FIRST


@given(raw=st.binary(max_size=40))
def test_a_name_that_git_gives_comes_back_to_the_byte(raw: bytes) -> None:
    assert bytes_of(name_of(raw)) == raw
