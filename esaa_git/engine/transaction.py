"""A transaction: all events of one decision, checked one by one, and recorded together or not.

An event passes here exactly what `verify` will hold it against later: schema, state machine and
invariants (`evolve`) and the contracts (`check_contract_rules`). Its attachments are what it names.

The log is the commit point. Where a process died between moving it and moving the branch, the
journal names what was left to do, and the effect commit that it names is stored already: `recover`
does the rest. Where a person has committed to the branch meanwhile, the effect is merged and the
new link recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import count
from typing import TypeVar

from esaa_git.core import storage
from esaa_git.core.approvals import subject_of
from esaa_git.core.attachments import kept_decision, kept_exchange
from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import (
    MINUTES_AHEAD,
    Event,
    MalformedEvent,
    NewEvent,
    StoredEvent,
    event_id,
    is_ahead,
    seal,
    timestamp,
)
from esaa_git.core.events import FileWrite, PolicyDecision, RunInit
from esaa_git.core.events.base import decode, encode
from esaa_git.core.events.decided import document_of
from esaa_git.core.events.file_write import FileDelete
from esaa_git.core.events.spec import ORCHESTRATOR
from esaa_git.core.invariants import Violation
from esaa_git.core.machine import RunState
from esaa_git.core.policy_rules import check_policy
from esaa_git.core.projection import evolve
from esaa_git.core.state import EMPTY, Carrier, State
from esaa_git.engine.alone import owed, own_part
from esaa_git.engine.decide import decide
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import Intention, Relink
from esaa_git.engine.lease import WALL_CLOCK, Lease, Leases
from esaa_git.errors import ConfigurationError, ConflictError, RefusedError, RemoteUnreachable
from esaa_git.ports.branch import BranchMove, InTheWay
from esaa_git.ports.files import FileEntry
from esaa_git.ports.local import Followup
from esaa_git.ports.log import Attachments, LogTransaction, ProposalRef

T = TypeVar("T")

MAX_TRIES = 8


class Overtaken(ConflictError):
    """The branch moved while a transaction decided on it; it has to decide again."""


class Transaction:
    """Events being decided on one state, under one set of contracts."""

    def __init__(
        self,
        writer: LogTransaction,
        state: State,
        contracts: Contracts,
        now: datetime,
        leases: Leases = WALL_CLOCK,
    ) -> None:
        self._writer = writer
        self.log_id = writer.log_id
        self.state = state
        self.contracts = contracts
        self.now = max(timestamp(now), state.ts)
        self.events: list[StoredEvent] = []
        self.followup: Followup | None = None
        self.proposals: list[ProposalRef] = []
        self.leases = leases

    @property
    def alone(self) -> bool:
        """Whether only a person's key is at hand, so that what follows is recorded elsewhere."""
        return self._writer.alone

    def is_over(self, lease: Lease) -> bool:
        """Answer whether the lease on an attempt or approval ran out."""
        return self.leases.is_over(lease, self.now)

    @property
    def at(self) -> str:
        """The moment at which the next event will be recorded."""
        return max(self.now, self.state.ts)

    def wait_for(self, deadline: str) -> None:
        """Let it be so late: a worker may know that the time is up before any clock says so."""
        self.now = max(self.now, deadline)

    def ask(
        self,
        intention: Intention,
        *,
        contracts: Contracts | None = None,
        causation: str | None = None,
    ) -> tuple[StoredEvent, ...]:
        """Have an intention decided on the state as it is by now, and record what was decided.

        Args:
            causation: the request that what is decided carries out.

        Raises:
            EsaaError: as `decide` and `record`.
        """
        decided = decide(self.state, self.contracts, intention, self.at)
        if self.alone:
            decided = own_part(decided)
        if causation is not None:
            decided = tuple(replace(event, causation_id=causation) for event in decided)
        return tuple(self.record(event, contracts=contracts) for event in decided)

    def record(self, new: NewEvent, *, contracts: Contracts | None = None) -> StoredEvent:
        """Check an event, store its objects and return it; nothing counts until `commit`.

        Args:
            contracts: those in force from here on, where the event pins others.

        Raises:
            RefusedError: if the protocol or the contracts forbid the event in this state.
        """
        in_force = self.contracts if contracts is None else contracts
        new = without_secrets(new, in_force)
        try:
            event = seal(new, after_seq=self.state.seq, after_ts=self.state.ts, now=self.now)
            check_contract_rules(self.state, event, in_force)
            check_policy(self.state, event, in_force)
            about = subject_of(self.state, event, self.log_id)
            state = evolve(self.state, event)
        except (Violation, MalformedEvent) as error:
            raise RefusedError(f"{new.action} is refused", cause=str(error)) from error
        commit = self._writer.write(event, state, in_force, _attachments(event, about))
        self.state, self.contracts = state, in_force
        stored = StoredEvent(event, commit)
        self.events.append(stored)
        return stored

    def sign(self, payload: bytes, actor: str = ORCHESTRATOR) -> bytes:
        """Return the signature of a commit's unsigned bytes by the key of this actor's events."""
        return self._writer.sign(payload, actor)

    def show(self, proposal: ProposalRef) -> None:
        """Have a proposal's ref name its commit when the event that names it is recorded."""
        self.proposals.append(proposal)

    def roles(self, actor: str) -> frozenset[str]:
        """Return the roles of the key that signs what this person decides."""
        return self._writer.roles(actor)

    def sign_decision(self, document: bytes, actor: str) -> bytes:
        """Return a person's signature of a decision document."""
        return self._writer.sign_decision(document, actor)

    def move_branch(self, move: BranchMove, task_id: str, paths: Sequence[str]) -> None:
        """Have the branch, and the checkouts of it, follow the last event when it is recorded."""
        self.followup = Followup(self.events[-1].commit, move, task_id, paths)

    def commit(self) -> None:
        """Record the events, and move the branch with them."""
        move = None if self.followup is None else self.followup.move
        self._writer.commit(move, self.proposals)


