"""Backoff: what to wait for while others hold what is left, and for how long.

Others are agents of another process, people who hold a claim or owe a review, and cooldowns. A
worker waits for them all; where one machine works alone, people are told instead. A service that is
away is waited for by either.
"""

from __future__ import annotations

from datetime import datetime

from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import PENDING
from esaa_git.core.event import instant, timestamp
from esaa_git.core.machine import TaskState
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.engine import Engine
from esaa_git.engine.options import Options, Stop
from esaa_git.engine.pool import POLL_SECONDS, WorkerPool
from esaa_git.engine.proposer import agents_for
from esaa_git.engine.reserve import BudgetAsked, BudgetReached
from esaa_git.engine.rests import Rest, Rests, first_to_end, too_long
from esaa_git.engine.review import awaiting_reviewer
from esaa_git.engine.schedule import asking, blocker, eligible, is_dispatched, is_spent
from esaa_git.engine.work import Found
from esaa_git.errors import DecisionsMissing, RunHalted


class Backoff:
    """How one run waits: it says once what for, and wakes up for its own jobs."""

    def __init__(
        self, engine: Engine, pool: WorkerPool[Found], options: Options, stop: Stop
    ) -> None:
        self.rests = Rests(engine.clock)
        self._engine = engine
        self._pool = pool
        self._options = options
        self._stop = stop
        self._told = False
        self._told_of: Rest | None = None
        self._since: datetime | None = None

    def rests_for(self, task: Task, contracts: Contracts) -> Rest | None:
        """Return what keeps all who could work on a task; None where one of them may be asked."""
        return self.rests.of_all(agents_for(task, contracts, self._options.agent))

    def in_force(self, state: State, contracts: Contracts) -> Rest | None:
        """Return the rest that ends first of those that something which could be done waits for."""
        engine, only = self._engine, self._options.task_id
        waiting = [
            self.rests_for(task, contracts)
            for task in eligible(state, contracts, engine.moment(state))
            if only in (None, task.task_id)
        ]
        owed = awaiting_reviewer(engine, state, contracts)
        waiting += [self.rests.of(name) for task, _, name in owed if only in (None, task.task_id)]
        return first_to_end(rest for rest in waiting if rest is not None)

    def is_over(self) -> None:
        """There is something to do again, so that the next wait is told again."""
        self._told = False

    def waits(self, state: State) -> bool:
        """Wait for a while where others hold what is left.

        Here that is another process whose agents are at work, or one that was killed: its leases
        run out. A worker waits for people and cooldowns too.
        """
        engine = self._engine
        now = engine.moment(state)
        held = [state.tasks[task_id] for task_id in state.run.in_progress]
        if engine.sharing is None:
            held = [task for task in held if is_dispatched(task)]
        if not held and (engine.sharing is None or not _cooling(state, now)):
            return False
        if held and not self._told:
            self._told = True
            engine.say(f"waiting: {'; '.join(_waits_for(task) for task in held[:5])}")
        self.rest()
        return True

    def rest(self) -> None:
        """Do nothing until the log is to be looked at again, or until we are woken."""
        if self._engine.sharing is None:
            self._engine.clock.sleep(POLL_SECONDS)
            return
        self._pool.next(self._engine.sharing.rest())
        self._engine.sharing.keep_up(idle=True)

    def cool_down(
        self,
        state: State,
        contracts: Contracts,
        rest: Rest | None,
        short: BudgetReached | None = None,
    ) -> None:
        """Sleep until a cooldown or a rest ends, or until we are stopped.

        Args:
            short: why a task that could be worked on does not fit into a budget.

        Raises:
            BudgetReached: that one, if there is nothing to wait for.
            ServiceUnavailable: if a service is away for longer than the run waits.
            RunHalted: if there is none to wait for, naming who or what else is waited for.
        """
        engine = self._engine
        now = timestamp(engine.clock.now())
        moment = min(_cooling(state, now), default=None)
        if rest is not None and (moment is None or _ends_before(rest, moment)):
            self._sit_out(rest)
            return
        if moment is None and short is None and self._awaits_decisions(state):
            return
        if moment is None:
            raise short or _nothing_to_do(state, contracts)
        seconds = (instant(moment) - instant(now)).total_seconds()
        if seconds > self._options.wait:
            raise RunHalted(
                f"the next attempt may start at {moment}", hint="run 'git esaa run' then"
            )
        engine.say(f"cooling down until {moment}")
        self._sleep_until(instant(moment))

    def _awaits_decisions(self, state: State) -> bool:
        """Wait for a while where people's decisions are all that is missing, if that is wanted."""
        if not _only_decisions(state):
            self._since = None
            return False
        held = [state.tasks[task_id] for task_id in (*state.run.in_progress, *asking(state))]
        return self._await("; ".join(_waits_for(task) for task in held[:5]))

    def awaits(self, short: BudgetReached) -> bool:
        """Wait for a while for more of a budget, if a person is asked and that is wanted."""
        return isinstance(short, BudgetAsked) and self._await(f"{short.message}; {short.hint}")

    def _await(self, what: str) -> bool:
        """Wait for a while for people's decisions, as long as that is wanted."""
        clock = self._engine.clock
        if self._since is None:
            self._since = clock.now()
        if (clock.now() - self._since).total_seconds() >= self._options.decisions:
            return False
        if not self._told:
            self._told = True
            self._engine.say(f"waiting: {what}")
        self.rest()
        return True

    def _sit_out(self, rest: Rest) -> None:
        """Wait for the end of a rest, if all the waiting for this service is affordable."""
        if rest.until is None or (rest.until - rest.since).total_seconds() > self._options.wait:
            raise too_long(rest)
        if rest is not self._told_of:
            self._told_of = rest
            hint = f"; {rest.hint}" if rest.hint else ""
            why = f"{rest.reason}{hint}"
            self._engine.say(f"waiting{rest.words} for the service of {rest.agent}: {why}")
        if self._engine.sharing is None:
            self._sleep_until(rest.until)
        else:
            self.rest()

    def _sleep_until(self, moment: datetime) -> None:
        clock = self._engine.clock
        while (seconds := (moment - clock.now()).total_seconds()) > 0 and not self._stop.finishing:
            clock.sleep(min(seconds, POLL_SECONDS))


