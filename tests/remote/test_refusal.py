"""What git and a server say of a push that failed, as git 2.39 says it."""

from __future__ import annotations

import pytest

from esaa_git.errors import ConflictError, EsaaError, RefusedError
from esaa_git.remote.refusal import refusal
from esaa_git.store.program import GitFailed

OID = "f7152e27938cca604bbf97250c262b414015b3ea"
TO = "To https://example.com/shop.git\n"
FAILED = "error: failed to push some refs to 'https://example.com/shop.git'"


def came_to(output: str, said: str) -> EsaaError | None:
    error = GitFailed("'git push' failed in '/shop'", cause=said)
    error.output = output.encode()
    return refusal("origin", error)


@pytest.mark.parametrize("reason", ["fetch first", "non-fast-forward", "stale info"])
def test_a_ref_that_somebody_else_moved_is_a_lost_race(reason: str) -> None:
    found = came_to(f"{TO}!\t{OID}:refs/heads/main\t[rejected] ({reason})\nDone\n", FAILED)
    assert isinstance(found, ConflictError)
    assert found.cause == f"! [rejected]        {OID} -> main ({reason})"
    assert found.hint == "run 'git esaa sync origin'"


def test_so_is_one_that_moves_while_the_server_takes_the_push() -> None:
    rejected = f"!\t{OID}:refs/esaa/events\t[remote rejected] (atomic transaction failed)\n"
    locked = f"remote: error: cannot lock ref 'refs/esaa/events': is at {OID}\n{FAILED}"
    assert isinstance(came_to(f"{TO}{rejected}Done\n", locked), ConflictError)


def test_a_refusal_gives_the_words_of_the_server() -> None:
    rejected = f"!\t{OID}:refs/esaa/events\t[remote rejected] (pre-receive hook declined)\n"
    found = came_to(f"{TO}{rejected}Done\n", f"remote: please fetch first        \n{FAILED}")
    assert isinstance(found, RefusedError)
    assert found.cause == "please fetch first"


def test_a_refusal_without_words_names_the_ref() -> None:
    rejected = f"!\t{OID}:refs/esaa/events\t[remote rejected] (deny updating a hidden ref)\n"
    found = came_to(f"{TO}{rejected}Done\n", FAILED)
    assert isinstance(found, RefusedError)
    shown = f"! [remote rejected] {OID} -> refs/esaa/events (deny updating a hidden ref)"
    assert found.cause == shown


def test_a_server_that_takes_no_two_refs_at_once_refuses() -> None:
    found = came_to("", "fatal: the receiving end does not support --atomic push")
    assert isinstance(found, RefusedError)
    assert found.hint is not None
    assert "receive.advertiseAtomic" in found.hint


def test_a_push_that_never_arrived_is_no_refusal() -> None:
    assert came_to("", "fatal: unable to access 'https://example.com/': timed out") is None
