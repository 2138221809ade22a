"""The proposer's side of the boundary: an attempt is opened, and the agent is asked.

The agent gets a purified view and answers; it never writes. What it answered is judged by the
verifier, whatever it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from esaa_git.core.budgets import demanded
from esaa_git.core.contract_rules import required_checks
from esaa_git.core.contracts import AgentEntry, Contracts
from esaa_git.core.decision import salted
from esaa_git.core.events import AttemptCreate, Dispatch
from esaa_git.core.events.dispatch import Continues, Sandbox
from esaa_git.core.events.fields import Salted
from esaa_git.core.globs import GlobSet
from esaa_git.core.policy_rules import facts_of_dispatch
from esaa_git.core.task import Attempt, Task
from esaa_git.engine.attempts import open_attempt
from esaa_git.engine.basecheck import BaseChecks
from esaa_git.engine.calls import NO_CALL
from esaa_git.engine.converted import BY_A_PERSON, nothing_to_store
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission, AgentOutput, reject
from esaa_git.engine.fit import unlawful
from esaa_git.engine.goeson import begun
from esaa_git.engine.intentions import AskAgent, ReleaseAttempt
from esaa_git.engine.laying import require_pinned, require_setup
from esaa_git.engine.request import branch_tip, build_request, request_for
from esaa_git.engine.reserve import BudgetReached, reserved
from esaa_git.engine.rests import Rests
from esaa_git.engine.salts import is_of, salt_for, salt_of
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import ConflictError, RefusedError, RunHalted
from esaa_git.ports.agent import AgentAdapter, Answer, Request, ran_by


def agents_for(task: Task, contracts: Contracts, override: str | None) -> Sequence[str]:
    """Return who may work on the task, first to last: `--agent`, else its own, else its kind's."""
    named = override or task.agent
    return (named,) if named else contracts.swarm.line_up(task.kind, task.attempts_used)


def agent_for(
    task: Task, contracts: Contracts, override: str | None, rests: Rests | None = None
) -> AgentEntry:
    """Return who works on the task: the first who does not rest."""
    names = agents_for(task, contracts, override)
    awake = (name for name in names if rests is None or rests.of(name) is None)
    return contracts.at_work(next(awake, names[0]), task.kind)


def dispatch(
    engine: Engine,
    task: Task,
    override: str | None,
    rests: Rests | None = None,
    on_base: BaseChecks | None = None,
) -> Dispatched | Admission:
    """Open an attempt on the task and record what its agent is asked; it is not asked yet.

    Where policy denies it, the attempt is over at once, and nobody is asked.

    Args:
        on_base: what was seen of checks on the base.

    Raises:
        AgentError: if the agent cannot be asked at all, or its answer could not be checked; no
            attempt is spent.
        ConflictError: if a person's uncommitted work would keep the answer waiting.
        EsaaError: as `ports.preflight.Preflight.look`.
    """
    state, contracts = engine.log.load()
    engine.preflight.look(str(state.run.branch))
    entry = agent_for(task, contracts, override, rests)
    require_setup(entry.setups, contracts)
    adapter = engine.make_agent(entry, contracts)
    adapter.ready()
    ran_by(adapter)  # a tool is asked for its version before anything is locked
    checks = required_checks(task, contracts)
    if checks:
        require_pinned(checks, contracts)
        engine.checker.ready(checks)
    _look_for_uncommitted_work(engine, task)
    _look_for_filters(engine, task)
    if on_base is not None:
        on_base.require(task, contracts, adapter)
    return transact(engine, lambda tx: _dispatch(engine, tx, task.task_id, adapter))


