"""The commit: an accepted output becomes events, an effect, and a moved branch; or it waits.

One transaction holds the result, the effect and the closing update. Where a reviewer must agree
first, or a person's uncommitted work is in the way, the result and its after-images are recorded
(they are validated, and lost no more) and `close` finishes the task later from the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esaa_git.core import storage
from esaa_git.core.canonical import digest
from esaa_git.core.contracts import Contracts
from esaa_git.core.envelope import Envelope, check_payload
from esaa_git.core.event import after
from esaa_git.core.lawful import attribution, needs_review
from esaa_git.core.machine import Cause
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.core.state import Task
from esaa_git.errors import RunHalted
from esaa_git.orchestrator import decide
from esaa_git.orchestrator.engine import Engine
from esaa_git.orchestrator.request import branch_tip
from esaa_git.orchestrator.transaction import Transaction, transact
from esaa_git.orchestrator.verifier import Accepted, FileChange, Proposal, Repeated
from esaa_git.ports import (
    Answer,
    Attachments,
    BranchMove,
    Effect,
    FileEntry,
    InTheWay,
    Request,
)


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of an answer.

    `kind` is `done`, `waiting` (for a review, or for a person's uncommitted work), `rejected`,
    `issue`, `noted` (a heartbeat or lesson) or `repeated`.
    """

    kind: str
    task_id: str
    attempt_id: str
    message: str = ""
    rejected: Rejected | None = None
    effect_commit: str | None = None
    issue_id: str | None = None
    in_the_way: tuple[InTheWay, ...] = ()


@dataclass(frozen=True, slots=True)
class Said:
    """An answer to be admitted, and what is known of how it came about.

    `is_final` says that the agent is gone: an answer without a result then ends its attempt.
    """

    answer: Answer
    actor: str
    request: Request | None = None
    task_id: str | None = None
    attempt_id: str | None = None
    model: str | None = None
    is_final: bool = False


def admit(engine: Engine, said: Said) -> Admission:
    """Validate an answer and record what it amounts to."""
    return transact(engine, lambda tx: _admit(engine, tx, said))


def _admit(engine: Engine, tx: Transaction, said: Said) -> Admission:
    verdict = _judge(engine, tx, said)
    if isinstance(verdict, Repeated):
        envelope = verdict.envelope
        return Admission("repeated", envelope.task_id, envelope.attempt_id, "recorded already")
    decide.require_run(tx.state)
    exchange = _exchange(engine, tx.contracts, said)
    if isinstance(verdict, Rejected):
        return _reject(tx, said, verdict, exchange)
    envelope = verdict.envelope
    match envelope.action:
        case "agent.result":
            return _admit_result(engine, tx, said, verdict, exchange)
        case "issue.report":
            return _admit_issue(tx, said, verdict, exchange)
        case "agent.heartbeat":
            deadline = after(tx.now, tx.contracts.policy.ttl_ms)
            given = storage.redact_value(dict(envelope.payload), tx.contracts.storage)
            payload = {**given, "deadline": deadline, **_address(verdict)}
            tx.emit("agent.heartbeat", said.actor, payload)
            message = f"the lease runs until {deadline}"
        case _:
            _record_lesson(tx, said.actor, envelope.task_id, envelope.payload)
            message = "the lesson is recorded"
    if said.is_final:
        return _without_result(tx, said, verdict, exchange)
    return Admission("noted", envelope.task_id, envelope.attempt_id, message)


def _judge(engine: Engine, tx: Transaction, said: Said) -> Accepted | Repeated | Rejected:
    answer = said.answer
    if answer.failure is not None:
        code = RejectCode(answer.code or RejectCode.AGENT_FAILED)
        return Rejected(code, answer.failure, dict(answer.detail))
    verdict = engine.verifier.judge(
        answer.output,
        state=tx.state,
        contracts=tx.contracts,
        actor=said.actor,
        now=tx.now,
        task_id=said.task_id,
        attempt_id=said.attempt_id,
    )
    if isinstance(verdict, Accepted):
        return _unstorable(verdict.envelope, tx.contracts) or verdict
    return verdict


