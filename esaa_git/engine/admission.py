"""What becomes of an answer: the outcome as a value, and a refusal as it goes on record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esaa_git.core import storage
from esaa_git.core.canonical import digest
from esaa_git.core.rejection import Rejected
from esaa_git.engine import decide
from esaa_git.engine.exchange import Exchange, Said, measured
from esaa_git.engine.proof import result_document
from esaa_git.engine.transaction import Transaction
from esaa_git.ports.branch import InTheWay
from esaa_git.ports.checks import CheckResult


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


def reject(
    tx: Transaction,
    said: Said,
    rejected: Rejected,
    exchange: Exchange,
    *,
    closing: bool = False,
    results: Sequence[CheckResult] = (),
    approval_id: str | None = None,
) -> Admission:
    """Record the reject signal for an answer, and say so.

    Args:
        closing: as in `decide.reject`.
        results: how the checks ended that were run before the refusal.
        approval_id: what a reviewer was asked to decide, whose answer this was.
    """
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
    more = measured(said, tx.contracts)
    if said.answer.model is not None:
        more["model"] = said.answer.model
    if approval_id is not None:
        more["approval_id"] = approval_id
    if results:
        more["check_results"] = [result_document(result) for result in results]
    decide.reject(
        tx,
        task_id,
        attempt_id,
        safe,
        output,
        exchange.attachments,
        exchange.into(more),
        closing=closing,
    )
    return Admission("rejected", task_id, attempt_id, safe.message, rejected=safe)
