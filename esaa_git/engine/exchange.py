"""What was said to an agent and by it: what the record keeps of it, and what it took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from esaa_git.core import storage
from esaa_git.core.contracts import Contracts
from esaa_git.engine.engine import Engine
from esaa_git.ports.agent import Answer, Request
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
