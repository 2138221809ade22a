"""What was said to an agent and by it: what the record keeps of it, and what it took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from esaa_git.core import storage
from esaa_git.core.canonical import digest
from esaa_git.core.contracts import Contracts
from esaa_git.core.rejection import Rejected
from esaa_git.engine import decide
from esaa_git.engine.engine import Engine
from esaa_git.engine.proof import result_document
from esaa_git.engine.transaction import Transaction
from esaa_git.ports.agent import Answer, Request
from esaa_git.ports.branch import InTheWay
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.log import Attachments


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


class Exchange:
    """One exchange as the event names it, and the blobs that travel beside it."""

    def __init__(self) -> None:
        self.named: dict[str, Any] = {}
        self._blobs: dict[str, str] = {}

    @classmethod
    def of(cls, engine: Engine, contracts: Contracts, said: Said) -> Exchange:
        """Store what STORAGE_POLICY lets us keep of what was said, and return it."""
        policy = contracts.storage
        exchange = cls()
        if said.request is not None:
            sent = said.request.sent
            exchange._keep("request", "request.json", sent, policy.request, engine, policy)
        exchange._keep("response", "response", said.answer.output, policy.response, engine, policy)
        return exchange

    @property
    def attachments(self) -> Attachments:
        return Attachments(exchange=self._blobs)

    def into(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the payload with the exchange named in it."""
        return {**payload, "exchange": self.named} if self.named else payload

    def _keep(
        self, name: str, file: str, data: bytes, how: str, engine: Engine, policy: Any
    ) -> None:
        stored = storage.kept(data, how, policy)
        blob = None if stored is None else engine.blobs.write(stored)
        part = storage.part(data, how, blob)
        if part is not None:
            self.named[name] = part
        if blob is not None:
            self._blobs[file] = blob


def measured(said: Said, contracts: Contracts) -> dict[str, Any]:
    """Return what an adapter measured of an answer, as events record it."""
    answer = said.answer
    if said.request is None:
        return {}
    found: dict[str, Any] = {"latency_ms": answer.latency_ms}
    if answer.usage:
        found["usage"] = dict(answer.usage)
    if answer.tries:
        tries = [dict(one) for one in answer.tries]
        found["tries"] = storage.redact_value(tries, contracts.storage)
    return found


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