def resume(engine: Engine, task: Task) -> Dispatched:
    """Ask an agent again for an attempt that is open and whose process is gone.

    A dispatch is delivered at least once: the request is made again of the state that it was made
    of, and sent again; the log says already that it was. Where that gives another one (a template
    has changed), and under a budget in any case, what is asked now is a dispatch of its own: it is
    paid again.

    Raises:
        AgentError: if the agent cannot be asked at all.
        BudgetReached: if what that may cost does not fit; the attempt is given back.
        EsaaError: as `ports.preflight.Preflight.look`.
    """
    assert task.attempt is not None
    state, contracts = engine.log.load()
    engine.preflight.look(str(state.run.branch))
    adapter = engine.make_agent(contracts.at_work(task.attempt.agent, task.kind), contracts)
    adapter.ready()
    ran_by(adapter)
    attempt = task.attempt
    opened, sent = _recorded(engine, attempt.attempt_id)
    before = engine.log.state_at(opened)
    start = begun(engine, contracts, before.tasks[task.task_id], attempt.base, adapter)
    again = adapter.prepare(
        request_for(
            engine,
            before,
            contracts,
            before.tasks[task.task_id],
            attempt,
            adapter.name,
            has_checkout=adapter.has_checkout,
            begun=start,
        )
    )
    said = None if sent is None else sent.exchange
    is_same = sent is not None and is_of(engine.blobs, said, sent.request_sha256, again.sent)
    salt = salt_of(engine.blobs, said)
    asked = Dispatched(task.task_id, attempt.attempt_id, adapter, again, salt=salt)
    if is_same and demanded(state, contracts, task, adapter.name, engine.moment(state)) is None:
        return asked

    def decided(tx: Transaction) -> Dispatched:
        if is_same:
            return record_dispatch(engine, tx, asked)
        return _recorded_dispatch(engine, tx, task.task_id, attempt, adapter)

    try:
        return transact(engine, decided)
    except BudgetReached as error:
        release(engine, task.task_id, attempt.attempt_id, error.message)
        raise


def _recorded(engine: Engine, attempt_id: str) -> tuple[str, Dispatch | None]:
    """Return the commit at which an attempt was opened, and what was sent for it last."""
    sent = None
    for stored in engine.log.events(newest_first=True):
        payload = stored.event.payload
        if stored.event.attempt_id != attempt_id:
            continue
        if isinstance(payload, Dispatch) and payload.review is None:
            sent = sent or payload
        if isinstance(payload, AttemptCreate):
            return stored.commit, sent
    raise RunHalted(f"'{attempt_id}' is not in the log")


def _look_for_filters(engine: Engine, task: Task) -> None:
    """Look, before an agent is paid, whether git stores nothing of what the task names as it is.

    Raises:
        RefusedError: naming path and filter.
    """
    tip = engine.branch.tip(str(engine.log.load()[0].run.branch))
    fault = None if tip is None else nothing_to_store(engine.trees, tip, task.writes)
    if fault is not None:
        raise RefusedError(
            f"'{task.task_id}' cannot be recorded in this repository, so nobody is asked",
            cause=fault.message,
            hint=BY_A_PERSON,
        )


def _look_for_uncommitted_work(engine: Engine, task: Task) -> None:
    """Look, before an agent is paid, whether a person's own work will keep its answer waiting.

    Raises:
        ConflictError: if a path that the task names outright is not committed.
    """
    state, contracts = engine.log.load()
    branch = str(state.run.branch)
    boundary = engine.verifier.boundary(task, contracts)
    below = GlobSet(boundary.patterns).prefixes
    found = engine.checkouts.uncommitted(branch, below) if below else []
    paths = [path for path in found if boundary.check(path) is None]
    named = sorted(set(paths) & set(task.writes))
    if named:
        raise ConflictError(
            f"'{named[0]}' has uncommitted work, and '{task.task_id}' is to write it",
            hint=f"{engine.checkouts.way_out(branch)}, then run 'git esaa run' again",
        )
    if paths:
        shown = ", ".join(f"'{path}'" for path in paths[:3]) + (" …" if len(paths) > 3 else "")
        engine.say(
            f"note: {task.task_id} may write where you have uncommitted work ({shown}); "
            "if it does, its answer waits until you have committed or stashed that"
        )


