"""An admin has done tasks undone: in which order, by what effect, and what then still stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from esaa_git.core.invariants import Violation
from esaa_git.core.undone import Restored, inverse_fault, satisfies, stands
from tests.support.examples import OID, SHA256
from tests.support.records import signed_by_nobody
from tests.support.story import PERSON, Story, added, definition


def built() -> Story:
    """T-2 builds on T-1, T-3 on nothing, all done; T-4 would build on T-1."""
    told = Story().started(
        definition("T-1"),
        definition("T-2", depends_on=["T-1"]),
        definition("T-3"),
        definition("T-4", depends_on=["T-1"]),
    )
    return told.done("T-1", "a", "b").done("T-2", "c").done("T-3")


# -- which tasks, and in which order ----------------------------------------------------------


def test_what_builds_on_a_task_is_undone_before_it() -> None:
    told = built().undone("T-2", "T-1")
    assert [stands(told.state, name) for name in ("T-1", "T-2", "T-3")] == [False, False, True]
    undo = told.task("T-1-UN1")
    assert (undo.kind, undo.depends_on, undo.undoes) == ("spec", ("T-2-UN1",), "T-1")
    assert undo.result is not None
    assert undo.result.summary == "Undo T-1: Task T-1"
    assert told.task("T-1").is_done
    assert (told.state.run.requests, told.state.undone.open) == ((), ())


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        (["T-1"], "'T-2' builds on 'T-1', and has to be undone before it"),
        (["T-1", "T-2"], "'T-2' builds on 'T-1', and has to be undone before it"),
        (["T-3", "T-3"], "'T-3' is named twice"),
        (["T-4"], "only a done task is undone, and 'T-4' is todo"),
        (["T-9"], "there is no task 'T-9'"),
    ],
    ids=["a dependant left out", "the wrong order", "twice", "not done", "no task"],
)
def test_a_request_lists_what_can_be_undone_in_its_order(tasks: list[str], words: str) -> None:
    refused = built().refused(
        "operator.request", PERSON, kind="undo", tasks=tasks, **signed_by_nobody(9)
    )
    assert str(refused).startswith(words)


def test_a_hotfix_is_undone_before_what_it_supersedes() -> None:
    told = Story().started(definition("T-1")).done("T-1", "a")
    told.then("task.create", task=definition("T-1-HF1"), supersedes="T-1").done("T-1-HF1", "b")
    with pytest.raises(Violation, match="'T-1-HF1' builds on 'T-1'"):
        told.undo_asked("T-1")
    told.undone("T-1-HF1", "T-1")
    assert not stands(told.state, "T-1")


def test_what_is_under_way_on_a_task_ends_first() -> None:
    told = built().attempt("T-4")
    with pytest.raises(Violation, match="'T-4' builds on 'T-1', and is under way"):
        told.undo_asked("T-2", "T-1")


def test_what_was_done_since_the_request_keeps_it_from_being_carried_out() -> None:
    told = built()
    request = told.undo_asked("T-2", "T-1")
    told.done("T-4")
    told.undo_begun(request, "T-2")
    with pytest.raises(Violation, match="'T-4' builds on 'T-1'"):
        told.undo_begun(request, "T-1")


def test_nothing_begins_on_a_task_that_is_about_to_be_undone() -> None:
    told = built()
    request = told.undo_asked("T-2", "T-1")
    told.undo_begun(request, "T-2").undo_begun(request, "T-1")
    with pytest.raises(Violation, match="'T-4' waits for 'T-1'"):
        told.attempt("T-4")
    with pytest.raises(Violation, match="'T-1-UN1' waits for 'T-2-UN1'"):
        told.undo_opened("T-1-UN1")


# -- by whose word ----------------------------------------------------------------------------


def test_only_a_request_has_a_task_undone_and_once() -> None:
    told = built()
    with pytest.raises(Violation, match="nobody has asked for this"):
        told.undo_begun(None, "T-3")
    request = told.undo_asked("T-3")
    with pytest.raises(Violation, match="'T-3' is to be undone next"):
        told.undo_begun(request, "T-2")
    told.undo_begun(request, "T-3").undo_opened("T-3-UN1").closed("T-3-UN1")
    with pytest.raises(Violation, match="undone by 'T-3-UN1' already"):
        told.undo_asked("T-3")
    told.undone("T-3-UN1")
    with pytest.raises(Violation, match=f"{request} was carried out already"):
        told.undo_begun(request, "T-3")


def test_a_request_that_was_signed_before_is_taken_once() -> None:
    told = built()
    again = signed_by_nobody(told.state.seq)
    told.undone("T-3").undone("T-3-UN1")
    refused = told.refused("operator.request", PERSON, kind="undo", tasks=["T-3"], **again)
    assert "has taken this decision already" in str(refused)


@pytest.mark.parametrize(
    "more",
    [
        {"by": "eve@example.com"},
        {"undoes": "T-2"},
        {"undoes": "T-3", "supersedes": "T-3"},
        {"task": definition("T-3-UN1", writes=["**"])},
        {"task": definition("T-3-UN1", kind="impl")},
        {"task": definition("T-9")},
    ],
    ids=["by another", "another task", "also a hotfix", "wider", "another kind", "another id"],
)
def test_what_undoes_a_task_follows_from_it(more: dict[str, Any]) -> None:
    told = built()
    request = told.undo_asked("T-3")
    with pytest.raises(Violation):
        told.undo_begun(request, "T-3", **more)


def test_a_request_for_something_else_undoes_nothing() -> None:
    told = built()
    task = definition("T-3-UN1")
    asked = {"kind": "hotfix", "supersedes": "T-3", "task": task} | signed_by_nobody(9)
    told.then("operator.request", PERSON, **asked)
    with pytest.raises(Violation, match="is another one"):
        told.undo_begun(told.events[-1].event_id, "T-3")


# -- the effect -------------------------------------------------------------------------------


def opened() -> Story:
    told = built()
    request = told.undo_asked("T-2", "T-1")
    told.undo_begun(request, "T-2").undo_begun(request, "T-1")
    told.undo_opened("T-2-UN1").undo_written("T-2-UN1").closed("T-2-UN1")
    return told.undo_opened("T-1-UN1")


OTHER = {"after": "b" * 40, "sha256": SHA256, "bytes": 3, "mode": "100644"}
GONE: dict[str, Any] = {"change": "delete", "before": OID}

FORGED: dict[str, tuple[str, Callable[[Story], object]]] = {
    "another path": (
        "'c' is no path of what is undone",
        lambda told: told.undo_written(
            "T-1-UN1", {"path": "a", **GONE}, {"path": "b", **GONE}, {"path": "c", **GONE}
        ),
    ),
    "other bytes": (
        "'a': it is not what it was before",
        lambda told: told.undo_written(
            "T-1-UN1",
            {"path": "a", "change": "modify", "before": OID, **OTHER},
            {"path": "b", **GONE},
        ),
    ),
    "work of others": (
        "'a': it was changed since, and cannot be taken back",
        lambda told: told.undo_written(
            "T-1-UN1", {"path": "a", "change": "delete", "before": "b" * 40}, {"path": "b", **GONE}
        ),
    ),
    "another effect": (
        "undoes something else than its task",
        lambda told: told.undo_written("T-1-UN1", undoes=[added("a")]),
    ),
    "no effect": (
        "undoes something else than its task",
        lambda told: told.then(
            "orchestrator.file.write",
            **told.here("T-1-UN1"),
            base=OID,
            files=[{"path": "a", **GONE}],
            changed_lines=1,
        ),
    ),
    "done without a write": (
        "the effect of 'T-1-UN1' is pending",
        lambda told: told.closed("T-1-UN1"),
    ),
}


@pytest.mark.parametrize("name", FORGED)
def test_an_undo_writes_the_inverse_of_what_it_undoes_and_nothing_else(name: str) -> None:
    words, forge = FORGED[name]
    told = opened()
    with pytest.raises(Violation, match=words):
        forge(told)
    told.undo_written("T-1-UN1").closed("T-1-UN1")


def test_no_agent_makes_an_undo_and_no_orchestrator_undoes_by_an_ordinary_attempt() -> None:
    told = built()
    told.undo_begun(told.undo_asked("T-3"), "T-3")
    for agent, mode in (("orchestrator", "dispatch"), (PERSON, "claim"), ("agent-spec", "undo")):
        with pytest.raises(Violation):
            told.attempt("T-3-UN1", agent, mode=mode)
    with pytest.raises(Violation, match="none for an attempt of this mode"):
        told.undo_opened("T-4")
    changed = {"from": "todo", "to": "todo", "cause": "amended", "changes": {"depends_on": []}}
    refused = told.refused("task.update", task_id="T-3-UN1", **changed)
    assert "says what it is" in str(refused)


def test_an_effect_that_undoes_none_names_none() -> None:
    told = built().attempt("T-4").result("T-4", ("d",))
    written = {"base": OID, "files": [added("d")], "changed_lines": 1, "undoes": [added("a")]}
    refused = told.refused("orchestrator.file.write", **told.here("T-4"), **written)
    assert refused.rule == "INV-003"


A, B, C, D = (("100644", char * 40) for char in "abcd")
RUNS = ("100755", "a" * 40)


@pytest.mark.parametrize(
    ("undone", "restored", "is_lawful"),
    [
        ({"f": (A, B)}, Restored("f", B, A), True),
        ({"f": (A, B)}, Restored("f", B, C), False),
        ({"f": (A, B)}, Restored("f", A, A), True),  # it is what it was already
        ({"f": (A, B)}, Restored("f", C, D), True),  # changed since, and merged
        ({"f": (A, B)}, Restored("f", C, None), False),
        ({"f": (A, B)}, Restored("f", None, A), False),
        ({"f": (None, B)}, Restored("f", B, None), True),
        ({"f": (None, B)}, Restored("f", C, None), False),
        ({"f": (A, None)}, Restored("f", None, A), True),
        ({"f": (A, None)}, Restored("f", C, A), False),
        ({"f": (A, RUNS)}, Restored("f", ("100755", "c" * 40), ("100644", "c" * 40)), True),
        ({"f": (A, RUNS)}, Restored("f", ("100755", "c" * 40), ("100755", "c" * 40)), False),
        ({"f": (A, RUNS)}, Restored("f", ("100755", "c" * 40), ("100644", "d" * 40)), False),
    ],
)
def test_an_inverse_is_told_by_what_stood_where(
    undone: dict[str, Any], restored: Restored, is_lawful: bool
) -> None:
    assert (inverse_fault(undone, {}, [restored]) is None) == is_lawful


def test_a_file_that_was_moved_is_moved_back() -> None:
    undone = {"new": (None, B), "old": (A, None)}
    moved = {"new": "old"}
    assert inverse_fault(undone, moved, [Restored("old", B, A, "new")]) is None
    assert inverse_fault(undone, moved, [Restored("old", C, D, "new")]) is None
    assert (
        inverse_fault(undone, moved, [Restored("new", B, None), Restored("old", None, A)]) is None
    )
    assert inverse_fault(undone, moved, [Restored("new", B, None)]) == "'old' is not restored"
    assert inverse_fault(undone, moved, [Restored("new", A, B, "old")]) is not None
    assert inverse_fault(undone, moved, [Restored("old", B, C, "new")]) is not None


# -- what stands then -------------------------------------------------------------------------


def test_what_was_undone_holds_nothing_until_the_undo_is_undone() -> None:
    told = built().undone("T-2", "T-1")
    with pytest.raises(Violation, match="'T-4' waits for 'T-1'"):
        told.attempt("T-4")
    with pytest.raises(Violation, match="'T-1-UN1' builds on 'T-2-UN1'"):
        told.undo_asked("T-2-UN1")
    request = told.undo_asked("T-1-UN1")
    told.undo_begun(request, "T-1-UN1").undo_opened("T-1-UN1-UN1")
    told.undo_written(
        "T-1-UN1-UN1",
        *[added(path) for path in "ab"],
        undoes=[{"path": path, **GONE} for path in "ab"],
    ).closed("T-1-UN1-UN1")
    assert satisfies(told.state, "T-1")
    assert not stands(told.state, "T-1-UN1")
    told.attempt("T-4")


def test_a_task_can_be_undone_again() -> None:
    told = built().undone("T-3").undone("T-3-UN1").undone("T-3")
    by = told.state.undone.by("T-3")
    assert by is not None
    assert (by.task_id, by.by) == ("T-3-UN2", PERSON)
    told.undone("T-3-UN2").undone("T-3-UN2-UN1")
    assert not stands(told.state, "T-3")


def test_what_supersedes_an_undone_task_stands_in_for_it() -> None:
    told = built().undone("T-2", "T-1")
    told.then("task.create", task=definition("T-1-HF1"), supersedes="T-1")
    assert not satisfies(told.state, "T-1")
    told.done("T-1-HF1").done("T-4")
    with pytest.raises(Violation, match="'T-4' builds on 'T-1-HF1'"):
        told.undo_asked("T-1-HF1")


def test_an_undo_needs_no_open_run_and_is_lawful_while_everything_is_stopped() -> None:
    told = built().ended("halted")
    told.then("run.halt", PERSON, **{"epoch": 0, **signed_by_nobody(77)})
    told.undone("T-2", "T-1")
    assert told.state.run.state == "halted"
    assert not stands(told.state, "T-1")


def test_a_stop_lets_nothing_else_pass_beside_an_undo() -> None:
    told = built()
    told.undo_begun(told.undo_asked("T-3"), "T-3")
    told.then("run.halt", PERSON, **{"epoch": 0, **signed_by_nobody(77)})
    with pytest.raises(Violation, match="everything is stopped"):
        told.attempt("T-4")
    with pytest.raises(Violation, match="everything is stopped"):
        told.then("task.create", task=definition("T-9"))


def test_an_undo_is_approved_as_its_kind_by_another_than_an_agent() -> None:
    told = opened().undo_written("T-1-UN1")
    assert told.refused("approval.request", **wanted(told, "proposal")).rule == "INV-003"
    told.then("approval.request", **wanted(told, "undo")).granted()
    told.closed("T-1-UN1", cause="approved")
    assert not stands(told.state, "T-1")


def wanted(told: Story, kind: str) -> dict[str, Any]:
    return {
        **told.here("T-1-UN1"),
        "approval_id": "APR-0001",
        "kind": kind,
        "subject_sha256": SHA256,
        "requirements": [{"rule": "by contract", "role": "approver"}],
        "nonce": "0" * 32,
    }
