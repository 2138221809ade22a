"""Dispatches: an agent that is asked, on record before it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from esaa_git.core.canonical import digest
from esaa_git.engine import decide
from esaa_git.engine.exchange import Said
from esaa_git.engine.transaction import Transaction
from esaa_git.ports.agent import AgentAdapter, Answer, Request


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Who is asked, with what, and for which attempt: to make it, or to decide on it.

    `approval_id` is the decision that a reviewer is asked for, None for who makes the attempt.
    """

    task_id: str
    attempt_id: str
    adapter: AgentAdapter
    request: Request
    approval_id: str | None = None

    def said(self, answer: Answer) -> Said:
        """Return the agent's answer as it is to be admitted."""
        return Said(
            answer,
            self.adapter.name,
            self.request,
            self.task_id,
            self.attempt_id,
            self.adapter.model,
            is_final=True,
        )


def record_dispatch(
    tx: Transaction, what: Dispatched, review: Mapping[str, str] | None = None
) -> Dispatched:
    """Record who is asked and the digest of exactly what is sent, and return it.

    Args:
        review: `approval_id` and `deadline`, of a decision that is asked for.
    """
    adapter, request = what.adapter, what.request
    payload: dict[str, Any] = {
        "task_id": what.task_id,
        "attempt_id": what.attempt_id,
        "agent": adapter.name,
        "adapter": adapter.adapter,
        "request_sha256": digest(request.sent),
        "sandbox": adapter.sandbox,
    }
    if review is not None:
        payload["review"] = dict(review)
    if request.template is not None:
        payload["template"] = request.template
    if adapter.model is not None:
        payload["model"] = adapter.model
    tx.emit("orchestrator.dispatch", decide.ORCHESTRATOR, payload)
    return what
