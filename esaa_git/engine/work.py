"""Work: one attempt of a run that is under way, from its request to what became of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

from esaa_git.core import storage
from esaa_git.core.event import instant, timestamp
from esaa_git.core.events.base import decode
from esaa_git.core.events.fields import Usage
from esaa_git.core.state import State
from esaa_git.core.task import Attempt, Task
from esaa_git.engine.commit import try_admit
from esaa_git.engine.effect import try_apply_effect
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission, AgentOutput
from esaa_git.engine.halting import require_going, told
from esaa_git.engine.intentions import ReleaseAttempt
from esaa_git.engine.proof import Proof, Unproven
from esaa_git.engine.proposer import Dispatched, release
from esaa_git.engine.rests import Rest
from esaa_git.engine.review import release_review, try_admit_review
from esaa_git.engine.transaction import transact
from esaa_git.errors import RefusedError
from esaa_git.ports.agent import Answer, Unavailable

Found: TypeAlias = Answer | Proof | None
"""What a job of a run came back with; nothing, where only the log is to be looked at again."""

GRACE_SECONDS = 10
"""How long after its deadline an agent of ours may take to be ended before its lease expires."""


@dataclass
class Work:
    """An attempt of ours under way: what its agent said, once it did, and the proofs so far.

    Attributes:
        dispatched: who was asked; None for a result from before that only is to be applied.
        began: by the clock's `monotonic`.
    """

    task_id: str
    attempt_id: str
    dispatched: Dispatched | None = None
    output: AgentOutput | None = None
    proofs: int = 0
    conflicts: int = 0
    began: float = 0.0

    @property
    def approval_id(self) -> str | None:
        """The decision that a reviewer was asked for."""
        return None if self.dispatched is None else self.dispatched.approval_id

    @property
    def name(self) -> str:
        """What other processes are told that we are at work on."""
        return self.approval_id or self.attempt_id

    def take(self, engine: Engine, value: Found) -> Proof | None:
        """Return the proof that came back; an answer is kept until it is admitted."""
        if value is None or isinstance(value, Proof):
            return value
        assert self.dispatched is not None
        self.output = self.dispatched.output(value)
        for note in value.notes:
            engine.say(f"note: {self.attempt_id} {note}")
        return None

    def admit(self, engine: Engine, proof: Proof | None) -> Admission | Unproven:
        """Record what the answer amounts to, or close a task whose result is recorded.

        Raises:
            RunHalted: if everything was stopped meanwhile; the attempt is given back.
        """
        try:
            return self._admit(engine, proof)
        except RefusedError:
            stop = engine.log.load()[0].stop
            if stop.by is not None:
                self.release(engine, told(engine.blobs, stop))
            require_going(engine)
            raise

    def _admit(self, engine: Engine, proof: Proof | None) -> Admission | Unproven:
        if self.output is None:
            return try_apply_effect(engine, self.task_id, proof)
        if self.approval_id is not None:
            return try_admit_review(engine, self.output, self.approval_id, proof)
        return try_admit(engine, self.output, proof)

    def release(self, engine: Engine, reason: str) -> None:
        """Give back what was taken up: an attempt or a review that does not count."""
        if self.approval_id is not None:
            release_review(engine, self.approval_id, reason)
        else:
            release(engine, self.task_id, self.attempt_id, reason)

    def away(self, engine: Engine, answer: Answer) -> Unavailable | None:
        """Return what the answer says of a service that was away, as it may be kept and shown."""
        if answer.unavailable is None or self.dispatched is None:
            return None
        _, contracts = engine.log.load()
        policy = self.dispatched.output(answer).storage(contracts)
        return replace(answer.unavailable, reason=storage.redact(answer.unavailable.reason, policy))

    def stand_down(self, engine: Engine, rest: Rest, answer: Answer) -> Admission:
        """Give back what its agent could not do because the service behind it was away."""
        if self.approval_id is not None:
            release_review(engine, self.approval_id, rest.reason)
        else:
            state, _ = engine.log.load()
            usage = answer.usage
            if not usage and state.open_reservations.of(self.attempt_id) and was_refused(answer):
                usage = {"cost_microdollars": 0, "price_source": "the service refused every try"}
            gone = ReleaseAttempt(
                task_id=self.task_id,
                attempt_id=self.attempt_id,
                reason=rest.reason,
                unavailable=True,
                until=None if rest.until is None else timestamp(rest.until),
                usage=decode(Usage, usage) if usage else None,
            )
            transact(engine, lambda tx: tx.ask(gone))
        return Admission("unavailable", self.task_id, self.attempt_id, rest.reason)

    def hangs(self, engine: Engine, attempt: Attempt) -> bool:
        """Answer whether the agent should have been ended at its deadline, and was not.

        Its adapter ends it at the deadline by itself, and what it says then is recorded.
        """
        lease = (instant(attempt.deadline) - instant(attempt.opened)).total_seconds()
        return engine.clock.monotonic() - self.began > lease + GRACE_SECONDS


def was_refused(answer: Answer) -> bool:
    """Answer whether a service has refused every try by an HTTP status, and so billed none."""
    found = [failed.get("status", 0) for failed in answer.tries]
    if "status" in answer.detail:
        found.append(answer.detail["status"])
    return bool(found) and all(isinstance(one, int) and one >= 400 for one in found)


def is_ready_to_close(state: State, task: Task) -> bool:
    """Answer whether a validated result has everything it needs and only was not applied."""
    if task.result is None or task.active_attempt is not None:
        return False
    if task.pending_approval is None:
        return True
    return state.approvals[task.pending_approval].state == "granted"
