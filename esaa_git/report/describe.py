"""An event and a task as something to show: a JSON value for machines, lines for people.

What is shown comes in part from agents, so no line that leaves here holds a character that would
move a cursor, change a colour or turn the direction of writing.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, assert_never

from esaa_git.core import canonical
from esaa_git.core.accounts import Budget
from esaa_git.core.entries import DENIED, RETURNED, Approval, Note
from esaa_git.core.event import Event, StoredEvent
from esaa_git.core.events import (
    AgentHeartbeat,
    AgentResult,
    ApprovalDeny,
    ApprovalExpire,
    ApprovalGrant,
    ApprovalRequest,
    AttemptCreate,
    AttemptTimeout,
    BudgetCorrect,
    Dispatch,
    EffectRelinked,
    EmergencyOverride,
    EventNote,
    FileWrite,
    Health,
    IssueReport,
    IssueResolved,
    LessonRecord,
    LessonWithdraw,
    OutputRejected,
    PolicyDecision,
    QuestionAnswer,
    QuestionAsk,
    ReviewResult,
    ReviewReturned,
    RunEnd,
    RunHalt,
    RunInit,
    RunNote,
    RunResume,
    Settle,
    TaskCreate,
    TaskNote,
    TaskUpdate,
    VerifyFail,
    VerifyOk,
    VerifyStart,
)
from esaa_git.core.events.base import encode
from esaa_git.core.events.fields import TEXT
from esaa_git.core.events.operator_request import OperatorRequest
from esaa_git.core.printable import visible
from esaa_git.core.rejection import EXPLANATIONS, RejectCode
from esaa_git.core.said import GONE, Read, beside, task_json, told, why_blocked
from esaa_git.core.task import DEFINITION_FIELDS, CheckCommand, Task
from esaa_git.report.standing import NOTHING_SINCE, Standing

# -- events -----------------------------------------------------------------------------------


def event_document(stored: StoredEvent) -> dict[str, Any]:
    """Return the whole event and the commit that carries it."""
    document: dict[str, Any] = canonical.decode(stored.event.data)
    return {"commit": stored.commit, **document, "subject": stored.event.subject}


def event_row(event: Event) -> tuple[str, str, str, str]:
    """Return what an audit trail has on one line: id, time to the second, actor, subject."""
    when = f"{event.ts[:10]} {event.ts[11:19]}Z"
    return event.event_id, when, visible(event.actor), visible(event.subject)


def event_lines(
    stored: StoredEvent,
    signature: str,
    files: Sequence[str],
    hints: Sequence[str],
    notes: Sequence[Note] = (),
    said: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return an event in full: envelope, signature, payload, what was said, where its files are.

    `files` are paths in the event's commit; `signature` is a sentence about who signed it; `said`
    as `esaa_git.core.said.beside` returns it.
    """
    event = stored.event
    lines = [
        f"{event.event_id}  {visible(event.subject)}",
        f"  action:     {event.action}",
        f"  actor:      {visible(event.actor)}",
        f"  time:       {event.ts}",
    ]
    for name, value in (
        ("correlation", event.correlation_id),
        ("causation", event.causation_id),
    ):
        if value is not None:
            lines.append(f"  {name + ':':<12}{visible(value)}")
    lines += [
        f"  commit:     {stored.commit}",
        f"  sha256:     {event.sha256}",
        f"  signature:  {visible(signature)}",
        "",
        *_json_lines(encode(event.payload)),
    ]
    if said is not None and any(item or item is None for item in said.values()):
        lines += ["", "said:"]
        for name, item in said.items():
            lines += _said(name, GONE if item is None else item)
    if files:
        lines += ["", "files:", *(f"  {visible(path)}" for path in files)]
    if notes:
        lines += ["", *_noted(notes)]
    if hints:
        lines += ["", *(f"hint: {visible(hint)}" for hint in hints)]
    return lines


def _said(name: str, item: Any) -> list[str]:
    if not item:
        return []
    if name == TEXT:
        return _indented(item)
    if isinstance(item, str):
        return [f"  {name}:", *("  " + line for line in _indented(item))]
    return [f"  {name}:", *("    " + line for line in _json_lines(dict(item)))]


def _json_lines(value: Any) -> list[str]:
    text = json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)
    return [visible(line) for line in text.split("\n")]


# -- tasks ------------------------------------------------------------------------------------


