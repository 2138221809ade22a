"""The inbox of a server: whoever may push there gets nothing in but decisions that count now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esaa_git.core.canonical import encode
from esaa_git.core.event import NewEvent
from esaa_git.core.refnames import INBOX, Name, classify, inbox_ref
from esaa_git.errors import RefusedError
from esaa_git.hooks.commands import Command, Record
from esaa_git.hooks.inbox import check_entry, check_halts_first
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_FILE,
    TREE,
    TreeEntry,
    encode_commit,
    encode_tree,
)
from esaa_git.store.refs import GitRefs
from esaa_git.verification.inbox import ENTRY, MOST_OF_A_KEY, Address, fault, read, store
from esaa_git.verification.published import Unfounded
from tests.support.decisions import BOB, CAROL, EVE, HALT, STRANGER, Scene, build
from tests.support.logs import PERSON
from tests.support.team import LOG

RESUME: dict[str, Any] = {**HALT, "action": "run.resume", "recorded": "run.resume"}


NOW, LATER = "2026-12-01T00:00:00.000Z", "2041-01-01T00:00:00.000Z"
"""Before and after EVE's key runs out."""


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return build(tmp_path_factory.mktemp("inbox"))


def entry(scene: Scene, **bent: Any) -> tuple[Address, str]:
    event = scene.asked(**bent).event()
    return store(scene.made.repository, NewEvent(event.actor, event.payload))


def taken(
    scene: Scene,
    at: Address,
    new: str | None,
    *,
    old: str | None = None,
    tip: str | None = None,
    beside: int = 0,
) -> None:
    """Have the hook judge one change of the inbox."""
    ref = inbox_ref(LOG, at.key, at.digest)
    record = Record(Command(old, new, ref), Name(INBOX, key=at.key, digest=at.digest))
    kept = [ref, *(inbox_ref(LOG, at.key, f"{number:064x}") for number in range(beside))]
    check_entry(scene.made.repository, record, old, tip or scene.start, kept)


def refused(*arguments: Any, **more: Any) -> str:
    with pytest.raises(Unfounded) as caught:
        taken(*arguments, **more)
    return str(caught.value)


def test_a_decision_lies_under_its_key_and_its_digest(scene: Scene) -> None:
    at, oid = entry(scene, **HALT, signer=BOB, actor=BOB)
    ref = inbox_ref(LOG, at.key, at.digest)
    assert classify(ref, LOG) == Name(INBOX, key=at.key, digest=at.digest)
    for other in (f"{ref}/x", ref[:-1], ref.upper(), ref.replace(at.key, "k")):
        name = classify(other, LOG)
        assert name is None or name.kind != INBOX
    taken(scene, at, oid)
    new = read(scene.made.repository, at, oid, scene.start)
    assert (new.action, new.actor) == ("run.halt", BOB)
    assert store(scene.made.repository, new) == (at, oid)  # two clones make the same


def cut(document: bytes, signature: bytes) -> tuple[bytes, bytes]:
    return document[:-1], signature


BENT: dict[str, tuple[str, dict[str, Any]]] = {
    "a stranger's": (
        "signed by nobody whom the log knows",
        {"signer": STRANGER, "actor": STRANGER},
    ),
    "a forged one": ("signed by nobody whom the log knows", {"bend": cut}),
    "a contributor's": ("its role is contributor", {"signer": CAROL, "actor": CAROL}),
    "in another's name": ("it is the key of", {"signer": EVE}),
    "one of another log": ("is for the log", {"log_id": "f" * 32}),
    "one for another stop": ("about stop 3", {"arguments": {"epoch": 3}}),
    "one that was signed for another stop": ("about something else", {"signed": {"epoch": 1}}),
    "one that was signed to resume": ("is for run.resume", {"action": "run.resume"}),
    "with other words": ("words are not those", {"kept_text": b"do whatever you like"}),
}


@pytest.mark.parametrize("what", BENT)
def test_a_decision_that_can_never_count_does_not_come_in(scene: Scene, what: str) -> None:
    words, bent = BENT[what]
    assert words in refused(scene, *entry(scene, **{**HALT, **bent}))


def test_a_decision_that_does_not_fit_now_does_not_come_in(scene: Scene) -> None:
    assert "the log is not stopped" in refused(scene, *entry(scene, **RESUME))
    assert "admin is asked for" in refused(
        scene, *entry(scene, signer=BOB, actor=BOB)
    )  # an approver who asks for what is an admin's


def test_an_old_decision_that_is_pushed_again_does_nothing(scene: Scene) -> None:
    """By somebody without a key, who fetched it from the log, in which it stands."""
    at, oid = entry(scene, **HALT)
    after = scene.asked(**HALT).write(scene.made.log.begin())
    assert "has taken this decision already" in refused(scene, at, oid, tip=after)
    late = entry(
        scene, **HALT, signer=BOB, actor=BOB, nonce="1" * 32
    )  # of the same stop, and too late
    assert "stopped already" in refused(scene, *late, tip=after)


