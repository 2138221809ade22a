"""Names below `refs/esaa/`: known ones alone, and only with what the name says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from esaa_git.core.projection import projection_hash
from esaa_git.core.refnames import classify, proposal_ref
from esaa_git.errors import ConfigurationError, RefusedError
from esaa_git.hooks.commands import Command, Settings, parse_settings, sort_out
from esaa_git.store.objects import (
    BLOB,
    COMMIT,
    MODE_EXECUTABLE,
    MODE_FILE,
    TREE,
    TreeEntry,
    encode_tree,
)
from esaa_git.store.repository import Repository
from esaa_git.store.tip import load_tip
from esaa_git.trust.signer import Signer
from esaa_git.verification.checkpoint import (
    FILE,
    Checkpoint,
    commit_bytes,
    encode,
    sign,
    with_signatures,
)
from esaa_git.verification.published import Unfounded, check_checkpoint
from tests.conftest import Git
from tests.support.forgery import new_key
from tests.support.shared import LOG, MAIN, Shared, copy, health

BRANCH = "refs/heads/esaa/events"
ONE, TWO = "1" * 40, "2" * 40


# -- by name -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ref", "word"),
    [
        ("refs/esaa/anything", "no such name"),
        ("refs/esaa/checkpoints", "no such name"),
        ("refs/esaa/checkpoints/007", "no such name"),
        ("refs/esaa/checkpoints/0", "no such name"),
        ("refs/esaa/checkpoints/\u0661", "no such name"),
        ("refs/esaa/checkpoints/1/x", "no such name"),
        ("refs/esaa/checkpoints/99999999999999999", "no such name"),
        ("refs/esaa/proposals/T-1", "no such name"),
        ("refs/esaa/proposals/T-1/T-2-A1", "no such name"),
        ("refs/esaa/proposals/T%2E1/T.1-A1", "no such name"),
        ("refs/esaa/Checkpoints/1", "no such name"),
        ("refs/esaa/remotes/origin/events", "never pushed"),
        ("refs/esaa/incoming/origin/events", "never pushed"),
        ("refs/esaa/superseded/x/log", "never pushed"),
        ("refs/esaa/snapshots/RUN-0001-9/log", "never pushed"),
        ("refs/esaa/inbox/k/d", "no such name"),
        ("refs/esaa/evals/x", "nothing is taken there yet"),
        ("refs/esaa/witness/x", "nothing is taken there yet"),
        ("refs/esaa/events/x", "cannot both exist"),
        ("refs/esaa", "cannot both exist"),
        ("refs/ESAA/checkpoints/1", "folds names"),
        ("refs/e\u200csaa/x", "folds names"),
        ("refs/Esaa", "folds names"),
    ],
)
def test_a_name_that_is_not_known_is_refused(ref: str, word: str) -> None:
    with pytest.raises(RefusedError) as caught:
        sort_out((Command(None, ONE, ref),), Settings())
    assert word in caught.value.message
    assert "check 1" in str(caught.value.cause)
    assert caught.value.hint


@pytest.mark.parametrize("log", [LOG, BRANCH])
@pytest.mark.parametrize(
    "ref",
    [
        "refs/heads/refs/esaa/events",
        "refs/tags/refs/esaa/events",
        "refs/remotes/refs/esaa/events",
        "refs/remotes/refs/esaa/events/HEAD",
        "refs/refs/esaa/events",
        "refs/tags/refs/heads/main",
        "refs/heads/refs/heads/main",
        "refs/tags/refs/esaa/checkpoints/3",
        "refs/heads/Refs/esaa/events",
        "refs/tags/esaa/events",
        "refs/remotes/esaa/events",
        "refs/remotes/esaa/events/HEAD",
        "refs/tags/esaa/checkpoints/3",
        "refs/tags/esaa/proposals/T-1/T-1-A1",
    ],
)
def test_a_name_that_git_would_take_for_another_is_refused(ref: str, log: str) -> None:
    with pytest.raises(RefusedError, match="git would take it for"):
        sort_out((Command(None, ONE, ref),), Settings(log))
    sort_out((Command(ONE, None, ref),), Settings(log))  # what is there may go
    if ref.lower().count("refs/") > 1:
        with pytest.raises(ConfigurationError, match="other records"):
            parse_settings(f"esaa.eventsref\n{ref}\0".encode())


def test_names_that_git_tells_apart_are_taken() -> None:
    for ref in ("refs/heads/esaa/work", "refs/tags/v1", "refs/tags/main", "refs/heads/x/refs/y"):
        sort_out((Command(None, ONE, ref),), Settings())
    with pytest.raises(RefusedError, match="git would take it for"):
        sort_out((Command(None, ONE, "refs/heads/esaa/events"),), Settings())


def test_what_came_before_the_hook_may_be_taken_away_again() -> None:
    for ref in ("refs/esaa/anything", "refs/esaa/snapshots/x/log", "refs/esaa/checkpoints/007"):
        assert sort_out((Command(ONE, None, ref),), Settings()).records == ()
    for ref in ("refs/esaa/checkpoints/1", "refs/esaa/evals/x", LOG):
        with pytest.raises(RefusedError):
            sort_out((Command(ONE, None, ref),), Settings())


def test_beside_a_log_on_a_branch_the_same_names_are_known() -> None:
    settings = Settings(BRANCH)
    taken = sort_out((Command(None, ONE, "refs/heads/esaa/checkpoints/3"),), settings)
    assert [one.name.seq for one in taken.records] == [3]
    for ref in (
        "refs/heads/esaa/x",
        "refs/heads/esaa/checkpoints/03",
        "refs/heads/esaa/inbox/k/d",
        "refs/heads/Esaa/x",
        "refs/heads/esaa",
        "refs/esaa/checkpoints/3",
        "refs/esaa/events",
    ):
        with pytest.raises(RefusedError):
            sort_out((Command(None, ONE, ref),), settings)
    # Where the log is no branch, that folder is anybody's.
    assert sort_out((Command(None, ONE, "refs/heads/esaa/x"),), Settings()).branches


@pytest.mark.parametrize("task", ["T-1", "a..b", "x.lock", "A.20260101T0000Z", "a...lock"])
def test_the_name_of_a_proposal_is_a_ref_and_comes_back(
    task: str, git: Git, tmp_path: Path
) -> None:
    for log in (LOG, BRANCH):
        ref = proposal_ref(log, task, f"{task}-A12")
        git(tmp_path, "check-ref-format", ref)
        found = classify(ref, log)
        assert found is not None
        assert (found.task, found.attempt) == (task, f"{task}-A12")


@pytest.mark.parametrize(
    "ref", ["refs/heads/esaa", "refs/esaa/checkpoints/1", "refs/esaa/remotes/x", "refs/esaa/inbox"]
)
def test_a_log_is_not_kept_where_another_record_would_be(ref: str) -> None:
    with pytest.raises(ConfigurationError, match="other records"):
        parse_settings(f"esaa.eventsref\n{ref}\0".encode())


# -- by content --------------------------------------------------------------------------------


@dataclass
class Room:
    """A log, and what an attacker makes for the ref of a checkpoint."""

    shared: Shared
    thief: Signer

    @property
    def repository(self) -> Repository:
        return self.shared.project.repository

    @property
    def signer(self) -> Signer:
        return self.shared.signer

    def made(self, seq: int = 4, signer: Signer | None = None) -> Checkpoint:
        """An honest checkpoint of an event."""
        at = load_tip(self.repository, self.shared.project.chain()[seq - 1].oid)
        tip = at.tip
        plain = Checkpoint(
            tip.log_id, seq, tip.commit, tip.event_sha256, projection_hash(at.state), tip.ts
        )
        return sign(plain, signer or self.signer)

    def put(
        self,
        found: Checkpoint,
        parent: str | None = None,
        *,
        mode: str = MODE_FILE,
        more: bool = False,
        change: Callable[[bytes], bytes] = lambda data: data,
    ) -> str:
        """Store the commit that carries it."""
        entry = TreeEntry(mode, self.repository.put(BLOB, encode(found)))
        entries = {FILE: entry} | ({"x": entry} if more else {})
        tree = self.repository.put(TREE, encode_tree(entries))
        return self.repository.put(COMMIT, change(commit_bytes(found, tree, parent)))

    def check(self, oid: str, seq: int = 4, old: str | None = None) -> None:
        check_checkpoint(self.repository, seq, oid, old, self.shared.project.head(LOG))


@pytest.fixture(scope="module")
def room(taken: Shared, tmp_path_factory: pytest.TempPathFactory) -> Room:
    folder = tmp_path_factory.mktemp("room")
    return Room(copy(taken, folder), new_key(folder, "thief"))


def _resigned(room: Room, **changes: object) -> Checkpoint:
    return sign(replace(room.made(), signatures=(), **changes), room.signer)  # type: ignore[arg-type]


FORGED: dict[str, tuple[Callable[[Room], str], str]] = {
    "a commit of anything": (lambda room: room.shared.project.head(MAIN), "one file"),
    "an event": (lambda room: room.shared.project.head(LOG), "one file"),
    "a blob": (lambda room: room.repository.put(BLOB, b"x"), "not a commit"),
    "an object that is not there": (lambda _room: "3" * 40, "cannot be read"),
    "an entry more": (lambda room: room.put(room.made(), more=True), "one file"),
    "an executable": (lambda room: room.put(room.made(), mode=MODE_EXECUTABLE), "one file"),
    "a branch behind it": (
        lambda room: room.put(room.made(), room.shared.project.head(MAIN)),
        "one file",
    ),
    "another message": (
        lambda room: room.put(room.made(), change=lambda data: data + b"ESAA-Seq: 1\n"),
        "its commit",
    ),
    "a header more": (
        lambda room: room.put(
            room.made(), change=lambda data: data.replace(b"\n\n", b"\nencoding x\n\n", 1)
        ),
        "its commit",
    ),
    "the number of another event": (lambda room: room.put(room.made(3)), "its name says 4"),
    "a number beyond the log": (
        lambda room: room.put(_resigned(room, seq=400)),
        "of event 400",
    ),
    "an event of another log": (
        lambda room: room.put(_resigned(room, tip="4" * 40)),
        "no event of the log",
    ),
    "another log's id": (lambda room: room.put(_resigned(room, log_id="5" * 32)), "does not say"),
    "another state": (
        lambda room: room.put(_resigned(room, projection_hash_sha256="6" * 64)),
        "does not say",
    ),
    "an unknown key": (lambda room: room.put(room.made(4, room.thief)), "does not know the key"),
    "an unknown key beside a known one": (
        lambda room: room.put(sign(room.made(), room.thief)),
        "does not know the key",
    ),
    "no signature": (lambda room: room.put(replace(room.made(), signatures=())), "nobody"),
    "a signature of another checkpoint": (
        lambda room: room.put(
            with_signatures(replace(room.made(), signatures=()), room.made(3).signatures)
        ),
        "bad signature",
    ),
    "another checkpoint behind it": (
        lambda room: room.put(room.made(), room.put(room.made(3))),
        "another event",
    ),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_checkpoint_that_is_none_is_refused(room: Room, what: str) -> None:
    make, word = FORGED[what]
    with pytest.raises(Unfounded, match=word):
        room.check(make(room))


def test_a_checkpoint_is_continued_and_loses_nothing(room: Room) -> None:
    first = room.put(room.made())
    room.check(first)
    with pytest.raises(Unfounded, match="does not continue"):
        room.check(room.put(room.made()), old=room.put(sign(room.made(), room.thief)))
    twice = room.put(sign(room.made(), room.thief), first)
    with pytest.raises(Unfounded, match="lacks a signature"):
        room.check(room.put(room.made(), twice), old=twice)
    with pytest.raises(Unfounded, match="no log here"):
        check_checkpoint(room.repository, 4, first, None, None)


# -- through a push ----------------------------------------------------------------------------


def test_a_checkpoint_is_taken_with_its_event_and_junk_is_not(full: Shared, tmp_path: Path) -> None:
    room = Room(full, new_key(tmp_path, "thief"))
    forger = full.forger()
    full.project.git("update-ref", LOG, forger.add(health(forger)))
    made, ref = room.put(room.made(12)), "refs/esaa/checkpoints/12"
    assert "it is no checkpoint of this name" in full.refused(f"{made}:{ref}")
    full.taken("--atomic", f"{made}:{ref}", LOG)
    tag = full.project.git("tag", "-a", "-m", "x", "t", made) or full.project.head("refs/tags/t")
    for attack in (
        f":{ref}",
        f"+{full.at(MAIN)}:{ref}",
        f"{MAIN}:refs/esaa/checkpoints/13",
        f"{tag}:refs/esaa/checkpoints/11",
        f"{room.put(room.made(11, room.thief))}:refs/esaa/checkpoints/11",
        f"{MAIN}:refs/esaa/anything",
        f"{MAIN}:refs/esaa/proposals/T-1000/T-1000-A1",
    ):
        assert "check 1, " in full.refused(attack)


def test_a_symbolic_ref_to_a_record_is_guarded_as_the_record(full: Shared, git: Git) -> None:
    git(full.server, "symbolic-ref", "refs/heads/mine", "refs/esaa/checkpoints/4")
    assert "it is no checkpoint of this name" in full.refused(f"{MAIN}:refs/heads/mine")


# -- a log on a branch, found by its form ------------------------------------------------------


@pytest.fixture
def moved(full: Shared, git: Git) -> Shared:
    """The server's log is a branch, and no setting says so."""
    git(full.server, "update-ref", "-d", LOG)
    full.taken(f"{LOG}:{BRANCH}")
    return full


