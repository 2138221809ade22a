"""The fields that several events share: ids, names, times, and what was said and measured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Final, Literal

from esaa_git.core import canonical
from esaa_git.core.accounts import Budget
from esaa_git.core.canonical import MAX_INTEGER
from esaa_git.core.events import spec
from esaa_git.core.events.base import (
    Count,
    Form,
    JsonObject,
    Line,
    Range,
    Record,
    Text,
    encode,
)
from esaa_git.core.packing import Packing
from esaa_git.core.task import CheckCommand, Task

TaskId = Annotated[str, Form(spec.TASK_ID)]
AttemptId = Annotated[str, Form(spec.ATTEMPT_ID)]
RunId = Annotated[str, Form(spec.RUN_ID)]
IssueId = Annotated[str, Form(spec.ISSUE_ID)]
LessonId = Annotated[str, Form(spec.LESSON_ID)]
ApprovalId = Annotated[str, Form(spec.APPROVAL_ID)]
QuestionId = Annotated[str, Form(spec.QUESTION_ID)]
EventId = Annotated[str, Form(spec.EVENT_ID)]
Name = Annotated[str, Form(spec.NAME)]
Actor = Annotated[str, Form(spec.ACTOR)]
Timestamp = Annotated[str, Form(spec.TIMESTAMP)]
Duration = Annotated[str, Form(spec.DURATION)]
Oid = Annotated[str, Form(spec.OID)]
Sha256 = Annotated[str, Form(spec.SHA256)]
Nonce = Annotated[str, Form(spec.NONCE)]
Path = Annotated[str, Form(spec.PATH)]
Glob = Annotated[str, Line(500)]
Mode = Literal["100644", "100755"]
Severity = Literal["low", "medium", "high", "critical"]

REFUSAL: Final = "refusal.json"
TEXT: Final = "text"
"""Files of `exchange/`: why an answer was refused, and what a person or a reviewer says."""

Detail = Annotated[JsonObject, Form(spec.DETAIL)]
"""Free JSON beside a reject code; floats and surrogates are kept out by the canonical decoder."""


class Pin(Record):
    """A contract file in force, by its digest."""

    path: Path
    sha256: Sha256


class ProgramPin(Record):
    """A program that acts or judges, as it is in force: where it stands, its mode and digest."""

    path: Path
    mode: Mode
    sha256: Sha256


class LeftOutFile(Record):
    """One file, or a folder with all in it (`/` at the end), that an agent made and nobody took.

    `why`: `ignored` by the rules of the base, a `by-product` by the contract or left by a tool for
    itself, new and `outside` of a boundary that drops such files, or `settings` of git that only
    tasks of `kinds` may write.
    """

    path: Annotated[str, Line(400)]
    why: Literal["ignored", "by-product", "outside", "settings"]
    kinds: Annotated[tuple[Name, ...], Count(most=1000)] | None = None


class LeftOut(Record):
    """What an agent made and its proposal does not hold: how much, and the first of it by name."""

    count: Annotated[int, Range(1, 1 << 40)]
    files: Annotated[tuple[LeftOutFile, ...], Count(1, 50)]


Unwrapped = Annotated[tuple[Packing, ...], Count(most=10)]
"""What was taken off around an answer (`esaa_git.core.packing`)."""


def pins_sha256(contracts: Iterable[Pin], programs: Iterable[ProgramPin] | None) -> str:
    """Return the digest of all that a `run.init` pins, as it lists it."""
    listed = None if programs is None else [encode(one) for one in programs]
    pinned = {"contracts": [encode(one) for one in contracts], "programs": listed}
    return canonical.digest(canonical.encode(pinned))


class ExchangePart(Record):
    """Salted digest and size of what was said; `blob` is what STORAGE_POLICY let us keep of it.

    `altered` says that what was kept is not the whole: secrets were redacted, or its end was cut.
    """

    sha256: Sha256
    bytes: int
    blob: Oid | None = None
    altered: bool | None = None


class KeptPart(Record):
    """What is kept whole whatever STORAGE_POLICY says: salted digest, size and blob."""

    sha256: Sha256
    bytes: int
    blob: Oid

    altered: ClassVar[None] = None


class Exchange(Record):
    """What was said to an agent, and what it answered; `salt` is that of each digest of it."""

    salt: Oid
    request: ExchangePart | None = None
    response: ExchangePart | None = None

    @property
    def parts(self) -> dict[str, ExchangePart | KeptPart]:
        """What was said, by the names that it is kept under beside the event."""
        named = {"request.json": self.request, "response": self.response}
        return {name: part for name, part in named.items() if part is not None}


class RefusedExchange(Exchange):
    """What was said, and why the answer was refused (`esaa_git.core.said`)."""

    refusal: KeptPart

    @property
    def parts(self) -> dict[str, ExchangePart | KeptPart]:
        return {**super().parts, REFUSAL: self.refusal}


class SpokenExchange(Exchange):
    """What was said, and the words that count of it: a reviewer's, or a question."""

    text: KeptPart

    @property
    def parts(self) -> dict[str, ExchangePart | KeptPart]:
        return {**super().parts, TEXT: self.text}