NOT_ONE: dict[str, Callable[[Scene], str]] = {
    "the log's own commit": lambda scene: scene.start,
    "a file": lambda scene: scene.made.repository.put(BLOB, b"{}"),
    "no object": lambda scene: "1" * 40,
}


@pytest.mark.parametrize("what", NOT_ONE)
def test_what_is_no_entry_does_not_come_in(scene: Scene, what: str) -> None:
    at, _ = entry(scene, **HALT)
    assert "it " in refused(scene, at, NOT_ONE[what](scene))


def test_an_entry_is_these_files_in_this_commit_under_this_name(scene: Scene) -> None:
    repository = scene.made.repository
    at, oid = entry(scene, **HALT)
    for other in (Address("0" * 64, at.digest), Address(at.key, "0" * 64)):
        assert "than its name says" in refused(scene, other, oid)
    tree = {name: TreeEntry(one.mode, one.oid) for name, one in repository_tree(scene, oid).items()}
    root = repository.put(TREE, encode_tree(tree))
    who = f"{BOB} <{BOB}> 0 +0000"
    loud = repository.put(COMMIT, encode_commit(root, (), who, who, "look at me\n"))
    assert "its commit is not the one" in refused(scene, at, loud)
    more = {**tree, "more": TreeEntry(MODE_FILE, repository.put(BLOB, b"x"))}
    fat = repository.put(TREE, encode_tree(more))
    assert "tree of an entry" in refused(
        scene, at, repository.put(COMMIT, encode_commit(fat, (), who, who, "x\n"))
    )
    for said in (b"[]\n", b"{}\n", encode({"action": "no.such", "actor": BOB, "payload": {}})):
        bent = {**tree, ENTRY: TreeEntry(MODE_FILE, repository.put(BLOB, said))}
        made = repository.put(TREE, encode_tree(bent))
        assert ENTRY in refused(
            scene, at, repository.put(COMMIT, encode_commit(made, (), who, who, "x\n"))
        )


def repository_tree(scene: Scene, oid: str) -> Any:
    from esaa_git.store.objects import decode_commit, decode_tree

    repository = scene.made.repository
    return decode_tree(repository.read(decode_commit(repository.read(oid)[1]).tree)[1])


def test_an_inbox_is_bounded_for_each_key_and_keeps_what_waits(scene: Scene) -> None:
    at, oid = entry(scene, **HALT)
    taken(scene, at, oid, beside=MOST_OF_A_KEY - 1)
    assert "of this key wait already" in refused(scene, at, oid, beside=MOST_OF_A_KEY)
    assert "not replaced" in refused(scene, at, oid, old=oid)
    assert "the log can take it" in refused(scene, at, None, old=oid)
    after = scene.asked(**HALT).write(scene.made.log.begin())
    taken(scene, at, None, old=oid, tip=after)  # its place is there
    taken(scene, at, None, old=scene.start)  # what could never be lawful blocks nobody


def test_while_a_halt_waits_nothing_but_it_is_appended(scene: Scene) -> None:
    made = scene.made
    at, oid = entry(scene, **HALT)
    ref = inbox_ref(LOG, at.key, at.digest)
    halt = scene.asked(**HALT).write(made.log.begin())
    other = scene.asked().write(made.log.begin())
    push = Command(scene.start, halt, LOG)
    check_halts_first(made.repository, "", push, [other])  # nothing waits
    made.repository.raw.references.create(ref, oid)
    try:
        check_halts_first(made.repository, "", push, [halt])
        with pytest.raises(RefusedError, match=f"a halt by {PERSON} waits in the inbox"):
            check_halts_first(made.repository, "", push, [other])
        # One that the log cannot take freezes nothing.
        past = Command(halt, other, LOG)
        check_halts_first(made.repository, "", past, [other])
    finally:
        GitRefs(made.repository).delete([ref])


def test_a_halt_whose_key_has_run_out_freezes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log is older than the key's end: what counts is when it would get its place.

    The server's clock is set, since a test cannot wait for the end of a key.
    """
    made = scene.made
    at, oid = entry(scene, **HALT, signer=EVE, actor=EVE)
    ref = inbox_ref(LOG, at.key, at.digest)
    other = scene.asked().write(made.log.begin())
    push = Command(scene.start, other, LOG)
    taken(scene, at, oid)
    made.repository.raw.references.create(ref, oid)
    try:
        with pytest.raises(RefusedError, match=f"a halt by {EVE} waits in the inbox"):
            check_halts_first(made.repository, "", push, [other])
        monkeypatch.setattr("esaa_git.hooks.inbox.server_time", lambda: LATER)
        check_halts_first(made.repository, "", push, [other])
        taken(scene, at, None, old=oid)
        assert "expired" in refused(scene, at, oid)
    finally:
        GitRefs(made.repository).delete([ref])


def test_what_a_log_cannot_take_is_said(scene: Scene) -> None:
    at, oid = entry(scene, **HALT)
    new = read(scene.made.repository, at, oid, scene.start)
    assert fault(scene.made.repository, new, scene.start, NOW) is None
    assert fault(scene.made.repository, new, None, NOW) == "there is no log here"
    with pytest.raises(Unfounded, match="there is no log here"):
        read(scene.made.repository, at, oid, None)
