"""A call of an agent: what the record keeps of it, and the verdict that one may give."""

from __future__ import annotations

from esaa_git.core.events import OutputRejected, QuestionAsk, ReviewResult
from esaa_git.core.events.base import Record
from esaa_git.core.events.fields import Exchange, LeftOut, SpokenExchange, Try, Usage
from esaa_git.core.packing import Packing


class CallResult(Record):
    """What the record keeps of one call of an agent: what was said, who answered, what it took.

    A person's words come without any of it.
    """

    exchange: Exchange | None = None
    model: str | None = None
    usage: Usage | None = None
    latency_ms: int | None = None
    tries: tuple[Try, ...] | None = None
    left_out: LeftOut | None = None
    unwrapped: tuple[Packing, ...] | None = None

    @property
    def response_sha256(self) -> str | None:
        """The salted digest of the answer, where digests are recorded."""
        response = None if self.exchange is None else self.exchange.response
        return None if response is None else response.sha256

    @classmethod
    def of(cls, payload: OutputRejected | QuestionAsk | ReviewResult) -> CallResult:
        """Return what an event that is on record keeps of its call."""
        return cls(
            exchange=payload.exchange,
            model=payload.model,
            usage=payload.usage,
            latency_ms=payload.latency_ms,
            tries=payload.tries,
            left_out=payload.left_out if isinstance(payload, OutputRejected) else None,
            unwrapped=payload.unwrapped if isinstance(payload, OutputRejected) else None,
        )


NO_CALL = CallResult()
"""What a person said, or the orchestrator concluded."""


class AgentVerdict(Record):
    """What an agent says that was asked for a review, and what its answer took.

    What it says in words lies in `exchange`.
    """

    reviewer: str
    exchange: SpokenExchange
    call: CallResult = NO_CALL
