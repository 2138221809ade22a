"""What done tasks did is taken back: which of them, by what, and with whose consent."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress

import pytest

from esaa_git.core.contracts import POLICY
from esaa_git.core.undone import stands
from esaa_git.engine import operator, requests, undo
from esaa_git.engine.cycle import cycle
from esaa_git.engine.halting import Halting
from esaa_git.errors import RefusedError, RepositoryError, RunHalted, UsageError
from esaa_git.ports.files import FileEntry
from esaa_git.testing.answers import in_turn, result, write
from esaa_git.testing.contracts import contracts, task
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.log import MemoryLogTransaction

ANN, BEN = "ann@example.com", "ben@example.com"


def built(**more: object) -> MemoryEngine:
    """T-2 builds on T-1, T-3 writes the same file as they do; all are done, and the run is over."""
    made = engine(
        in_turn(
            result(write("docs/a.md", "eins\n"), write("docs/b.md", "b\n")),
            result(write("docs/a.md", "eins\nzwei\n")),
            result({"op": "rename", "from": "docs/b.md", "path": "docs/c.md"}),
        ),
        files={"docs/a.md": b"one\n"},
        **more,  # type: ignore[arg-type]
    )
    made.apply(task("T-1"), task("T-2", depends_on=["T-1"]), task("T-3"))
    cycle(made)
    return made


def undone(made: MemoryEngine, names: Sequence[str]) -> list[str]:
    """Have tasks undone as the command does, and return what came of each."""
    undo.require_fit(made, undo.plan(made, names))
    requests.undo(made, names, ANN, "no good")
    return [one.kind for one in undo.carry_on(made)]


def test_a_task_is_undone_after_what_builds_on_it_and_everything_is_what_it_was() -> None:
    made = built()
    assert undo.of_task(made, "T-1") == ("T-2", "T-1")
    assert undone(made, ["T-3"]) == ["done"]
    assert made.content("docs/b.md") == b"b\n"
    assert undone(made, undo.of_task(made, "T-1")) == ["done", "done"]
    assert made.repository.files(made.repository.refs["refs/heads/main"]).keys() == {"docs/a.md"}
    assert made.content("docs/a.md") == b"one\n"
    assert made.requests[3:] == []  # nobody was asked


def test_a_run_is_undone_from_its_last_task_on_but_what_it_has_undone_itself() -> None:
    made = built()
    assert undo.of_run(made, "RUN-0001") == ("T-3", "T-2", "T-1")
    undone(made, ["T-3"])
    assert undo.of_run(made, "RUN-0001") == ("T-2", "T-1")
    undone(made, ("T-2", "T-1"))
    with pytest.raises(UsageError, match="nothing that was done in RUN-0001 stands"):
        undo.of_run(made, "RUN-0001")
    with pytest.raises(UsageError, match="no run 'RUN-0009'"):
        undo.of_run(made, "RUN-0009")


def test_what_was_undone_in_a_later_run_is_had_back_with_that_run() -> None:
    made = built()
    made.apply(task("T-1"), task("T-2", depends_on=["T-1"]), task("T-3"), task("T-4"))
    undone(made, ["T-3"])
    assert undo.of_run(made, "RUN-0002") == ("T-3-UN1",)


def test_what_was_changed_since_is_kept_where_the_two_merge() -> None:
    made = built()
    made.person_commits({"docs/c.md": FileEntry("100755", made.blobs.write(b"b\n"))})
    (step,) = undo.plan(made, ["T-3"])
    assert step.inverse is not None
    assert step.inverse.merged == ("docs/c.md",)
    assert undone(made, ["T-3"]) == ["done"]
    files = made.repository.files(made.repository.refs["refs/heads/main"])
    assert files["docs/b.md"] == FileEntry("100755", made.blobs.write(b"b\n"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"docs/a.md": b"neu\n"}, "docs/a.md' (T-2): both sides changed it"),
        ({"docs/a.md": None}, "docs/a.md' (T-2): it was deleted since"),
        ({"docs/c.md": None}, "docs/c.md' (T-3): it was moved or replaced since"),
        ({"docs/b.md": b"neu\n"}, "docs/c.md' (T-3): it was moved or replaced since"),
    ],
    ids=["the same lines", "deleted", "moved", "another in its old place"],
)
def test_what_does_not_merge_is_named_before_anything_is_recorded(
    changed: dict[str, bytes | None], words: str
) -> None:
    made = built()
    made.person_commits(changed)
    before = len(made.events)
    planned = undo.plan(made, ["T-3", "T-2"])
    with pytest.raises(RefusedError, match="WRITE_CONFLICT: 1 paths cannot be undone") as caught:
        undo.require_fit(made, planned)
    assert words in str(caught.value.cause)
    assert len(made.events) == before


def test_what_came_to_be_in_the_place_of_an_added_file_is_not_deleted() -> None:
    made = engine(in_turn(result(write("docs/a.md", "a\n"))))
    made.apply(task("T-1"))
    cycle(made)
    made.person_commits({"docs/a.md": b"mine\n"})
    (step,) = undo.plan(made, ["T-1"])
    assert step.inverse is not None
    (clash,) = step.inverse.clashes
    assert clash.reason == "what is to be deleted was changed since"
    made.person_commits({"docs/a.md": None})
    (step,) = undo.plan(made, ["T-1"])
    assert step.inverse is not None
    assert [one.reason for one in step.inverse.clashes] == [
        "nothing of it is on the branch any more"
    ]


def test_a_content_that_is_not_here_is_named() -> None:
    made = built()
    del made.repository.blobs[made.blobs.write(b"one\n")]
    with pytest.raises(RepositoryError, match="what 'T-1' changed is not all in this repository"):
        undo.plan(made, ["T-2", "T-1"])


def test_a_person_s_own_work_is_not_written_over() -> None:
    made = built()
    made.repository.checkout["docs/a.md"] = FileEntry("100644", made.blobs.write(b"draft\n"))
    before = len(made.events)
    with pytest.raises(RefusedError, match="your uncommitted work is in the way"):
        undone(made, ["T-2"])
    assert len(made.events) == before


def test_a_person_alone_asks_and_the_orchestrator_carries_it_out_while_it_is_stopped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = built()
    Halting(made, ANN, "stop").halt(made)
    with monkeypatch.context() as alone:
        alone.setattr(MemoryLogTransaction, "alone", property(lambda _: True))
        assert not requests.undo(made, ("T-2", "T-1"), ANN, "no good")
    assert made.state.run.requests == (made.last.event_id,)
    requests.carry_out_open(made, only="undo")
    assert [one.kind for one in undo.carry_on(made)] == ["done", "done"]
    assert not stands(made.state, "T-1")


def test_a_run_goes_on_with_what_is_being_undone() -> None:
    made = built()
    requests.undo(made, ("T-2", "T-1"), ANN, "no good")
    made.apply(task("T-1"), task("T-2", depends_on=["T-1"]), task("T-3"), task("T-9"))
    made.answering[""] = result(write("docs/z.md", "z\n"))
    made.run()
    assert not stands(made.state, "T-1")
    assert made.task("T-9").is_done


def test_what_waits_for_an_undone_task_says_how_it_is_had_back() -> None:
    made = built()
    undone(made, ("T-2", "T-1"))
    made.apply(task("T-1"), task("T-3"), task("T-4", depends_on=["T-1"]))
    with pytest.raises(RunHalted, match=r"'T-4' waits for T-1 \(undone\)") as caught:
        made.run()
    assert "run 'git esaa undo T-1-UN1' (it has undone 'T-1'), then" in str(caught.value.hint)


def test_what_is_reviewed_when_it_is_done_is_reviewed_when_it_is_undone() -> None:
    made = engine(in_turn(result(write("docs/a.md", "a\n"))))
    made.apply(task("T-1", review=True))
    with suppress(RunHalted):
        cycle(made)
    operator.review(made, "T-1", BEN, "approve", "")
    cycle(made)
    (step,) = undo.plan(made, ["T-1"])
    assert step.needs == "one of role approver (the plan requires a review of this task)"
    assert undone(made, ["T-1"]) == ["waiting"]
    asked = made.state.approvals["APR-0002"]
    assert (asked.kind, asked.started_by) == ("undo", ANN)
    with pytest.raises(RefusedError) as caught:
        operator.review(made, "T-1-UN1", BEN, "request_changes", "other bytes")
    assert "nobody can change it" in str(caught.value.cause)
    made.person_commits({"other.md": b"x"})  # the branch may move meanwhile
    operator.review(made, "T-1-UN1", BEN, "approve", "")
    assert made.content("docs/a.md") is None
    assert made.task("T-1-UN1").result is not None
    assert made.task("T-1-UN1").result.reviewed_by == (BEN,)  # type: ignore[union-attr]


def test_an_undo_that_nobody_answers_waits_to_be_asked_for_again() -> None:
    expire = ("RUNTIME_POLICY.yaml", "approvals", "expire_after")
    made = engine(given=contracts({expire: "PT1H"}))
    made.apply(task("T-1", review=True))
    with suppress(RunHalted):
        cycle(made)
    operator.review(made, "T-1", BEN, "approve", "")
    cycle(made)
    assert undone(made, ["T-1"]) == ["waiting"]
    made.clock.forward(hours=2)
    assert undo.carry_on(made) == []
    assert made.task("T-1-UN1").state == "blocked"
    assert operator.ask_again(made, "T-1-UN1", ANN).kind == "waiting"
    operator.review(made, "T-1-UN1", BEN, "approve", "")
    assert not stands(made.state, "T-1")


def test_a_denied_undo_leaves_the_task_and_may_be_taken_up_again() -> None:
    made = engine(
        in_turn(result(write("docs/qa/a.md", "a\n")), result(write("docs/qa/b.md", "b\n"))),
        given=contracts({("AGENT_CONTRACT.yaml", "kinds", "qa", "review"): "required"}),
    )
    made.apply(task("T-1", "qa"), task("T-2", "qa", depends_on=["T-1"]))
    with suppress(RunHalted):
        cycle(made)
    operator.review(made, "T-1", BEN, "approve", "")
    assert undone(made, ["T-1"]) == ["waiting"]
    with pytest.raises(RunHalted, match="'T-1-UN1' waits for 'git esaa review T-1-UN1'"):
        cycle(made)
    assert made.task("T-2").state == "todo"  # nothing begins on what may go
    operator.review(made, "T-1-UN1", BEN, "deny", "it stays")
    with suppress(RunHalted):
        cycle(made)
    assert (made.task("T-1-UN1").state, made.task("T-2").state) == ("blocked", "in_progress")
    with pytest.raises(RefusedError) as caught:
        undo.plan(made, ["T-1"])
    assert caught.value.hint == (
        "run 'git esaa task unblock T-1-UN1 --reason TEXT', then 'git esaa undo'"
    )


def test_what_policy_denies_is_told_and_what_it_asks_for_is_asked_of_the_undo_as_well() -> None:
    rules = [
        {"name": "kept", "match": {"paths": "docs/b.md", "operations": "delete"}, "effect": "deny"},
        {
            "name": "handbook",
            "match": {"paths": "docs/a.md"},
            "effect": {"require": {"role": "admin", "count": 1, "other_than": "starter"}},
        },
    ]
    policy = json.dumps({"schema_version": "0.3.0", "rules": rules}).encode()
    made = engine(
        in_turn(result(write("docs/b.md", "b\n")), result(write("docs/c.md", "c\n"))),
        given=contracts().with_files({POLICY: policy}),
    )
    made.apply(task("T-1"), task("T-2"))
    cycle(made)
    (denied,) = undo.plan(made, ["T-1"])
    with pytest.raises(RefusedError, match="POLICY_DENIED: 'T-1' cannot be undone") as caught:
        undo.require_fit(made, [denied])
    assert "denies it by 'kept'" in str(caught.value.cause)
    made.answering[""] = result(write("docs/a.md", "a\n"))
    made.apply(task("T-1"), task("T-2"), task("T-3"))
    with suppress(RunHalted):
        cycle(made)
    operator.review(made, "T-3", BEN, "approve", "")
    assert undone(made, ["T-3"]) == ["waiting"]
    with pytest.raises(RunHalted):
        cycle(made)
    operator.review(made, "T-3-UN1", ANN, "approve", "mine")  # who has asked for it
    assert made.content("docs/a.md") == b"a\n"
    operator.review(made, "T-3-UN1", BEN, "approve", "")
    assert made.content("docs/a.md") is None


def test_no_more_are_undone_at_a_time_than_a_request_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    made = built()
    monkeypatch.setattr(undo, "MOST", 1)
    with pytest.raises(RefusedError, match="2 tasks would be undone, and 1 are undone at a time"):
        undo.plan(made, ("T-2", "T-1"))
