"""What git and a server say of a push that failed, as git 2.39 says it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from esaa_git.core.limits import TOO_MUCH
from esaa_git.errors import ConflictError, EsaaError, RefusedError
from esaa_git.hooks.deadline import too_much
from esaa_git.remote import parts
from esaa_git.remote.parts import Branch, TooMuchAtOnce, send_in_parts
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


# -- a long log in parts ------------------------------------------------------------------------


class Along(Branch):
    """A branch that goes along with every part."""

    def __init__(self) -> None:
        self.moves: list[dict[str, str]] = []

    def along(self, part: Sequence[str]) -> dict[str, str]:
        return {"refs/heads/main": part[-1]}

    def moved(self, refs: dict[str, str]) -> None:
        self.moves.append(refs)


class Server:
    """A server that looks at so many events at once, and keeps what it was sent.

    Args:
        rebased: it refuses the branch before the whole log is there.
    """

    def __init__(
        self, events: list[str], most: int, *, needs_effects: bool = False, rebased: bool = False
    ) -> None:
        self.events, self.most, self.needs_effects = events, most, needs_effects
        self.rebased = rebased
        self.at = 0
        self.pushes: list[int] = []
        self.branch = Along()

    def take(self, refs: dict[str, str]) -> None:
        upto = self.events.index(refs["log"]) + 1 if self.events else 0
        if upto - self.at > self.most:
            raise TooMuchAtOnce("too much")
        is_branch_here = "refs/heads/main" in refs
        if is_branch_here and self.rebased and upto < len(self.events):
            raise RefusedError("refused", cause="an effect without its event")
        if self.needs_effects and not is_branch_here:
            raise RefusedError(
                "refused", cause="it is not on 'main', and esaa.requireEffects is set"
            )
        self.pushes.append(upto - self.at)
        self.at = upto

    def receive(self) -> None:
        last = {"log": self.events[-1] if self.events else "", "refs/heads/main": "tip"}
        send_in_parts(self.events, "log", self.branch, self.take, last)


def events(count: int) -> list[str]:
    return [f"{number:040x}" for number in range(count)]


def test_what_a_server_finds_too_much_is_sent_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    short = Server(events(30), most=100)
    short.receive()
    assert short.pushes == [30]
    slow = Server(events(30), most=4)
    slow.receive()
    assert sum(slow.pushes) == 30
    assert max(slow.pushes) <= 4
    monkeypatch.setattr(parts, "EVENTS_A_PUSH", 10)
    long = Server(events(35), most=100)
    long.receive()
    assert long.pushes == [10, 10, 10, 5]
    nothing_new = Server([], most=1)
    nothing_new.receive()
    assert nothing_new.pushes == [0]


def test_a_single_event_that_is_too_much_ends_it() -> None:
    with pytest.raises(TooMuchAtOnce):
        Server(events(8), most=0).receive()


def test_each_part_takes_its_branch_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "EVENTS_A_PUSH", 10)
    server = Server(events(25), most=6, needs_effects=True)
    server.receive()
    assert server.pushes == [5, 5, 5, 5, 5]
    assert server.branch.moves == [
        {"log": oid, "refs/heads/main": oid} for oid in server.events[4:20:5]
    ]


def test_a_branch_that_rests_on_a_later_event_stays_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "EVENTS_A_PUSH", 10)
    server = Server(events(35), most=100, rebased=True)
    server.receive()
    assert server.pushes == [10, 10, 10, 5]
    assert all(list(refs) == ["log"] for refs in server.branch.moves)


def test_where_that_is_not_wanted_all_goes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "EVENTS_A_PUSH", 10)
    server = Server(events(35), most=100, needs_effects=True, rebased=True)
    server.receive()
    assert server.pushes == [35]
    with pytest.raises(TooMuchAtOnce):
        Server(events(35), most=20, needs_effects=True, rebased=True).receive()


def test_another_refusal_ends_it() -> None:
    def refuse(_refs: dict[str, str]) -> None:
        raise RefusedError("refused", cause="the signature is not that of a known key")

    with pytest.raises(RefusedError, match="refused"):
        send_in_parts(events(6000), "log", Along(), refuse, {"log": "last"})


def test_the_words_of_the_hook_are_those_that_are_waited_for() -> None:
    said = too_much("it takes longer than 60 s (esaa.hookTimeout)")
    assert TOO_MUCH in said.message
    rejected = f"!\t{OID}:refs/esaa/events\t[remote rejected] (pre-receive hook declined)\n"
    found = came_to(f"{TO}{rejected}Done\n", f"remote: error: {said.message}\n{FAILED}")
    assert isinstance(found, TooMuchAtOnce)
