"""A policy over a history: what it says of every proposal whose facts are on record.

Nothing but the recorded facts is read, so the answer is the one that was given, or would have been
given, when the proposal was made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from esaa_git.core.event import Event
from esaa_git.core.events import AgentResult, OutputRejected
from esaa_git.core.events.facts import Facts
from esaa_git.core.policy.evaluate import ALLOWED, Verdict, evaluate
from esaa_git.core.policy.rules import Policy


@dataclass(frozen=True, slots=True)
class Answer:
    """What a policy says of one recorded proposal; `became` is what became of it then."""

    event_id: str
    ts: str
    attempt_id: str
    became: str
    facts: Facts
    verdict: Verdict

    @property
    def said(self) -> tuple[str, tuple[str, ...]]:
        """The effect, and the rules that decide it."""
        return self.verdict.effect, tuple(hit.rule.name for hit in self.verdict.decisions)

    @property
    def matched(self) -> tuple[tuple[str, str], ...]:
        """Every rule that matches, with what it says."""
        return tuple((hit.rule.name, hit.effect) for hit in self.verdict.hits)


def proposals(events: Iterable[Event]) -> Iterator[tuple[Event, Facts | None]]:
    """Yield what was proposed, with its facts; None where it was recorded without."""
    for event in events:
        payload = event.payload
        if isinstance(payload, AgentResult) or (
            isinstance(payload, OutputRejected) and payload.facts is not None
        ):
            yield event, payload.facts


def answer(policy: Policy | None, event: Event, facts: Facts) -> Answer:
    """Return what a policy says of a proposal; None allows everything.

    Raises:
        CelMissing: as `evaluate`.
    """
    payload = event.payload
    assert isinstance(payload, AgentResult | OutputRejected)
    became = "accepted" if isinstance(payload, AgentResult) else str(payload.code)
    verdict = ALLOWED if policy is None else evaluate(policy, facts)
    return Answer(event.event_id, event.ts, payload.attempt_id, became, facts, verdict)
