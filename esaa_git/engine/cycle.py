"""The cycle: select, dispatch, validate, accept or reject, until nothing is left to do.

One decider, here, and a pool of agents at work. The decider opens attempts as long as there is
room and something to do, and admits what comes back in the order in which it arrives. Only the
decider reads the log or writes to it, and it holds no lock while an agent or a check runs.

A worker is a decider among others, each on a machine of its own. It looks at what the others
recorded before it chooses, and where they hold everything it waits, until there is something to do
or the run is over.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from esaa_git.core.event import timestamp
from esaa_git.core.events.run_end import RunResult
from esaa_git.core.machine import RunState
from esaa_git.core.state import State
from esaa_git.engine import only, run
from esaa_git.engine.attempts import expire, expire_approvals, unanswered
from esaa_git.engine.atwork import AtWork
from esaa_git.engine.backoff import Backoff
from esaa_git.engine.basecheck import BaseChecks
from esaa_git.engine.breaker import Breaker
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission
from esaa_git.engine.halting import HaltWatch
from esaa_git.engine.idle import Idleness
from esaa_git.engine.lease import Lease
from esaa_git.engine.leftbehind import LeftBehind
from esaa_git.engine.options import Observer, Options, Report, Stop, Unobserved
from esaa_git.engine.pool import POLL_SECONDS, Cancelled, JobResult
from esaa_git.engine.proof import MAX_PROOFS, Proof, Unproven, moved_too_often, prove
from esaa_git.engine.proposer import Dispatched, agent_for, dispatch
from esaa_git.engine.reserve import BudgetReached, Held
from esaa_git.engine.review import awaiting_reviewer, dispatch_review
from esaa_git.engine.schedule import Selection, outcome
from esaa_git.engine.transaction import settle, transact
from esaa_git.engine.undo import OpenUndos
from esaa_git.engine.work import Found, Work, is_ready_to_close
from esaa_git.errors import ConflictError, EsaaError, RefusedError, RunHalted
from esaa_git.ports.agent import Answer, Request

MAX_CONFLICTS = 8
"""How often an answer is taken up again after all tries to record it were lost against others."""

_OVERTAKEN = (RefusedError, ConflictError, RunHalted)
"""What an attempt that others were faster to open, or whose run they have ended, fails with."""


def cycle(
    engine: Engine,
    options: Options | None = None,
    *,
    observer: Observer | None = None,
    stop: Stop | None = None,
) -> Report:
    """Work until the run ends, nothing can be done, or it is stopped.

    However it is left, no agent of ours is at work any more, and every attempt that was called off
    is on record as given back.

    Raises:
        RunHalted: if nothing can be done now and the run cannot end: the message says why.
        RefusedError, RunHalted: as `only` has it where one task is asked for.
    """
    options = options or Options()
    only.require_undone(engine, options.task_id)
    decider = _Decider(engine, options, observer or Unobserved(), stop or Stop())
    try:
        return decider.work()
    except BaseException as error:
        decider.call_off("interrupted" if not isinstance(error, EsaaError) else str(error))
        raise


class _Decider:
    def __init__(self, engine: Engine, options: Options, observer: Observer, stop: Stop) -> None:
        self._engine = engine
        self._options = options
        self._observer = observer
        self._stop = stop
        self._report = Report()
        self._at_work = AtWork(engine)
        self._pool = self._at_work.pool
        self._made = 0
        self._told = False
        self._trouble: EsaaError | None = None
        self._stuck: set[str] = set()
        self._awaited: dict[str, int] = {}  # proposals that have not arrived, and up to which event
        self._backoff = Backoff(engine, self._pool, options, stop)
        self._selection = Selection(
            overlap=options.overlap,
            shared=engine.sharing is not None,
            order=options.order,
            rests=lambda *task: self._backoff.rests_for(*task) is not None,
            held=lambda task: self._short.of(task.task_id) is not None,
        )
        self._short = Held(engine)
        self._breaker = Breaker()
        self._idleness = Idleness(engine, options, self._selection)
        self._left_behind = LeftBehind(engine, options.task_id)
        self._ending: int | None = None
        self._on_base = BaseChecks(
            engine,
            lambda task, contracts: agent_for(task, contracts, options.agent, self._backoff.rests),
            options.base_may_fail,
            lambda: self._stop.finishing,
        )
        self._halt = HaltWatch(engine)
        self._undos = OpenUndos(engine)
        stop.wake = self._pool.wake

    def work(self) -> Report:
        while True:
            if self._engine.sharing is not None:
                self._engine.sharing.keep_up(idle=self._has_room())
            self._halt.look()
            self._settle()
            state, contracts = self._engine.log.load()
            self._obey()
            if not state.run.is_open:
                self.call_off(f"{state.run.run_id} is over: {state.run.state}")
                report = self._report
                report.result, report.reason = RunState(state.run.state), state.run.reason
                return report
            if self._has_room() and self._dispatch_next(state):
                continue
            held_back = self._at_work.next_held_back()
            if held_back is not None:
                self._take(held_back)
                continue
            if self._pool:
                if self._trouble is None and not self._stop.finishing:
                    self._idleness.tell(state, contracts, len(self._at_work))
                self._take(self._pool.next(POLL_SECONDS))
                continue
            if self._trouble is not None:
                raise self._trouble
            if self._stop.finishing:
                self._report.stopped = True
                return self._report
            if only.is_enough(self._engine, self._options, state, contracts, self._made):
                return self._report
            rest = self._backoff.in_force(state, contracts)
            short = self._short.first()
            ending = outcome(state, contracts) if rest is None and short is None else None
            if ending is None and self._backoff.waits(state):
                self._short.ask_ahead()
            elif ending is None:
                try:
                    self._backoff.cool_down(state, contracts, rest, short)
                except BudgetReached as error:
                    asked = self._short.ask(error)
                    if not self._backoff.awaits(asked):
                        raise asked from None
            elif self._finish(state, *ending):
                return self._report

    def _finish(self, state: State, result: RunResult, reason: str) -> bool:
        """End the run, and answer whether that was for us to do."""
        sharing = self._engine.sharing
        if sharing is not None and self._ending != state.seq:
            # All workers see it at about the same time. One that is about to end the run is let.
            self._ending = state.seq
            self._backoff.rest()
            return False
        try:
            self._report.audit = run.finish(self._engine, result, reason)
        except RunHalted:
            if self._engine.log.load()[0].run.is_open:
                raise
            return False
        self._report.result, self._report.reason = result, reason
        return True

    def _obey(self) -> None:
        """Do what a person asked for meanwhile, and say so once."""
        if self._stop.cancelling:
            if self._pool:
                self._engine.say("calling off what is under way")
            self.call_off("interrupted")
        elif self._stop.finishing and self._pool and not self._told:
            self._engine.say("finishing what is under way; Ctrl-C again calls it off")
            self._told = True

    # -- who works ------------------------------------------------------------------------------

    def _has_room(self) -> bool:
        return (
            self._trouble is None
            and not self._stop.finishing
            and len(self._at_work) < self._options.parallel
        )

    def _dispatch_next(self, state: State) -> bool:
        """Open the next attempt and set its agent to work; answer whether there was one."""
        if self._options.task_id is not None and self._pool:
            return False
        try:
            opened = self._open_next(state)
        except Cancelled:
            return True
        except BudgetReached as error:
            self._short.hold(error.wanted)
            return True
        except EsaaError as error:
            # Another process may have been faster; then there is something else to choose from.
            moved = self._engine.log.load()[0].seq != state.seq
            is_late = isinstance(error, _OVERTAKEN) and moved
            # Others may be at work, and their answers are worth waiting for.
            self._trouble = None if is_late else error
            return True
        if opened is None:
            return False
        if isinstance(opened, Admission):
            self._report.admissions.append(opened)
            self._observer.admitted(opened)
            return True
        self._backoff.is_over()
        self._at_work.begin(Work(opened.task_id, opened.attempt_id, opened))
        request = self._timed(opened.request)
        self._pool.start(opened.attempt_id, partial(opened.adapter.answer, request))
        self._observer.dispatched(opened)
        return True

    def _timed(self, request: Request) -> Request:
        """Return a request with the deadline by our own clock, where the log's may be another."""
        engine = self._engine
        if engine.sharing is None:
            return request
        _, contracts = engine.log.load()
        lease = Lease.begin(request.attempt_id, timestamp(engine.clock.now()), contracts)
        return replace(request, deadline=lease.deadline)

    def _open_next(self, state: State) -> Dispatched | Admission | None:
        """Record who is asked next: a reviewer where one is owed, else who makes an attempt.

        An attempt that policy denies before its agent is asked is over, and its admission is given.
        """
        engine = self._engine
        _, contracts = engine.log.load()
        resumed = self._left_behind.resume(state)
        if resumed is not None:
            return resumed
        rests, named = self._backoff.rests, self._options.task_id
        for owed in awaiting_reviewer(engine, state, contracts):
            if named not in (None, owed[0].task_id) or rests.of(owed[2]) is not None:
                continue
            if self._short.of(owed[1].approval_id) is None:
                return dispatch_review(engine, *owed)
        if self._options.steps is not None and self._made >= self._options.steps:
            return None
        now = engine.moment(state)
        task = self._selection.next(state, contracts, now, named, self._breaker.suspects)
        if task is None or (self._pool and not self._on_base.has_seen(task, contracts)):
            return None  # a look at checks takes long, and answers would wait for us meanwhile
        if engine.sharing is not None:
            engine.sharing.give_way()
        # Before it is open: whatever kills us from here on, the next process finds it.
        name = f"{task.task_id}-A{task.attempts_total + 1}"
        engine.registry.enter(name)
        try:
            opened = dispatch(engine, task, self._options.agent, rests, self._on_base)
        except BaseException:
            engine.registry.leave(name)
            raise
        if isinstance(opened, Admission):
            engine.registry.leave(name)
        self._made += 1
        return opened

    def call_off(self, reason: str) -> None:
        """End everything that is at work, and give the tasks back."""
        self._at_work.call_off(reason, self._came_in_time)

    def _came_in_time(self, work: Work, value: Found) -> bool:
        """Admit what ended by itself after all, so that nothing is lost that was paid for."""
        try:
            return self._admit(work, work.take(self._engine, value)) is None
        except EsaaError:
            return False

    # -- what comes back ------------------------------------------------------------------------

    def _take(self, ended: JobResult[Found] | None) -> None:
        if ended is None:
            return
        work = self._at_work.of(ended.key)
        if self._at_work.holds_back(ended):
            return
        if ended.error is not None:
            self._at_work.end(ended.key)
            work.release(self._engine, str(ended.error) or "interrupted")
            if not isinstance(ended.error, EsaaError | Cancelled):
                raise ended.error
            if isinstance(ended.error, EsaaError):
                self._trouble = self._trouble or ended.error
            return
        if self._stands_down(work, ended.value):
            return
        try:
            unproven = self._admit(work, work.take(self._engine, ended.value))
        except ConflictError as error:
            self._put_back(work, ended, error)
            return
        if unproven is None:
            self._at_work.end(ended.key)
            return
        work.proofs += 1
        if work.proofs > MAX_PROOFS:
            self._at_work.end(ended.key)
            work.release(self._engine, "the branch kept moving")
            self._trouble = self._trouble or moved_too_often()
            return
        self._check(ended.key, unproven)

    def _stands_down(self, work: Work, value: Found) -> bool:
        """Answer whether an agent's service was away, or its set-up: nothing is spent on that."""
        if not isinstance(value, Answer) or work.dispatched is None:
            return False
        agent, rests = work.dispatched.adapter.name, self._backoff.rests
        away = work.away(self._engine, value)
        if away is None:
            rests.end(agent)
            if not self._breaker.spares(agent, value):
                return False
            self._at_work.end(work.attempt_id)
            work.release(self._engine, "the run stopped at failures like this")
            return True
        self._at_work.end(work.attempt_id)
        rest = rests.begin(agent, away, work.began)
        self._made -= work.approval_id is None
        self._observer.admitted(work.stand_down(self._engine, rest, value))
        return True

    def _put_back(self, work: Work, ended: JobResult[Found], error: ConflictError) -> None:
        """Take up again later what others were faster than: it was paid for."""
        work.conflicts += 1
        if work.conflicts <= MAX_CONFLICTS:
            self._pool.start(ended.key, lambda _: ended.value)
            return
        self._at_work.end(ended.key)
        if work.output is not None:
            self._at_work.give_back(work, str(error))
        self._stuck.add(work.attempt_id)
        self._trouble = self._trouble or error

    def _admit(self, work: Work, proof: Proof | None) -> Unproven | None:
        """Admit an answer, or close a task whose result is recorded; return what it still needs."""
        try:
            came = work.admit(self._engine, proof)
        except (RefusedError, RunHalted):
            if not self._is_overtaken(work):
                raise
            return None
        if isinstance(came, Unproven):
            return came
        if work.output is None and self._is_awaited(work, came):
            return None
        self._report.admissions.append(came)
        self._observer.admitted(came)
        if work.dispatched is not None:
            fault = self._breaker.heard(work.dispatched.adapter.name, came)
            self._trouble = self._trouble or fault
        if work.output is None and came.in_the_way:
            self._stuck.add(work.attempt_id)
            self._trouble = self._trouble or RunHalted(came.message)
        return None

    def _is_awaited(self, work: Work, came: Admission) -> bool:
        """Answer whether a proposal has not arrived, and say so once; others are not kept by it."""
        state, _ = self._engine.log.load()
        if came.kind != "waiting" or came.in_the_way:
            return False
        if not is_ready_to_close(state, state.tasks[work.task_id]):
            return False
        if work.attempt_id not in self._awaited:
            self._engine.say(came.message)
        self._awaited[work.attempt_id] = state.seq
        return True

    def _is_overtaken(self, work: Work) -> bool:
        """Answer whether others have ended the run, or done what we were about to do."""
        state, _ = self._engine.log.load()
        if not state.run.is_open:
            return True
        return work.output is None and not is_ready_to_close(state, state.tasks[work.task_id])

    def _check(self, key: str, unproven: Unproven) -> None:
        self._observer.checking(key, tuple(check.name for check in unproven.checks))
        engine = self._engine
        self._pool.start(key, lambda pause: prove(engine, unproven, pause))

    # -- what is left from before ---------------------------------------------------------------

    def _settle(self) -> None:
        """Close attempts whose lease ran out, and finish tasks whose effect waits in the log."""
        engine = self._engine
        settle(engine)
        self._undos.go_on()
        state, contracts = engine.log.load()
        if not state.run.is_open:
            return
        now = timestamp(engine.clock.now())
        held = [state.tasks[task_id] for task_id in state.run.in_progress]
        late = [task.task_id for task in held if self._at_work.is_late(task, contracts, now)]
        if late:
            transact(engine, lambda tx: expire(tx, late))
        if unanswered(state, now):
            transact(engine, expire_approvals)
        for task in held:
            attempt = task.attempt
            if (
                attempt is None
                or attempt.attempt_id in self._at_work
                or attempt.attempt_id in self._stuck
            ):
                continue
            if self._awaited.get(attempt.attempt_id) == state.seq:
                continue
            if is_ready_to_close(state, task):
                work = Work(task.task_id, attempt.attempt_id)
                try:
                    unproven = self._admit(work, None)
                except ConflictError as error:
                    self._at_work.begin(work)
                    self._put_back(work, JobResult(attempt.attempt_id), error)
                    continue
                if unproven is not None:
                    self._at_work.begin(work)
                    self._check(attempt.attempt_id, unproven)
