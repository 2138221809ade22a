"""Policy: what is decided on a result and on an effect before they are recorded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import NewEvent
from esaa_git.core.events import AgentResult, FileWrite, PolicyDecision
from esaa_git.core.events.base import replace
from esaa_git.core.events.facts import Facts, Noted, file_facts
from esaa_git.core.events.spec import GUARD
from esaa_git.core.policy.evaluate import Hit
from esaa_git.core.policy_rules import (
    Source,
    facts_of,
    facts_of_dispatch,
    facts_of_effect,
    judge,
)
from esaa_git.core.task import Task
from esaa_git.engine.decide.events import REASON, Events, by_actor, by_us


def judged_result(
    task: Task,
    contracts: Contracts,
    actor: str,
    result: AgentResult,
    write: FileWrite | None = None,
) -> Events:
    """Return a result with what policy sees and notes of it, after the decisions on it.

    Args:
        write: the effect that is recorded with it; None where the facts stand in the result, or
            where it changes nothing.
    """
    facts = result.facts
    if facts is None or write is not None:
        source = Source.of(result.agent or actor, result.model, result.usage)
        files = () if write is None else file_facts(write.files)
        facts = facts_of(task, source, files, 0 if write is None else write.changed_lines)
    verdict = judge(contracts, facts)
    recorded = replace(result, facts=facts, policy=verdict.notes or None)
    return (*decisions(task, contracts, facts, verdict.required), by_actor(actor, recorded))


def noted_on_dispatch(
    task: Task, contracts: Contracts, agent: str, model: str | None
) -> tuple[Noted, ...] | None:
    """Return what rules say of asking an agent that are not enforced; None where none matches."""
    return judge(contracts, facts_of_dispatch(task, agent, model)).notes or None


def judged_effect(task: Task, contracts: Contracts, write: FileWrite) -> Events:
    """Return an effect after the decisions on it that were not made on its result already."""
    facts = facts_of_effect(task, write)
    required = judge(contracts, facts).required
    return (*decisions(task, contracts, facts, required), by_us(write))


def judged_alone(task: Task, contracts: Contracts, facts: Facts) -> Events:
    """Return the decisions on a result that writes nothing and stands in the log."""
    return decisions(task, contracts, facts, judge(contracts, facts).required)


def decisions(
    task: Task, contracts: Contracts, facts: Facts, hits: Iterable[Hit]
) -> tuple[NewEvent, ...]:
    """Return what rules decide of some facts, less what they have decided of them before."""
    guard, attempt, digest = contracts.guard, task.attempt, facts.sha256
    known = () if task.judged is None else task.judged.rulings
    if guard is None or attempt is None:
        return ()
    made = []
    for hit in hits:
        effect: Literal["deny", "require"] = "deny" if hit.effect == "deny" else "require"
        if any((hit.rule.name, effect, digest) == one.key for one in known):
            continue
        decision = PolicyDecision(
            task_id=task.task_id,
            attempt_id=attempt.attempt_id,
            rule=hit.rule.name,
            effect=effect,
            policy_sha256=guard.sha256,
            input_sha256=digest,
            message=hit.says[:REASON],
        )
        made.append(by_actor(GUARD, decision))
    return tuple(made)
