"""Closing: a validated result becomes an effect on the branch and a task that is done; or waits.

One transaction holds the result, the effect and the closing update. Where a reviewer must agree
first, or a person's uncommitted work is in the way, the result and its after-images are recorded
(they are validated, and lost no more) and `close` finishes the task later from the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from esaa_git.core.contract_rules import attribution, needs_review, required_checks, reviewer_of
from esaa_git.core.machine import Cause
from esaa_git.core.rejection import Rejected
from esaa_git.core.state import Task
from esaa_git.engine import decide
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission, Exchange, Said, reject
from esaa_git.engine.proof import (
    Proof,
    Unproven,
    failed_check,
    find_proof,
    result_document,
    settled,
)
from esaa_git.engine.request import branch_tip
from esaa_git.engine.transaction import Overtaken, Transaction, transact
from esaa_git.engine.verifier import FileChange, Proposal
from esaa_git.errors import RunHalted
from esaa_git.ports.agent import Answer
from esaa_git.ports.branch import BranchMove, Effect
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.files import FileEntry
from esaa_git.ports.log import Attachments


def ask_for_review(tx: Transaction, task: Task, attempt_id: str) -> Admission:
    """Record that somebody else has to agree before the task is done."""
    approval_id = f"APR-{tx.state.run.approvals + 1:04d}"
    tx.emit(
        "approval.request",
        decide.ORCHESTRATOR,
        {
            "approval_id": approval_id,
            "task_id": task.task_id,
            "attempt_id": attempt_id,
            "reason": "the contract requires a review of this kind of task"
            if not task.review
            else "the plan requires a review of this task",
        },
    )
    reviewer = reviewer_of(task, tx.contracts)
    if reviewer is None:
        message = f"waits for a review ({approval_id}): run 'git esaa review {task.task_id}'"
    else:
        message = f"waits for a review by {reviewer} ({approval_id})"
    return Admission("waiting", task.task_id, attempt_id, message)


def apply_effect(
    engine: Engine,
    tx: Transaction,
    task_id: str,
    proposal: Proposal | None,
    written: str | None,
    cause: Cause,
) -> Admission:
    """Commit the effect of a proposal made for the branch's tip and close the task."""
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    assert task.result is not None
    attempt_id = task.attempt.attempt_id
    if proposal is None or written is None:
        decide.update_task(tx, task, cause)
        return Admission("done", task_id, attempt_id, task.result.summary)
    branch = str(tx.state.run.branch)
    in_the_way = engine.checkouts.in_the_way(branch, proposal.onto, proposal.tree_changes())
    if in_the_way and engine.branch.tip(branch) != proposal.onto:
        # What differs from the tip that was is no work in the way: a person has committed it.
        raise Overtaken(
            f"'{branch}' moved while its checkout was looked at",
            hint="nothing was changed; repeat the command",
        )
    if in_the_way:
        paths = ", ".join(f"'{path.path}'" for path in in_the_way)
        return Admission(
            "waiting",
            task_id,
            attempt_id,
            f"the answer is kept: your uncommitted work is in the way at {paths}; "
            "commit or stash it, then 'git esaa run' finishes the task",
            in_the_way=tuple(in_the_way),
        )
    effect = engine.effects.commit_effect(
        Effect(
            branch=branch,
            parent=proposal.onto,
            changes=proposal.tree_changes(),
            agent=task.attempt.agent,
            ts=tx.now,
            summary=task.result.summary,
            event_commit=written,
            run_id=str(tx.state.run.run_id),
            task_id=task_id,
            attempt_id=attempt_id,
            assisted_by=attribution(task, tx.contracts),
        ),
        tx.sign,
    )
    decide.update_task(tx, task, cause, effect_commit=effect)
    tx.move_branch(BranchMove(branch, proposal.onto, effect), task_id, proposal.paths)
    return Admission("done", task_id, attempt_id, task.result.summary, effect_commit=effect)


@dataclass(frozen=True, slots=True)
class Grant:
    """Somebody's consent to a result, to be recorded as it is closed.

    An agent's consent comes with its exchange, and with what it took (`more`).
    """

    by: str
    reason: str
    exchange: Exchange = field(default_factory=Exchange)
    more: Mapping[str, Any] = field(default_factory=dict)


