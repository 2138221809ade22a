"""Reviews by agents: a completed attempt is shown to another agent, which decides on it.

The reviewer sees the tree as it would stand after the change, and a diff. What it answers is an
intention like any other: it is decoded, held against what was asked, and recorded by the
orchestrator as `review.result`, which names the reviewer and is no approval; a person may be
quicker at any time. A task that needs a person is never shown to an agent.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from esaa_git.core import canonical, storage
from esaa_git.core.answer import Review
from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import PENDING, Approval
from esaa_git.core.envelope import Envelope, decode
from esaa_git.core.events.approval import REVIEWER, unmet
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.core.requirements import reviewer_of
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.core.view import review_view
from esaa_git.engine.calls import AgentVerdict
from esaa_git.engine.effect import finish_task, recorded_effect
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission, AgentOutput, call_result, reject, spoken
from esaa_git.engine.intentions import RequestChanges, ReturnReview
from esaa_git.engine.laying import laid
from esaa_git.engine.lease import Lease
from esaa_git.engine.proof import Proof, Unproven
from esaa_git.engine.proposal import FileChange, Proposal
from esaa_git.engine.proposer import Dispatched, record_dispatch
from esaa_git.engine.request import branch_tip, context_files
from esaa_git.engine.schedule import require_run
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.ports.agent import AgentAdapter, Request, ran_by
from esaa_git.ports.files import FileEntry

MAX_DIFF = 100_000
"""How many characters of the diff a reviewer is shown; the files themselves follow in full."""


def awaiting_reviewer(
    engine: Engine, state: State, contracts: Contracts
) -> Iterator[tuple[Task, Approval, str]]:
    """Yield the tasks whose result an agent may review now, the approval, and that agent's name."""
    now = engine.moment(state)
    for task_id in state.run.in_progress:
        task = state.tasks[task_id]
        if task.pending_approval is None:
            continue
        approval = state.approvals[task.pending_approval]
        name = reviewer_of(task, contracts)
        asked = any(one.role == REVIEWER for one in unmet(approval))
        if name is None or approval.state != PENDING or not asked:
            continue
        until = approval.deadline
        if until is not None and not engine.leases.is_over(
            Lease.lent(approval.approval_id, until, contracts), now
        ):
            continue
        if approval.tries < contracts.policy.max_attempts:
            yield task, approval, name


def dispatch_review(engine: Engine, task: Task, approval: Approval, name: str) -> Dispatched:
    """Lend the decision to the agent and record what it is asked; it is not asked yet.

    Raises:
        AgentError: if the agent cannot be asked at all.
        EsaaError: as `ports.preflight.Preflight.look`.
    """
    state, contracts = engine.log.load()
    engine.preflight.look(str(state.run.branch))
    adapter = engine.make_agent(contracts.at_work(name, task.kind), contracts)
    adapter.ready()
    ran_by(adapter)
    return transact(
        engine, lambda tx: _dispatch(engine, tx, task.task_id, approval.approval_id, adapter)
    )


def _dispatch(
    engine: Engine, tx: Transaction, task_id: str, approval_id: str, adapter: AgentAdapter
) -> Dispatched:
    task = tx.state.tasks[task_id]
    assert task.attempt is not None
    before = tx.state.approvals[approval_id]
    until = before.deadline
    if until is not None and tx.is_over(Lease.lent(approval_id, until, tx.contracts)):
        tx.wait_for(until)
    lease = Lease.begin(approval_id, tx.at, tx.contracts)
    tx.leases.begin(lease)
    approval = replace(before, deadline=lease.deadline)
    request = adapter.prepare(_request(engine, tx, task, approval, adapter))
    what = Dispatched(task_id, task.attempt.attempt_id, adapter, request, approval_id)
    return record_dispatch(engine, tx, what)


def _request(
    engine: Engine, tx: Transaction, task: Task, approval: Approval, adapter: AgentAdapter
) -> Request:
    assert task.attempt is not None
    base = branch_tip(engine, tx)
    changes: Mapping[str, FileEntry | None] = {}
    diff = ""
    if task.effect == "written":
        proposal = recorded_effect(engine, task.attempt.attempt_id).proposal
        base, changes = proposal.onto, proposal.tree_changes()
        diff = _diff(engine, proposal)
    read = engine.blobs.read
    view = review_view(tx.state, tx.contracts, task, approval, adapter.name, base, read)
    view["review"]["diff"] = diff
    if not adapter.has_checkout:
        view["files"] = context_files(engine, tx.state, tx.contracts, task, base, changes)
    body = canonical.encode(view)
    return Request(
        task.task_id,
        task.attempt.attempt_id,
        base,
        body,
        tx.contracts.agent.kind(task.kind).read_patterns,
        str(approval.deadline),
        body,
        changes=laid(engine, tx.contracts, base, changes),
    )


