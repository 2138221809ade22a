"""Closing: a validated result becomes an effect on the branch and a task that is done; or waits.

One transaction holds the result, the effect and the closing update. Where a reviewer must agree
first, or a person's uncommitted work is in the way, the result and its after-images are recorded
(they are validated, and lost no more) and `apply_effect` finishes the task later from the log. What
a person proposed alone is judged first (`engine.proposed`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from esaa_git.core.contract_rules import attribution
from esaa_git.core.contracts import Contracts
from esaa_git.core.decision import NONCE_BYTES
from esaa_git.core.entries import GRANTED
from esaa_git.core.events import FileWrite
from esaa_git.core.events.base import replace
from esaa_git.core.events.facts import file_facts
from esaa_git.core.events.file_write import AnyFile
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.events.task_update import approved_by
from esaa_git.core.policy_rules import Source, facts_of, facts_of_effect
from esaa_git.core.requirements import needs_review, reviewer_of
from esaa_git.core.task import Task
from esaa_git.engine.calls import AgentVerdict
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission
from esaa_git.engine.fit import Unfit, effect_of, fitted, unlawful
from esaa_git.engine.intentions import (
    Agree,
    ApplyResult,
    AskForReview,
    CloseTask,
    Judge,
    OpenUndo,
)
from esaa_git.engine.inverse import Inverse, Inverter
from esaa_git.engine.proof import Proof, Unproven, settled
from esaa_git.engine.proposal import Proposal
from esaa_git.engine.proposed import Taken, take_back, take_proposed
from esaa_git.engine.request import branch_tip
from esaa_git.engine.schedule import find_task, require_run
from esaa_git.engine.shown import show_rejected
from esaa_git.engine.transaction import Overtaken, Transaction, transact
from esaa_git.errors import RefusedError, RunHalted
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
            reviewed_by=approved_by(tx.state, task),
        ),
        tx.sign,
    )
    tx.ask(CloseTask(task_id=task_id, effect_commit=effect))
    tx.move_branch(BranchMove(branch, proposal.onto, effect), task_id, proposal.paths)
    return is_done(tx, task_id)


def ask_for_review(engine: Engine, tx: Transaction, task_id: str) -> Admission:
    """Ask for what the rules require of others, and return the admission of what waits for it."""
    undo = tx.state.undone.under_way(tx.state.tasks[task_id].undoes or "")
    starter = engine.starter() if undo is None else undo.by
    nonce = engine.draw(NONCE_BYTES).hex()
    tx.ask(AskForReview(task_id=task_id, log_id=tx.log_id, nonce=nonce, started_by=starter))
    return waits_for_review(tx, task_id)


def apply_effect(
    engine: Engine,
    task_id: str,
    *,
    verdict: AgentVerdict | None = None,
    pause: Callable[[], None] = lambda: None,
) -> Admission:
    """Finish a task whose validated effect is in the log and not on the branch yet.

    With the verdict of the agent that was asked, its consent is recorded in the same transaction.
    A conflict with what the branch has become meanwhile is a rejection, as it would have been, and
    so is a check that the merged tree does not pass. Where the merge changes what was approved,
    that is asked for anew.

    Raises:
        AgentError: if a check cannot be run here at all.
        ConflictError: if the branch keeps moving while checks run.
    """

    def step(proof: Proof | None) -> Admission | Unproven:
        return try_apply_effect(engine, task_id, proof, verdict)

    return settled(engine, step, pause)


def apply_granted(engine: Engine, task_id: str) -> Admission:
    """Finish a task that a person has just approved, where the orchestrator's key is at hand.

    What does not pass here is named, and left for the next run, which may be elsewhere: a check
    that fails where somebody approves is no failure of the agent.
    """

    def step(proof: Proof | None) -> Admission | Unproven:
        return transact(
            engine, lambda tx: finish_task(engine, tx, task_id, proof, None, give_up=False)
        )

    return settled(engine, step, lambda: None)


def try_apply_effect(
    engine: Engine,
    task_id: str,
    proof: Proof | None = None,
    verdict: AgentVerdict | None = None,
) -> Admission | Unproven:
    """Finish a task as `apply_effect` does, or say which checks have to be run first."""
    return transact(engine, lambda tx: finish_task(engine, tx, task_id, proof, verdict))


def finish_task(
    engine: Engine,
    tx: Transaction,
    task_id: str,
    proof: Proof | None,
    verdict: AgentVerdict | None,
    *,
    give_up: bool = True,
) -> Admission | Unproven:
    """Finish a task within a transaction, as `try_apply_effect` does.

    Args:
        give_up: take a result back that does not pass a check here.
    """
    task = find_task(tx.state, task_id)
    if task.is_done:  # by another process, which was faster
        return is_done(tx, task_id)
    if task.undoes is not None:
        return finish_undo(engine, tx, task)
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
        refused = _judge_without_files(engine, tx, task)
        if refused is not None:
            return refused
        task = find_task(tx.state, task_id)
    if task.effect == "written" and taken is None and not tx.alone:
        refused = _judge_again(engine, tx, task)
        if refused is not None:
            return refused
        task = find_task(tx.state, task_id)
    if task.pending_approval is None and needs_review(task, tx.contracts):
        # The contract began to ask for one while the result waited for something else.
        return ask_for_review(engine, tx, task_id)
    if task.effect != "written" or taken is not None:
        if _is_held(tx, task, verdict):
            return waits_for_review(tx, task_id)
        tx.ask(ApplyResult(task_id=task_id))
        if taken is None:
            return is_done(tx, task_id)
        return commit_effect(engine, tx, task_id, taken.proposal, taken.written)
    recorded = recorded_effect(engine, attempt_id)
    before = recorded.proposal
    found = fitted(engine, tx, task, before, proof, Source.of_task(task), recorded.passed)
    if isinstance(found, Unproven):
        return found
    if _is_held(tx, task, verdict):
        return waits_for_review(tx, task_id)
    if isinstance(found, Unfit) and found.results and not give_up:
        why = f"approved, and not applied here: {found.rejected.message}"
        later = "the next 'git esaa run' decides"
        return Admission("waiting", task_id, attempt_id, f"{why}; {later}")
    if isinstance(found, Unfit):
        kept = show_rejected(engine, tx, (task_id, attempt_id), before, holder)
        return take_back(engine, tx, task, found, kept)
    written = recorded.commit
    if found.proposal.files and (found.proposal.files != before.files or found.results):
        write = effect_of(task, found.proposal, before.onto, found.results)
        events = tx.ask(ApplyResult(task_id=task_id, write=write))
        written = next(one.commit for one in events if isinstance(one.event.payload, FileWrite))
        if find_task(tx.state, task_id).pending_approval is None and task.pending_approval:
            # What the merge made of the files is not what was approved.
            return ask_for_review(engine, tx, task_id)
    return commit_effect(engine, tx, task_id, found.proposal, written)


def write_undo(engine: Engine, tx: Transaction, task_id: str) -> str:
    """Open the attempt of a task that undoes another one, with its effect, and return its id.

    Raises:
        RefusedError: if what it would write does not fit the branch, or is denied by policy.
    """
    task = find_task(tx.state, task_id)
    onto = branch_tip(engine, tx)
    made = _inverse_of(engine, tx, task, onto)
    unfit = None if made is None else _unfit_undo(engine, tx.contracts, task, made[0])
    if unfit is not None:
        raise RefusedError(f"'{task.undoes}' cannot be undone", cause=unfit.rejected.message)
    tx.ask(OpenUndo(task_id=task_id, base=onto))
    task = find_task(tx.state, task_id)
    assert task.attempt is not None
    if made is not None:
        inverse, undone = made
        write = replace(effect_of(task, inverse.proposal, onto), undoes=undone)
        tx.ask(ApplyResult(task_id=task_id, write=write))
    return task.attempt.attempt_id


def finish_undo(engine: Engine, tx: Transaction, task: Task) -> Admission:
    """Finish a task that undoes another one, whose attempt is open and whose effect is written.

    Where the branch moved meanwhile, the effect is made anew; what does not fit any more is a
    rejection, as of any other result.
    """
    assert task.attempt is not None
    task_id, attempt = task.task_id, task.attempt
    made = _inverse_of(engine, tx, task, branch_tip(engine, tx))
    unfit = None if made is None else _unfit_undo(engine, tx.contracts, task, made[0])
    if unfit is not None:
        return take_back(engine, tx, task, unfit)
    if made is None:
        refused = _judge_without_files(engine, tx, task)
        if refused is not None:
            return refused
    else:
        inverse, undone = made
        before, _ = _last_write(engine, tx, attempt.attempt_id)
        if Proposal.of(before).files != inverse.proposal.files:
            write = replace(effect_of(task, inverse.proposal, attempt.base), undoes=undone)
            tx.ask(ApplyResult(task_id=task_id, write=write))
    task = find_task(tx.state, task_id)
    if task.pending_approval is None and needs_review(task, tx.contracts):
        return ask_for_review(engine, tx, task_id)
    if _is_held(tx, task, None):
        return waits_for_review(tx, task_id)
    if made is None:
        tx.ask(ApplyResult(task_id=task_id))
        return is_done(tx, task_id)
    _, written = _last_write(engine, tx, attempt.attempt_id)
    return commit_effect(engine, tx, task_id, made[0].proposal, written)


def _last_write(engine: Engine, tx: Transaction, attempt_id: str) -> tuple[FileWrite, str]:
    """Return the last effect of an attempt and the commit of its event, be it one of these."""
    for stored in reversed(tx.events):
        payload = stored.event.payload
        if isinstance(payload, FileWrite) and payload.attempt_id == attempt_id:
            return payload, stored.commit
    return recorded_write(engine, attempt_id)


def _inverse_of(
    engine: Engine, tx: Transaction, task: Task, onto: str
) -> tuple[Inverse, tuple[AnyFile, ...]] | None:
    """Return what undoes the effect of the task that this one names, and that effect's files."""
    undone = tx.state.tasks[task.undoes or ""]
    if undone.result is None or undone.result.wrote is None:
        return None
    files = recorded_write(engine, undone.result.attempt_id)[0].files
    return Inverter(engine, onto).invert(undone.task_id, files), files


