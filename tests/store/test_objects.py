"""Git's objects, from raw bytes."""

from __future__ import annotations

from esaa_git.store.objects import decode_commit, encode_commit, raw_parent, sign_commit

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