def _diff(engine: Engine, proposal: Proposal) -> str:
    """Return the proposal as a unified diff, cut where it gets too long to be read."""
    parts: list[str] = []
    room = MAX_DIFF
    for file in proposal.files:
        part = _file_diff(engine, file)
        if len(part) > room:
            part = f"{file.change} {file.path}: too long to be shown here\n"
        room -= len(part)
        parts.append(part)
        if room <= 0:
            parts.append("and more that is not shown here\n")
            break
    return "".join(parts)


def _file_diff(engine: Engine, file: FileChange) -> str:
    before, after_ = _lines(engine, file.before), _lines(engine, file.after)
    if before is None or after_ is None:
        return f"{file.change} {file.path}: no text\n"
    old = "/dev/null" if file.before is None else f"a/{file.source or file.path}"
    new = "/dev/null" if file.after is None else f"b/{file.path}"
    lines = difflib.unified_diff(before, after_, old, new)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _lines(engine: Engine, entry: FileEntry | None) -> list[str] | None:
    if entry is None:
        return []
    content = engine.blobs.read(entry.oid)
    if len(content) > 2 * MAX_DIFF or b"\0" in content:
        return None
    try:
        return content.decode().splitlines(keepends=True)
    except UnicodeDecodeError:
        return None


# -- the decision -----------------------------------------------------------------------------


def try_admit_review(
    engine: Engine, output: AgentOutput, approval_id: str, proof: Proof | None = None
) -> Admission | Unproven:
    """Record what a reviewer decided, or say which checks have to be run before it is done."""
    return transact(engine, lambda tx: _admit(engine, tx, output, approval_id, proof))


def _admit(
    engine: Engine, tx: Transaction, output: AgentOutput, approval_id: str, proof: Proof | None
) -> Admission | Unproven:
    require_run(tx.state)
    task = tx.state.tasks[str(output.task_id)]
    verdict = _judge(tx, output)
    call = call_result(engine, tx.contracts, output)
    approval = tx.state.approvals[approval_id]
    if approval.state != "pending" or task.pending_approval != approval_id:
        by = approval.decided_by or "what happened meanwhile"
        verdict = Rejected(
            RejectCode.STALE_ATTEMPT, f"'{approval_id}' was decided by {by}", {"by": by}
        )
    elif approval.reviewer != output.actor:
        verdict = Rejected(
            RejectCode.STALE_ATTEMPT, f"'{approval_id}' is with another reviewer by now"
        )
    if isinstance(verdict, Rejected):
        return reject(engine, tx, output, verdict, call, approval_id=approval_id)
    decided = verdict.payload
    assert isinstance(decided, Review), "a reviewer's envelope is decoded as one"
    reason: str = storage.redact_value(decided.reason, output.storage(tx.contracts))
    exchange = spoken(engine, output, call, reason)
    said = AgentVerdict(reviewer=output.actor, exchange=exchange, call=call)
    if decided.verdict == "approve":
        return finish_task(engine, tx, task.task_id, proof, said)
    tx.ask(RequestChanges(approval_id=approval_id, verdict=said))
    message = f"{output.actor} requests changes: {reason}"
    return Admission("rejected", task.task_id, str(output.attempt_id), message)


def _judge(tx: Transaction, output: AgentOutput) -> Envelope | Rejected:
    if output.failure is not None:
        return output.failure
    max_bytes = tx.contracts.policy.max_output_bytes
    envelope = decode(output.answer.output, max_bytes=max_bytes, review=True)
    if isinstance(envelope, Rejected):
        return envelope
    if envelope.task_id != output.task_id:
        return Rejected(
            RejectCode.TASK_MISMATCH,
            f"the answer is for task '{envelope.task_id}', the review is of '{output.task_id}'",
            {"answered": envelope.task_id},
        )
    if envelope.attempt_id != output.attempt_id:
        return Rejected(
            RejectCode.ATTEMPT_MISMATCH,
            f"the answer is for '{envelope.attempt_id}', the review is of '{output.attempt_id}'",
            {"answered": envelope.attempt_id},
        )
    return envelope


def release_review(engine: Engine, approval_id: str, reason: str) -> None:
    """Take the decision back from a reviewer who was never really asked; no try is spent."""
    returned = ReturnReview(approval_id=approval_id, reason=reason)
    transact(engine, lambda tx: tx.ask(returned))