def _unstorable(envelope: Envelope, contracts: Contracts) -> Rejected | None:
    """Return why an answer cannot be put on record once secrets are blotted out of it, or None."""
    given = {name: item for name, item in envelope.payload.items() if name != "file_updates"}
    safe = storage.redact_value(given, contracts.storage)
    fault = None if safe == given else check_payload(envelope.action, safe)
    if fault is None:
        return None
    place = fault.detail["at"]
    return Rejected(
        RejectCode.INVALID_VALUE,
        f"{place}: this looks like a secret and cannot be blotted out here; leave it away",
        {"at": place},
    )


# -- what an accepted envelope leads to -------------------------------------------------------


def _admit_result(
    engine: Engine, tx: Transaction, said: Said, accepted: Accepted, exchange: _Exchange
) -> Admission:
    envelope = accepted.envelope
    task = tx.state.tasks[envelope.task_id]
    proposal = accepted.proposal
    if proposal is not None:
        rebased = engine.verifier.rebase(
            proposal, branch_tip(engine, tx), engine.verifier.boundary(task, tx.contracts)
        )
        if isinstance(rebased, Rejected):
            return _reject(tx, said, rebased, exchange)
        base, proposal = proposal.onto, rebased if rebased.files else None
    else:
        base = ""
    payload = _result_payload(said, accepted, proposal, tx.contracts)
    tx.emit("agent.result", said.actor, exchange.into(payload), attachments=exchange.attachments)
    for lesson in envelope.payload.get("lessons", ()):
        _record_lesson(tx, said.actor, task.task_id, lesson)
    written = None
    if proposal is not None:
        written = write_effect(tx, task, proposal, base)
    if needs_review(task, tx.contracts):
        return _ask_for_review(tx, task, envelope.attempt_id)
    return _close(engine, tx, task.task_id, proposal, written, Cause.ACCEPTED)


def _result_payload(
    said: Said, accepted: Accepted, proposal: Proposal | None, contracts: Contracts
) -> dict[str, Any]:
    envelope = accepted.envelope
    given = storage.redact_value(dict(envelope.payload), contracts.storage)
    payload: dict[str, Any] = {
        **_address(accepted),
        "summary": given["summary"],
        "paths": [] if proposal is None else list(proposal.paths),
        "output_sha256": digest(said.answer.output),
    }
    for name in ("checks", "usage", "model"):
        if name in given:
            payload[name] = given[name]
    model = said.answer.model or payload.get("model") or said.model
    if model is not None:
        payload["model"] = model
    if envelope.idempotency_key is not None:
        payload["idempotency_key"] = envelope.idempotency_key
    payload.update(_measured(said, contracts))
    return payload


def _measured(said: Said, contracts: Contracts) -> dict[str, Any]:
    """Return what an adapter measured of an answer, as events record it."""
    answer = said.answer
    if said.request is None:
        return {}
    measured: dict[str, Any] = {"latency_ms": answer.latency_ms}
    if answer.usage:
        measured["usage"] = dict(answer.usage)
    if answer.tries:
        tries = [dict(one) for one in answer.tries]
        measured["tries"] = storage.redact_value(tries, contracts.storage)
    return measured


def write_effect(tx: Transaction, task: Task, proposal: Proposal, base: str) -> str:
    """Emit the effect with its after-images and return the commit that carries it."""
    assert task.attempt is not None
    payload: dict[str, Any] = {
        "task_id": task.task_id,
        "attempt_id": task.attempt.attempt_id,
        "base": base,
        "files": [file.to_json() for file in proposal.files],
        "changed_lines": proposal.changed_lines,
    }
    if proposal.onto != base:
        payload["merged_onto"] = proposal.onto
    images = {file.path: file.after for file in proposal.files if file.after is not None}
    stored = tx.emit(
        "orchestrator.file.write",
        decide.ORCHESTRATOR,
        payload,
        attachments=Attachments(files=images),
    )
    return stored.commit


def _ask_for_review(tx: Transaction, task: Task, attempt_id: str) -> Admission:
    approval_id = f"APR-{tx.state.run.approvals + 1:04d}"
    tx.emit(
        "approval.request",
        decide.ORCHESTRATOR,
        {
            "approval_id": approval_id,
            "task_id": task.task_id,
            "attempt_id": attempt_id,
            "reason": "the contract requires a review of this kind of task"
            if not task.review
            else "the plan requires a review of this task",
        },
    )
    message = f"waits for a review ({approval_id}): run 'git esaa review {task.task_id}'"
    return Admission("waiting", task.task_id, attempt_id, message)