def _unfit_undo(engine: Engine, contracts: Contracts, task: Task, made: Inverse) -> Unfit | None:
    """Return why the branch or the policy does not take an undo; None where both do."""
    if made.clashes:
        return Unfit(made.clashes[0].rejected())
    refused = engine.verifier.ill_stored(made.proposal)
    if refused is not None:
        return Unfit(refused)
    files = file_facts(file.recorded() for file in made.proposal.files)
    lines = made.proposal.changed_lines
    return unlawful(contracts, facts_of(task, Source(ORCHESTRATOR), files, lines))


def _is_held(tx: Transaction, task: Task, verdict: AgentVerdict | None) -> bool:
    """Record the verdict of an agent, and answer whether others still have to agree."""
    if task.pending_approval is None:
        return False
    if verdict is not None:
        tx.ask(Agree(approval_id=task.pending_approval, verdict=verdict))
    return tx.state.approvals[task.pending_approval].state != GRANTED


def _judge_without_files(engine: Engine, tx: Transaction, task: Task) -> Admission | None:
    """Record what policy decides of a result that writes nothing, or its refusal."""
    facts = facts_of(task, Source.of_task(task))
    refused = unlawful(tx.contracts, facts)
    if refused is not None:
        return take_back(engine, tx, task, refused)
    tx.ask(Judge(task_id=task.task_id, facts=facts))
    return None


