"""The projected state: frozen records, in tables by their id.

A state is what `project` makes of events. It is stored beside every event as one small JSON
document per record (docs/FORMAT.md, "The state tree"), so a table may stand on a source that
reads documents on demand: appending to a log of 5,000 tasks then costs what it costs with ten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from esaa_git.core import canonical
from esaa_git.core.accounts import (
    NONE_OPEN,
    Account,
    Budget,
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
    Rejection,
    Request,
    Stop,
    Undone,
)
from esaa_git.core.machine import OPEN_RUN, AttemptState, Cause, RunState, TaskState
from esaa_git.core.record import JsonRecord
from esaa_git.core.table import Table

SCHEMA_VERSION = "0.3.0"


@dataclass(frozen=True, slots=True)
class Attempt(JsonRecord):
    """One agent's lease on one task: who, until when (RFC 3339), against which base commit.

    `lessons` names those that its holder recorded with it.
    """

    attempt_id: str
    number: int
    agent: str
    state: str
    opened: str
    deadline: str
    base: str
    mode: str
    lessons: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{**document, "lessons": tuple(document.get("lessons", ()))})

    @property
    def is_active(self) -> bool:
        return self.state == AttemptState.ACTIVE


@dataclass(frozen=True, slots=True)
class Blocked(JsonRecord):
    """Why a task is blocked, and by which issue or task where there is one."""

    cause: str
    reason: str
    issue_id: str | None = None
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Result(JsonRecord):
    """What an accepted attempt left behind; `effect_commit` is None where no file changed.

    `reviewed_by` names the people who approved it, and `wrote` is the SHA-256 of the files that its
    effect names, as canonical JSON: what undoes it is held against that.
    """

    attempt_id: str
    agent: str
    summary: str
    paths: tuple[str, ...] = ()
    effect_commit: str | None = None
    reviewed_by: tuple[str, ...] = ()
    wrote: str | None = None


@dataclass(frozen=True, slots=True)
class Ruling(JsonRecord):
    """What a rule of the policy decided of facts that have this SHA-256."""

    rule: str
    effect: str
    input_sha256: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.rule, self.effect, self.input_sha256


@dataclass(frozen=True, slots=True)
class Judged(JsonRecord):
    """What policy sees of an open result beside its files, and what was decided on it.

    `facts` is the SHA-256 of the facts as the result records them; None where it records none.
    """

    facts: str | None = None
    agent: str | None = None
    model: str | None = None
    cost_microdollars: int | None = None
    rulings: tuple[Ruling, ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """The rules that ask for a consent, in the order in which that was decided."""
        return tuple(dict.fromkeys(one.rule for one in self.rulings if one.effect == "require"))


@dataclass(frozen=True, slots=True)
class Question(JsonRecord):
    """What an attempt asked; `by` has answered it, with the words in the blob `answer`."""

    question_id: str
    attempt_id: str
    text: str
    by: str | None = None
    answer: str | None = None

    @property
    def sha256(self) -> str:
        """The digest of what was asked, by which an answer names it."""
        return canonical.digest(self.text.encode())


@dataclass(frozen=True, slots=True)
class CheckCommand(JsonRecord):
    """A command that a task's proposed tree has to pass, as its definition names it."""

    name: str
    run: tuple[str, ...]
    timeout: str | None = None


@dataclass(frozen=True, slots=True)
class Task(JsonRecord):
    """A task: its definition, as the plan gave it, and where it stands.

    `attempts_used` counts against `attempts_allowed`, which is None where the policy's limit
    applies; `attempts_total` numbers attempts and never goes back. `not_before` is the end of a
    cooldown (RFC 3339). `pending_approval` names the approval that a reviewer still owes.
    `effect` is `pending` while a valid proposal waits to be written, `written` until it is closed;
    then `written` holds its files as they are recorded, and `checked` how its checks ended.
    `questions` are those that its attempts asked, oldest first.
    `judged` is there while a result is open that policy has seen. `undoes` names the done task that
    this one takes back.
    """

    task_id: str
    kind: str
    title: str
    description: str = ""
    acceptance: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    agent: str | None = None
    priority: int = 0
    review: bool = False
    reviewer: str | None = None
    checks: tuple[CheckCommand, ...] = ()
    context: tuple[str, ...] = ()
    budget: Budget | None = None
    supersedes: str | None = None
    undoes: str | None = None
    issue_id: str | None = None
    state: str = TaskState.TODO
    attempts_used: int = 0
    attempts_total: int = 0
    attempts_allowed: int | None = None
    attempt: Attempt | None = None
    not_before: str | None = None
    rejection: Rejection | None = None
    pending_approval: str | None = None
    effect: str | None = None
    written: tuple[Mapping[str, Any], ...] = ()
    checked: tuple[Mapping[str, Any], ...] = ()
    blocked: Blocked | None = None
    result: Result | None = None
    medium_issues: int = 0
    judged: Judged | None = None
    questions: tuple[Question, ...] = ()

    def to_json(self) -> dict[str, Any]:
        document = JsonRecord.to_json(self)
        document["state"] = self.state
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**cls.values(document))

    @classmethod
    def values(cls, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that a document, or part of one, gives their values."""
        values = dict(document)
        for name, build in _TASK_FIELDS:
            if name in values:
                values[name] = build(values[name])
        return values

    @property
    def is_done(self) -> bool:
        return self.state == TaskState.DONE

    def question(self, question_id: str) -> Question | None:
        """Return a question that was asked of it."""
        return next((one for one in self.questions if one.question_id == question_id), None)

    @property
    def open_questions(self) -> tuple[Question, ...]:
        """The questions that nobody has answered, oldest first."""
        return tuple(one for one in self.questions if one.by is None)

    @property
    def asks(self) -> bool:
        """Whether it is blocked until a person answers a question."""
        return self.blocked is not None and self.blocked.cause == Cause.QUESTION

    @property
    def active_attempt(self) -> Attempt | None:
        return self.attempt if self.attempt is not None and self.attempt.is_active else None


def _result(document: Mapping[str, Any]) -> Result:
    tuples = {name: tuple(document.get(name, ())) for name in ("paths", "reviewed_by")}
    return Result(**{**document, **tuples})


def _judged(document: Mapping[str, Any]) -> Judged:
    rulings = tuple(Ruling(**one) for one in document.get("rulings", ()))
    return Judged(**{**document, "rulings": rulings})


def _checks(documents: list[Mapping[str, Any]]) -> tuple[CheckCommand, ...]:
    return tuple(
        CheckCommand(document["name"], tuple(document["run"]), document.get("timeout"))
        for document in documents
    )


_TASK_FIELDS: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("acceptance", tuple),
    ("depends_on", tuple),
    ("writes", tuple),
    ("checks", _checks),
    ("context", tuple),
    ("budget", Budget.from_json),
    ("attempt", Attempt.from_json),
    ("written", tuple),
    ("checked", tuple),
    ("rejection", lambda document: Rejection(**document)),
    ("blocked", lambda document: Blocked(**document)),
    ("result", _result),
    ("judged", _judged),
    ("questions", lambda documents: tuple(Question(**one) for one in documents)),
)

DEFINITION_FIELDS = (
    "kind",
    "title",
    "description",
    "acceptance",
    "depends_on",
    "writes",
    "agent",
    "priority",
    "review",
    "reviewer",
    "checks",
    "context",
    "attempts_allowed",
    "budget",
)
"""The fields of a task that a plan defines (besides its id); the others belong to the log."""


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
