"""Deciding again what was answered: results with their effects, and with their proposals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import TypeVar

from esaa_git.core import events
from esaa_git.core.events.base import replace
from esaa_git.core.events.facts import file_facts
from esaa_git.core.events.output_rejected import Output
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.policy_rules import Source, facts_of
from esaa_git.core.rejection import Rejected, filter_of
from esaa_git.core.task import Attempt, Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission, redacted, refused
from esaa_git.engine.fit import Unfit, effect_of, fitted
from esaa_git.engine.intentions import Reject, Repeat
from esaa_git.engine.proof import Proof, Unproven, settled
from esaa_git.engine.proposal import Proposal
from esaa_git.engine.proposed import Missing, Taken, proposed_updates, take_proposed
from esaa_git.engine.rebase_reviews import announce
from esaa_git.engine.request import branch_tip
from esaa_git.engine.schedule import find_task
from esaa_git.engine.shown import show_waiting
from esaa_git.engine.tail import AGAIN, CHANGED, CONCLUDED, Ids, LeftOut
from esaa_git.engine.transaction import Transaction, transact

Came = TypeVar("Came")


class ResultReplay:
    """The results of one tail, under the ids that are given out now."""

    def __init__(self, engine: Engine, ids: Ids, before_effect: Callable[[str], None]) -> None:
        self._engine = engine
        self._ids = ids
        self._before_effect = before_effect

    def result(
        self, actor: str, payload: events.AgentResult, later: Sequence[events.AnyPayload]
    ) -> tuple[str, str]:
        """Repeat a result, with its effect where `later`, the rest of the tail, has it."""
        old = payload.attempt_id
        written = next((one for one in later if isinstance(one, events.FileWrite)), None)
        closed = next((one for one in later if isinstance(one, events.TaskUpdate)), None)
        if closed is not None:
            announce(closed, self._before_effect)

        def step(tx: Transaction, proof: Proof | None) -> Rejected | Unproven | None:
            address = {"attempt_id": self._ids.attempt(old), "paths": (), "proposal": None}
            given = replace(payload, **address, facts=None, policy=None)
            task = find_task(tx.state, payload.task_id)
            attempt = task.active_attempt
            if attempt is None or attempt.attempt_id != given.attempt_id:
                raise LeftOut(
                    f"'{given.attempt_id}' is over there: '{task.task_id}' is {task.state}"
                )
            if written is None:
                if payload.paths and payload.proposal is not None:
                    proposal = self._proposed(tx, task, attempt, payload)
                    given = self._shown(tx, actor, given, proposal)
                tx.ask(Repeat(actor=actor, payload=given))
                return None
            source = Source.of(payload.agent or actor, payload.model, payload.usage)
            found = fitted(self._engine, tx, task, Proposal.of(written), proof, source)
            if isinstance(found, Unproven):
                return found
            if isinstance(found, Unfit):
                return _refuse(self._engine, tx, given, found)
            proposal = found.proposal
            if payload.proposal is not None and proposal.files:
                given = self._shown(tx, actor, given, proposal)
            given = replace(given, paths=proposal.paths, facts=found.facts)
            tx.ask(Repeat(actor=actor, payload=given))
            if proposal.files:
                base = known_base(self._engine, tx, written.base)
                effect = effect_of(task, proposal, base, found.results)
                tx.ask(Repeat(actor=ORCHESTRATOR, payload=effect))
            return None

        rejected = self._settled(step)
        if rejected is not None:
            self._ids.end_attempt(old, f"the result of '{old}' was rejected")
            return CHANGED, f"rejected, {rejected.code}: {rejected.message}"
        return AGAIN, ""

    def write(self, payload: events.FileWrite) -> tuple[str, str]:
        """Take again what a person proposed alone; any other effect came with its result."""
        attempt_id = self._ids.attempt(payload.attempt_id)

        def step(tx: Transaction, proof: Proof | None) -> Taken | Admission | Unproven | None:
            task = find_task(tx.state, payload.task_id)
            result = task.result
            if task.effect != "pending" or result is None or result.attempt_id != attempt_id:
                return None
            return take_proposed(self._engine, tx, task, proof)

        came = self._settled(step)
        if isinstance(came, Admission):
            self._ids.end_attempt(payload.attempt_id, f"'{attempt_id}' is {came.kind}")
            return CHANGED, came.message
        return (CONCLUDED if came is None else AGAIN), ""

    def _settled(self, step: Callable[[Transaction, Proof | None], Came | Unproven]) -> Came:
        engine = self._engine
        return settled(
            engine, lambda proof: transact(engine, lambda tx: step(tx, proof)), lambda: None
        )

    def _proposed(
        self, tx: Transaction, task: Task, attempt: Attempt, given: events.AgentResult
    ) -> Proposal:
        """Return what a person proposed alone, made for the base that the attempt has now."""
        engine = self._engine
        assert given.proposal is not None
        found = engine.effects.proposed(given.proposal.commit)
        if found is None:
            raise LeftOut(f"its proposal {given.proposal.commit[:12]} is not here")
        base, _ = found
        updates = proposed_updates(engine, tx.contracts, given, base)
        if isinstance(updates, Missing | Rejected):
            raise LeftOut(updates.message)
        then = dataclasses.replace(task, attempt=dataclasses.replace(attempt, base=base))
        proposal = engine.verifier.resolve(updates, then, tx.contracts)
        if not isinstance(proposal, Rejected):
            boundary = engine.verifier.boundary(task, tx.contracts)
            proposal = engine.verifier.rebase(proposal, attempt.base, boundary)
        if isinstance(proposal, Rejected):
            raise LeftOut(f"{proposal.code}: {proposal.message}")
        if not proposal.files:
            raise LeftOut("the branch there has all of it already")
        return proposal

    def _shown(
        self, tx: Transaction, actor: str, given: events.AgentResult, proposal: Proposal
    ) -> events.AgentResult:
        """Commit the proposal anew, under the attempt's id of today."""
        address, author = (given.task_id, given.attempt_id), given.agent or actor
        shown = show_waiting(self._engine, tx, address, proposal, author=author, actor=actor)
        source = Source.of(author, given.model, given.usage)
        files = file_facts(file.recorded() for file in proposal.files)
        facts = facts_of(find_task(tx.state, given.task_id), source, files, proposal.changed_lines)
        return replace(given, paths=proposal.paths, proposal=shown, facts=facts)


def known_base(engine: Engine, tx: Transaction, base: str) -> str:
    """Return the commit where others have it as well, or else the branch's tip."""
    tip = branch_tip(engine, tx)
    return base if engine.branch.contains(tip, base) else tip


def _refuse(engine: Engine, tx: Transaction, given: events.AgentResult, unfit: Unfit) -> Rejected:
    """Record that a result cannot be taken any more, and return why."""
    response = None if given.exchange is None else given.exchange.response
    size = 0 if response is None else response.bytes
    rejected = redacted(unfit.rejected, tx.contracts.storage)
    tx.ask(
        Reject(
            task_id=given.task_id,
            attempt_id=given.attempt_id,
            code=rejected.code,
            filter=filter_of(rejected),
            exchange=refused(engine, rejected, given.exchange),
            facts=unfit.facts,
            denied=unfit.denied,
            output=Output(sha256=given.output_sha256, bytes=size),
        )
    )
    return rejected
