"""`agent.result`: the holder of an attempt proposes a result, and the proposal was valid."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from esaa_git.core.events.base import Count, Line, Payload, Stamp, Text
from esaa_git.core.events.facts import Facts, PolicyNotes
from esaa_git.core.events.fields import (
    Actor,
    AttemptId,
    Exchange,
    LeftOut,
    Path,
    Proposed,
    Sha256,
    TaskId,
    Tries,
    Unwrapped,
    Usage,
)
from esaa_git.core.events.spec import AGENT
from esaa_git.core.invariants import Violation
from esaa_git.core.task import Judged, Result

if TYPE_CHECKING:
    from esaa_git.core.draft import Draft


class AgentResult(Payload, action="agent.result", by={AGENT}):
    """What the holder says it did; `checks` are its own words about what holds.

    `proposal` is what waits, for a review or to be judged, on a ref of its own.

    `facts` is what policy sees of it, and `policy` what rules say of it that are not enforced.

    `agent` is who did it under a person's key; the person is the actor then, and it is theirs.
    """

    task_id: TaskId
    attempt_id: AttemptId
    summary: Annotated[str, Text(4000, 1)]
    paths: tuple[Path, ...]
    output_sha256: Sha256 | None = None
    checks: Annotated[tuple[Annotated[str, Text(500, 1)], ...], Count(most=100)] | None = None
    idempotency_sha256: Sha256 | None = None
    model: Annotated[str, Line()] | None = None
    usage: Usage | None = None
    latency_ms: int | None = None
    tries: Tries | None = None
    exchange: Exchange | None = None
    agent: Actor | None = None
    left_out: LeftOut | None = None
    proposal: Proposed | None = None
    unwrapped: Unwrapped | None = None
    facts: Facts | None = None
    policy: PolicyNotes | None = None

    def evolve(self, draft: Draft, event: Stamp) -> None:
        task, attempt = draft.active_attempt(self.task_id, self.attempt_id)
        if event.actor != attempt.agent:
            raise Violation("INV-002", f"'{attempt.attempt_id}' belongs to {attempt.agent}")
        draft.put_task(
            replace(
                task,
                attempt=replace(
                    attempt, state=draft.step("attempt", attempt.state, "agent.result")
                ),
                result=Result(attempt.attempt_id, attempt.agent, self.summary, self.paths),
                effect="pending" if self.paths else None,
                judged=self._judged(task.judged),
            )
        )

    def _judged(self, before: Judged | None) -> Judged | None:
        """Return what policy saw of the result, with what was decided on it before."""
        facts = self.facts
        if facts is None:
            return before
        rulings = () if before is None else before.rulings
        return Judged(facts.sha256, facts.agent, facts.model, facts.cost_microdollars, rulings)

    def subject(self) -> str:
        summary = self.summary.split("\n", 1)[0]
        return f"{self.attempt_id}: {summary[:60]}{'…' if len(summary) > 60 else ''}"
