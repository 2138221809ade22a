"""Places in the log: their forms, and the index that finds them and is never believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pygit2
import pytest

from esaa_git.errors import CorruptedError, RepositoryError, UsageError
from esaa_git.store import position
from esaa_git.store.difference import documents_between, state_tree_id
from esaa_git.store.eventcommit import read_event_commit
from esaa_git.store.position import (
    SequenceIndex,
    commit_at,
    events_about,
    events_between,
    events_up_to,
    find_event,
    is_position,
    parse_position,
    state_at,
    tip_of,
    walk_back,
    walk_forward,
)
from esaa_git.store.tip import load_tip
from tests.support.logs import PERSON, MadeLog, make_log, make_repository, open_log


@pytest.fixture(scope="module")
def _made(tmp_path_factory: pytest.TempPathFactory) -> MadeLog:
    return make_log(tmp_path_factory.mktemp("position") / "log", tasks=3, rejected=1, bare=True)


@pytest.fixture
def made(_made: MadeLog) -> Iterator[MadeLog]:
    """A log of 22 events whose index is gone."""
    index = _made.repository.esaa_dir / "sequence.index"
    index.unlink(missing_ok=True)
    yield _made
    index.unlink(missing_ok=True)


@pytest.fixture
def far(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place but the tip is looked up in the index."""
    monkeypatch.setattr(position, "NEAR", 0)


# -- forms ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "seq"),
    [
        ("EV-00000042", 42),
        ("42", 42),
        ("0042", 42),
        ("@", 50),
        ("@~3", 47),
        ("@~", 49),
        ("@~0", 50),
    ],
)
def test_a_place_has_four_forms(spec: str, seq: int) -> None:
    assert is_position(spec)
    assert parse_position(spec, 50) == seq


@pytest.mark.parametrize(
    "spec", ["", "T-1", "-1", "@3", "HEAD~1", "EV-", "ev-1", "4.2", "٣", "1\n"]
)
def test_another_form_is_no_place(spec: str) -> None:
    assert not is_position(spec)
    with pytest.raises(UsageError, match="is not an event"):
        parse_position(spec, 50)


@pytest.mark.parametrize("spec", ["0", "EV-00000000", "@~50", "@~51"])
def test_before_the_first_event_is_nothing(spec: str) -> None:
    with pytest.raises(UsageError, match="before the first event"):
        parse_position(spec, 50)


@pytest.mark.parametrize("spec", ["51", "EV-00000051", "9999999999999999"])
def test_beyond_the_tip_is_nothing(spec: str) -> None:
    with pytest.raises(UsageError, match="beyond the end of the log"):
        parse_position(spec, 50)


# -- finding ----------------------------------------------------------------------------------


def test_every_event_is_found_by_walking(made: MadeLog) -> None:
    found = [find_event(made.repository, str(seq)) for seq in range(1, len(made.commits) + 1)]

    assert found == made.commits
    assert not (made.repository.esaa_dir / "sequence.index").exists()


@pytest.mark.usefixtures("far")
def test_every_event_is_found_by_the_index(made: MadeLog) -> None:
    found = [find_event(made.repository, str(seq)) for seq in range(1, len(made.commits) + 1)]

    assert found == made.commits
    data = (made.repository.esaa_dir / "sequence.index").read_bytes()
    assert data[40:].hex() == "".join(made.commits)


def test_without_a_log_nothing_is_found(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="there is no event log"):
        find_event(make_repository(tmp_path / "empty"), "@")


@pytest.mark.usefixtures("far")
def test_the_index_is_extended_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_log(tmp_path / "log", tasks=2, done=1, bare=True, with_files=False)
    assert find_event(made.repository, "1") == made.commits[0]
    made.open("T-1001")
    made.record()
    read = []
    real = made.repository.read
    monkeypatch.setattr(
        made.repository, "read", lambda oid, *most: read.append(oid) or real(oid, *most)
    )

    assert find_event(made.repository, "2") == made.commits[1]
    # The tip, the two new commits and the last known one; then the one that was asked for.
    assert set(read) & set(made.commits) == {*made.commits[-3:], made.commits[1]}


def index_of(made: MadeLog, ids: list[str]) -> bytes:
    """Return a well-formed index with these entries, as another process may have left it."""
    body = bytes.fromhex("".join(ids))
    return b"ESAASEQ1" + sha256(body).digest() + body


@pytest.mark.usefixtures("far")
@pytest.mark.parametrize(
    "spoil",
    [
        lambda made, good: b"",
        lambda made, good: good[:-7],
        lambda made, good: good[:60] + b"x" * 20 + good[80:],
        lambda made, good: b"ESAASEQ0" + good[8:],
        lambda made, good: index_of(made, [made.commits[4]] * 3 + made.commits[3:]),
        lambda made, good: index_of(made, ["0" * 40] * 3 + made.commits[3:]),
        lambda made, good: index_of(made, ["0" * 40] * 30),
        lambda made, good: index_of(made, [*made.commits, "1" * 40]),
    ],
    ids=[
        "empty",
        "cut off",
        "damaged",
        "of another version",
        "naming another event",
        "naming what does not exist",
        "of another log",
        "of a longer log",
    ],
)
def test_a_wrong_index_leads_to_the_right_commit(
    made: MadeLog, spoil: Callable[[MadeLog, bytes], bytes]
) -> None:
    path = made.repository.esaa_dir / "sequence.index"
    assert find_event(made.repository, "2") == made.commits[1]
    good = path.read_bytes()

    path.write_bytes(spoil(made, good))

    assert find_event(made.repository, "2") == made.commits[1]
    assert find_event(made.repository, "9") == made.commits[8]
    assert path.read_bytes() == good


