"""Filters over events: each one alone, together, and reading no further than needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esaa_git.app.selection import Selection, history_of, parse_since, select
from esaa_git.core.event import Event, StoredEvent
from esaa_git.errors import UsageError
from tests.support.story import Story, definition

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


def stored(events: Iterable[Event]) -> list[StoredEvent]:
    return [StoredEvent(event, f"{event.seq:040x}") for event in events]


def a_story() -> Story:
    story = Story().started(definition("T-1"), definition("T-2"))
    story.later(60_000).attempt("T-1").rejected("T-1").update("T-1", "todo", "rejected")
    story.later(60_000).done("T-1").attempt("T-2").result("T-2").asked("T-2")
    return story.granted("ada@example.com")


STORY = a_story()
NEWEST_FIRST = stored(reversed(STORY.events))


def actions(selection: Selection) -> list[str]:
    return [one.event.action for one in select(NEWEST_FIRST, selection)]


def test_without_a_filter_every_event_is_selected() -> None:
    assert list(select(NEWEST_FIRST, Selection())) == NEWEST_FIRST


def test_a_task_includes_the_event_that_created_it_and_not_those_of_others() -> None:
    found = [one.event for one in select(NEWEST_FIRST, Selection(task="T-2"))]

    assert [event.action for event in found] == [
        "approval.request",
        "agent.result",
        "attempt.create",
        "run.init",
    ]


def test_a_decision_belongs_to_the_task_of_its_approval() -> None:
    selection = Selection(task="T-2", approvals=frozenset({"APR-0001"}))

    assert actions(selection)[0] == "approval.grant"
    assert "approval.grant" not in actions(Selection(task="T-1", approvals=frozenset()))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("attempt.create", ["attempt.create"] * 3),
        ("approval.*", ["approval.grant", "approval.request"]),
        ("output.rejecte?", ["output.rejected"]),
    ],
)
def test_an_action_may_be_a_glob(pattern: str, expected: list[str]) -> None:
    assert actions(Selection(action=pattern).check()) == expected


def test_an_actor_may_be_a_glob() -> None:
    assert actions(Selection(actor="*@example.com")) == ["approval.grant"]
    assert set(actions(Selection(actor="agent-spec"))) == {"agent.result"}


def test_grep_looks_into_the_json_and_the_subject() -> None:
    assert actions(Selection(grep='"code":"INVALID_JSON"')) == ["output.rejected"]
    assert actions(Selection(grep="in_progress → done")) == ["task.update"]


def test_filters_narrow_each_other() -> None:
    assert actions(Selection(task="T-1", action="task.*", grep="done")) == ["task.update"]
    assert actions(Selection(task="T-2", action="output.rejected")) == []


def test_since_stops_reading_at_the_first_event_before_it() -> None:
    first_of_last_minute = STORY.events[4].ts
    read = []

    def reading() -> Iterator[StoredEvent]:
        for one in NEWEST_FIRST:
            read.append(one.event.seq)
            yield one

    found = list(select(reading(), Selection(since=first_of_last_minute)))

    assert [one.event.seq for one in found] == [11, 10, 9, 8, 7, 6, 5]
    assert read == [11, 10, 9, 8, 7, 6, 5, 4]


def test_a_limit_stops_reading_as_soon_as_it_is_reached() -> None:
    reading = iter(NEWEST_FIRST)

    assert len(list(select(reading, Selection(action="attempt.create", limit=1)))) == 1
    assert next(reading).event.seq == 7


def test_the_history_of_a_task_ends_with_its_creation() -> None:
    later = (
        Story()
        .started()
        .then("task.create", task=definition("T-9"), by="ada@example.com", reason="more to do")
    )
    later.attempt("T-9")
    reading = iter(stored(reversed(later.events)))

    found = [one.event.action for one in history_of(reading, Selection(task="T-9"))]

    assert found == ["attempt.create", "task.create"]
    assert next(reading).event.action == "run.init"


@given(st.sampled_from(["T-1", "T-2", None]), st.sampled_from(["task.*", "agent.*", None]))
def test_both_directions_select_the_same_events(task: str | None, action: str | None) -> None:
    selection = Selection(task=task, action=action, since=STORY.events[3].ts)
    oldest_first = stored(STORY.events)

    forwards = list(select(oldest_first, selection, newest_first=False))

    assert forwards == list(select(NEWEST_FIRST, selection))[::-1]


def test_an_action_that_nothing_can_have_is_a_mistake() -> None:
    with pytest.raises(UsageError, match=r"no action matches 'task\.updated'"):
        Selection(action="task.updated").check()


def test_a_broken_regular_expression_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="not a regular expression"):
        Selection(grep="(").check()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-30", "2026-01-30T00:00:00.000Z"),
        ("2026-01-30T09:15:00Z", "2026-01-30T09:15:00.000Z"),
        ("2026-01-30T09:15:00.250+01:00", "2026-01-30T08:15:00.250Z"),
        ("30s", "2026-01-31T11:59:30.000Z"),
        ("90m", "2026-01-31T10:30:00.000Z"),
        ("2h ago", "2026-01-31T10:00:00.000Z"),
        ("3d", "2026-01-28T12:00:00.000Z"),
        ("1w", "2026-01-24T12:00:00.000Z"),
    ],
)
def test_a_time_is_a_date_or_a_span(text: str, expected: str) -> None:
    assert parse_since(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2h before", "2026-13-01", "999999999w", "3"])
def test_what_is_no_time_is_a_mistake(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_since(text, NOW)
