"""The difference of two states, and the files that effects between two events wrote."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from esaa_git.core.projection import project
from esaa_git.core.state import State
from esaa_git.report.compare import (
    change_lines,
    compare,
    file_line,
    inverted,
    written_between,
)
from tests.support.examples import SHA256
from tests.support.story import Story, definition

A, B, C = "a" * 40, "b" * 40, "c" * 40


def long_story() -> Story:
    story = Story().started(definition("T-1"), definition("T-2"))
    story.attempt("T-1").rejected("T-1").update("T-1", "todo", "rejected")
    story.done("T-1", "docs/a.md")
    story.then(
        "issue.report", "ada@example.com", issue_id="ISS-0001", severity="low", title="A typo"
    )
    return story.attempt("T-2").result("T-2").asked("T-2")


LONG = long_story()
STATES = [project(LONG.events[:end]) for end in range(1, len(LONG.events) + 1)]


@given(st.sampled_from(STATES))
def test_a_state_does_not_differ_from_itself(state: State) -> None:
    assert compare(state, state) == []


@given(st.sampled_from(STATES), st.sampled_from(STATES))
def test_turned_round_every_change_is_the_opposite(before: State, after: State) -> None:
    opposite = {"created": "removed", "removed": "created", "changed": "changed"}
    there = {(one.table, one.key): opposite[one.kind] for one in compare(before, after)}

    assert {(one.table, one.key): one.kind for one in compare(after, before)} == there


def test_what_an_event_touched_is_all_that_can_differ() -> None:
    for before, after in pairwise(STATES):
        assert compare(before, after, after.touched) == compare(before, after)


def test_created_and_changed_records_are_shown_field_by_field() -> None:
    changes = {(one.table, one.key): one for one in compare(STATES[0], STATES[-1])}

    assert changes["issues", "ISS-0001"].kind == "created"
    task = changes["tasks", "T-1"]
    assert task.kind == "changed"
    assert {one.name: (one.before, one.after) for one in task.fields}["state"] == ("todo", "done")
    assert ("", "project") not in changes


def test_a_record_inside_a_record_is_compared_by_its_fields() -> None:
    story = Story().started(definition()).attempt()
    before = story.state
    change = next(one for one in compare(before, story.result().state) if one.key == "T-1")

    assert "    attempt.state: active → completed" in change_lines(change)
    assert change_lines(change)[0] == "~ T-1"


def test_lines_hold_no_control_characters() -> None:
    before = Story().started(definition()).state
    after = Story().started(definition("T-1", description="a\u200f31m\ttail\u2028")).state

    lines = [line for change in compare(before, after) for line in change_lines(change)]

    assert lines
    assert all(line.isprintable() for line in lines)


# -- files ------------------------------------------------------------------------------------


def add(path: str, after: str) -> dict[str, Any]:
    return {
        "path": path,
        "change": "add",
        "mode": "100644",
        "after": after,
        "sha256": SHA256,
        "bytes": 3,
    }


def modify(path: str, before: str, after: str, **more: str) -> dict[str, Any]:
    return {**add(path, after), "change": "modify", "before": before, **more}


def write(story: Story, *files: dict[str, Any]) -> Story:
    return story.then(
        "orchestrator.file.write", **story.here(), base=A, files=list(files), changed_lines=1
    )


def effect(story: Story, task_id: str, *files: dict[str, Any]) -> Story:
    """Let a task write these files and close it."""
    story.attempt(task_id).result(task_id, tuple(file["path"] for file in files))
    story.then(
        "orchestrator.file.write",
        **story.here(task_id),
        base=A,
        files=list(files),
        changed_lines=1,
    )
    return story.closed(task_id)


def two_tasks() -> Story:
    return Story().started(definition("T-1"), definition("T-2"))


def test_several_effects_on_one_path_are_one_change() -> None:
    story = effect(two_tasks(), "T-1", add("a.md", A))
    effect(story, "T-2", modify("a.md", A, B, before_mode="100755"))

    (whole,) = written_between(story.events, story.state)
    (second,) = written_between(story.events[5:], story.state)

    assert (whole.kind, whole.before, whole.after) == ("add", None, ("100644", B))
    assert (second.kind, second.before) == ("modify", ("100755", A))
    assert (second.attempt_id, second.event_id) == ("T-2-A1", "EV-00000008")


def test_what_came_and_went_is_no_change() -> None:
    story = effect(two_tasks(), "T-1", add("a.md", A))
    effect(story, "T-2", {"path": "a.md", "change": "delete", "before": A})

    assert written_between(story.events, story.state) == []


def test_a_rename_is_a_deletion_and_an_addition() -> None:
    renamed = {**modify("b.md", A, A), "change": "rename", "from": "a.md"}
    story = effect(two_tasks(), "T-1", renamed)

    found = [(one.path, one.kind) for one in written_between(story.events, story.state)]

    assert found == [("a.md", "delete"), ("b.md", "add")]


def test_an_effect_that_waits_for_a_review_is_marked_as_pending() -> None:
    story = two_tasks().attempt().result("T-1", ("a.md",))
    write(story, add("a.md", A)).asked()

    (file,) = written_between(story.events, story.state)

    assert file.is_pending
    assert file_line(file) == "+ a.md  (T-1-A1, EV-00000004, not on the branch yet)"


def test_an_effect_that_a_reviewer_sent_back_does_not_count() -> None:
    story = two_tasks().attempt().result("T-1", ("a.md",))
    write(story, add("a.md", A)).asked()
    story.denied("ada@example.com")
    story.update("T-1", "todo", "changes_requested", reason="no")

    assert written_between(story.events, story.state) == []


def test_an_effect_written_anew_replaces_the_first_version() -> None:
    story = two_tasks().attempt().result("T-1", ("a.md",))
    write(story, modify("a.md", A, B))
    write(story, modify("a.md", C, B)).closed()

    (file,) = written_between(story.events, story.state)

    assert (file.before, file.event_id) == (("100644", C), "EV-00000005")


def test_inverted_changes_go_back() -> None:
    story = effect(two_tasks(), "T-1", add("a.md", A))

    (file,) = inverted(written_between(story.events, story.state))

    assert (file.kind, file.before, file.after) == ("delete", ("100644", A), None)
