"""Records of the state beside tasks and issues: what people and agents said, and asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from esaa_git.core.accounts import Raised
from esaa_git.core.record import JsonRecord

NOTES_KEPT: Final = 100
"""How many notes on one thing the state holds; older ones stand in the log alone."""

LESSONS_OF_ATTEMPT: Final = 20
"""How many lessons an attempt may leave, whatever ways they come."""

LESSONS_OF_AUTHOR: Final = 50
"""How many lessons of one author the state holds ready; older ones stay on record."""

LESSONS_READY: Final = 500
"""How many it holds ready of all authors, so that a request costs a bounded time."""


@dataclass(frozen=True, slots=True)
class Rejection(JsonRecord):
    """The last reject signal, which the next attempt will be told (`esaa_git.core.said`).

    Attributes:
        refusal: the blob that says why, of an answer that was refused.
        text: the blob of the words of who reviewed it.
        filter: as in `output.rejected`.
    """

    attempt_id: str
    code: str
    refusal: str | None = None
    text: str | None = None
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class Note(JsonRecord):
    """A remark that a person left."""

    ts: str
    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Notes(JsonRecord):
    """The newest remarks on one task, run or event, by its id, oldest first."""

    target: str
    notes: tuple[Note, ...] = ()

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(document["target"], tuple(Note(**one) for one in document["notes"]))


@dataclass(frozen=True, slots=True)
class Lesson(JsonRecord):
    """A rule learnt from a mistake, with what it is known from.

    `kinds` narrows to whom it goes; `esaa_git.core.lessons` says to whom it may. One that is
    `withdrawn`, for this reason, goes to nobody.
    """

    lesson_id: str
    rule: str
    mistake: str
    recorded_by: str
    kinds: tuple[str, ...] = ()
    task_id: str | None = None
    attempt_id: str | None = None
    withdrawn: str | None = None
    withdrawn_by: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**{**document, "kinds": tuple(document.get("kinds", ()))})


@dataclass(frozen=True, slots=True)
class AcceptedLessons(JsonRecord):
    """The lessons that came with accepted results and stand, by author, oldest first.

    An author who records many pushes out their own: where there are too many of all, the author
    who has most gives up the oldest.
    """

    by_author: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {author: list(ids) for author, ids in self.by_author}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(tuple(sorted((author, tuple(ids)) for author, ids in document.items())))

    def with_lessons(self, author: str, ids: tuple[str, ...]) -> AcceptedLessons:
        """Return these and newer ones of an author."""
        held = dict(self.by_author)
        held[author] = (*held.get(author, ()), *ids)[-LESSONS_OF_AUTHOR:]
        while sum(map(len, held.values())) > LESSONS_READY:
            most = max(sorted(held), key=lambda name: len(held[name]))
            held[most] = held[most][1:]
        return AcceptedLessons(tuple(sorted(held.items())))

    def without(self, author: str, lesson_id: str) -> AcceptedLessons:
        """Return these but for one."""
        held = dict(self.by_author)
        held[author] = tuple(one for one in held.get(author, ()) if one != lesson_id)
        return AcceptedLessons(tuple(sorted((name, ids) for name, ids in held.items() if ids)))


@dataclass(frozen=True, slots=True)
class Decision(JsonRecord):
    """A decision document that the log has taken, by its SHA-256: it takes none a second time."""

    sha256: str
    event_id: str
    action: str
    by: str

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Request(JsonRecord):
    """What an admin asked for.

    `text` is the blob of their words; `carried_out` the sequence number of the last event that did
    it, None where none has yet.
    """

    event_id: str
    kind: str
    by: str
    text: str
    arguments: Mapping[str, Any]
    carried_out: int | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Undo(JsonRecord):
    """The task that undoes another one, and the admin who asked for it."""

    task_id: str
    by: str


@dataclass(frozen=True, slots=True)
class Undone(JsonRecord):
    """By which task a done one is being undone (`open`), and was (`done`), the last of each.

    What undid a task may have been undone itself: then the task stands again.
    """

    open: tuple[tuple[str, Undo], ...] = ()
    done: tuple[tuple[str, Undo], ...] = ()

    def to_json(self) -> dict[str, Any]:
        held = {"open": self.open, "done": self.done}
        return {
            name: {task_id: undo.to_json() for task_id, undo in undos}
            for name, undos in held.items()
            if undos
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            *(
                tuple(sorted((key, Undo(**undo)) for key, undo in document.get(name, {}).items()))
                for name in ("open", "done")
            )
        )

    def under_way(self, task_id: str) -> Undo | None:
        """Return what is to undo a task, and has not yet."""
        return dict(self.open).get(task_id) if self.open else None

    def by(self, task_id: str) -> Undo | None:
        """Return what undid a task that does not stand any more."""
        if not self.done:
            return None
        done, undos = dict(self.done), 0
        at: str | None = task_id
        while at in done:
            at, undos = done[at].task_id, undos + 1
        return done[task_id] if undos % 2 else None

    def begun(self, task_id: str, undo: Undo) -> Undone:
        """Return these with an undo that is under way."""
        return Undone(tuple(sorted({**dict(self.open), task_id: undo}.items())), self.done)

    def finished(self, task_id: str) -> Undone:
        """Return these with the undo of a task done that was under way."""
        held = dict(self.open)
        done = {**dict(self.done), task_id: held.pop(task_id)}
        return Undone(tuple(sorted(held.items())), tuple(sorted(done.items())))


@dataclass(frozen=True, slots=True)
class Stop(JsonRecord):
    """Whether the log is stopped, and how often it was before: the stop epoch.

    `by` is who stopped it, None where it is not; `text` the blob of their words.
    """

    epoch: int = 0
    by: str | None = None
    since: str | None = None
    event_id: str | None = None
    text: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Requirement(JsonRecord):
    """What one rule asks for: so many different people in a role, besides `other_than`."""

    rule: str
    role: str
    count: int = 1
    other_than: str | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


@dataclass(frozen=True, slots=True)
class Consent(JsonRecord):
    """A person who granted, and the role in which they did."""

    by: str
    role: str


@dataclass(frozen=True, slots=True)
class Approval(JsonRecord):
    """A decision that is owed.

    Attributes:
        state: `pending`, `granted`, `denied`, `returned` (for changes), `expired` or `void`: that
            one was for other bytes, or for other contracts, or its attempt is over.
        subject_sha256: of what is to be decided.
        nonce: tells this request from another one for the same subject.
        requirements: each has to be met.
        expires: RFC 3339; from then on nobody may decide.
        started_by: the person who started the agent.
        grants: who agreed so far, each person once.
        agreed_by: the agent that agreed which was asked.
        decided_by: whose decision was the last, and `text` the blob of their words.
        reviewer: the agent that was asked, and has until `deadline` (RFC 3339).
        tries: how many of its answers were refused; the last of them is `rejection`.
        raises: by how much a budget is to be raised, of a request of that kind.
    """

    approval_id: str
    task_id: str
    attempt_id: str
    state: str
    subject_sha256: str
    nonce: str
    requirements: tuple[Requirement, ...]
    kind: str = "proposal"
    expires: str | None = None
    started_by: str | None = None
    grants: tuple[Consent, ...] = ()
    agreed_by: str | None = None
    decided_by: str | None = None
    text: str | None = None
    reviewer: str | None = None
    deadline: str | None = None
    tries: int = 0
    rejection: Rejection | None = None
    raises: Raised | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        values = dict(document)
        if "raises" in values:
            values["raises"] = Raised(**values["raises"])
        values["requirements"] = tuple(map(Requirement.from_json, values["requirements"]))
        values["grants"] = tuple(Consent(**one) for one in values.get("grants", ()))
        if "rejection" in values:
            values["rejection"] = Rejection(**values["rejection"])
        return cls(**values)

    def is_with_reviewer(self, now: str) -> bool:
        """Answer whether an agent was asked and still has time."""
        return self.deadline is not None and now < self.deadline

    def has_expired(self, now: str) -> bool:
        """Answer whether it is too late to decide."""
        return self.expires is not None and now >= self.expires


PENDING: Final = "pending"
GRANTED: Final = "granted"
DENIED: Final = "denied"
RETURNED: Final = "returned"
EXPIRED: Final = "expired"
VOID: Final = "void"
"""The states of an approval."""

NOT_STOPPED: Final = Stop()

NOTHING_UNDONE: Final = Undone()

NO_LESSONS: Final = AcceptedLessons()
