"""The projected state: frozen records, in tables by their id.

A state is what `project` makes of events. It is stored beside every event as one small JSON
document per record (docs/FORMAT.md, "The state tree"), so a table may stand on a source that
reads documents on demand: appending to a log of 5,000 tasks then costs what it costs with ten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from esaa_git.core.accounts import (
    NONE_OPEN,
    Account,
    OpenReservations,
    Reservation,
    SettledElsewhere,
)
from esaa_git.core.entries import (
    NO_LESSONS,
    NOT_STOPPED,
    NOTHING_UNDONE,
    AcceptedLessons,
    Approval,
    Decision,
    Lesson,
    Note,
    Notes,
    Request,
    Stop,
    Undone,
)
from esaa_git.core.machine import OPEN_RUN, RunState
from esaa_git.core.record import JsonRecord
from esaa_git.core.table import Table
from esaa_git.core.task import Task

SCHEMA_VERSION = "0.3.0"


@dataclass(frozen=True, slots=True)
class Issue(JsonRecord):
    """A defect or blocker that was reported."""

    issue_id: str
    severity: str
    title: str
    reported_by: str
    description: str = ""
    task_id: str | None = None
    attempt_id: str | None = None
    reported_as: str | None = None
    resolution: str | None = None
    resolved_by: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)

    @property
    def is_open(self) -> bool:
        return self.resolution is None


@dataclass(frozen=True, slots=True)
class Beside(JsonRecord):
    """One path that a carrier changes and its effects do not: what stood there, and stands."""

    path: str
    before_mode: str | None = None
    before: str | None = None
    mode: str | None = None
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Carrier(JsonRecord):
    """A commit of the branch that the log says carries effects, and all that it may hold beside.

    `tasks` are those whose effects it carries, in the order in which that was recorded, and `how`
    is as `EffectRelinked` has it. `merged` is the commit that a squash was made of, and `people`
    those of it that people made. `accepted_by` is the admin who answers for what is beside.
    """

    commit: str
    tasks: tuple[str, ...]
    how: str
    beside: tuple[Beside, ...] = ()
    merged: str | None = None
    people: tuple[str, ...] = ()
    accepted_by: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        values = dict(document)
        values["tasks"] = tuple(values["tasks"])
        values["people"] = tuple(values.get("people", ()))
        values["beside"] = tuple(Beside(**one) for one in values.get("beside", ()))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Run(JsonRecord):
    """The current run, and the counters that let `status` answer without reading every task.

    `in_progress` and `blocked` name the tasks in those states, of which there are few.
    `contracts_sha256` is the digest of all that is pinned.
    """

    state: str = RunState.IDLE
    run_id: str | None = None
    number: int = 0
    branch: str | None = None
    base: str | None = None
    first_seq: int = 0
    reason: str = ""
    by_state: tuple[tuple[str, int], ...] = ()
    by_kind: tuple[tuple[str, int], ...] = ()
    in_progress: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    open_issues: tuple[tuple[str, int], ...] = ()
    accepted: int = 0
    rejected: int = 0
    verified_seq: int = 0
    issues: int = 0
    lessons: int = 0
    approvals: int = 0
    questions: int = 0
    contracts_sha256: str = ""
    foreign_logs: tuple[str, ...] = ()
    requests: tuple[str, ...] = ()
    cel: str | None = None

    def to_json(self) -> dict[str, Any]:
        document = JsonRecord.to_json(self)
        for name in ("by_state", "by_kind", "open_issues"):
            if name in document:
                document[name] = dict(getattr(self, name))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        values = dict(document)
        for name in ("by_state", "by_kind", "open_issues"):
            if name in values:
                values[name] = tuple(sorted(values[name].items()))
        for name in ("in_progress", "blocked", "foreign_logs", "requests"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_RUN


@dataclass(frozen=True, slots=True)
class Project(JsonRecord):
    """What the log is about."""

    name: str = ""

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


@dataclass(frozen=True, slots=True)
class PinnedProgram(JsonRecord):
    """A program that acts or judges: its path, its mode, and the SHA-256 of its content."""

    path: str
    mode: str
    sha256: str


@dataclass(frozen=True, slots=True)
class PinnedPrograms(JsonRecord):
    """What the last `run.init` lists, in order of path; None where it says nothing of programs."""

    pinned: tuple[PinnedProgram, ...] | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        pinned = document.get("pinned")
        return cls(None if pinned is None else tuple(PinnedProgram(**one) for one in pinned))


OVERRIDDEN = "-"
"""The successor of a done task that was set aside with none created yet."""


@dataclass(frozen=True, slots=True)
class Supersessions(JsonRecord):
    """Which task stands in for which done one; a done task's own record is never touched."""

    by_task: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return dict(self.by_task)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(tuple(sorted(document.items())))

    def successor_of(self, task_id: str) -> str | None:
        return dict(self.by_task).get(task_id)


@dataclass(frozen=True, slots=True)
class State:
    """Everything that the events up to `seq` say.

    `touched` names the documents that the last event changed, as `(table, id)`; it is how an
    event log knows what to write, and no part of the state's identity.
    """

    seq: int = 0
    ts: str = ""
    project: Project = Project()
    run: Run = Run()
    supersessions: Supersessions = Supersessions()
    undone: Undone = NOTHING_UNDONE
    accepted_lessons: AcceptedLessons = NO_LESSONS
    programs: PinnedPrograms = PinnedPrograms()
    stop: Stop = NOT_STOPPED
    tasks: Table[Task] = field(default_factory=Table)
    issues: Table[Issue] = field(default_factory=Table)
    lessons: Table[Lesson] = field(default_factory=Table)
    approvals: Table[Approval] = field(default_factory=Table)
    notes: Table[Notes] = field(default_factory=Table)
    carriers: Table[Carrier] = field(default_factory=Table)
    decisions: Table[Decision] = field(default_factory=Table)
    requests: Table[Request] = field(default_factory=Table)
    open_reservations: OpenReservations = NONE_OPEN
    accounts: Table[Account] = field(default_factory=Table)
    reservations: Table[Reservation] = field(default_factory=Table)
    settled_elsewhere: Table[SettledElsewhere] = field(default_factory=Table)
    touched: frozenset[tuple[str, str]] = field(default=frozenset(), compare=False)

    def notes_on(self, target: str) -> tuple[Note, ...]:
        """Return the newest remarks on a task, run or event, oldest first."""
        return self.notes[target].notes if target in self.notes else ()

    def document(self, table: str, key: str) -> JsonRecord:
        """Return the record behind one entry of `touched`."""
        record: JsonRecord = getattr(self, key) if table == "" else getattr(self, table)[key]
        return record


EMPTY = State()
