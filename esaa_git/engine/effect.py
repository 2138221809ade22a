"""Closing: a validated result becomes an effect on the branch and a task that is done; or waits.

One transaction holds the result, the effect and the closing update. Where a reviewer must agree
first, or a person's uncommitted work is in the way, the result and its after-images are recorded
(they are validated, and lost no more) and `apply_effect` finishes the task later from the log. What
a person proposed alone is judged first (`engine.proposed`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from esaa_git.core.contract_rules import attribution, needs_review, reviewer_of
from esaa_git.core.events import FileWrite
from esaa_git.core.events.facts import Facts
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.policy_rules import Source, facts_of, judge
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.core.state import Task
from esaa_git.engine.alone import LATER
from esaa_git.engine.calls import NO_CALL, AgentVerdict
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import NOTHING_KEPT, Admission, AgentOutput, Kept, reject
from esaa_git.engine.fit import Unfit, effect_of, fitted, unlawful
from esaa_git.engine.intentions import ApplyResult, AskForReview, CloseTask, DenyApproval, Judge
from esaa_git.engine.proof import Proof, Unproven, settled
from esaa_git.engine.proposal import Proposal
from esaa_git.engine.proposed import Taken, take_proposed
from esaa_git.engine.schedule import find_task, require_run
from esaa_git.engine.shown import show_rejected
from esaa_git.engine.transaction import Overtaken, Transaction, transact
from esaa_git.errors import RunHalted
from esaa_git.ports.agent import Answer
from esaa_git.ports.branch import BranchMove, Effect


def waits_for_review(tx: Transaction, task_id: str) -> Admission:
    """Return the admission of a result that another has to agree to first."""
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    reviewer = reviewer_of(task, tx.contracts)
    waits = f"waits for a review ({task.pending_approval}): run 'git esaa review {task_id}'"
    if reviewer is not None:
        waits = f"waits for a review by {reviewer} ({task.pending_approval})"
    return Admission("waiting", task_id, task.attempt.attempt_id, waits)


def is_done(tx: Transaction, task_id: str) -> Admission:
    """Return the admission of a result that closed its task."""
    result = tx.state.tasks[task_id].result
    assert result is not None
    commit = result.effect_commit
    return Admission("done", task_id, result.attempt_id, result.summary, effect_commit=commit)


def commit_effect(
    engine: Engine, tx: Transaction, task_id: str, proposal: Proposal, written: str
) -> Admission:
    """Commit the effect of a proposal made for the branch's tip and close the task.

    Args:
        written: the commit of the event that carries the after-images.
    """
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    assert task.result is not None
    attempt_id = task.attempt.attempt_id
    branch = str(tx.state.run.branch)
    in_the_way = engine.checkouts.in_the_way(branch, proposal.onto, proposal.tree_changes())
    if in_the_way and engine.branch.tip(branch) != proposal.onto:
        # What differs from the tip that was is no work in the way: a person has committed it.
        raise Overtaken(
            f"'{branch}' moved while its checkout was looked at",
            hint="nothing was changed; repeat the command",
        )
    if in_the_way:
        way_out = engine.checkouts.way_out(branch, in_the_way)
        paths = ", ".join(f"'{path.path}'" for path in in_the_way)
        return Admission(
            "waiting",
            task_id,
            attempt_id,
            f"the answer is kept: your uncommitted work is in the way at {paths}; "
            f"{way_out}, then 'git esaa run' finishes the task",
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
            log_id=tx.log_id,
            run_id=str(tx.state.run.run_id),
            task_id=task_id,
            attempt_id=attempt_id,
            assisted_by=attribution(task, tx.contracts),
        ),
        tx.sign,
    )
    tx.ask(CloseTask(task_id=task_id, effect_commit=effect))
    tx.move_branch(BranchMove(branch, proposal.onto, effect), task_id, proposal.paths)
    return is_done(tx, task_id)


@dataclass(frozen=True, slots=True)
class Grant:
    """A person's consent to a result, to be recorded as it is closed."""

    by: str
    reason: str


