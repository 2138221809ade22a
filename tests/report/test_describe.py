"""Events and tasks as shown: complete, and harmless to the terminal that shows them."""

from __future__ import annotations

from esaa_git.core import canonical
from esaa_git.core.event import StoredEvent
from esaa_git.core.said import GONE, Refusal, beside, encode
from esaa_git.report.describe import (
    attempts_of,
    counts_line,
    event_document,
    event_lines,
    event_row,
    task_document,
    task_lines,
)
from tests.support.examples import OID
from tests.support.story import Story, definition


def test_an_event_document_is_the_event_and_its_commit() -> None:
    event = Story().started(definition()).events[0]

    document = event_document(StoredEvent(event, OID))

    assert document.pop("commit") == OID
    assert document.pop("subject") == event.subject
    assert canonical.encode(document) == event.data


def test_a_row_has_id_time_actor_and_subject() -> None:
    event = Story().started(definition()).events[0]

    assert event_row(event) == (
        "EV-00000001",
        "2026-01-31 09:00:00Z",
        "orchestrator",
        "run.init RUN-0001 example: 1 new tasks",
    )


def test_an_event_in_full_names_its_signature_files_and_payload() -> None:
    event = Story().started(definition("T-1", description="a\u200f31m")).events[0]

    lines = event_lines(StoredEvent(event, OID), "good, by SHA256:x", ["files/a.txt"], ["do this"])

    text = "\n".join(lines)
    assert f"commit:     {OID}" in text
    assert f"sha256:     {event.sha256}" in text
    assert "signature:  good, by SHA256:x" in text
    assert '"run_id": "RUN-0001"' in text
    assert lines[-3:] == ["  files/a.txt", "", "hint: do this"]
    spoken = event_lines(StoredEvent(event, OID), "good", [], [], said={"text": "no:\nsay why"})
    assert spoken[-3:] == ["said:", "  no:", "  say why"]
    assert "\u200f" not in text
    assert "a\\u200f31m" in text


def test_every_attempt_is_listed_with_its_outcome() -> None:
    story = Story().started(definition())
    story.attempt().rejected().update("T-1", "todo", "rejected")
    story.attempt().update("T-1", "todo", "released", reason="later")
    story.attempt().result().rejected()

    found = attempts_of(story.events)

    assert [(one["attempt_id"], one["outcome"]) for one in found] == [
        ("T-1-A1", "rejected: INVALID_JSON"),
        ("T-1-A2", "cancelled: released"),
        ("T-1-A3", "completed"),
    ]


def test_an_open_attempt_is_active_and_has_the_deadline_of_its_last_heartbeat() -> None:
    story = Story().started(definition()).attempt()
    later = "2026-01-31T09:59:00.000Z"
    story.then("agent.heartbeat", "agent-spec", **story.here(), deadline=later)

    (one,) = attempts_of(story.events)

    assert (one["outcome"], one["deadline"]) == ("active", later)


def test_a_task_in_full_says_what_the_last_rejection_asks_for() -> None:
    story = Story().started(definition("T-1", acceptance=["It works."], priority=3))
    story.attempt().rejected().update("T-1", "todo", "rejected")
    newest_first = [StoredEvent(event, OID) for event in reversed(story.events)]

    def read(_: str) -> bytes:
        return encode(Refusal(message="line one\nline \ttwo", detail={}, preview=""))

    text = "\n".join(task_lines(story.task(), [], newest_first, 3, read))

    assert "priority: 3" in text
    assert "    - It works." in text
    assert "attempts: 1 of 3 used" in text
    assert "last rejection (T-1-A1): INVALID_JSON\n  line one\n  line \\ttwo" in text
    assert "→ Answer with exactly one JSON object" in text
    assert "output.rejected T-1-A1: INVALID_JSON\n      line one\n      line \\ttwo\n" in text
    assert text.endswith("run.init RUN-0001 example: 1 new tasks")


def test_what_was_said_and_is_gone_is_named_so() -> None:
    story = Story().started(definition()).attempt().rejected()
    story.update("T-1", "blocked", "attempts_spent", reason="all 1 attempts failed")

    def gone(blob: str) -> bytes:
        raise KeyError(blob)

    text = "\n".join(task_lines(story.task(), [], [], 1, gone))
    assert f"state: blocked (attempts_spent: all 1 attempts failed: {GONE})" in text
    assert f"last rejection (T-1-A1): INVALID_JSON\n  {GONE}\n  → Answer" in text
    document = task_document(story.task(), [], [], gone)
    assert document["task"]["rejection"]["message"] == GONE

    refused = StoredEvent(story.events[-2], OID)
    for read, said in ((gone, GONE), (story.read, "not JSON")):
        words = beside(refused.event.payload, read)
        assert f"  message:\n    {said}" in "\n".join(event_lines(refused, "x", [], [], (), words))


def test_a_done_task_names_its_result_and_effect_commit() -> None:
    story = Story().started(definition()).done("T-1", "docs/a.md")

    text = "\n".join(task_lines(story.task(), [], [], 3, story.read))

    assert "result (T-1-A1) by agent-spec:\n  Done.\n  docs/a.md\n" in text
    assert f"effect commit {OID}" in text


def test_a_task_document_holds_the_stored_task_and_its_approvals() -> None:
    story = Story().started(definition()).attempt().result().asked()
    events = [StoredEvent(event, OID) for event in reversed(story.events)]

    document = task_document(story.task(), story.state.approvals.values(), events, story.read)

    assert document["task"] == story.task().to_json()
    assert document["instruction"] is None
    assert [one["approval_id"] for one in document["approvals"]] == ["APR-0001"]
    assert [one["event_seq"] for one in document["events"]] == [4, 3, 2, 1]


def test_counts_follow_the_life_of_a_task() -> None:
    assert counts_line({"todo": 2, "done": 1, "blocked": 0}) == "1 done, 2 todo"
    assert counts_line({}) == "none"


def test_the_budget_of_a_task_is_shown_by_unit() -> None:
    told = Story().started(definition(budget={"microdollars": 500, "calls": 3}))
    assert "  budget: 500 microdollars, 3 calls" in task_lines(told.task(), [], [], 3, told.read)