def task_document(
    task: Task,
    approvals: Iterable[Approval],
    events: Sequence[StoredEvent],
    read: Read,
    notes: Iterable[Note] = (),
    standing: Standing = NOTHING_SINCE,
) -> dict[str, Any]:
    """Return the task as it is stored, with its attempts, approvals, notes, words and events.

    The events stand newest first. `read` gives the words: of its last rejection, and of who decided
    or reviewed, by the event's id, None where they are gone.
    """
    return {
        "task": task_json(task, read),
        "standing": standing.to_json(),
        "attempts": attempts_of(stored.event for stored in reversed(events)),
        "instruction": instruction(task),
        "approvals": [approval.to_json() for approval in approvals],
        "notes": [note.to_json() for note in notes],
        "words": {stored.event.event_id: text for stored, text in _spoken(events, read)},
        "events": [event_document(stored) for stored in events],
    }


def instruction(task: Task) -> str | None:
    """Return what the last rejection asks of the next attempt, in one sentence."""
    if task.rejection is None:
        return None
    return EXPLANATIONS.get(RejectCode(task.rejection.code))


def attempts_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """Return every attempt with its outcome, from the events of one task, oldest first."""
    found: dict[str, dict[str, Any]] = {}
    last: dict[str, Any] = {}
    for event in events:
        payload = event.payload
        if isinstance(payload, AttemptCreate):
            last = {
                "attempt_id": payload.attempt_id,
                "agent": payload.agent,
                "mode": payload.mode,
                "deadline": payload.deadline,
                "opened": event.ts,
                "outcome": "completed" if payload.mode == "undo" else "active",
            }
            found[payload.attempt_id] = last
            continue
        one = found.get(event.attempt_id or last.get("attempt_id", ""), {})
        if one.get("outcome") != "active":
            continue  # a late answer changes nothing
        match payload:
            case AgentResult():
                one["outcome"] = "completed"
            case OutputRejected():
                one["outcome"] = f"rejected: {payload.code}"
            case QuestionAsk():
                one["outcome"] = f"asked: {payload.question_id}"
            case AttemptTimeout():
                one["outcome"] = "timed out"
            case AgentHeartbeat():
                one["deadline"] = payload.deadline
            case TaskUpdate():
                one["outcome"] = f"cancelled: {payload.cause}"
            case (
                ApprovalDeny()
                | ApprovalExpire()
                | ApprovalGrant()
                | ApprovalRequest()
                | BudgetCorrect()
                | Dispatch()
                | EffectRelinked()
                | EmergencyOverride()
                | FileWrite()
                | Health()
                | IssueReport()
                | IssueResolved()
                | LessonRecord()
                | LessonWithdraw()
                | OperatorRequest()
                | EventNote()
                | RunNote()
                | TaskNote()
                | PolicyDecision()
                | QuestionAnswer()
                | ReviewResult()
                | ReviewReturned()
                | RunEnd()
                | RunHalt()
                | RunResume()
                | RunInit()
                | Settle()
                | TaskCreate()
                | VerifyFail()
                | VerifyOk()
                | VerifyStart()
            ):
                pass  # An attempt stays active through these.
            case _:
                assert_never(payload)
    return list(found.values())


def task_lines(
    task: Task,
    approvals: Iterable[Approval],
    events: Sequence[StoredEvent],
    attempts_allowed: int,
    read: Read,
    notes: Sequence[Note] = (),
    standing: Standing = NOTHING_SINCE,
) -> list[str]:
    """Return a task in full: definition, state, attempts, rejection, result, notes, events.

    `events` are the task's own, newest first; `read` gives the words of what was decided.
    """
    lines = [f"{task.task_id}  {visible(task.title)}", *_definition(task), ""]
    approvals = tuple(approvals)
    decided = {one.approval_id: one.state for one in approvals if one.state != "pending"}
    why = why_blocked(task, read)
    lines += _standing(task, attempts_allowed, decided, standing, why)
    for one in attempts_of(stored.event for stored in reversed(events)):
        lines.append(
            f"  {one['attempt_id']}  {one['outcome']}  {visible(one['agent'])} ({one['mode']}), "
            f"opened {one['opened']}, deadline {one['deadline']}"
        )
    if task.rejection is not None:
        last = told(task.rejection, read)
        lines += ["", f"last rejection ({last.attempt_id}): {last.code}"]
        lines += _indented(last.message)
        asked = instruction(task)
        if asked is not None:
            lines.append(f"  → {asked}")
        if last.detail:
            lines += ["  " + line for line in _json_lines(dict(last.detail))]
    if task.result is not None:
        result = task.result
        lines += ["", f"result ({result.attempt_id}) by {visible(result.agent)}:"]
        lines += _indented(result.summary)
        lines += [f"  {visible(path)}" for path in result.paths]
        if result.effect_commit is not None:
            lines.append(f"  effect commit {result.effect_commit}")
    for approval in approvals:
        by = f" by {', '.join(deciders(approval))}" if approval.decided_by else ""
        rules = dict.fromkeys(one.rule for one in approval.requirements)
        why = "; ".join(rules)
        lines.append(visible(f"{approval.approval_id}: {approval.state}{by}: {why}"))
    lines += _noted(notes)
    lines += ["", "events, newest first:"]
    spoken = {stored.event.event_id: text or GONE for stored, text in _spoken(events, read)}
    for stored in events:
        lines.append("  " + "  ".join(event_row(stored.event)))
        said = spoken.get(stored.event.event_id)
        lines += ["    " + line for line in _indented(said)] if said else []
    return lines


