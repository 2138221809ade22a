"""The state machine is its table: every row exists, and nothing else does."""

from __future__ import annotations

from itertools import product

import pytest

from esaa_git.core.event import NewEvent
from esaa_git.core.events import ACTIONS
from esaa_git.core.machine import (
    OPEN_RUN,
    TABLE,
    AttemptState,
    Cause,
    IllegalTransition,
    RunState,
    TaskState,
    Transition,
    diagram,
    next_state,
)
from tests.support.examples import EXAMPLES

STATES = {"task": TaskState, "attempt": AttemptState, "run": RunState}
CAUSES = (None, *Cause, "undo", "success", "failed", "halted")


def rows(entity: str) -> list[Transition]:
    return [row for row in TABLE if row.entity == entity]


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_every_row_is_a_step(row: Transition) -> None:
    assert next_state(row.entity, row.source, row.action, row.cause) == row.target


def test_no_two_rows_say_different_things_of_one_step() -> None:
    steps = [(row.entity, row.source, row.action, row.cause) for row in TABLE]
    assert len(set(steps)) == len(steps)


@pytest.mark.parametrize("entity", STATES)
def test_whatever_is_no_row_is_refused(entity: str) -> None:
    table = {(row.source, row.action, row.cause) for row in rows(entity)}
    refused = 0
    for source, action, cause in product((None, *STATES[entity]), ACTIONS, CAUSES):
        if (source, action, cause) in table:
            continue
        with pytest.raises(IllegalTransition) as caught:
            next_state(entity, source, action, cause)
        assert str(caught.value).startswith(f"{entity} in state '{source or 'none'}'")
        assert action in str(caught.value)
        refused += 1
    assert refused == (1 + len(STATES[entity])) * len(ACTIONS) * len(CAUSES) - len(table)


def test_the_table_speaks_of_known_states_actions_and_causes_alone() -> None:
    for row in TABLE:
        assert row.source is None or row.source in list(STATES[row.entity])
        assert row.target in list(STATES[row.entity])
        assert row.action in ACTIONS
        assert row.cause in CAUSES


def test_every_state_can_be_reached() -> None:
    for entity, states in STATES.items():
        reached = {row.target for row in rows(entity)} | ({"idle"} if entity == "run" else set())
        assert reached == set(states)


def test_every_cause_of_an_update_is_in_the_table() -> None:
    assert {row.cause for row in TABLE if row.action == "task.update"} == set(Cause)


def test_nothing_leads_out_of_done() -> None:
    assert [row for row in rows("task") if row.source == TaskState.DONE] == []


def test_nothing_leads_out_of_an_attempt_that_is_over() -> None:
    assert {row.source for row in rows("attempt")} == {None, AttemptState.ACTIVE}


def test_only_an_accepted_or_approved_result_leads_to_done() -> None:
    ways = [(row.source, row.cause) for row in rows("task") if row.target == TaskState.DONE]
    assert ways == [("in_progress", "accepted"), ("in_progress", "approved")]


def test_only_a_person_leads_out_of_blocked() -> None:
    ways = [row.cause for row in rows("task") if row.source == "blocked" != row.target]
    assert ways == [Cause.ASKED_AGAIN, Cause.ANSWERED, Cause.OPERATOR]


def test_work_is_accepted_only_between_the_start_and_the_end_of_a_run() -> None:
    opening = {row.source for row in rows("run") if row.action == "attempt.create"}
    assert opening == OPEN_RUN == {RunState.INITIALIZED, RunState.RUNNING}


@pytest.mark.parametrize("entity", STATES)
def test_the_diagram_has_every_row_and_nothing_else(entity: str) -> None:
    head, *lines = diagram(entity).splitlines()
    assert head == "stateDiagram-v2"
    assert len(lines) == len(rows(entity))
    for row, line in zip(rows(entity), lines, strict=True):
        source, arrow, target, *label = line.split()
        assert (source, arrow, target) == (row.source or "[*]", "-->", f"{row.target}:")
        assert label == [row.action] + ([f"({row.cause})"] if row.cause else [])


def test_an_example_is_a_new_event_of_its_action() -> None:
    for action, example in EXAMPLES.items():
        assert isinstance(example, NewEvent)
        assert example.action == action