def _dispatch(
    engine: Engine, tx: Transaction, task_id: str, adapter: AgentAdapter
) -> Dispatched | Admission:
    base = branch_tip(engine, tx)
    attempt_id = open_attempt(tx, task_id, adapter.name, mode="dispatch", base=base)
    attempt = tx.state.tasks[task_id].attempt
    assert attempt is not None
    assert attempt.attempt_id == attempt_id
    facts = facts_of_dispatch(tx.state.tasks[task_id], adapter.name, adapter.model)
    refused = unlawful(tx.contracts, facts)
    if refused is not None:
        nothing = AgentOutput(Answer(b"", 0), adapter.name, None, task_id, attempt_id)
        denied = refused.denied
        rejected = refused.rejected
        return reject(engine, tx, nothing, rejected, NO_CALL, facts=facts, denied=denied)
    return _recorded_dispatch(engine, tx, task_id, attempt, adapter)


def _recorded_dispatch(
    engine: Engine, tx: Transaction, task_id: str, attempt: Attempt, adapter: AgentAdapter
) -> Dispatched:
    task = tx.state.tasks[task_id]
    start = begun(engine, tx.contracts, task, attempt.base, adapter)
    request = adapter.prepare(
        build_request(
            engine, tx, task_id, adapter.name, has_checkout=adapter.has_checkout, begun=start
        )
    )
    files, continues = start.files, None
    if files is not None:
        continues = Continues(attempt_id=files.attempt_id, commit=files.commit)
    asked = Dispatched(task_id, attempt.attempt_id, adapter, request, continues=continues)
    return record_dispatch(engine, tx, asked)


def release(engine: Engine, task_id: str, attempt_id: str, reason: str) -> None:
    """Give a task back whose agent was never really asked; the attempt does not count."""
    given_up = ReleaseAttempt(task_id=task_id, reason=reason, attempt_id=attempt_id)
    transact(engine, lambda tx: tx.ask(given_up))


@dataclass(frozen=True, slots=True)
class Dispatched:
    """Who is asked, with what, and for which attempt: to make it, or to decide on it.

    `approval_id` is the decision that a reviewer is asked for, None for who makes the attempt;
    `continues` is the attempt whose files it goes on from, and `salt` that of what is said.
    """

    task_id: str
    attempt_id: str
    adapter: AgentAdapter
    request: Request
    approval_id: str | None = None
    continues: Continues | None = None
    salt: bytes | None = None

    def output(self, answer: Answer) -> AgentOutput:
        """Return the agent's answer as it is to be admitted."""
        return AgentOutput(
            answer,
            self.adapter.name,
            self.request,
            self.task_id,
            self.attempt_id,
            self.adapter.model,
            is_final=True,
            salt=self.salt,
        )


def record_dispatch(engine: Engine, tx: Transaction, what: Dispatched) -> Dispatched:
    """Record who is asked, the digest of exactly what is sent, and what that may cost at most.

    Return it with the salt of that digest.

    Raises:
        BudgetReached, AgentError: as `engine.reserve.reserved`.
    """
    adapter, request = what.adapter, what.request
    reserves = reserved(tx.state, tx.contracts, adapter, request, tx.at, what.approval_id)
    policy = tx.contracts.storage
    salt, exchange, sent = what.salt or salt_for(policy, engine.draw), None, None
    if salt is not None:
        exchange = Salted(salt=engine.blobs.write(salt))
        sent = None if policy.request == "none" else salted(salt, request.sent)
    tx.ask(
        AskAgent(
            task_id=what.task_id,
            attempt_id=what.attempt_id,
            agent=adapter.name,
            adapter=adapter.adapter,
            sandbox=cast(Sandbox, adapter.sandbox),  # the schema of the event says whether it is
            request_sha256=sent,
            exchange=exchange,
            model=adapter.model,
            template=request.template,
            approval_id=what.approval_id,
            ran=ran_by(adapter),
            continues=what.continues,
            reserves=reserves,
        )
    )
    return replace(what, salt=salt)
