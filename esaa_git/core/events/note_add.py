"""`note.add`: a person's remark on a task, a run or an event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from esaa_git.core.entries import Note
from esaa_git.core.events.base import Payload, Stamp, Text
from esaa_git.core.events.fields import EventId, RunId, TaskId
from esaa_git.core.events.spec import PERSON
from esaa_git.core.invariants import Violation

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft

_Words = Annotated[str, Text(4000, 1)]


class NoteAdd(Payload, action="note.add", by={PERSON}):
    """One of the three below; `on` tells which. The requests of a task hold its newest."""


class TaskNote(NoteAdd):
    """A remark on a task, done or not."""

    on: Literal["task"] = "task"
    task_id: TaskId
    text: _Words

    def evolve(self, draft: Draft, event: Stamp) -> None:
        draft.task(self.task_id)
        draft.add_note(self.task_id, Note(event.ts, event.actor, self.text))

    def subject(self) -> str:
        return f"{self.task_id}: {_first(self.text)}"


class RunNote(NoteAdd):
    """A remark on a run, over or not."""

    on: Literal["run"] = "run"
    run_id: RunId
    text: _Words

    def evolve(self, draft: Draft, event: Stamp) -> None:
        number = int(self.run_id.removeprefix("RUN-"))
        if self.run_id != f"RUN-{number:04d}" or not 0 < number <= draft.run.number:
            raise Violation("INV-002", f"there is no run '{self.run_id}'")
        draft.add_note(self.run_id, Note(event.ts, event.actor, self.text))

    def subject(self) -> str:
        return f"{self.run_id}: {_first(self.text)}"


class EventNote(NoteAdd):
    """A remark on an event before it."""

    on: Literal["event"] = "event"
    event_id: EventId
    text: _Words

    def evolve(self, draft: Draft, event: Stamp) -> None:
        number = int(self.event_id.removeprefix("EV-"))
        if self.event_id != f"EV-{number:08d}" or not 0 < number < event.seq:
            raise Violation("INV-002", f"there is no event '{self.event_id}' before this one")
        draft.add_note(self.event_id, Note(event.ts, event.actor, self.text))

    def subject(self) -> str:
        return f"{self.event_id}: {_first(self.text)}"


def _first(text: str) -> str:
    """Return the first line of a remark, cut where it is long."""
    first = text.split("\n", 1)[0][:60]
    return first if first == text else f"{first}…"