def _spoken(events: Iterable[StoredEvent], read: Read) -> Iterator[tuple[StoredEvent, str | None]]:
    """Yield the events with which something was said, and what; None where that is gone.

    That are the words of people, what an agent asked, and why an answer was refused.
    """
    for stored in events:
        payload = stored.event.payload
        said = beside(payload, read) or {}
        match payload:
            case PolicyDecision():
                said = {TEXT: payload.message}
            case OutputRejected():
                said = {TEXT: said["message"]}
        if said.get(TEXT, "") != "":
            yield stored, said[TEXT]


def deciders(approval: Approval) -> tuple[str, ...]:
    """Return who decided on an approval so far: all who agreed, or the one who did not."""
    agreed = [one.by for one in approval.grants]
    agreed += [approval.agreed_by] if approval.agreed_by is not None else []
    last = [approval.decided_by] if approval.decided_by is not None else []
    return tuple(last if approval.state in (DENIED, RETURNED) else agreed)


def _noted(notes: Sequence[Note]) -> list[str]:
    return [visible(f"note by {one.by}, {one.ts}: ") + visible(one.text) for one in notes]


def _definition(task: Task) -> list[str]:
    lines = []
    for name in DEFINITION_FIELDS:
        value = getattr(task, name)
        if name == "title" or value in (None, "", (), 0, False):
            continue
        label = name.replace("_", " ")
        if isinstance(value, tuple):
            lines.append(f"  {label}:")
            lines += [f"    - {visible(_item(item))}" for item in value]
        elif "\n" in str(value):
            lines.append(f"  {label}:")
            lines += ["  " + line for line in _indented(str(value))]
        else:
            lines.append(f"  {label}: {visible(_item(value))}")
    for label, other in (("supersedes", task.supersedes), ("issue", task.issue_id)):
        if other is not None:
            lines.append(f"  {label}: {other}")
    return lines


def _item(value: object) -> str:
    if isinstance(value, Budget):
        return ", ".join(f"{limit} {unit}" for unit, limit in value.to_json().items())
    if not isinstance(value, CheckCommand):
        return str(value)
    limit = f" (at most {value.timeout})" if value.timeout else ""
    return f"{value.name}: {shlex.join(value.run)}{limit}"


def _standing(
    task: Task, attempts_allowed: int, decided: Mapping[str, str], since: Standing, why: str
) -> list[str]:
    lines = [f"state: {task.state}", *since.lines()]
    if task.blocked is not None:
        lines[0] += visible(f" ({task.blocked.cause}: {why})")
    if task.effect is not None:
        lines.append(f"effect: {task.effect}, not on the branch yet")
    verdict = decided.get(task.pending_approval or "")
    if verdict is not None:
        lines.append(f"{task.pending_approval} is {verdict}, and waits for the orchestrator")
    elif task.pending_approval is not None:
        lines.append(f"waits for the review {task.pending_approval}")
    if task.not_before is not None:
        lines.append(f"cools down until {task.not_before}")
    used = f"attempts: {task.attempts_used} of {attempts_allowed} used"
    if task.attempts_total != task.attempts_used:
        used += f", {task.attempts_total} opened"
    lines.append(used)
    return lines


def _indented(text: str) -> list[str]:
    return ["  " + line for line in visible(text).split("\n")]


# -- states -----------------------------------------------------------------------------------


def counts_line(counts: Mapping[str, int]) -> str:
    """Return how many tasks are in which state, in the order of a task's life."""
    known = [name for name in ("done", "in_progress", "todo", "blocked") if counts.get(name)]
    return ", ".join(f"{counts[name]} {name}" for name in known) or "none"