def _judge_again(engine: Engine, tx: Transaction, task: Task) -> Admission | None:
    """Record what the policy in force decides of an effect that waits, or its refusal.

    It may be stricter than the one under which the effect was recorded: a run that began since
    pins its own.
    """
    if tx.contracts.guard is None or task.attempt is None:
        return None
    write, _ = recorded_write(engine, task.attempt.attempt_id)
    facts = facts_of_effect(task, write)
    refused = unlawful(tx.contracts, facts)
    if refused is not None:
        return take_back(engine, tx, task, refused)
    tx.ask(Judge(task_id=task.task_id, facts=facts))
    return None


@dataclass(frozen=True, slots=True)
class RecordedEffect:
    """An effect in the log: the proposal, the commit of its event, and the checks it passed."""

    proposal: Proposal
    commit: str
    passed: frozenset[str]


def recorded_effect(engine: Engine, attempt_id: str) -> RecordedEffect:
    """Return the attempt's effect as it was recorded last."""
    written, commit = recorded_write(engine, attempt_id)
    passed = {one.name for one in written.check_results or () if one.passed}
    return RecordedEffect(Proposal.of(written), commit, frozenset(passed))


def recorded_write(engine: Engine, attempt_id: str) -> tuple[FileWrite, str]:
    """Return the event that recorded an attempt's effect last, and its commit."""
    for stored in engine.log.events(newest_first=True):
        payload = stored.event.payload
        if isinstance(payload, FileWrite) and payload.attempt_id == attempt_id:
            return payload, stored.commit
    raise RunHalted(f"the effect of '{attempt_id}' is not in the log")