def close(
    engine: Engine,
    task_id: str,
    *,
    grant: Grant | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Admission:
    """Finish a task whose validated effect is in the log and not on the branch yet.

    With a grant, the approval that the task waits for is granted in the same transaction.
    A conflict with what the branch has become meanwhile is a rejection, as it would have been, and
    so is a check that the merged tree does not pass.

    Raises:
        AgentError: if a check cannot be run here at all.
        ConflictError: if the branch keeps moving while checks run.
    """

    def step(proof: Proof | None) -> Admission | Unproven:
        return try_close(engine, task_id, proof, grant)

    return settled(engine, step, pause)


def try_close(
    engine: Engine,
    task_id: str,
    proof: Proof | None = None,
    grant: Grant | None = None,
) -> Admission | Unproven:
    """Finish a task as `close` does, or say which checks have to be run first."""
    return transact(engine, lambda tx: finish_task(engine, tx, task_id, proof, grant))


def finish_task(
    engine: Engine,
    tx: Transaction,
    task_id: str,
    proof: Proof | None,
    grant: Grant | None,
) -> Admission | Unproven:
    """Finish a task within a transaction, as `try_close` does."""
    task = decide.find_task(tx.state, task_id)
    decide.require_run(tx.state)
    if task.attempt is None or task.result is None:
        raise RunHalted(f"'{task_id}' has no result to finish")
    cause = Cause.ACCEPTED
    if task.pending_approval is not None:
        cause = Cause.APPROVED
    elif needs_review(task, tx.contracts):
        # The contract began to ask for one while the result waited for something else.
        return ask_for_review(tx, task, task.attempt.attempt_id)
    proposal, written = None, None
    if task.effect == "written":
        recorded = recorded_effect(engine, task.attempt.attempt_id)
        proposal, written = recorded.proposal, recorded.commit
        tip = branch_tip(engine, tx)
        boundary = engine.verifier.boundary(task, tx.contracts)
        rebased = engine.verifier.rebase(proposal, tip, boundary)
        if isinstance(rebased, Rejected):
            return _give_up(tx, task, rebased)
        checks = required_checks(task, tx.contracts) if rebased.files else ()
        results: Sequence[CheckResult] = ()
        if rebased.onto != proposal.onto or not recorded.passed.issuperset(
            check.name for check in checks
        ):
            found = find_proof(proof, task_id, checks, rebased)
            if isinstance(found, Unproven):
                return found
            failed = failed_check(found, tx.contracts)
            if failed is not None:
                return _give_up(tx, task, failed, found)
            results = found
        if rebased.files and (rebased.files != proposal.files or results):
            written = write_effect(tx, task, rebased, proposal.onto, results)
        proposal = rebased
    if grant is not None and task.pending_approval is not None:
        payload = {"approval_id": task.pending_approval, "reason": grant.reason, **grant.more}
        exchange = grant.exchange
        attached = exchange.attachments
        tx.emit("approval.grant", grant.by, exchange.into(payload), attachments=attached)
    return apply_effect(engine, tx, task_id, proposal, written, cause)


def _give_up(
    tx: Transaction, task: Task, rejected: Rejected, results: Sequence[CheckResult] = ()
) -> Admission:
    """Take back a result that cannot be applied to what the branch has become."""
    assert task.attempt is not None
    if task.pending_approval is not None:
        tx.emit(
            "approval.deny",
            decide.ORCHESTRATOR,
            {"approval_id": task.pending_approval, "reason": rejected.message[:2000]},
        )
    said = Said(Answer(b"", 0), task.attempt.agent, None, task.task_id, task.attempt.attempt_id)
    return reject(tx, said, rejected, Exchange(), closing=True, results=results)


def write_effect(
    tx: Transaction, task: Task, proposal: Proposal, base: str, results: Sequence[CheckResult] = ()
) -> str:
    """Emit the effect with its after-images and return the commit that carries it.

    Args:
        base: the commit that the proposal was made for, before it was merged onto another.
        results: how the checks of the merged tree ended.
    """
    assert task.attempt is not None
    payload: dict[str, Any] = {
        "task_id": task.task_id,
        "attempt_id": task.attempt.attempt_id,
        "base": base,
        "files": [file.to_json() for file in proposal.files],
        "changed_lines": proposal.changed_lines,
    }
    if proposal.onto != base:
        payload["merged_onto"] = proposal.onto
    if results:
        payload["check_results"] = [result_document(result) for result in results]
    images = {file.path: file.after for file in proposal.files if file.after is not None}
    stored = tx.emit(
        "orchestrator.file.write",
        decide.ORCHESTRATOR,
        payload,
        attachments=Attachments(files=images),
    )
    return stored.commit


@dataclass(frozen=True, slots=True)
class RecordedEffect:
    """An effect in the log: the proposal, the commit of its event, and the checks it passed."""

    proposal: Proposal
    commit: str
    passed: frozenset[str]


def recorded_effect(engine: Engine, attempt_id: str) -> RecordedEffect:
    """Return the attempt's effect as it was recorded last."""
    for stored in engine.log.events(newest_first=True):
        event = stored.event
        if event.action == "orchestrator.file.write" and event.attempt_id == attempt_id:
            payload = event.payload
            files = tuple(file_change(file) for file in payload["files"])
            onto = payload.get("merged_onto", payload["base"])
            passed = {one["name"] for one in payload.get("check_results", ()) if one["passed"]}
            proposal = Proposal(files, onto, payload["changed_lines"])
            return RecordedEffect(proposal, stored.commit, frozenset(passed))
    raise RunHalted(f"the effect of '{attempt_id}' is not in the log")


def file_change(file: Mapping[str, Any]) -> FileChange:
    after_entry = FileEntry(file["mode"], file["after"]) if "after" in file else None
    mode = file.get("before_mode", file.get("mode", "100644"))
    before = FileEntry(mode, file["before"]) if "before" in file else None
    return FileChange(
        file["path"],
        before,
        after_entry,
        file.get("from"),
        file.get("bytes", 0),
        file.get("sha256", ""),
    )
