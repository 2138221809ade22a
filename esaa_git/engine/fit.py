"""A proposal as the branch takes it now: merged onto its tip, and its checks passed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from esaa_git.core.contract_rules import required_checks
from esaa_git.core.events import FileWrite
from esaa_git.core.rejection import Rejected
from esaa_git.core.state import Task
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
    """A proposal as the branch takes it now, and how the checks of that tree ended."""

    proposal: Proposal
    results: Sequence[CheckResult] = ()


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why the branch does not take a proposal; `results` where that is a check that failed."""

    rejected: Rejected
    results: Sequence[CheckResult] = ()


def fitted(
    engine: Engine,
    tx: Transaction,
    task: Task,
    proposal: Proposal,
    proof: Proof | None,
    passed: frozenset[str] | None = None,
) -> Fitted | Unfit | Unproven:
    """Return a proposal merged onto the branch's tip with its checks passed, or what is missing.

    Args:
        passed: the checks that are on record for the proposal; they hold for the same tree.
    """
    boundary = engine.verifier.boundary(task, tx.contracts)
    rebased = engine.verifier.rebase(proposal, branch_tip(engine, tx), boundary)
    if isinstance(rebased, Rejected):
        return Unfit(rebased)
    checks = required_checks(task, tx.contracts) if rebased.files else ()
    known = passed is not None and passed.issuperset(check.name for check in checks)
    if known and rebased.onto == proposal.onto:
        return Fitted(rebased)
    found = find_proof(engine, tx.contracts, proof, task.task_id, checks, rebased)
    if isinstance(found, Unproven):
        return found
    failed = failed_check(found, tx.contracts)
    return Fitted(rebased, found) if failed is None else Unfit(failed, found)