def apply_effect(
    engine: Engine,
    task_id: str,
    *,
    grant: Grant | AgentVerdict | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Admission:
    """Finish a task whose validated effect is in the log and not on the branch yet.

    With a grant, or the verdict of the agent that was asked, the approval that the task waits for
    is decided in the same transaction.
    A conflict with what the branch has become meanwhile is a rejection, as it would have been, and
    so is a check that the merged tree does not pass.

    Raises:
        AgentError: if a check cannot be run here at all.
        ConflictError: if the branch keeps moving while checks run.
    """

    def step(proof: Proof | None) -> Admission | Unproven:
        return try_apply_effect(engine, task_id, proof, grant)

    return settled(engine, step, pause)


def try_apply_effect(
    engine: Engine,
    task_id: str,
    proof: Proof | None = None,
    grant: Grant | AgentVerdict | None = None,
) -> Admission | Unproven:
    """Finish a task as `apply_effect` does, or say which checks have to be run first."""
    return transact(engine, lambda tx: finish_task(engine, tx, task_id, proof, grant))


def finish_task(
    engine: Engine,
    tx: Transaction,
    task_id: str,
    proof: Proof | None,
    grant: Grant | AgentVerdict | None,
) -> Admission | Unproven:
    """Finish a task within a transaction, as `try_apply_effect` does."""
    task = find_task(tx.state, task_id)
    require_run(tx.state)
    if task.attempt is None or task.result is None:
        raise RunHalted(f"'{task_id}' has no result to finish")
    taken: Taken | None = None
    attempt_id, holder = task.attempt.attempt_id, task.attempt.agent
    if task.effect == "pending" and not tx.alone:
        came = take_proposed(engine, tx, task, proof)
        if not isinstance(came, Taken):
            return came
        task, taken = find_task(tx.state, task_id), came
    if task.effect is None and not tx.alone:
        refused = _judge_without_files(tx, task)
        if refused is not None:
            return refused
        task = find_task(tx.state, task_id)
    if task.pending_approval is None and needs_review(task, tx.contracts):
        # The contract began to ask for one while the result waited for something else.
        tx.ask(AskForReview(task_id=task_id))
        return waits_for_review(tx, task_id)
    if tx.alone and isinstance(grant, Grant):
        tx.ask(_consented(task_id, grant, None))
        return Admission("waiting", task_id, attempt_id, LATER)
    if task.effect != "written":
        tx.ask(_consented(task_id, grant, None))
        return is_done(tx, task_id)
    if taken is not None:
        tx.ask(_consented(task_id, grant, None))
        return commit_effect(engine, tx, task_id, taken.proposal, taken.written)
    recorded = recorded_effect(engine, attempt_id)
    before = recorded.proposal
    found = fitted(engine, tx, task, before, proof, Source.of_task(task), recorded.passed)
    if isinstance(found, Unproven):
        return found
    if isinstance(found, Unfit):
        kept = show_rejected(engine, tx, (task_id, attempt_id), before, holder)
        return _give_up(tx, task, found, kept)
    unasked = _unasked(tx, task, found.facts)
    if unasked is not None:
        kept = show_rejected(engine, tx, (task_id, attempt_id), before, holder)
        return _give_up(tx, task, unasked, kept)
    write = None
    if found.proposal.files and (found.proposal.files != before.files or found.results):
        write = effect_of(task, found.proposal, before.onto, found.results)
    events = tx.ask(_consented(task_id, grant, write))
    written = recorded.commit if write is None else events[0].commit
    return commit_effect(engine, tx, task_id, found.proposal, written)


def _consented(
    task_id: str, grant: Grant | AgentVerdict | None, write: FileWrite | None
) -> ApplyResult:
    if grant is None:
        return ApplyResult(task_id=task_id, write=write)
    if isinstance(grant, AgentVerdict):
        return ApplyResult(task_id=task_id, write=write, verdict=grant)
    return ApplyResult(task_id=task_id, write=write, by=grant.by, reason=grant.reason)


def _judge_without_files(tx: Transaction, task: Task) -> Admission | None:
    """Record what policy decides of a result that writes nothing, or its refusal."""
    facts = facts_of(task, Source.of_task(task))
    refused = unlawful(tx.contracts, facts)
    if refused is not None:
        return _give_up(tx, task, refused, NOTHING_KEPT)
    tx.ask(Judge(task_id=task.task_id, facts=facts))
    return None


def _unasked(tx: Transaction, task: Task, facts: Facts) -> Unfit | None:
    """Return the refusal of a result that, as it is merged now, needs a consent not asked for."""
    asked = () if task.judged is None else task.judged.required
    for hit in judge(tx.contracts, facts).required:
        if hit.rule.name not in asked:
            message = (
                f"the branch moved, and '{hit.rule.name}' asks for a consent to what the result "
                f"comes to now, which nobody was asked for: {hit.says}"
            )
            return Unfit(Rejected(RejectCode.WRITE_CONFLICT, message), (), facts)
    return None


def _give_up(tx: Transaction, task: Task, unfit: Unfit, kept: Kept) -> Admission:
    """Take back a result that cannot be applied to what the branch has become."""
    assert task.attempt is not None
    rejected = unfit.rejected
    if task.pending_approval is not None:
        reason = rejected.message[:2000]
        tx.ask(DenyApproval(approval_id=task.pending_approval, by=ORCHESTRATOR, reason=reason))
    output = AgentOutput(
        Answer(b"", 0), task.attempt.agent, None, task.task_id, task.attempt.attempt_id
    )
    return reject(
        tx,
        output,
        rejected,
        NO_CALL,
        closing=True,
        results=unfit.results,
        facts=unfit.facts,
        denied=unfit.denied,
        kept=kept,
    )


@dataclass(frozen=True, slots=True)
class RecordedEffect:
    """An effect in the log: the proposal, the commit of its event, and the checks it passed."""

    proposal: Proposal
    commit: str
    passed: frozenset[str]


def recorded_effect(engine: Engine, attempt_id: str) -> RecordedEffect:
    """Return the attempt's effect as it was recorded last."""
    for stored in engine.log.events(newest_first=True):
        payload = stored.event.payload
        if isinstance(payload, FileWrite) and payload.attempt_id == attempt_id:
            passed = {one.name for one in payload.check_results or () if one.passed}
            return RecordedEffect(Proposal.of(payload), stored.commit, frozenset(passed))
    raise RunHalted(f"the effect of '{attempt_id}' is not in the log")