@pytest.mark.usefixtures("far")
def test_after_a_rollback_the_index_is_cut_where_the_histories_part(tmp_path: Path) -> None:
    made = make_log(tmp_path / "log", tasks=3, done=2, bare=True, with_files=False)
    assert find_event(made.repository, "5") == made.commits[4]
    left = made.commits[6]

    made.repository.raw.references.get(made.log.ref).set_target(pygit2.Oid(hex=made.commits[5]))
    again = open_log(made.path, bare=True)
    again.state = state_at(made.repository, made.commits[5])
    again.log.load()
    again.emit(
        "orchestrator.health", "orchestrator", {"status": "ok", "message": "another history"}
    )
    again.record()

    assert find_event(made.repository, "7") == again.tip != left
    assert find_event(made.repository, "5") == made.commits[4]


@pytest.mark.usefixtures("far")
def test_a_repository_that_cannot_be_written_to_is_searched_all_the_same(
    made: MadeLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(position, "write_atomically", refuse)

    assert find_event(made.repository, "3") == made.commits[2]


def test_a_log_with_a_hole_is_reported(tmp_path: Path) -> None:
    made = make_log(tmp_path / "log", tasks=1, bare=True, with_files=False)
    gone = made.commits[1]
    (made.repository.common_dir / "objects" / gone[:2] / gone[2:]).unlink()
    fresh = make_repository(made.path)

    assert find_event(fresh, "3") == made.commits[2]
    with pytest.raises(CorruptedError, match=f"event commit {gone[:12]} cannot be read"):
        find_event(fresh, "1")


@pytest.mark.parametrize("missing", [1, -1])
def test_a_tip_that_counts_wrongly_is_reported(made: MadeLog, missing: int) -> None:
    tip = tip_of(made.repository)
    lying = replace(tip, event=replace(tip.event, seq=tip.event.seq + missing))

    with pytest.raises(CorruptedError, match="has not the"):
        SequenceIndex(made.repository).find(lying, 1)


# -- what is at a place -----------------------------------------------------------------------


def test_the_walks_are_opposites(made: MadeLog) -> None:
    assert list(walk_forward(made.repository, made.tip)) == made.commits
    assert list(walk_back(made.repository, made.tip)) == made.commits[::-1]


def test_events_up_to_and_between_two_places(made: MadeLog) -> None:
    fifth = read_event_commit(made.repository.read, made.commits[4])

    first = [one.event for one in events_up_to(made.repository, fifth.oid)]
    between = [one.event for one in events_between(made.repository, fifth, made.tip)]

    assert len(first) == 5
    assert first + between == made.events


def test_events_about_a_task_leave_out_those_about_others(made: MadeLog) -> None:
    found = [one.event.seq for one in events_about(made.repository, made.tip, "T-1001")]

    assert found == [
        event.seq
        for event in reversed(made.events)
        if event.task_id == "T-1001" or event.action == "run.init"
    ]
    assert [one.event.seq for one in events_about(made.repository, made.tip, "T-10")] == [1]


def test_events_about_a_task_hold_the_decisions_on_its_approvals(tmp_path: Path) -> None:
    made = make_log(tmp_path / "log", tasks=2, done=0, bare=True, review=True)
    made.open("T-1000")
    address = {"task_id": "T-1000", "attempt_id": "T-1000-A1"}
    made.emit(
        "agent.result",
        "agent-impl",
        {**address, "summary": "x", "paths": []},
    )
    made.ask("T-1000")
    made.answer("approval.deny", {"verdict": "deny"})
    made.record()

    found = events_about(made.repository, made.tip, "T-1000", ["APR-0001"])

    assert [one.event.seq for one in found] == [6, 5, 4, 3, 2, 1]


def test_the_state_at_a_place_is_the_one_that_was_recorded_there(made: MadeLog) -> None:
    assert state_at(made.repository, made.commits[0]).tasks["T-1000"].state == "todo"
    assert state_at(made.repository, made.tip).tasks["T-1000"].state == "done"


def test_a_commit_is_asked_for_by_number(made: MadeLog) -> None:
    assert commit_at(made.repository, tip_of(made.repository), 7) == made.commits[6]


def test_documents_that_differ_are_those_that_the_events_touched(made: MadeLog) -> None:
    found = documents_between(made.repository, made.commits[0], made.commits[1])

    assert found == {("", "run"), ("tasks", "T-1000")}
    assert documents_between(made.repository, made.tip, made.tip) == set()


def test_documents_of_every_table_are_told_apart(tmp_path: Path) -> None:
    made = make_log(tmp_path / "log", tasks=1, done=0, bare=True)
    issue = {"issue_id": "ISS-0001", "severity": "low", "title": "A typo"}
    made.emit("issue.report", PERSON, issue)
    made.record()

    found = documents_between(made.repository, made.commits[0], made.commits[1])

    assert found == {("", "run"), ("issues", "ISS-0001")}


def test_the_tree_of_a_state_is_the_recorded_one_at_every_event(made: MadeLog) -> None:
    for oid in made.commits:
        loaded = load_tip(made.repository, oid)
        assert state_tree_id(loaded.state) == loaded.state_tree
