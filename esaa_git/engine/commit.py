"""The commit: an agent's output is judged, and becomes events, an effect, or a reject signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from esaa_git.core import storage
from esaa_git.core.canonical import digest
from esaa_git.core.contract_rules import needs_review, required_checks
from esaa_git.core.contracts import Contracts
from esaa_git.core.envelope import Envelope, check_payload
from esaa_git.core.events.base import encode
from esaa_git.core.machine import Cause
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.engine import decide
from esaa_git.engine.effect import apply_effect, ask_for_review, write_effect
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission, Exchange, Said, measured, reject
from esaa_git.engine.lease import Lease
from esaa_git.engine.proof import Proof, Unproven, failed_check, find_proof, settled
from esaa_git.engine.request import branch_tip
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.engine.verifier import Accepted, Proposal, Repeated
from esaa_git.ports.checks import CheckResult


def admit(engine: Engine, said: Said, pause: Callable[[], None] = lambda: None) -> Admission:
    """Validate an answer, run the checks it has to pass, and record what it amounts to.

    Raises:
        AgentError: if a check cannot be run here at all; nothing is recorded.
        ConflictError: if the branch keeps moving while checks run; nothing is recorded.
    """
    return settled(engine, lambda proof: try_admit(engine, said, proof), pause)


def try_admit(engine: Engine, said: Said, proof: Proof | None = None) -> Admission | Unproven:
    """Validate an answer and record what it amounts to, or say which checks are to be run."""
    return transact(engine, lambda tx: _admit(engine, tx, said, proof))


def _admit(
    engine: Engine, tx: Transaction, said: Said, proof: Proof | None
) -> Admission | Unproven:
    verdict = _judge(engine, tx, said)
    if isinstance(verdict, Repeated):
        envelope = verdict.envelope
        return Admission("repeated", envelope.task_id, envelope.attempt_id, "recorded already")
    decide.require_run(tx.state)
    exchange = Exchange.of(engine, tx.contracts, said)
    if isinstance(verdict, Rejected):
        return reject(tx, said, verdict, exchange)
    envelope = verdict.envelope
    match envelope.action:
        case "agent.result":
            return _admit_result(engine, tx, said, verdict, exchange, proof)
        case "issue.report":
            return _admit_issue(tx, said, verdict, exchange)
        case "agent.heartbeat":
            deadline = Lease.begin(envelope.attempt_id, tx.now, tx.contracts).deadline
            given = storage.redact_value(dict(envelope.payload), tx.contracts.storage)
            payload = {**given, "deadline": deadline, **_address(verdict)}
            tx.emit("agent.heartbeat", said.actor, payload)
            message = f"the lease runs until {deadline}"
        case _:
            _record_lesson(tx, said.actor, envelope.task_id, encode(envelope.payload))
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
        leases=tx.leases,
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
    engine: Engine,
    tx: Transaction,
    said: Said,
    accepted: Accepted,
    exchange: Exchange,
    proof: Proof | None,
) -> Admission | Unproven:
    envelope = accepted.envelope
    task = tx.state.tasks[envelope.task_id]
    proposal = accepted.proposal
    if proposal is not None:
        rebased = engine.verifier.rebase(
            proposal, branch_tip(engine, tx), engine.verifier.boundary(task, tx.contracts)
        )
        if isinstance(rebased, Rejected):
            return reject(tx, said, rebased, exchange)
        base, proposal = proposal.onto, rebased if rebased.files else None
    else:
        base = ""
    results: Sequence[CheckResult] = ()
    if proposal is not None:
        found = find_proof(proof, task.task_id, required_checks(task, tx.contracts), proposal)
        if isinstance(found, Unproven):
            return found
        failed = failed_check(found, tx.contracts)
        if failed is not None:
            return reject(tx, said, failed, exchange, results=found)
        results = found
    payload = _result_payload(said, accepted, proposal, tx.contracts)
    tx.emit("agent.result", said.actor, exchange.into(payload), attachments=exchange.attachments)
    for lesson in envelope.payload.get("lessons", ()):
        _record_lesson(tx, said.actor, task.task_id, lesson)
    written = None
    if proposal is not None:
        written = write_effect(tx, task, proposal, base, results)
    if needs_review(task, tx.contracts):
        return ask_for_review(tx, task, envelope.attempt_id)
    return apply_effect(engine, tx, task.task_id, proposal, written, Cause.ACCEPTED)


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
    payload.update(measured(said, contracts))
    return payload


def _admit_issue(tx: Transaction, said: Said, accepted: Accepted, exchange: Exchange) -> Admission:
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
        _without_result(tx, said, accepted, Exchange())
    message = f"{issue_id} is recorded; '{task.task_id}' is {tx.state.tasks[task.task_id].state}"
    return Admission("issue", envelope.task_id, envelope.attempt_id, message, issue_id=issue_id)


def _record_lesson(tx: Transaction, actor: str, task_id: str, lesson: Mapping[str, Any]) -> None:
    lesson_id = f"LES-{tx.state.run.lessons + 1:04d}"
    given = storage.redact_value(dict(lesson), tx.contracts.storage)
    tx.emit("lesson.record", actor, {**given, "lesson_id": lesson_id, "task_id": task_id})


def _without_result(
    tx: Transaction, said: Said, accepted: Accepted, exchange: Exchange
) -> Admission:
    rejected = Rejected(
        RejectCode.NO_RESULT,
        f"the agent answered with {accepted.envelope.action} and left no result",
        {"action": accepted.envelope.action},
    )
    return reject(tx, said, rejected, exchange)


def _address(accepted: Accepted) -> dict[str, str]:
    return {
        "task_id": accepted.envelope.task_id,
        "attempt_id": accepted.envelope.attempt_id,
    }
