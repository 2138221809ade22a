"""The next attempt goes on from what was kept of the one before, or begins anew and says so."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from esaa_git.core.events import Dispatch, OutputRejected
from esaa_git.engine.cycle import Options
from esaa_git.ports.agent import Answer
from esaa_git.testing.answers import in_turn, result, write
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine

WRITE: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "write")
ONE_STEP = Options(steps=1)
REFUSED = result(write("docs/a.md", "mine\n"), write("outside.txt"))


def begun(*files: str, given: Mapping[Place, object] = {}) -> MemoryEngine:
    """A task whose first attempt was rejected for one of its two paths."""
    made = engine(
        in_turn(REFUSED, *[result(write("docs/a.md"))] * 3),
        given=contracts({WRITE: ["docs/**"], **given}),
    )
    made.goes_on = True
    if files:
        made.person_commits(dict.fromkeys(files, b"first\n"))
    made.apply(task())
    made.run(ONE_STEP)
    return made


def dispatches(made: MemoryEngine) -> list[Dispatch]:
    return [each.payload for each in made.events if isinstance(each.payload, Dispatch)]


def test_the_lawful_part_of_the_last_attempt_is_begun_and_on_record() -> None:
    made = begun()
    made.run(ONE_STEP)
    request = made.requests[1]
    entry = request.begun["docs/a.md"]
    assert entry is not None
    assert made.blobs.read(entry.oid) == b"mine\n"
    assert request.begun.keys() == {"docs/a.md"}
    assert made.view(1)["continues"] == {"attempt_id": "T-1-A1", "paths": ["docs/a.md"]}
    (kept,) = [each.payload for each in made.events if isinstance(each.payload, OutputRejected)]
    assert kept.proposal is not None
    first, second = dispatches(made)
    assert first.continues is None
    assert second.continues is not None
    assert (second.continues.attempt_id, second.continues.commit) == (
        "T-1-A1",
        kept.proposal.commit,
    )


def test_only_after_a_rejection_the_last_session_is_gone_on_in() -> None:
    made = begun()
    made.run(ONE_STEP)
    assert [each.session for each in made.requests] == ["new", "last"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("AGENT_CONTRACT.yaml", "kinds", "spec", "retry"), "anew"),
        (("STORAGE_POLICY.yaml", "keep_rejected"), False),
    ],
)
def test_where_the_contracts_say_so_no_session_is_kept(place: Place, value: object) -> None:
    made = begun(given={place: value})
    made.run(ONE_STEP)
    assert [each.session for each in made.requests] == ["none", "none"]
    assert made.requests[1].begun == {}


def test_a_person_is_told_what_became_of_a_session() -> None:
    made = engine(lambda _: Answer(b"{}", 0, notes=("goes on in its session",)))
    made.apply(task())
    made.run(ONE_STEP)
    assert "note: T-1-A1 goes on in its session" in made.lines


def test_it_goes_on_from_the_branch_as_it_has_become() -> None:
    made = begun()
    made.person_commits({"other.txt": b"theirs\n"})
    made.run(ONE_STEP)
    base = dict(made.trees.paths(made.requests[1].base))
    assert base.keys() >= {"other.txt"}
    assert made.requests[1].begun.keys() == {"docs/a.md"}


def test_where_the_branch_has_the_same_place_otherwise_it_begins_anew_and_says_so() -> None:
    made = begun()
    made.person_commits({"docs/a.md": b"theirs\n"})
    made.run(ONE_STEP)
    assert made.requests[1].begun == {}
    assert "continues" not in made.view(1)
    assert made.requests[1].session == "new"
    assert any("T-1 begins anew: the files of T-1-A1 do not fit" in line for line in made.lines)
    assert dispatches(made)[1].continues is None


def test_where_the_tree_is_not_at_hand_it_begins_anew_and_says_so() -> None:
    made = begun()
    made.effects.proposed = lambda commit: None  # type: ignore[method-assign]
    made.run(ONE_STEP)
    assert made.requests[1].begun == {}
    assert any("begins anew: what was kept of T-1-A1" in line for line in made.lines)


def test_an_agent_that_answers_in_json_is_told_of_the_rejection_alone() -> None:
    made = begun()
    made.goes_on = False
    made.run(ONE_STEP)
    assert made.requests[1].begun == {}
    assert "continues" not in made.view(1)
    assert "last_rejection" in made.view(1)