def _close(
    engine: Engine,
    tx: Transaction,
    task_id: str,
    proposal: Proposal | None,
    written: str | None,
    cause: Cause,
) -> Admission:
    """Commit the effect of a proposal made for the branch's tip and close the task."""
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    assert task.result is not None
    attempt_id = task.attempt.attempt_id
    if proposal is None or written is None:
        decide.update_task(tx, task, cause)
        return Admission("done", task_id, attempt_id, task.result.summary)
    branch = str(tx.state.run.branch)
    in_the_way = engine.branch.in_the_way(branch, proposal.onto, proposal.tree_changes())
    if in_the_way:
        paths = ", ".join(f"'{path.path}'" for path in in_the_way)
        return Admission(
            "waiting",
            task_id,
            attempt_id,
            f"the answer is kept: your uncommitted work is in the way at {paths}; "
            "commit or stash it, then 'git esaa run' finishes the task",
            in_the_way=tuple(in_the_way),
        )
    effect = engine.branch.commit_effect(
        Effect(
            branch=branch,
            parent=proposal.onto,
            changes=proposal.tree_changes(),
            agent=task.attempt.agent,
            ts=tx.now,
            summary=task.result.summary,
            event_commit=written,
            run_id=str(tx.state.run.run_id),
            task_id=task_id,
            attempt_id=attempt_id,
            assisted_by=attribution(task, tx.contracts),
        ),
        tx.sign,
    )
    decide.update_task(tx, task, cause, effect_commit=effect)
    tx.move_branch(BranchMove(branch, proposal.onto, effect), task_id, proposal.paths)
    return Admission("done", task_id, attempt_id, task.result.summary, effect_commit=effect)


def _admit_issue(tx: Transaction, said: Said, accepted: Accepted, exchange: _Exchange) -> Admission:
    envelope = accepted.envelope
    given = storage.redact_value(dict(envelope.payload), tx.contracts.storage)
    issue_id = decide.report_issue(
        tx,
        said.actor,
        exchange.into({**given, **_address(accepted)}),
        attachments=exchange.attachments,
    )
    task = tx.state.tasks[envelope.task_id]
    if said.is_final and task.active_attempt is not None and tx.state.run.is_open:
        _without_result(tx, said, accepted, _Exchange())
    message = f"{issue_id} is recorded; '{task.task_id}' is {tx.state.tasks[task.task_id].state}"
    return Admission("issue", envelope.task_id, envelope.attempt_id, message, issue_id=issue_id)


def _record_lesson(tx: Transaction, actor: str, task_id: str, lesson: Mapping[str, Any]) -> None:
    lesson_id = f"LES-{tx.state.run.lessons + 1:04d}"
    given = storage.redact_value(dict(lesson), tx.contracts.storage)
    tx.emit("lesson.record", actor, {**given, "lesson_id": lesson_id, "task_id": task_id})


def _without_result(
    tx: Transaction, said: Said, accepted: Accepted, exchange: _Exchange
) -> Admission:
    rejected = Rejected(
        RejectCode.NO_RESULT,
        f"the agent answered with {accepted.envelope.action} and left no result",
        {"action": accepted.envelope.action},
    )
    return _reject(tx, said, rejected, exchange)


def _reject(
    tx: Transaction,
    said: Said,
    rejected: Rejected,
    exchange: _Exchange,
    *,
    closing: bool = False,
) -> Admission:
    task_id, attempt_id = said.task_id, said.attempt_id
    if task_id is None or attempt_id is None or task_id not in tx.state.tasks:
        return Admission("rejected", task_id or "", attempt_id or "", rejected=rejected)
    policy = tx.contracts.storage
    safe = Rejected(
        rejected.code,
        storage.redact(rejected.message, policy),
        storage.redact_value(dict(rejected.detail), policy),
    )
    output = {
        "sha256": digest(said.answer.output),
        "bytes": len(said.answer.output),
        "preview": storage.preview(said.answer.output, policy),
    }
    decide.reject(
        tx,
        task_id,
        attempt_id,
        safe,
        output,
        exchange.attachments,
        exchange.named or None,
        closing=closing,
    )
    return Admission("rejected", task_id, attempt_id, safe.message, rejected=safe)


def _address(accepted: Accepted) -> dict[str, str]:
    return {
        "task_id": accepted.envelope.task_id,
        "attempt_id": accepted.envelope.attempt_id,
    }


# -- what is kept of an exchange --------------------------------------------------------------


