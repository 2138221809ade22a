"""The commit: an agent's output is judged, and becomes events, an effect, or a reject signal.

An answer takes one way: its bytes become a verdict, the verdict an intention, the intention the
events that `decide` makes of it, and the transaction writes them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import assert_never, cast

from esaa_git.core import canonical, secrets, storage
from esaa_git.core.answer import FileUpdate, Heartbeat, Issue, Lesson, Question, Result, Review
from esaa_git.core.contracts import StoragePolicy
from esaa_git.core.decision import salted
from esaa_git.core.envelope import Envelope, check_payload
from esaa_git.core.envelope import decode as decode_envelope
from esaa_git.core.events import AgentResult, FileWrite
from esaa_git.core.events.base import decode, encode, replace
from esaa_git.core.events.facts import FileFact, file_facts
from esaa_git.core.events.fields import Exchange, Usage
from esaa_git.core.packing import Packing
from esaa_git.core.policy_rules import Source, facts_of, judge
from esaa_git.core.rejection import RejectCode, Rejected, excerpt, of_policy
from esaa_git.core.requirements import needs_review
from esaa_git.engine.alone import LATER
from esaa_git.engine.asked import asked
from esaa_git.engine.calls import CallResult
from esaa_git.engine.effect import ask_for_review, commit_effect, is_done
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import (
    NOTHING_KEPT,
    Admission,
    AgentOutput,
    Kept,
    call_result,
    named,
    reject,
    spoken,
)
from esaa_git.engine.fit import Fitted, Unfit, effect_of, fitted, unlawful
from esaa_git.engine.intentions import AcceptResult, AskQuestion, Prolong, RecordLesson, ReportIssue
from esaa_git.engine.proof import Proof, Unproven, settled
from esaa_git.engine.proposal import Proposal
from esaa_git.engine.salts import opened
from esaa_git.engine.schedule import require_run
from esaa_git.engine.shown import show_rejected, show_waiting
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.engine.verifier import Accepted, Repeated


def admit(
    engine: Engine, output: AgentOutput, pause: Callable[[], None] = lambda: None
) -> Admission:
    """Validate an answer, run the checks it has to pass, and record what it amounts to.

    Raises:
        AgentError: if a check cannot be run here at all; nothing is recorded.
        ConflictError: if the branch keeps moving while checks run; nothing is recorded.
    """
    return settled(engine, lambda proof: try_admit(engine, output, proof), pause)


def try_admit(
    engine: Engine, output: AgentOutput, proof: Proof | None = None
) -> Admission | Unproven:
    """Validate an answer and record what it amounts to, or say which checks are to be run."""
    return transact(engine, lambda tx: _admit(engine, tx, output, proof))


def _admit(
    engine: Engine, tx: Transaction, output: AgentOutput, proof: Proof | None
) -> Admission | Unproven:
    verdict = _judge(engine, tx, output)
    if isinstance(verdict, Repeated):
        envelope = verdict.envelope
        return Admission("repeated", envelope.task_id, envelope.attempt_id, "recorded already")
    require_run(tx.state)
    call = call_result(engine, tx.contracts, output)
    if isinstance(verdict, Rejected):
        refused = _refused_envelope(tx, output)
        if refused is not None:
            call = replace(call, unwrapped=_unwrapped(output, refused))
        kept = NOTHING_KEPT if refused is None else _lawful_part(engine, tx, output, refused)
        return reject(engine, tx, output, verdict, call, kept=kept)
    envelope = verdict.envelope
    call = replace(call, unwrapped=_unwrapped(output, envelope))
    given = envelope.payload
    match given:
        case Result():
            return _admit_result(engine, tx, output, verdict, given, call, proof)
        case Issue():
            return _admit_issue(engine, tx, output, envelope, given, call)
        case Question():
            return _admit_question(engine, tx, output, envelope, given, call)
        case Heartbeat():
            message = _prolong(tx, output, envelope, given)
        case Lesson() if output.is_final:
            # Nothing was accepted that it could come with; its words stay with the refusal.
            return _without_result(engine, tx, output, envelope, call)
        case Lesson():
            tx.ask(
                RecordLesson(
                    actor=output.actor, task_id=envelope.task_id, lesson=given, agent=output.agent
                )
            )
            message = "the lesson is recorded"
        case Review():
            raise AssertionError("unreachable: a review answers no attempt")
        case _:
            assert_never(given)
    if output.is_final:
        return _without_result(engine, tx, output, envelope, call)
    return Admission("noted", envelope.task_id, envelope.attempt_id, message)


# -- from bytes to a verdict ------------------------------------------------------------------


def _judge(engine: Engine, tx: Transaction, output: AgentOutput) -> Accepted | Repeated | Rejected:
    verdict: Accepted | Repeated | Rejected | None = output.failure
    if verdict is None:
        verdict = engine.verifier.judge(
            output.answer.output,
            state=tx.state,
            contracts=tx.contracts,
            actor=output.actor,
            now=tx.now,
            task_id=output.task_id,
            attempt_id=output.attempt_id,
            leases=tx.leases,
        )
    question = asked(engine, tx, output, verdict)
    if question is not None:
        verdict = Accepted(question)
    if not isinstance(verdict, Accepted):
        return verdict
    return _exposing(verdict, output) or _storable(verdict, output.storage(tx.contracts))


def _exposing(accepted: Accepted, output: AgentOutput) -> Rejected | None:
    """Refuse files that hold what the agent was given: the branch is pushed, and stays."""
    given, keys = accepted.envelope.payload, secrets.keys(output.answer.handed)
    if not (keys and isinstance(given, Result) and given.file_updates):
        return None
    paths = [
        update.path
        for update in given.file_updates
        if secrets.holds(canonical.encode(encode(update)), [key.encode() for key in keys])
    ]
    if not paths:
        return None
    named = ", ".join(f"'{path}'" for path in paths)
    return Rejected(
        RejectCode.SECRET_EXPOSED,
        f"{named} would hold a secret that you were given",
        {"paths": paths},
    )


def _storable(accepted: Accepted, policy: StoragePolicy) -> Accepted | Rejected:
    """Return the verdict with the answer as the record may keep it.

    That is without secrets, and without the updates of files: the after-images stand for them.
    """
    envelope, answer = accepted.envelope, accepted.envelope.payload
    if isinstance(answer, Result):
        answer = replace(answer, file_updates=None)
    given = encode(answer)
    safe = storage.redact_value(given, policy)
    if safe != given:
        fault = check_payload(envelope.action, safe)
        if fault is not None:
            place = fault.detail["at"]
            return Rejected(
                RejectCode.INVALID_VALUE,
                f"{place}: this looks like a secret and cannot be blotted out here; leave it away",
                {"at": place},
            )
        answer = decode(type(answer), safe)
    kept = dataclasses.replace(envelope, payload=answer)
    return dataclasses.replace(accepted, envelope=kept)


def _unwrapped(output: AgentOutput, envelope: Envelope) -> tuple[Packing, ...] | None:
    """Return what was taken off around an answer, by the adapter first; None where nothing was."""
    how = (*cast(Sequence[Packing], output.answer.unwrapped), *envelope.unwrapped)
    return tuple(dict.fromkeys(how)) or None


def _refused_envelope(tx: Transaction, output: AgentOutput) -> Envelope | None:
    """Return the envelope in an answer that is refused, where it holds one."""
    if output.failure is not None:
        return None
    found = decode_envelope(output.answer.output, max_bytes=tx.contracts.policy.max_output_bytes)
    return None if isinstance(found, Rejected) else found


def _lawful_part(engine: Engine, tx: Transaction, output: AgentOutput, envelope: Envelope) -> Kept:
    """Keep of an answer that is refused what no rule of paths, form, size or secrets refuses."""
    if not tx.contracts.storage.keep_rejected:
        return NOTHING_KEPT
    given, task = envelope.payload, tx.state.tasks.get(envelope.task_id)
    attempt = None if task is None else task.active_attempt
    is_its_own = (
        attempt is not None
        and attempt.attempt_id == envelope.attempt_id == (output.attempt_id or attempt.attempt_id)
        and attempt.agent == output.actor
    )
    if not isinstance(given, Result) or not given.file_updates or task is None or not is_its_own:
        return NOTHING_KEPT
    policy = output.storage(tx.contracts)

    def exposes(update: FileUpdate) -> bool:
        said = encode(update)
        return bool(storage.redact_value(said, policy) != said)

    proposal, refused = engine.verifier.lawful_part(given.file_updates, task, tx.contracts, exposes)
    address = task.task_id, envelope.attempt_id
    not_kept = tuple(replace(one, path=storage.redact(one.path, policy)) for one in refused)
    return show_rejected(engine, tx, address, proposal, output.agent or output.actor, not_kept)


# -- from a verdict to events -----------------------------------------------------------------


def _admit_result(
    engine: Engine,
    tx: Transaction,
    output: AgentOutput,
    accepted: Accepted,
    given: Result,
    call: CallResult,
    proof: Proof | None,
) -> Admission | Unproven:
    task_id = accepted.envelope.task_id
    task = tx.state.tasks[task_id]
    proposal, write = accepted.proposal, None
    call = replace(call, left_out=named(accepted.left_out, call.left_out))
    key = _salted_key(engine, output, accepted.envelope, call)
    if key is not None:
        call = replace(call, exchange=key[0])
    bare = _result(output, accepted.envelope, given, call, None if key is None else key[1])
    call = replace(call, usage=bare.usage)  # it was used up, whatever becomes of the result
    source = Source.of(output.agent or output.actor, bare.model, bare.usage)
    if proposal is None or tx.alone:
        facts = facts_of(task, source, *_changes(proposal))
        found: Fitted | Unfit | Unproven | None = unlawful(tx.contracts, facts)
    else:
        found = fitted(engine, tx, task, proposal, proof, source)
    if isinstance(found, Unproven):
        return found
    if isinstance(found, Unfit):
        address, kept = (task_id, accepted.envelope.attempt_id), NOTHING_KEPT
        if proposal is not None:
            kept = show_rejected(engine, tx, address, proposal, source.agent)
        return reject(
            engine,
            tx,
            output,
            found.rejected,
            call,
            results=found.results,
            facts=found.facts,
            denied=found.denied,
            kept=kept,
        )
    if found is not None and proposal is not None:
        base, facts = proposal.onto, found.facts
        proposal = found.proposal if found.proposal.files else None
        write = None if proposal is None else effect_of(task, proposal, base, found.results)
    verdict = judge(tx.contracts, facts)
    is_reviewed = needs_review(task, tx.contracts) or bool(verdict.required)
    paths = () if proposal is None else proposal.paths
    result = replace(bare, facts=facts, paths=paths)
    if proposal is not None and (tx.alone or is_reviewed):
        address = task_id, result.attempt_id
        author = output.agent or output.actor
        shown = show_waiting(engine, tx, address, proposal, author=author, actor=output.actor)
        result = replace(result, proposal=shown)
    accept = AcceptResult(
        actor=output.actor,
        result=result,
        lessons=given.lessons or (),
        write=write,
    )
    recorded = tx.ask(accept)
    for hit in verdict.warnings:
        engine.say(f"policy, '{hit.rule.name}': would {hit.effect} {result.attempt_id}: {hit.says}")
    if tx.alone:
        return Admission("waiting", task_id, accepted.envelope.attempt_id, LATER)
    if is_reviewed:
        admission = ask_for_review(engine, tx, task_id)
    elif proposal is None:
        admission = is_done(tx, task_id)
    else:
        written = next(one.commit for one in recorded if isinstance(one.event.payload, FileWrite))
        admission = commit_effect(engine, tx, task_id, proposal, written)
    return dataclasses.replace(admission, left_out=call.left_out)


def _result(
    output: AgentOutput,
    envelope: Envelope,
    given: Result,
    call: CallResult,
    key_sha256: str | None,
) -> AgentResult:
    """Return the result as it is recorded, without what it changes.

    What was measured goes before what an agent claims.
    """
    claimed = None if given.usage is None else decode(Usage, encode(given.usage))
    return AgentResult(
        task_id=envelope.task_id,
        attempt_id=envelope.attempt_id,
        summary=given.summary,
        paths=(),
        output_sha256=call.response_sha256,
        checks=given.checks,
        idempotency_sha256=key_sha256,
        model=call.model or given.model or output.model,
        usage=call.usage or claimed,
        latency_ms=call.latency_ms,
        tries=call.tries,
        left_out=call.left_out,
        unwrapped=call.unwrapped,
        exchange=call.exchange,
        agent=output.agent,
    )


def _salted_key(
    engine: Engine, output: AgentOutput, envelope: Envelope, call: CallResult
) -> tuple[Exchange, str] | None:
    """Return the digest of the key by which an answer is known again, and the exchange for it.

    None where the answer has no key.
    """
    key = envelope.idempotency_key
    if key is None:
        return None
    exchange, salt = opened(engine.blobs, call.exchange, output.salt, engine.draw)
    return exchange, salted(salt, key.encode())


def _changes(proposal: Proposal | None) -> tuple[tuple[FileFact, ...], int]:
    """Return what policy sees of the files of a proposal, and of how many lines."""
    if proposal is None:
        return (), 0
    return file_facts(file.recorded() for file in proposal.files), proposal.changed_lines


def _admit_issue(
    engine: Engine,
    tx: Transaction,
    output: AgentOutput,
    envelope: Envelope,
    given: Issue,
    call: CallResult,
) -> Admission:
    task_id, attempt_id = envelope.task_id, envelope.attempt_id
    tx.ask(
        ReportIssue(
            actor=output.actor,
            severity=given.severity,
            title=given.title,
            description=given.description,
            task_id=task_id,
            attempt_id=attempt_id,
            exchange=call.exchange,
            agent=output.agent,
        )
    )
    issue_id = f"ISS-{tx.state.run.issues:04d}"
    if output.is_final and tx.state.tasks[task_id].active_attempt and tx.state.run.is_open:
        _without_result(engine, tx, output, envelope, replace(call, exchange=None))
    message = f"{issue_id} is recorded; '{task_id}' is {tx.state.tasks[task_id].state}"
    return Admission("issue", task_id, attempt_id, message, issue_id=issue_id)


def _admit_question(
    engine: Engine,
    tx: Transaction,
    output: AgentOutput,
    envelope: Envelope,
    given: Question,
    call: CallResult,
) -> Admission:
    task_id, attempt_id = envelope.task_id, envelope.attempt_id
    most = tx.contracts.policy.questions_per_task
    if len(tx.state.tasks[task_id].questions) >= most:
        rejected = Rejected(
            RejectCode.QUESTIONS_SPENT,
            f"'{task_id}' has asked {most} questions, and no more are allowed "
            + of_policy("questions_per_task"),
            {"allowed": most},
        )
        return reject(engine, tx, output, rejected, call)
    tx.ask(
        AskQuestion(
            actor=output.actor,
            task_id=task_id,
            attempt_id=attempt_id,
            exchange=spoken(engine, output, call, given.text),
            call=call,
            agent=output.agent,
        )
    )
    question_id = tx.state.tasks[task_id].questions[-1].question_id
    message = f"{question_id} waits for an answer: {excerpt(given.text, 500)}"
    return Admission("question", task_id, attempt_id, message, question_id=question_id)


def _prolong(tx: Transaction, output: AgentOutput, envelope: Envelope, given: Heartbeat) -> str:
    task_id, attempt_id = envelope.task_id, envelope.attempt_id
    tx.ask(
        Prolong(
            actor=output.actor,
            task_id=task_id,
            attempt_id=attempt_id,
            note=given.note,
            agent=output.agent,
        )
    )
    attempt = tx.state.tasks[task_id].attempt
    assert attempt is not None
    return f"the lease runs until {attempt.deadline}"


def _without_result(
    engine: Engine, tx: Transaction, output: AgentOutput, envelope: Envelope, call: CallResult
) -> Admission:
    rejected = Rejected(
        RejectCode.NO_RESULT,
        f"the agent answered with {envelope.action} and left no result",
        {"action": envelope.action},
    )
    return reject(engine, tx, output, rejected, call)
