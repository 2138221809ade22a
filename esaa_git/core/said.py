"""What was said, for those who show it: why an answer was refused, and the words of decisions.

Events and state hold codes, and the place of the words. These lie in `exchange/` and may be erased,
so every reader asks here, and hears where they are gone (docs/FORMAT.md, "Files and exchange").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, Final, TypeAlias

from esaa_git.core import canonical
from esaa_git.core.attachments import kept_exchange
from esaa_git.core.entries import Rejection
from esaa_git.core.events import AnyPayload, OutputRejected
from esaa_git.core.events import base as records
from esaa_git.core.events.base import Record, Text
from esaa_git.core.events.fields import TEXT, Detail
from esaa_git.core.machine import Cause
from esaa_git.core.rejection import excerpt
from esaa_git.core.task import Question, Task

Read: TypeAlias = Callable[[str], bytes]
"""Gives the content of a blob; raises KeyError where it is not here."""

GONE: Final = "what was said is erased, or not kept here"
_SHOWN: Final = 500
"""Characters of a question that are shown where it is not what was asked for."""

_LATE: Final = "no answer came before the deadline"


class MalformedRefusal(ValueError):
    """The bytes are no `refusal.json`."""


class Refusal(Record):
    """Why an answer was refused, and how it began: the content of `exchange/refusal.json`."""

    message: Annotated[str, Text(2000, 1)]
    detail: Detail
    preview: Annotated[str, Text(1000)]


def encode(refusal: Refusal) -> bytes:
    """Return the canonical bytes of a refusal.

    Raises:
        MalformedRefusal: if it has not the form that `decode` asks for.
    """
    try:
        data = canonical.encode(records.encode(refusal))
    except canonical.NotCanonical as error:
        raise MalformedRefusal(str(error)) from error
    decode(data)
    return data


def decode(data: bytes) -> Refusal:
    """Return the refusal in these canonical bytes.

    Raises:
        MalformedRefusal: if they are of another form.
    """
    try:
        value: Any = canonical.decode(data)
    except canonical.NotCanonical as error:
        raise MalformedRefusal(f"not canonical JSON: {error}") from error
    if not _validator().is_valid(value):
        raise MalformedRefusal("it has not exactly the fields of a refusal")
    return records.decode(Refusal, value)


@cache
def _validator() -> Any:
    import jsonschema_rs  # 18 ms that a command without refusals need not pay

    return jsonschema_rs.Draft202012Validator(records.schema_of(Refusal))


@dataclass(frozen=True, slots=True)
class Told:
    """A reject signal with its words."""

    attempt_id: str
    code: str
    message: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as requests and `git esaa show --json` have it."""
        told: dict[str, Any] = {
            "attempt_id": self.attempt_id,
            "code": self.code,
            "message": self.message,
        }
        return {**told, "detail": dict(self.detail)} if self.detail else told


def told(rejection: Rejection, read: Read) -> Told:
    """Return a reject signal with its words; `GONE` stands for those that are not here."""
    message: str | None = _LATE
    detail: Mapping[str, Any] = {}
    if rejection.refusal is not None:
        kept = refusal_of(rejection.refusal, read)
        message = None if kept is None else kept.message
        detail = {} if kept is None else kept.detail
    elif rejection.text is not None:
        message = words(rejection.text, read)
    return Told(rejection.attempt_id, rejection.code, GONE if message is None else message, detail)


def task_json(task: Task, read: Read) -> dict[str, Any]:
    """Return a task as commands print it: as it is stored, its last rejection with its words."""
    document = task.to_json()
    if task.rejection is not None:
        document["rejection"] = told(task.rejection, read).to_json()
    return document


def refusal_of(blob: str, read: Read) -> Refusal | None:
    """Return what a `refusal.json` says; None where it is not here, or is none."""
    try:
        return decode(read(blob))
    except (KeyError, MalformedRefusal):
        return None


def words(blob: str | None, read: Read) -> str | None:
    """Return what a person or a reviewer said; None where nothing was, or it is not here."""
    try:
        return None if blob is None else read(blob).decode(errors="replace")
    except KeyError:
        return None


def asked_in(question: Question, read: Read) -> str:
    """Return what a question asks; `GONE` stands for words that are not here."""
    return words(question.text, read) or GONE


def beside(payload: AnyPayload, read: Read) -> dict[str, Any] | None:
    """Return what an event's words say, by name, None for each that is not here.

    None as a whole where the event has none.
    """
    if isinstance(payload, OutputRejected):
        kept = refusal_of(payload.exchange.refusal.blob, read)
        names = Refusal.__fields__
        return {name: None if kept is None else getattr(kept, name) for name in names}
    text = kept_exchange(payload).get(TEXT)
    return None if text is None else {TEXT: words(text, read)}


def why_blocked(task: Task, read: Read) -> str:
    """Return in words why a task is blocked, with what was said where that is why."""
    if task.blocked is None:
        return ""
    why = task.blocked.reason or task.blocked.cause
    if task.asks:
        asked = (excerpt(asked_in(one, read), _SHOWN) for one in task.open_questions)
        return "; ".join([why, *asked])
    last = task.rejection
    if task.blocked.cause not in _SAID or last is None or not (last.refusal or last.text):
        return why
    said = told(last, read).message
    return f"{why}: {said}" if said else why


_SAID: Final = frozenset({Cause.ATTEMPTS_SPENT, Cause.DENIED})
"""Causes whose reason is what was said."""