def without_secrets(new: NewEvent, contracts: Contracts) -> NewEvent:
    """Return the event without secrets in what somebody says in it.

    The plan is left as it is: it stands in the repository, and is compared with what is in force.
    So is a decision of policy, whose words stand in POLICY.yaml. So is what carries a decision
    document: its words were redacted before they were signed.
    """
    if isinstance(new.payload, RunInit | PolicyDecision) or document_of(new.payload) is not None:
        return new
    given = encode(new.payload)
    safe = storage.redact_words(given, contracts.storage)
    return new if safe == given else replace(new, payload=decode(type(new.payload), safe))


def _attachments(event: Event, subject: bytes | None) -> Attachments:
    """Return what travels beside an event: exactly what it names."""
    payload = event.payload
    files = payload.files if isinstance(payload, FileWrite) else ()
    images = {
        file.path: FileEntry(file.mode, file.after)
        for file in files
        if not isinstance(file, FileDelete)
    }
    return Attachments(images, kept_exchange(payload), kept_decision(payload), subject)


def _owed(engine: Engine) -> Iterator[Intention]:
    return owed(engine.log.events(newest_first=True))


def settle(engine: Engine) -> None:
    """Record what follows from what people said alone, where the orchestrator's key is.

    A run that finds nothing else to do would come to no transaction that begins with it. It is
    one of its own: a run that an issue halts is over, whatever comes next.
    """
    if engine.log.tip() is None:
        return
    if any(True for _ in _owed(engine)):
        _transact(engine, lambda _: None)
        run = engine.log.load()[0].run
        if run.state == RunState.HALTED:
            engine.say(
                f"{run.run_id} is halted: {run.reason}; once that is dealt with, run 'git esaa "
                "issue resolve ISSUE --reason TEXT', which closes the issue, then 'git esaa run'"
            )


