"""What POLICY.yaml in force says of an event, on every append and again in `verify` and the hook.

`check_contract_rules` needs the contracts alone. What is here may need a library that evaluates
expressions, and where that is missing nothing is said of the event: neither that it is allowed nor
that it is not.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event
from esaa_git.core.events import (
    AgentResult,
    AnyPayload,
    Dispatch,
    FileWrite,
    OutputRejected,
    PolicyDecision,
    RunInit,
    TaskUpdate,
)
from esaa_git.core.events.base import replace
from esaa_git.core.events.facts import Facts, FileFact, Subject, file_facts
from esaa_git.core.events.fields import Usage
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import Cause
from esaa_git.core.policy import cel
from esaa_git.core.policy.cases import require_library
from esaa_git.core.policy.evaluate import ALLOWED, Verdict, evaluate
from esaa_git.core.policy.rules import DEFAULT
from esaa_git.core.rejection import RejectCode
from esaa_git.core.state import State
from esaa_git.core.task import Judged, Task

_RULE = "INV-004"
"""What policy forbids is outside of what may be written, so check 8 finds it."""


class Source(NamedTuple):
    """Who made a result and with which model, and what that cost, where it is known."""

    agent: str
    model: str | None = None
    cost_microdollars: int | None = None

    @classmethod
    def of(cls, agent: str, model: str | None, usage: Usage | None) -> Source:
        return cls(agent, model, None if usage is None else usage.cost_microdollars)

    @classmethod
    def of_task(cls, task: Task) -> Source:
        """Return that of a result that stands in the log."""
        judged = task.judged
        if judged is not None and judged.agent is not None:
            return cls(judged.agent, judged.model, judged.cost_microdollars)
        return cls("" if task.attempt is None else task.attempt.agent)


def facts_of(task: Task, source: Source, files: Iterable[FileFact] = (), lines: int = 0) -> Facts:
    """Return what policy sees of a result."""
    return Facts(
        task_id=task.task_id,
        kind=task.kind,
        agent=source.agent,
        model=source.model,
        cost_microdollars=source.cost_microdollars,
        lines=lines,
        files=tuple(files),
    )


def facts_of_dispatch(task: Task, agent: str, model: str | None) -> Facts:
    """Return what policy sees before an agent is asked for an attempt."""
    return replace(facts_of(task, Source(agent, model)), on="dispatch")


def facts_of_effect(task: Task, write: FileWrite) -> Facts:
    """Return what policy sees of an effect, all of which the log shows."""
    files = file_facts(write.files)
    return facts_of(task, Source.of_task(task), files, write.changed_lines)


def paths_of(facts: Facts) -> tuple[str, ...]:
    """Return every path that facts speak of, the sources of renames included, in order."""
    named = {file.path for file in facts.files}
    return tuple(sorted(named | {file.from_ for file in facts.files if file.from_ is not None}))


def judge(contracts: Contracts, facts: Facts) -> Verdict:
    """Return what the policy in force says of these facts.

    Raises:
        CelMissing: as `evaluate`.
    """
    guard = contracts.guard
    return ALLOWED if guard is None else evaluate(guard, facts)


def library_for(contracts: Contracts) -> str | None:
    """Return what evaluates the expressions of the policy, as `run.init` names it.

    None where the policy has none.

    Raises:
        CelMissing: it has one, and the library is not installed.
    """
    if contracts.guard is None or not contracts.guard.needs_cel():
        return None
    found = cel.library()
    if found is None:
        raise cel.CelMissing
    return found


def check_policy(state: State, event: Event, contracts: Contracts) -> None:
    """Refuse an event that the policy in force forbids, or that says something else of it.

    Raises:
        Violation: INV-004.
        CelMissing: as `evaluate`.
    """
    payload, guard = event.payload, contracts.guard
    if isinstance(payload, RunInit):
        if (payload.cel is not None) != (guard is not None and guard.needs_cel()):
            raise Violation("INV-002", "run.init names another 'cel' than its policy needs")
        return
    subject = _judged_as(payload)
    if guard is not None and subject is not None and guard.needs_cel(subject):
        require_library(guard, state.run.cel)
    if isinstance(payload, Dispatch):
        _dispatch(state, payload, contracts)
    elif isinstance(payload, AgentResult):
        _result(state, event, payload, contracts)
    elif isinstance(payload, FileWrite):
        _effect(state, payload, contracts)
    elif isinstance(payload, TaskUpdate):
        if subject is not None:
            _closed(state, payload, contracts)
    elif isinstance(payload, OutputRejected):
        _rejected(state, payload, contracts)
    elif isinstance(payload, PolicyDecision):
        _decision(payload, contracts)


def _judged_as(payload: AnyPayload) -> Subject | None:
    """Return as what an event is judged; None where no policy is evaluated for it."""
    if isinstance(payload, Dispatch):
        return "dispatch" if payload.review is None else None
    if isinstance(payload, TaskUpdate):
        return "proposal" if payload.cause in (Cause.ACCEPTED, Cause.APPROVED) else None
    if isinstance(payload, OutputRejected):
        is_denied = payload.code == RejectCode.POLICY_DENIED
        return payload.facts.subject if is_denied and payload.facts is not None else None
    return "proposal" if isinstance(payload, AgentResult | FileWrite) else None


def _dispatch(state: State, payload: Dispatch, contracts: Contracts) -> None:
    task = state.tasks.get(payload.task_id)
    if task is None or payload.review is not None:
        return
    verdict = judge(contracts, facts_of_dispatch(task, payload.agent, payload.model))
    _allowed(payload.attempt_id, verdict)
    if (payload.policy or ()) != verdict.notes:
        raise Violation(_RULE, f"asking for '{payload.attempt_id}' notes other rules than match")


def _result(state: State, event: Event, payload: AgentResult, contracts: Contracts) -> None:
    task, facts = state.tasks.get(payload.task_id), payload.facts
    if task is None:
        raise Violation("INV-002", f"there is no task '{payload.task_id}'")
    if facts is None:
        if contracts.guard is not None:
            raise Violation(_RULE, f"'{payload.attempt_id}' has a policy and records no facts")
        return
    source = Source.of(payload.agent or event.actor, payload.model, payload.usage)
    if facts_of(task, source, facts.files, facts.lines) != facts:
        raise Violation(_RULE, f"the facts of '{payload.attempt_id}' are not those of its result")
    if paths_of(facts) != payload.paths:
        raise Violation(_RULE, f"the facts of '{payload.attempt_id}' name other paths than it does")
    verdict = judge(contracts, facts)
    _allowed(payload.attempt_id, verdict)
    if (payload.policy or ()) != verdict.notes:
        raise Violation(_RULE, f"'{payload.attempt_id}' notes other rules than those that match")
    _rightly_required(task, facts, verdict)


def _effect(state: State, payload: FileWrite, contracts: Contracts) -> None:
    task = state.tasks.get(payload.task_id)
    if task is None or (contracts.guard is None and task.judged is None):
        return  # Nothing was said of it; whether there is such a task, the contract rules look.
    facts = facts_of_effect(task, payload)
    recorded = None if task.judged is None else task.judged.facts
    # Merged onto another commit, a proposal is another than the one that was answered.
    is_first = task.effect == "pending"
    is_as_answered = is_first and payload.merged_onto is None
    if recorded is not None and is_as_answered and recorded != facts.sha256:
        raise Violation(
            _RULE, f"the effect of '{payload.attempt_id}' is not what the facts of its result say"
        )
    verdict = _decided(task, facts, contracts)
    if is_first:
        _rightly_required(task, facts, verdict)


def _closed(state: State, payload: TaskUpdate, contracts: Contracts) -> None:
    """Judge a result that writes nothing when its task is closed; an effect was judged before."""
    task = state.tasks.get(payload.task_id)
    if task is not None and task.effect is None and contracts.guard is not None:
        _decided(task, facts_of(task, Source.of_task(task)), contracts)


def _decided(task: Task, facts: Facts, contracts: Contracts) -> Verdict:
    """Refuse what is denied, and what lacks the decision that it needs a consent."""
    verdict = judge(contracts, facts)
    _allowed(task.task_id, verdict)
    decided = _rulings(task, facts, "require")
    for hit in verdict.required:
        if hit.rule.name not in decided:
            raise Violation(
                _RULE, f"'{task.task_id}' lacks the decision that '{hit.rule.name}' asks for"
            )
    return verdict


def _allowed(what: str, verdict: Verdict) -> None:
    for hit in verdict.denied:
        raise Violation(_RULE, f"'{what}' is denied by policy: {hit.says}")


def _rightly_required(task: Task, facts: Facts, verdict: Verdict) -> None:
    """Refuse decisions on these facts by rules that ask for nothing.

    They stand in the transaction of the event that is judged. What was decided before it stands,
    whatever policy is in force by now.
    """
    wrong = _rulings(task, facts, "require") - {hit.rule.name for hit in verdict.required}
    if wrong:
        raise Violation(_RULE, f"'{min(wrong)}' asks for no consent to '{task.task_id}'")


def _rulings(task: Task, facts: Facts, effect: str) -> set[str]:
    digest, judged = facts.sha256, task.judged or Judged()
    return {
        one.rule for one in judged.rulings if one.effect == effect and one.input_sha256 == digest
    }


def _rejected(state: State, payload: OutputRejected, contracts: Contracts) -> None:
    task, facts = state.tasks.get(payload.task_id), payload.facts
    if task is None or (facts is None and payload.code != RejectCode.POLICY_DENIED):
        return
    if facts is None:
        raise Violation(_RULE, f"'{payload.attempt_id}' is denied by policy, and has no facts")
    source = Source(facts.agent, facts.model, facts.cost_microdollars)
    is_about = replace(facts_of(task, source, facts.files, facts.lines), on=facts.on)
    if is_about != facts or (facts.on is not None and (facts.files or facts.lines)):
        raise Violation(_RULE, f"the facts of '{payload.attempt_id}' are not those of its answer")
    if payload.code != RejectCode.POLICY_DENIED:
        return
    denied = {hit.rule.name for hit in judge(contracts, facts).denied}
    if not denied or denied != _rulings(task, facts, "deny"):
        raise Violation(_RULE, f"no rule denies what '{payload.attempt_id}' proposes, as recorded")


def _decision(payload: PolicyDecision, contracts: Contracts) -> None:
    guard = contracts.guard
    if guard is None or payload.policy_sha256 != guard.sha256:
        raise Violation(_RULE, "the decision is by another policy than the one in force")
    rule = guard.by_name.get(payload.rule)
    if rule is None:
        known = payload.rule == DEFAULT and guard.default == payload.effect == "deny"
    else:
        known = rule.mode == "enforce" and payload.effect in (rule.effect, "deny")
    if not known:
        raise Violation(_RULE, f"the policy has no rule '{payload.rule}' that decides so")