def test_a_log_on_a_branch_is_guarded_without_a_setting(moved: Shared) -> None:
    git = moved.project.git
    junk = git("commit-tree", "-m", "junk", f"{MAIN}^{{tree}}")
    for attack, word in (
        (f"+{junk}:{BRANCH}", "only grows"),
        (f"+{moved.project.chain()[2].oid}:{BRANCH}", "only grows"),
        (f":{BRANCH}", "is not deleted"),
        (f"{LOG}:refs/heads/copy", "the log of this repository is"),
        (f"{LOG}:{LOG}", "the log of this repository is"),
        (f"{junk}:refs/heads/esaa/x", "no such name"),
        (f"{junk}:refs/heads/esaa/checkpoints/1", "it is no checkpoint of this name"),
    ):
        assert word in moved.refused(attack)
    forger = moved.forger()
    moved.taken(f"{forger.add(health(forger))}:{BRANCH}")
    # A renaming is a deletion and a copy; together with anything else, it is one as well.
    moved.refused(f"{forger.parent}:refs/heads/other", f":{BRANCH}")
    assert "is not deleted" in moved.refused(f":{BRANCH}", f"{junk}:refs/heads/other")


def test_a_branch_with_the_words_of_an_event_is_no_log(full: Shared) -> None:
    git = full.project.git
    words = "\n".join(f"ESAA-{n}: 1" for n in ("Log", "Seq", "Event-SHA256", "Prev-SHA256"))
    posing = git("commit-tree", "-m", f"x\n\n{words}", f"{MAIN}^{{tree}}")
    full.taken(f"{posing}:refs/heads/topic")
    full.taken(":refs/heads/topic")


def test_a_second_log_on_a_branch_is_refused_and_may_go(full: Shared, git: Git) -> None:
    assert "the log of this repository is" in full.refused(f"{LOG}:refs/heads/copy")
    full.configure("esaa.eventsRef", LOG)
    assert "check 11, " in full.refused(f"{LOG}:refs/heads/copy")
    # What was there before is no log where a setting names another ref.
    git(full.server, "update-ref", "refs/heads/copy", full.at())
    full.taken(":refs/heads/copy")
