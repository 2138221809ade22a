"""Which commit is the effect of a task, and where the log closed it."""

from __future__ import annotations

from esaa_git.verification.effects import Closed, closed_by, is_closing_effect
from tests.support.examples import OID
from tests.support.story import Story, definition

OTHER = "c" * 40
MESSAGE = b"T-1: done\n\nESAA-Event: " + b"d" * 40 + b"\nESAA-Task: T-1\n"


def branch() -> str:
    return "main"


def test_the_commit_that_closed_the_task_is_its_effect_and_no_other_is() -> None:
    state = Story().started(definition()).done("T-1", "docs/a.md").state

    assert is_closing_effect(state, OID, MESSAGE)
    assert not is_closing_effect(state, OTHER, MESSAGE)


def test_a_task_that_is_unknown_open_or_closed_without_an_effect_has_none() -> None:
    story = Story().started(definition(), definition("T-2"), definition("T-3")).done("T-2")

    assert not is_closing_effect(story.state, OID, MESSAGE)
    assert not is_closing_effect(story.state, OID, MESSAGE.replace(b"T-1", b"T-2"))
    assert not is_closing_effect(story.state, OID, MESSAGE.replace(b"T-1", b"T-9"))


def test_a_message_that_names_no_task_or_two_is_of_no_effect() -> None:
    state = Story().started(definition()).done("T-1", "docs/a.md").state

    assert not is_closing_effect(state, OID, b"T-1: done\n")
    assert not is_closing_effect(state, OID, MESSAGE + b"ESAA-Task: T-1\n")
    assert not is_closing_effect(state, OID, MESSAGE + b"\nanother paragraph\n")


def test_the_result_counts_in_later_runs_too() -> None:
    story = (
        Story().started(definition()).done("T-1", "docs/a.md").ended().started(definition("T-2"))
    )

    assert is_closing_effect(story.state, OID, MESSAGE)


def test_the_event_that_closed_a_task_says_where() -> None:
    event = Story().started(definition()).done("T-1", "docs/a.md").events[-1]

    found = closed_by(event, OTHER, branch)

    assert found == Closed(event.seq, OTHER, OID, "T-1", "T-1-A1", "main")


def test_an_event_that_closed_nothing_with_an_effect_does_not_even_ask_for_the_branch() -> None:
    def unasked() -> str:
        raise AssertionError("nothing was closed")

    story = Story().started(definition(), definition("T-2")).done("T-2")

    assert [closed_by(event, OTHER, unasked) for event in story.events] == [None] * len(
        story.events
    )