class Salted(Record):
    """The salt of what was said, where nothing of that stands beside the event itself."""

    salt: Oid

    @property
    def parts(self) -> dict[str, ExchangePart | KeptPart]:
        return {}


class Decided(Record):
    """A decision document, by the SHA-256 of its bytes, and the blobs of it and its signature."""

    sha256: Sha256
    document: Oid
    signature: Oid


class Said(Record):
    """The words of a decision, and the salt of their digest, as they were kept."""

    text: Oid
    salt: Oid


class Proposed(Record):
    """A proposal as a signed commit that anybody can check out, and the tree of that commit."""

    commit: Oid
    tree: Oid


class NotKept(Record):
    """A path of a rejected answer that is not in the tree that was kept of it, and why."""

    path: Path
    code: Annotated[str, Line(64)]


class Usage(Record):
    """What an answer took. `price_source` says by whom, or from which table, it was reckoned."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cost_microdollars: int | None = None
    price_source: Annotated[str, Line()] | None = None


_Limit = Annotated[int, Range(1, MAX_INTEGER)]


class Limits(Record):
    """How much may be spent at most: micro-dollars of the US, tokens, dispatches, attempts, time.

    What is not named has no limit here.
    """

    microdollars: _Limit | None = None
    tokens: _Limit | None = None
    calls: _Limit | None = None
    attempts: _Limit | None = None
    minutes: Annotated[int, Range(1, 60 * 24 * 3660)] | None = None

    def budget(self) -> Budget:
        """Return the limits as the state has them."""
        return Budget(**encode(self))


class Reserves(Record):
    """What a dispatch may take at most, in the units that a budget in force asks for."""

    microdollars: int | None = None
    tokens: int | None = None
    ms: int | None = None


class Raise(Record):
    """By how much a budget is to be raised: its account, the unit, and the sum."""

    account: Annotated[str, Line()]
    unit: Literal["microdollars", "tokens", "calls", "attempts", "ms"]
    amount: _Limit


class Try(Record):
    """A call of a service that failed before one succeeded; 0 is a broken connection."""

    status: Annotated[int, Range(0, 999)]
    reason: Annotated[str, Line(500)]
    waited_ms: int


Tries = Annotated[tuple[Try, ...], Count(most=100)]
"""Oldest first."""


class Check(Record):
    """A command that a proposed tree has to pass: a program with its arguments, no shell."""

    name: Name
    run: Annotated[tuple[Annotated[str, Text(10_000)], ...], Count(least=1, most=100)]
    timeout: Duration | None = None


class CheckResult(Record):
    """How a check ended."""

    name: Name
    passed: bool
    duration_ms: int
    program_sha256: Sha256 | None = None


CheckResults = Annotated[tuple[CheckResult, ...], Count(most=40)]


def commands(checks: Iterable[Check]) -> tuple[CheckCommand, ...]:
    """Return checks as a task has them."""
    return tuple(CheckCommand(check.name, check.run, check.timeout) for check in checks)


class _Definition(Record):
    """What may be said of a task and may be left out."""

    description: Annotated[str, Text(20_000)] | None = None
    acceptance: Annotated[tuple[Annotated[str, Text(2000, 1)], ...], Count(most=100)] | None = None
    depends_on: Annotated[tuple[TaskId, ...], Count(most=1000)] | None = None
    writes: Annotated[tuple[Glob, ...], Count(most=100)] | None = None
    agent: Name | None = None
    priority: Annotated[int, Range(-1000, 1000)] | None = None
    review: bool | None = None
    attempts_allowed: Annotated[int, Range(1, 1000)] | None = None
    checks: Annotated[tuple[Check, ...], Count(most=20)] | None = None
    context: Annotated[tuple[Glob, ...], Count(most=100)] | None = None
    reviewer: Name | None = None
    budget: Limits | None = None

    def given(self) -> dict[str, Any]:
        """Return the fields of a `Task` that this gives their values."""
        found = {
            name: item
            for name in type(self).__fields__
            if (item := getattr(self, name)) is not None
        }
        if self.checks is not None:
            found["checks"] = commands(self.checks)
        if self.budget is not None:
            found["budget"] = self.budget.budget()
        return found


class TaskDefinition(_Definition):
    """A task as a plan defines it."""

    task_id: TaskId
    kind: Name
    title: Annotated[str, Line()]

    def task(self) -> Task:
        """Return the task that this defines, new."""
        return Task(**self.given())


class TaskChanges(_Definition):
    """What of a task's definition is amended."""

    kind: Name | None = None
    title: Annotated[str, Line()] | None = None
