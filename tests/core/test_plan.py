"""The plan: what people wrote, held against what the log says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from esaa_git.core.events.base import encode
from esaa_git.core.plan import Plan, check_plan, diff_plan, find_cycle, in_order, load_plan
from esaa_git.core.state import EMPTY, State
from esaa_git.core.task import DEFINITION_FIELDS
from esaa_git.errors import ConfigurationError
from esaa_git.testing.contracts import contracts
from tests.support.story import Story, definition


def plan(*tasks: dict[str, Any]) -> Plan:
    return load_plan(json.dumps({"project": "example", "tasks": tasks}).encode(), "plan.yaml")


def unusable(*tasks: dict[str, Any], state: State = EMPTY) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        check_plan(plan(*tasks), state, contracts())
    return caught.value


def waits(task_id: str, *others: str, **more: Any) -> dict[str, Any]:
    return definition(task_id, depends_on=list(others), **more)


def ids(tasks: Any) -> list[str]:
    return [task["task_id"] for task in tasks]


# --------------------------------------------------------------------------------- reading the file


def test_a_plan_is_a_project_and_its_tasks_in_the_order_of_the_file() -> None:
    found = load_plan(b"project: example\ntasks:\n- {task_id: T-2, kind: qa, title: Two}\n")
    assert found == Plan("example", ({"task_id": "T-2", "kind": "qa", "title": "Two"},))
    assert ids(plan(definition("T-2"), definition("T-1")).tasks) == ["T-2", "T-1"]


def test_what_says_nothing_is_left_out_of_a_definition() -> None:
    nothing = {"description": "", "acceptance": [], "depends_on": [], "writes": []}
    found = plan(definition(**nothing, priority=0, review=False))
    assert found.tasks == (definition(),)
    kept = definition(description="x", priority=1, review=True, agent="a", attempts_allowed=1)
    assert plan(kept).tasks == (kept,)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"# nothing yet\n", "is empty"),
        (b"[]\n", "expected a mapping"),
        (b"project: example\n", "'tasks' is missing"),
        (b"project: example\ntasks: {}\n", "tasks: "),
        (b"project: 7\ntasks: []\n", "project: "),
        (b"project: |\n  two\n  lines\ntasks: []\n", "project: "),
        (b"project: example\nproject: other\ntasks: []\n", "line 2 column 1: duplicate key"),
        (b"project: example\ntasks: []\nnotes: []\n", "notes"),
        (b"project: example\ntasks: [{task_id: T-1, kind: spec}]\n", "task 'T-1': "),
        (
            b"project: example\ntasks: [{task_id: T 1, kind: spec, title: x}]\n",
            "task 'T 1'/task_id",
        ),
        (
            b"project: example\ntasks: [{task_id: T-1, kind: spec, title: x, done: 1}]\n",
            "task 'T-1'",
        ),
        (
            b"project: example\ntasks: [{task_id: T-1, kind: spec, title: x, priority: high}]\n",
            "task 'T-1'/priority",
        ),
        (
            b"project: example\ntasks: [{task_id: T-1, kind: spec, title: x, writes: ['!a']}]\n",
            "T-1: writes: glob '!a'",
        ),
        (b"project: [\n", "line 2 column 1"),
    ],
)
def test_a_mistake_is_named_with_file_and_place(data: bytes, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_plan(data)
    assert caught.value.message.startswith("'.roadmap/plan.yaml'")
    assert words in caught.value.message
    assert caught.value.hint is not None


# ----------------------------------------------------------------------- what cannot be carried out


def test_a_sound_plan_passes() -> None:
    tasks = waits("T-3", "T-1", "T-2"), waits("T-2", "T-1"), definition("T-1")
    check_plan(plan(*tasks), EMPTY, contracts())


def test_a_task_that_stands_twice_is_named() -> None:
    error = unusable(definition("T-1"), definition("T-2"), definition("T-1"))
    assert error.message == "task 'T-1' stands twice in the plan"


def test_an_unknown_dependency_is_named_with_whoever_waits_for_it() -> None:
    error = unusable(definition("T-1"), waits("T-2", "T-1", "T-9"))
    assert error.message == "task 'T-2' depends on 'T-9', which does not exist"


def test_a_dependency_may_be_in_the_log_alone() -> None:
    state = Story().started(definition("T-9")).state
    check_plan(plan(waits("T-2", "T-9")), state, contracts())


def test_an_unknown_kind_is_named() -> None:
    error = unusable(definition("T-1", "poetry"))
    assert error.message == "no task kind 'poetry' in AGENT_CONTRACT.yaml (task 'T-1')"


def test_a_cycle_is_named_along_its_way() -> None:
    error = unusable(waits("T-1", "T-3"), waits("T-2", "T-1"), waits("T-3", "T-2"))
    assert error.message == "the dependencies form a cycle: T-1 → T-3 → T-2 → T-1"


def test_a_task_that_waits_for_itself_is_a_cycle() -> None:
    assert unusable(waits("T-1", "T-1")).message.endswith(": T-1 → T-1")


def test_a_cycle_through_the_log_is_found() -> None:
    state = Story().started(definition("T-1"), waits("T-2", "T-1")).state
    error = unusable(waits("T-1", "T-3"), waits("T-3", "T-2"), state=state)
    assert error.message == "the dependencies form a cycle: T-1 → T-3 → T-2 → T-1"


def test_a_cycle_that_the_plan_removes_is_none() -> None:
    state = Story().started(definition("T-1"), waits("T-2", "T-1")).state
    check_plan(plan(waits("T-1", "T-2"), definition("T-2")), state, contracts())


@pytest.mark.parametrize(
    ("edges", "cycle"),
    [
        ({}, None),
        ({"a": []}, None),
        ({"a": ["b"], "b": ["c"], "c": []}, None),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, None),
        ({"a": ["elsewhere"]}, None),
        ({"a": ["b"], "b": ["a"]}, ["a", "b", "a"]),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ["b", "c", "b"]),
        ({"a": ["b", "c"], "b": [], "c": ["a"]}, ["a", "c", "a"]),
    ],
)
def test_one_cycle_is_found_where_there_is_any(
    edges: dict[str, list[str]], cycle: list[str] | None
) -> None:
    assert find_cycle(edges) == cycle


def test_a_chain_longer_than_python_s_stack_is_looked_through() -> None:
    edges = {str(number): [str(number + 1)] for number in range(5000)}
    assert find_cycle(edges) is None
    assert len(find_cycle({**edges, "5000": ["0"]}) or []) == 5002


# --------------------------------------------------------------------------------- plan against log


def test_what_the_log_does_not_know_is_new() -> None:
    state = Story().started(definition("T-1")).state
    diff = diff_plan(plan(definition("T-1"), definition("T-2")), state)
    assert (ids(diff.new), diff.unchanged) == (["T-2"], 1)
    assert not diff.is_empty


def test_a_plan_that_was_applied_changes_nothing() -> None:
    tasks = definition("T-1", description="x", acceptance=["y"]), waits("T-2", "T-1")
    diff = diff_plan(plan(*tasks), Story().started(*plan(*tasks).tasks).state)
    assert diff.is_empty
    assert (diff.unchanged, diff.final, diff.unplanned) == (2, (), ())


EDITS: dict[str, Any] = {
    "kind": "qa",
    "title": "Another",
    "description": "More.",
    "acceptance": ["It is done."],
    "depends_on": ["T-0"],
    "writes": ["docs/a.md"],
    "agent": "agent-qa",
    "priority": 7,
    "review": True,
    "attempts_allowed": 9,
    "checks": [{"name": "lint", "run": ["true"], "timeout": "PT1M"}],
    "context": ["docs/**"],
    "reviewer": "agent-qa",
    "budget": {"calls": 3},
}


def test_every_field_of_a_definition_can_be_edited_here() -> None:
    assert set(EDITS) == set(DEFINITION_FIELDS)


@pytest.mark.parametrize("state", ["todo", "blocked"])
@pytest.mark.parametrize("field", EDITS)
def test_an_edit_of_a_task_that_waits_amends_it(field: str, state: str) -> None:
    told = Story().started(definition("T-0"), definition())
    if state == "blocked":
        told.update("T-1", "blocked", "issue", reason="x")
    before = getattr(told.task(), field)
    edited = {**definition(), field: EDITS[field]}
    diff = diff_plan(plan(definition("T-0"), edited), told.state)
    (amendment,) = diff.amended
    assert amendment.task == told.task()
    assert encode(amendment.after) == {field: EDITS[field]}
    shown = list(before) if isinstance(before, tuple) else before
    assert amendment.changes == {field: (shown, EDITS[field])}
    told.update("T-1", state, "amended", changes=encode(amendment.after))
    assert diff_plan(plan(definition("T-0"), edited), told.state).is_empty


def test_an_entry_that_is_taken_out_of_the_plan_goes_back_to_nothing() -> None:
    full = definition(description="x", acceptance=["y"], writes=["docs/**"], priority=3)
    diff = diff_plan(plan(definition()), Story().started(full).state)
    nothing = {"description": "", "acceptance": [], "writes": [], "priority": 0}
    assert encode(diff.amended[0].after) == nothing


def test_what_an_operator_set_is_not_undone_by_a_plan_that_is_silent() -> None:
    told = Story().started(definition(agent="agent-qa", attempts_allowed=9))
    assert diff_plan(plan(definition()), told.state).is_empty


@pytest.mark.parametrize("state", ["in_progress", "done"])
def test_a_task_that_is_worked_on_or_done_is_left_alone(state: str) -> None:
    told = Story().started(definition()).attempt()
    if state == "done":
        told.result().closed()
    diff = diff_plan(plan(definition(title="Another")), told.state)
    assert diff.is_empty
    assert [(item.task.task_id, encode(item.after)) for item in diff.final] == [
        ("T-1", {"title": "Another"})
    ]


def test_a_task_that_the_plan_does_not_name_is_unplanned() -> None:
    told = Story().started(definition("T-1"), definition("T-2"))
    diff = diff_plan(plan(definition("T-1")), told.state)
    assert [task.task_id for task in diff.unplanned] == ["T-2"]
    assert diff.is_empty


# ---------------------------------------------------------------------------------------- the order


def test_new_tasks_come_after_what_they_depend_on_and_otherwise_in_the_order_given() -> None:
    tasks = [waits("T-1", "T-4"), waits("T-2", "T-9"), definition("T-3"), waits("T-4", "T-3")]
    assert [task.task_id for task in in_order(tasks)] == ["T-3", "T-4", "T-1", "T-2"]


def test_a_chain_in_the_wrong_order_is_turned_around() -> None:
    tasks = [waits(f"T-{n}", f"T-{n + 1}") for n in range(3000)]
    found = in_order([*tasks, definition("T-3000")])
    assert [task.task_id for task in found] == [f"T-{n}" for n in range(3000, -1, -1)]


def test_a_diamond_has_every_task_once() -> None:
    tasks = [waits("T-4", "T-2", "T-3"), waits("T-2", "T-1"), waits("T-3", "T-1"), definition()]
    assert [task.task_id for task in in_order(tasks)] == ["T-1", "T-3", "T-2", "T-4"]
