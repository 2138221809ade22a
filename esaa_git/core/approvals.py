"""What a request for approval is about: its subject, a document that lies beside the event.

Every part of it follows from the log, so that append, hook and `verify` make it again and compare
(docs/FORMAT.md, "Approvals").
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from esaa_git.core import canonical
from esaa_git.core.entries import Requirement
from esaa_git.core.event import Event
from esaa_git.core.events import ApprovalRequest
from esaa_git.core.events.approval import requirement
from esaa_git.core.events.base import encode
from esaa_git.core.events.fields import Raise
from esaa_git.core.invariants import Violation
from esaa_git.core.logid import is_log_id, origin_of
from esaa_git.core.state import State
from esaa_git.core.task import DEFINITION_FIELDS, Task

SUBJECT: Final = "subject.json"
"""Its name in the tree of the event."""


def subject(log_id: str, state: State, task_id: str, requirements: Iterable[Requirement]) -> bytes:
    """Return what a request for the result of a task is about, as canonical JSON.

    Args:
        log_id: of the log that the request stands in, or was exported from.
        state: before the request.
    """
    task = state.tasks[task_id]
    assert task.attempt is not None
    undoes = {} if task.undoes is None else {"undoes": task.undoes}
    return canonical.encode(
        {
            **undoes,
            "log_id": log_id,
            "kind": kind_of(task),
            "task_id": task.task_id,
            "definition_sha256": definition_sha256(task),
            "attempt_id": task.attempt.attempt_id,
            "base": task.attempt.base,
            "files": list(task.written),
            "checks": list(task.checked),
            "contracts_sha256": state.run.contracts_sha256,
            "requirements": [one.to_json() for one in requirements],
        }
    )


def kind_of(task: Task) -> Literal["proposal", "undo"]:
    """Return what a request for the result of a task is about, in a word."""
    return "proposal" if task.undoes is None else "undo"


def budget_subject(
    log_id: str, state: State, raised: Raise, requirements: Iterable[Requirement]
) -> bytes:
    """Return what a request for more of a budget is about, as canonical JSON."""
    return canonical.encode(
        {
            "log_id": log_id,
            "kind": "budget",
            "budget": encode(raised),
            "contracts_sha256": state.run.contracts_sha256,
            "requirements": [one.to_json() for one in requirements],
        }
    )


def definition_sha256(task: Task) -> str:
    """Return the digest of a task as it is defined, apart from where it stands."""
    document = task.to_json()
    defined = {name: document[name] for name in DEFINITION_FIELDS if name in document}
    return canonical.digest(canonical.encode({"task_id": task.task_id, **defined}))


def subject_of(state: State, event: Event, log_id: str) -> bytes | None:
    """Return the subject of an event that asks for an approval; None for any other event.

    Args:
        state: before the event.
        log_id: as `subject` takes it.

    Raises:
        Violation: INV-003, if the event names another one.
    """
    payload = event.payload
    if not isinstance(payload, ApprovalRequest):
        return None
    asked = map(requirement, payload.requirements)
    if payload.budget is not None:
        made = budget_subject(log_id, state, payload.budget, asked)
    else:
        made = subject(log_id, state, payload.task_id, asked)
    if canonical.digest(made) != payload.subject_sha256:
        raise Violation("INV-003", f"'{payload.approval_id}' is about something else")
    return made


def check_subject(state: State, event: Event, data: bytes | None, log_id: str | None) -> None:
    """Hold what lies beside an event as its subject against what follows from the log.

    Args:
        state: before the event.
        log_id: of the log that the event was recorded in first; None where that is not known.

    Raises:
        Violation: INV-003, if it is another one, is missing, or belongs to no request.
    """
    if not isinstance(event.payload, ApprovalRequest):
        if data is not None:
            raise Violation("INV-003", "a subject is beside an event that asks for nothing")
        return
    try:
        said = canonical.decode(data or b"")["log_id"]
    except (canonical.NotCanonical, LookupError, TypeError) as error:
        raise Violation("INV-003", "the subject is missing, or is none") from error
    if not is_log_id(said) or (log_id is not None and log_id not in (said, origin_of(said))):
        raise Violation("INV-003", "the subject is of another log")
    if subject_of(state, event, said) != data:
        raise Violation("INV-003", "the subject is not the one that the event names")
