"""Recorded histories stay replayable for ever: what they were, they are with the code of today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from esaa_git.core import canonical
from esaa_git.core.event import Event, decode, encode
from esaa_git.core.events import ACTIONS
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import TABLE
from esaa_git.core.projection import evolve, project, projection_hash, roadmap
from esaa_git.core.state import EMPTY

FOLDER = Path(__file__).parent
NAMES = sorted(path.stem for path in FOLDER.glob("*.jsonl"))
GOOD = [name for name in NAMES if not name.startswith("bad-")]
BAD = [name for name in NAMES if name.startswith("bad-")]


def recorded(name: str) -> list[bytes]:
    """Return the lines of a history; only LF ends a line."""
    data = (FOLDER / f"{name}.jsonl").read_bytes()
    assert data.endswith(b"\n")
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def history(name: str) -> list[Event]:
    return [decode(line) for line in recorded(name)]


def expected(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_bytes())
    return found


def test_every_history_has_its_outcome_beside_it() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == NAMES
    assert len(GOOD) >= 11
    assert len(BAD) >= 6


def test_every_action_of_the_vocabulary_is_in_a_history() -> None:
    assert {event.action for name in GOOD for event in history(name)} == set(ACTIONS)


def test_every_way_of_a_task_is_in_a_history() -> None:
    taken = set()
    for name in GOOD:
        for event in history(name):
            if event.action == "task.update":
                taken.add((event.payload.from_, event.payload.cause))
    rows = {(row.source, row.cause) for row in TABLE if row.action == "task.update"}
    ways = {(row.source, row.cause) for row in TABLE if row.entity == "task"} & rows
    # Two that take an accident: an amended task that is blocked, and work that stands on a done
    # task about which there is a grave issue.
    assert ways - taken <= {("blocked", "amended"), ("in_progress", "dependency")}


@pytest.mark.parametrize("name", NAMES)
def test_every_event_is_read_and_written_to_the_byte(name: str) -> None:
    lines = recorded(name)
    assert len(lines) == expected(name)["events"]
    for line in lines:
        assert encode(decode(line)) == line


@pytest.mark.parametrize("name", GOOD)
def test_a_history_is_projected_to_the_state_that_it_was(name: str) -> None:
    state = project(history(name))
    wanted = expected(name)
    assert projection_hash(state) == wanted["projection_hash_sha256"]
    assert canonical.digest(canonical.encode(roadmap(state))) == wanted["projection_hash_sha256"]
    assert state.run.state == wanted["run"]
    assert dict(state.run.by_state) == wanted["by_state"]


@pytest.mark.parametrize("name", GOOD)
def test_every_hash_that_a_history_records_comes_out_again(name: str) -> None:
    state = EMPTY
    for event in history(name):
        if event.action == "verify.ok":
            assert projection_hash(state) == event.payload.projection_hash_sha256
        state = evolve(state, event)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_history_is_refused_at_its_event_by_its_rule(name: str) -> None:
    wanted = expected(name)
    *events, last = history(name)
    if wanted["refused_at"] != last.event_id:
        at = next(n for n, e in enumerate(events) if e.event_id == wanted["refused_at"])
        events, last = events[:at], events[at]
    state = project(events)
    assert projection_hash(state) == wanted["projection_hash_sha256_before"]
    with pytest.raises(Violation) as caught:
        evolve(state, last)
    assert caught.value.rule == wanted["rule"]


def test_a_pipeline_of_nine_is_forty_nine_events() -> None:
    events = history("pipeline-of-nine")
    each = [
        "attempt.create",
        "orchestrator.dispatch",
        "agent.result",
        "orchestrator.file.write",
        "task.update",
    ]
    ending = ["verify.start", "verify.ok", "run.end"]
    assert [event.action for event in events] == ["run.init", *each * 9, *ending]