def transact(engine: Engine, step: Callable[[Transaction], T], *, log_id: str | None = None) -> T:
    """Load the state, decide on it and record what was decided; decide again where it moved.

    `step` must take everything it needs of the log from its argument, since it may be called
    several times. A transaction that emits nothing records nothing. With `log_id`, the
    transaction starts a log. A worker's transaction is recorded in the shared log first.

    Raises:
        ConflictError: if the log keeps moving away, after a bounded number of tries; for a
            worker, for a bounded time.
        RemoteUnreachable: if the shared log cannot be reached for so long.
    """
    if log_id is None:
        settle(engine)
    return _transact(engine, step, log_id=log_id)


def _transact(engine: Engine, step: Callable[[Transaction], T], *, log_id: str | None = None) -> T:
    race = None if engine.sharing is None else engine.sharing.race()
    for attempt in count(1):
        try:
            with engine.turn():
                transaction = _begin(engine, log_id)
                _settle(engine, transaction, log_id)
                lost: ConflictError | RemoteUnreachable | None
                try:
                    result = step(transaction)
                except Overtaken as error:
                    lost = error
                else:
                    lost = _record(engine, transaction)
            if lost is None and transaction.followup is not None:
                _bring_checkouts(engine, transaction.followup)
        finally:
            engine.checkouts.unlock()
        if lost is None:
            engine.housekeeping(transaction.state.seq)
            return result
        if log_id is not None or (race is None and attempt == MAX_TRIES):
            raise lost
        done = recover(engine)  # what a process left that died while this one was deciding
        if done is not None:
            engine.say(done)
        if race is None:
            # Spread, so that those who lost together do not come back together.
            engine.clock.sleep(engine.clock.between(0.5, 1.0) * min(0.005 * attempt * attempt, 0.2))
        else:
            race.lost(lost)
            if not isinstance(lost, Overtaken) and _has_arrived(engine, transaction):
                return result
    raise AssertionError("unreachable: the last try returns or raises")


def _begin(engine: Engine, log_id: str | None) -> Transaction:
    state, contracts = (EMPTY, Contracts({})) if log_id is not None else engine.log.load()
    now = engine.clock.now()
    if log_id is None and is_ahead(state.ts, now):
        raise ConfigurationError(
            f"{event_id(state.seq)}, the last event of the log, is dated {state.ts}",
            cause=f"that is more than {MINUTES_AHEAD} minutes ahead of the clock of this machine, "
            f"which says {timestamp(now)}; what is appended would have that time too",
            hint="set this machine's clock if it is slow; else nothing is recorded before that "
            f"time: 'git esaa show {event_id(state.seq)}' names who recorded it",
        )
    writer = engine.log.begin(log_id=log_id)
    return Transaction(writer, state, contracts, now, engine.leases)


def _settle(engine: Engine, transaction: Transaction, log_id: str | None) -> None:
    """Begin with what follows from what people said alone, where the orchestrator's key is."""
    if log_id is None and not transaction.alone:
        for intention in _owed(engine):
            transaction.ask(intention)


def _has_arrived(engine: Engine, transaction: Transaction) -> bool:
    """Answer whether the shared log has the events after all.

    It may have taken them before the connection broke, or they moved no ref here because another
    in this repository was faster; either way they have come with what others recorded.
    """
    tip = engine.log.tip()
    return tip is not None and engine.branch.contains(tip.commit, transaction.events[-1].commit)


def _record(engine: Engine, transaction: Transaction) -> ConflictError | RemoteUnreachable | None:
    """Move the log, then the branch, and return the conflict where neither could be moved.

    The shared log goes first. From here to the end the journal covers what is left.
    """
    if transaction.followup is not None:
        try:
            engine.journal.write(transaction.followup)
        except ConflictError as error:
            return error
        engine.checkouts.lock(transaction.followup.move.branch)
    try:
        if transaction.events:
            _publish(engine, transaction)
            transaction.commit()
    except (ConflictError, RemoteUnreachable) as error:
        if transaction.followup is not None:
            engine.journal.clear()
        return error
    except RefusedError:
        if transaction.followup is not None:
            engine.journal.clear()
        raise
    except BaseException:
        # Whether the log has moved is for the next command to find out.
        engine.journal.pause()
        raise
    return None


