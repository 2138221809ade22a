"""A proposal as the branch takes it now: merged onto its tip, and its checks passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esaa_git.core.contract_rules import required_checks
from esaa_git.core.contracts import Contracts
from esaa_git.core.events import FileWrite
from esaa_git.core.events.facts import Facts, file_facts
from esaa_git.core.policy.evaluate import Hit
from esaa_git.core.policy_rules import Source, facts_of, judge
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.proof import Proof, Unproven, as_recorded, failed_check, find_proof
from esaa_git.engine.proposal import Proposal
from esaa_git.engine.request import branch_tip
from esaa_git.engine.transaction import Transaction
from esaa_git.ports.checks import CheckResult


def effect_of(
    task: Task, proposal: Proposal, base: str, results: Sequence[CheckResult] = ()
) -> FileWrite:
    """Return the effect as it is recorded; its after-images travel beside the event.

    Args:
        base: the commit that the proposal was made for, before it was merged onto another.
        results: how the checks of the merged tree ended.
    """
    assert task.attempt is not None
    return FileWrite(
        task_id=task.task_id,
        attempt_id=task.attempt.attempt_id,
        base=base,
        files=tuple(file.recorded() for file in proposal.files),
        changed_lines=proposal.changed_lines,
        merged_onto=None if proposal.onto == base else proposal.onto,
        check_results=as_recorded(results) or None,
    )


@dataclass(frozen=True, slots=True)
class Fitted:
    """A proposal as the branch takes it now, and how the checks of that tree ended.

    `facts` is what policy sees of it.
    """

    proposal: Proposal
    facts: Facts
    results: Sequence[CheckResult] = ()


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why the branch does not take a proposal; `results` where that is a check that failed.

    `facts` is what policy saw of it, and `denied` which of its rules deny it.
    """

    rejected: Rejected
    results: Sequence[CheckResult] = ()
    facts: Facts | None = None
    denied: tuple[Hit, ...] = ()


def fitted(
    engine: Engine,
    tx: Transaction,
    task: Task,
    proposal: Proposal,
    proof: Proof | None,
    source: Source,
    passed: frozenset[str] | None = None,
) -> Fitted | Unfit | Unproven:
    """Return a proposal merged onto the branch's tip with its checks passed, or what is missing.

    Policy is asked of what was merged, and before any check runs.

    Args:
        source: who made it.
        passed: the checks that are on record for the proposal; they hold for the same tree.
    """
    boundary = engine.verifier.boundary(task, tx.contracts)
    rebased = engine.verifier.rebase(proposal, branch_tip(engine, tx), boundary)
    if isinstance(rebased, Rejected):
        return Unfit(rebased)
    recorded = file_facts(file.recorded() for file in rebased.files)
    lines = rebased.changed_lines if recorded else 0
    facts = facts_of(task, source, recorded, lines)
    fault = unlawful(tx.contracts, facts)
    if fault is not None:
        return fault
    checks = required_checks(task, tx.contracts) if rebased.files else ()
    known = passed is not None and passed.issuperset(check.name for check in checks)
    if known and rebased.onto == proposal.onto:
        return Fitted(rebased, facts)
    found = find_proof(engine, tx.contracts, proof, task.task_id, checks, rebased)
    if isinstance(found, Unproven):
        return found
    failed = failed_check(found, tx.contracts)
    return Fitted(rebased, facts, found) if failed is None else Unfit(failed, found, facts)


def unlawful(contracts: Contracts, facts: Facts) -> Unfit | None:
    """Return the refusal of a proposal that policy denies, with every rule that does."""
    denied = judge(contracts, facts).denied
    if not denied:
        return None
    first, rules = denied[0], [hit.rule.name for hit in denied]
    what = "it" if facts.on is None else f"asking '{facts.agent}'"
    more = f" (and {len(denied) - 1} more)" if len(denied) > 1 else ""
    rejected = Rejected(
        RejectCode.POLICY_DENIED,
        f"the policy denies {what} by '{first.rule.name}'{more}: {first.says}",
        {"rules": rules, "messages": [hit.says for hit in denied[:10]]},
    )
    return Unfit(rejected, (), facts, denied)