def _nothing_to_do(state: State, contracts: Contracts) -> RunHalted:
    held = [state.tasks[task_id] for task_id in (*state.run.in_progress, *asking(state))]
    if held:
        waits = "; ".join(_waits_for(task) for task in held[:5])
        if _only_decisions(state):
            return DecisionsMissing(
                f"nothing else can be done now: {waits}",
                hint="'git esaa review' lists what waits; 'git esaa run' goes on once it is "
                "decided, and 'git esaa run --wait' waits for it",
            )
        return RunHalted(f"nothing else can be done now: {waits}")
    # A limit was lowered after these were used; only a person takes them up again.
    for task in state.tasks.values():
        if task.state == TaskState.TODO and is_spent(task, contracts):
            return RunHalted(
                f"nothing can be done: the attempts of '{task.task_id}' are spent",
                hint=f"run 'git esaa task unblock {task.task_id} --attempts N --reason TEXT'",
            )
    if not state.run.blocked:
        # What waits for a task that was undone, or is an undo that the branch does not take.
        todo = (task for task in state.tasks.values() if task.state == TaskState.TODO)
        found = (blocker(state, contracts, task, state.ts) for task in todo)
        first = next((one for one in found if one is not None), None)
        if first is not None:
            return RunHalted(f"nothing can be done: {first.message}", hint=first.hint)
    return RunHalted(
        f"nothing can be done: {len(state.run.blocked)} tasks are blocked",
        hint="run 'git esaa status' for the reasons, then 'git esaa task unblock TASK --reason "
        "TEXT'",
    )


def _only_decisions(state: State) -> bool:
    """Answer whether all that is held waits for people to decide."""
    asked = [state.tasks[name].pending_approval for name in state.run.in_progress]
    return bool(asked or asking(state)) and all(
        name is not None and state.approvals[name].state == PENDING for name in asked
    )


def _ends_before(rest: Rest, moment: str) -> bool:
    return rest.until is not None and rest.until <= instant(moment)


def _cooling(state: State, now: str) -> list[str]:
    """Return the moments at which tasks may be tried again."""
    return [
        task.not_before
        for task in state.tasks.values()
        if task.state == TaskState.TODO and task.not_before is not None and task.not_before > now
    ]


def _waits_for(task: Task) -> str:
    if task.pending_approval is not None:
        return f"'{task.task_id}' waits for 'git esaa review {task.task_id}'"
    if task.asks:
        return f"'{task.task_id}' waits for 'git esaa answer {task.task_id} TEXT'"
    holder = task.attempt.agent if task.attempt else "somebody"
    until = f" until {task.active_attempt.deadline}" if task.active_attempt else ""
    return f"'{task.task_id}' is held by {holder}{until}"