def _publish(engine: Engine, transaction: Transaction) -> None:
    if engine.sharing is None:
        return
    branch = str(transaction.state.run.branch)
    followup = transaction.followup
    branch_tip = engine.branch.tip(branch) if followup is None else followup.move.new
    engine.sharing.publish(transaction.events[-1].commit, branch, branch_tip, transaction.proposals)


def _bring_checkouts(engine: Engine, followup: Followup) -> None:
    """Bring the checkouts after a branch that moved; what was recorded stands either way."""
    try:
        follow(engine, followup)
    except ConflictError as error:
        engine.journal.pause()
        engine.say(
            f"recorded, but a checkout of '{followup.move.branch}' is behind: {error.message}; "
            "the next command brings it up to date"
        )
    except BaseException:
        engine.journal.pause()
        raise
    else:
        engine.journal.clear()


def follow(engine: Engine, followup: Followup) -> list[InTheWay]:
    """Bring the checkouts after the branch; what holds a person's own work stays and is named."""
    move = followup.move
    left = engine.checkouts.follow(move.branch, move.old, move.new, followup.paths)
    for path in left:
        engine.say(f"left alone: '{path.path}' in {path.worktree} ({path.reason})")
    return left


# -- recovery: after a crash, the branch and its checkouts are brought after the log ---------------


def recover(engine: Engine) -> str | None:
    """Finish what a process that died left undone; return what was done, or None.

    Raises:
        ConflictError: if the effect no longer merges with what the branch has become.
    """
    said = None
    while (followup := engine.journal.read()) is not None:
        try:
            if _is_recorded(engine, followup):
                said = _complete(engine, followup)
        except BaseException:
            engine.journal.pause()
            raise
        # A merge has followed the log by itself, or has left what it could not finish on top.
        if engine.journal.read() == followup:
            engine.journal.clear()
    return said


def _is_recorded(engine: Engine, followup: Followup) -> bool:
    """Answer whether the log's ref moved: recovery precedes every append, so its tip tells."""
    tip = engine.log.tip()
    return tip is not None and engine.branch.contains(tip.commit, followup.log_commit)


def _complete(engine: Engine, followup: Followup) -> str:
    move = followup.move
    engine.checkouts.lock(move.branch)
    try:
        done = _bring(engine, followup)
    finally:
        engine.checkouts.unlock()
    return _merge(engine, followup) if done is None else done


def _bring(engine: Engine, followup: Followup) -> str | None:
    """Bring branch and checkouts to the effect; return None where it has to be merged."""
    move = followup.move
    tip = engine.branch.tip(move.branch)
    if tip is not None and engine.branch.contains(tip, move.new):
        follow(engine, followup)
        return f"recovered: the checkout of '{move.branch}' follows {move.new[:12]}"
    if tip == move.old:
        engine.branch.move(move, f"esaa: recovered the effect of {followup.task_id}")
        follow(engine, followup)
        what = f"the effect of {followup.task_id}" if followup.task_id else "what was fetched"
        return f"recovered: '{move.branch}' moved to {what}"
    if not followup.task_id:
        # It was no effect of ours that was to arrive, but the history of others.
        return f"'{move.branch}' has moved meanwhile: 'git esaa sync' brings it together"
    return None


def _merge(engine: Engine, followup: Followup) -> str:
    """Merge an effect into a branch on which a person has committed meanwhile."""
    move = followup.move

    def record(tx: Transaction) -> None:
        merge = engine.effects.commit_merge(move.branch, move.new, tx.now, tx.sign)
        tip = engine.branch.tip(move.branch)
        assert tip is not None
        how = "merged after an interruption: the branch had moved meanwhile"
        carrier = Carrier(merge, (followup.task_id,), "merged")
        tx.ask(Relink(task_id=followup.task_id, effect_commit=move.new, carrier=carrier, text=how))
        moved = BranchMove(move.branch, tip, merge)
        tx.move_branch(moved, followup.task_id, followup.paths)

    transact(engine, record)
    return f"recovered: the effect of {followup.task_id} was merged into '{move.branch}'"
