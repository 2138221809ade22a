"""A task: its definition, its attempt, and what has become of both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from esaa_git.core.accounts import Budget
from esaa_git.core.entries import Rejection
from esaa_git.core.machine import AttemptState, Cause, TaskState
from esaa_git.core.record import JsonRecord


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
    """What an attempt asked; `by` has answered it. `text` and `answer` are blobs of the words.

    `sha256` is the salted digest of what was asked, by which an answer names it; `since` is when.
    """

    question_id: str
    attempt_id: str
    sha256: str
    text: str
    since: str
    by: str | None = None
    answer: str | None = None


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