class _Exchange:
    """One exchange as the event names it, and the blobs that travel beside it."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        self._blobs: dict[str, str] = {}

    @property
    def attachments(self) -> Attachments:
        return Attachments(exchange=self._blobs)

    def keep(
        self, name: str, file: str, data: bytes, how: str, engine: Engine, policy: Any
    ) -> None:
        stored = storage.kept(data, how, policy)
        blob = None if stored is None else engine.blobs.write(stored)
        part = storage.part(data, how, blob)
        if part is not None:
            self.named[name] = part
        if blob is not None:
            self._blobs[file] = blob

    def into(self, payload: dict[str, Any]) -> dict[str, Any]:
        return {**payload, "exchange": self.named} if self.named else payload


def _exchange(engine: Engine, contracts: Contracts, said: Said) -> _Exchange:
    policy = contracts.storage
    exchange = _Exchange()
    if said.request is not None:
        sent = said.request.sent
        exchange.keep("request", "request.json", sent, policy.request, engine, policy)
    exchange.keep("response", "response", said.answer.output, policy.response, engine, policy)
    return exchange


# -- finishing later --------------------------------------------------------------------------


def close(
    engine: Engine, task_id: str, *, reviewer: str | None = None, reason: str = ""
) -> Admission:
    """Finish a task whose validated effect is in the log and not on the branch yet.

    With `reviewer`, the approval that the task waits for is granted in the same transaction.
    A conflict with what the branch has become meanwhile is a rejection, as it would have been.
    """
    return transact(engine, lambda tx: _finish(engine, tx, task_id, reviewer, reason))


def _finish(
    engine: Engine, tx: Transaction, task_id: str, reviewer: str | None, reason: str
) -> Admission:
    task = decide.find_task(tx.state, task_id)
    decide.require_run(tx.state)
    if task.attempt is None or task.result is None:
        raise RunHalted(f"'{task_id}' has no result to finish")
    cause = Cause.ACCEPTED
    if task.pending_approval is not None:
        cause = Cause.APPROVED
    elif needs_review(task, tx.contracts):
        # The contract began to ask for one while the result waited for something else.
        return _ask_for_review(tx, task, task.attempt.attempt_id)
    proposal, written = None, None
    if task.effect == "written":
        proposal, written = _recorded(engine, task.attempt.attempt_id)
        tip = branch_tip(engine, tx)
        boundary = engine.verifier.boundary(task, tx.contracts)
        rebased = engine.verifier.rebase(proposal, tip, boundary)
        if isinstance(rebased, Rejected):
            if task.pending_approval is not None:
                tx.emit(
                    "approval.deny",
                    decide.ORCHESTRATOR,
                    {"approval_id": task.pending_approval, "reason": rebased.message[:2000]},
                )
            said = Said(Answer(b"", 0), task.attempt.agent, None, task_id, task.attempt.attempt_id)
            return _reject(tx, said, rebased, _Exchange(), closing=True)
        if rebased.files != proposal.files and rebased.files:
            written = write_effect(tx, task, rebased, proposal.onto)
        proposal = rebased
    if reviewer is not None and task.pending_approval is not None:
        tx.emit(
            "approval.grant",
            reviewer,
            {"approval_id": task.pending_approval, "reason": reason},
        )
    return _close(engine, tx, task_id, proposal, written, cause)


def _recorded(engine: Engine, attempt_id: str) -> tuple[Proposal, str]:
    """Return the attempt's recorded effect, and the commit of the event that carries it."""
    for stored in engine.log.events(newest_first=True):
        event = stored.event
        if event.action == "orchestrator.file.write" and event.attempt_id == attempt_id:
            payload = event.payload
            files = tuple(file_change(file) for file in payload["files"])
            onto = payload.get("merged_onto", payload["base"])
            return Proposal(files, onto, payload["changed_lines"]), stored.commit
    raise RunHalted(f"the effect of '{attempt_id}' is not in the log")


def file_change(file: Mapping[str, Any]) -> FileChange:
    after_entry = FileEntry(file["mode"], file["after"]) if "after" in file else None
    mode = file.get("before_mode", file.get("mode", "100644"))
    before = FileEntry(mode, file["before"]) if "before" in file else None
    return FileChange(
        file["path"],
        before,
        after_entry,
        file.get("from"),
        file.get("bytes", 0),
        file.get("sha256", ""),
    )
