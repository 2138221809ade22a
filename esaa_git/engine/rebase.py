"""Deciding again: what was recorded here while others recorded elsewhere, on the state they left.

Two orchestrators that appended after the same event cannot both be right: the log is one line.
The one that comes second takes back its tail and decides it again, event by event, as if it came
now: intentions (a result with its after-images, a claim, a note, a task of the plan) pass the
same rules as the first time, under new ids and on the new branch; what the orchestrator itself
concluded from them is concluded anew. Every event of the tail has an outcome, and the caller keeps
the tail itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import assert_never

from esaa_git.core import events
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import StoredEvent, event_id
from esaa_git.core.events.base import replace
from esaa_git.core.events.decided import document_of
from esaa_git.core.events.operator_request import OperatorRequest
from esaa_git.core.events.spec import ORCHESTRATOR, is_person
from esaa_git.core.machine import Cause, RunState
from esaa_git.core.policy.evaluate import Hit
from esaa_git.core.policy_rules import judge
from esaa_git.core.rejection import RejectCode
from esaa_git.core.requests import carries_out
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.attempts import expire, open_attempt
from esaa_git.engine.calls import CallResult
from esaa_git.engine.effect import apply_effect, write_undo
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import (
    AskQuestion,
    FollowQuestion,
    Intention,
    Reject,
    Repeat,
    Repeatable,
    ReportIssue,
    StopRun,
)
from esaa_git.engine.rebase_costs import CostReplay
from esaa_git.engine.rebase_plan import PlanReplay
from esaa_git.engine.rebase_requests import RequestReplay
from esaa_git.engine.rebase_results import ResultReplay, known_base
from esaa_git.engine.rebase_reviews import ReviewReplay, admitted
from esaa_git.engine.schedule import find_task, require_run
from esaa_git.engine.tail import AGAIN, ALREADY, CONCLUDED, LEFT_OUT, Ids, LeftOut, Outcome
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import ConfigurationError, RefusedError, RunHalted, UsageError

_CAUSES = (
    events.OutputRejected
    | events.AttemptTimeout
    | events.ApprovalDeny
    | events.ApprovalExpire
    | events.ReviewResult
    | events.IssueReport
    | events.QuestionAsk
    | events.QuestionAnswer
)
_CONCLUSIONS = frozenset(
    {
        Cause.REJECTED,
        Cause.TIMED_OUT,
        Cause.ATTEMPTS_SPENT,
        Cause.CHANGES_REQUESTED,
        Cause.DENIED,
        Cause.UNANSWERED,
        Cause.QUESTION,
        Cause.ANSWERED,
        Cause.ISSUE,
        Cause.DEPENDENCY,
    }
)


def decide_again(
    engine: Engine,
    tail: Sequence[StoredEvent],
    *,
    contracts_of: Callable[[str], Contracts],
    before_effect: Callable[[str], None] = lambda _: None,
) -> list[Outcome]:
    """Decide a tail of another log on the engine's, and return what became of each event.

    Args:
        tail: the events, oldest first; the engine's log ends where the two parted, or later.
        contracts_of: the contracts that an event commit of the tail carries.
        before_effect: called with the id of an effect commit before it is made anew.

    Raises:
        KeyUnavailable: if there is no key to sign with.
    """
    return _Replay(engine, tail, contracts_of, before_effect).run()


class _Replay:
    """One tail; ids that were given out in it are translated to those given out now."""

    def __init__(
        self,
        engine: Engine,
        tail: Sequence[StoredEvent],
        contracts_of: Callable[[str], Contracts],
        before_effect: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._tail = tail
        self._contracts_of = contracts_of
        self._before_effect = before_effect
        self._outcomes: list[Outcome] = []
        self._ids = Ids()
        self._plan = PlanReplay(engine, self._ids)
        self._requests = RequestReplay(engine, tail[0].event.seq if tail else 0, self._ids)
        self._reviews = ReviewReplay(engine, tail, self._ids, before_effect)
        self._results = ResultReplay(engine, self._ids, before_effect)
        self._costs = CostReplay(engine, tail)

    def run(self) -> list[Outcome]:
        for index, stored in enumerate(self._tail):
            before = self._seq()
            try:
                kind, reason = self._decide(index, stored)
            except LeftOut as error:
                kind, reason = LEFT_OUT, str(error)
            except (RefusedError, RunHalted, UsageError, ConfigurationError) as error:
                kind, reason = LEFT_OUT, ": ".join(filter(None, (error.message, error.cause)))
            if kind == LEFT_OUT and self._costs.is_owed(stored):
                reason += f"; {self._costs.settle(stored)}"
            became = tuple(event_id(seq) for seq in range(before + 1, self._seq() + 1))
            self._outcomes.append(Outcome(stored, kind, reason, became))
        return self._outcomes

    def _seq(self) -> int:
        return 0 if (tip := self._engine.log.tip()) is None else tip.seq

    def _state(self) -> State:
        return self._engine.log.load()[0]

    def _decide(self, index: int, stored: StoredEvent) -> tuple[str, str]:
        actor, payload = stored.event.actor, stored.event.payload
        if stored.event.causation_id is not None and carries_out(payload):
            return self._requests.carried_out(stored.event.causation_id)
        if not isinstance(payload, events.TaskCreate) and self._ids.is_stranger(
            stored.event.task_id
        ):
            raise LeftOut(f"'{stored.event.task_id}' is another task there")
        carried = document_of(payload)
        taken = None if carried is None else self._state().decisions.get(carried[0].sha256)
        if taken is not None:
            if isinstance(payload, OperatorRequest):
                self._ids.put_request(stored.event.event_id, taken.event_id)
            return ALREADY, f"{taken.event_id} there has taken this very decision"
        match payload:
            case events.RunInit():
                return self._plan.begin(actor, payload, self._contracts_of(stored.commit))
            case events.TaskCreate():
                return self._plan.add(payload)
            case events.AttemptCreate():
                return self._attempt_create(index, payload)
            case events.AgentResult():
                later = tuple(self._later(index, payload.attempt_id))
                return self._results.result(actor, payload, later)
            case events.TaskUpdate():
                return self._task_update(index, payload)
            case events.OutputRejected():
                return self._output_rejected(index, payload)
            case events.IssueReport():
                return self._issue_report(actor, payload)
            case events.QuestionAsk():
                return self._question(actor, payload)
            case events.QuestionAnswer():
                return self._answer(actor, payload)
            case events.ApprovalRequest():
                return self._reviews.request(payload)
            case events.ApprovalGrant():
                return self._reviews.grant(actor, payload)
            case events.ApprovalDeny():
                return self._reviews.deny(actor, payload)
            case events.ApprovalExpire():
                return self._reviews.expire(payload)
            case events.ReviewResult():
                return self._reviews.result(payload)
            case events.AttemptTimeout():
                return self._attempt_timeout(payload)
            case events.RunEnd():
                return self._run_end(index, payload)
            case events.VerifyStart() | events.VerifyOk() | events.VerifyFail():
                raise LeftOut("it speaks of a log that ended otherwise; the next run verifies")
            case events.FileWrite():
                return self._results.write(payload)
            case events.EffectRelinked():
                raise LeftOut("it links an effect to a branch that is no longer")
            case events.Dispatch() if payload.review is not None:
                return self._reviews.dispatch(actor, payload, payload.review)
            case events.PolicyDecision():
                return CONCLUDED, ""  # made anew with the result, by the policy in force here
            case events.Dispatch() | events.AgentHeartbeat():
                attempt_id = self._ids.attempt(payload.attempt_id)
                return self._repeat(actor, replace(payload, attempt_id=attempt_id))
            case events.IssueResolved():
                issue_id = self._ids.issue(payload.issue_id)
                return self._repeat(actor, replace(payload, issue_id=issue_id))
            case events.LessonRecord():
                if payload.attempt_id is not None:
                    attempt_id = self._ids.attempt(payload.attempt_id)
                    payload = replace(payload, attempt_id=attempt_id)
                return self._lesson_record(actor, payload)
            case events.LessonWithdraw():
                lesson_id = self._ids.lesson(payload.lesson_id)
                return self._repeat(actor, replace(payload, lesson_id=lesson_id))
            case OperatorRequest():
                return self._requests.ask(actor, stored.event.event_id, payload)
            case events.RunHalt() | events.RunResume():
                return self._repeat(actor, payload)
            case events.RunNote():
                run_id = self._ids.run(payload.run_id)
                return self._repeat(actor, replace(payload, run_id=run_id))
            case events.EventNote():
                if int(payload.event_id.removeprefix("EV-")) >= self._tail[0].event.seq:
                    raise LeftOut(f"it is on {payload.event_id}, which is another event there")
                return self._repeat(actor, payload)
            case events.ReviewReturned():
                approval_id = self._ids.approval(payload.approval_id, self._state())
                return self._repeat(actor, replace(payload, approval_id=approval_id))
            case events.Settle():
                return self._costs.again(payload)
            case events.BudgetCorrect():
                return self._costs.correct(actor, payload, self._outcomes)
            case events.TaskNote() | events.EmergencyOverride() | events.Health():
                return self._repeat(actor, payload)
            case _:
                assert_never(payload)

    def _repeat(self, actor: str, payload: Repeatable) -> tuple[str, str]:
        """Record what needs nothing but new ids."""
        return self._record(Repeat(actor=actor, payload=payload))

    def _record(self, intention: Intention) -> tuple[str, str]:
        transact(self._engine, lambda tx: tx.ask(intention))
        return AGAIN, ""

    # -- attempts ---------------------------------------------------------------------------------

    def _attempt_create(self, index: int, payload: events.AttemptCreate) -> tuple[str, str]:
        old = payload.attempt_id
        self._ids.end_attempt(old, f"its attempt '{old}' was left out")
        if any(isinstance(later, events.AttemptTimeout) for later in self._later(index, old)):
            raise LeftOut(f"the lease of '{old}' ran out without an answer")

        def step(tx: Transaction) -> str:
            if payload.mode == "undo":  # with its effect, as that branch needs it
                return write_undo(self._engine, tx, payload.task_id)
            base = known_base(self._engine, tx, payload.base)
            return open_attempt(tx, payload.task_id, payload.agent, mode=payload.mode, base=base)

        self._ids.put_attempt(old, new := transact(self._engine, step))
        return AGAIN, "" if new == old else f"as '{new}'"

    def _attempt_timeout(self, payload: events.AttemptTimeout) -> tuple[str, str]:
        self._ids.attempt(payload.attempt_id)
        task = find_task(self._state(), payload.task_id)
        if not transact(self._engine, lambda tx: expire(tx, [task.task_id])):
            raise LeftOut("the attempt is not active there, or has more time")
        return AGAIN, ""

    def _output_rejected(self, index: int, payload: events.OutputRejected) -> tuple[str, str]:
        following = self._tail[index + 1].event.payload if index + 1 < len(self._tail) else None
        concluded = (
            isinstance(following, events.TaskUpdate) and following.attempt_id == payload.attempt_id
        )
        denied: tuple[Hit, ...] = ()
        if payload.code == RejectCode.POLICY_DENIED and payload.facts is not None:
            denied = judge(self._engine.log.load()[1], payload.facts).denied
            if not denied:
                raise LeftOut("the policy in force there does not deny it")
        return self._record(
            Reject(
                task_id=payload.task_id,
                attempt_id=self._ids.attempt(payload.attempt_id),
                code=payload.code,
                filter=payload.filter,
                exchange=payload.exchange,
                output=payload.output,
                call=CallResult.of(payload),
                results=payload.check_results or (),
                facts=payload.facts,
                denied=denied,
                closing=concluded,
            )
        )

    # -- tasks ------------------------------------------------------------------------------------

    def _task_update(self, index: int, payload: events.TaskUpdate) -> tuple[str, str]:
        refused = index > 0 and isinstance(
            self._tail[index - 1].event.payload, events.OutputRejected
        )
        if payload.cause in _CONCLUSIONS or (payload.cause == Cause.RELEASED and refused):
            return self._concluded(index)
        task = find_task(self._state(), payload.task_id)
        if payload.cause in (Cause.ACCEPTED, Cause.APPROVED):
            return self._closed(payload, task)
        if payload.cause in (Cause.RELEASED, Cause.UNAVAILABLE):
            attempt = task.active_attempt
            old = str(payload.attempt_id)
            if attempt is None or attempt.attempt_id != self._ids.attempt(old):
                raise LeftOut(f"'{old}' is over there")
        return self._repeat(ORCHESTRATOR, payload)

    def _closed(self, payload: events.TaskUpdate, task: Task) -> tuple[str, str]:
        attempt_id = self._ids.attempt(str(payload.attempt_id))
        if task.is_done and task.result is not None and task.result.attempt_id == attempt_id:
            return CONCLUDED, ""
        if task.is_done or task.result is None or task.result.attempt_id != attempt_id:
            raise LeftOut(f"'{task.task_id}' is {task.state} there, and not by '{attempt_id}'")
        if payload.effect_commit is not None:
            self._before_effect(payload.effect_commit)
        return admitted(apply_effect(self._engine, task.task_id))

    def _concluded(self, index: int) -> tuple[str, str]:
        """Return what became of the event from which the orchestrator concluded this one."""
        for before in range(index - 1, -1, -1):
            if isinstance(self._tail[before].event.payload, _CAUSES):
                if self._outcomes[before].is_lost:
                    raise LeftOut(f"{self._tail[before].event.event_id} was left out")
                return CONCLUDED, ""
        raise LeftOut("what it was concluded from is not known")

    # -- issues and reviews -----------------------------------------------------------------------

    def _issue_report(self, actor: str, payload: events.IssueReport) -> tuple[str, str]:
        old = payload.attempt_id
        # What was found stays true where the attempt it was found in is not repeated.
        found_in = None if old is None or self._ids.has_ended(old) else self._ids.attempt(old)
        again = ReportIssue(
            actor=actor,
            severity=payload.reported_as or payload.severity,
            title=payload.title,
            description=payload.description,
            task_id=payload.task_id,
            attempt_id=found_in,
            exchange=payload.exchange,
        )
        (reported, *_) = transact(self._engine, lambda tx: tx.ask(again))
        if isinstance(reported.event.payload, events.IssueReport):
            self._ids.put_issue(payload.issue_id, reported.event.payload.issue_id)
        return AGAIN, ""

    def _question(self, actor: str, payload: events.QuestionAsk) -> tuple[str, str]:
        old, attempt_id = payload.question_id, self._ids.attempt(payload.attempt_id)
        again = AskQuestion(
            actor=actor,
            task_id=payload.task_id,
            attempt_id=attempt_id,
            exchange=payload.exchange,
            call=CallResult.of(payload),
            agent=payload.agent,
        )
        transact(self._engine, lambda tx: tx.ask(again))
        new = self._state().tasks[payload.task_id].questions[-1].question_id
        self._ids.put_question(old, new)
        return AGAIN, "" if new == old else f"as '{new}'"

    def _answer(self, actor: str, payload: events.QuestionAnswer) -> tuple[str, str]:
        new = self._ids.question(payload.question_id)
        if new != payload.question_id:
            raise LeftOut(f"it was signed for {payload.question_id}, which is '{new}' there")

        def step(tx: Transaction) -> None:
            tx.ask(Repeat(actor=actor, payload=payload))
            if not tx.alone:
                tx.ask(FollowQuestion(task_id=payload.task_id))

        transact(self._engine, step)
        return AGAIN, ""

    # -- notes and lessons --------------------------------------------------------------------

    def _lesson_record(self, actor: str, payload: events.LessonRecord) -> tuple[str, str]:
        again = Repeat(actor=actor, payload=payload)
        (stored,) = transact(self._engine, lambda tx: tx.ask(again))
        if isinstance(stored.event.payload, events.LessonRecord):
            self._ids.put_lesson(payload.lesson_id, stored.event.payload.lesson_id)
        return AGAIN, ""

    # -- the end of a run -------------------------------------------------------------------------

    def _run_end(self, index: int, payload: events.RunEnd) -> tuple[str, str]:
        if payload.issue_id is not None:
            return self._concluded(index)
        if payload.result != RunState.HALTED or payload.by is None:
            raise LeftOut("the run goes on with what others recorded; 'git esaa run' ends it")
        run_id = self._ids.run(payload.run_id)
        actor = self._tail[index].event.actor
        signer = actor if is_person(actor) else None
        stop = StopRun(reason=payload.reason, by=payload.by, signer=signer)

        def step(tx: Transaction) -> None:
            require_run(tx.state)
            if tx.state.run.run_id != run_id:
                raise LeftOut(f"{run_id} is over there, and {tx.state.run.run_id} is another")
            tx.ask(stop)

        transact(self._engine, step)
        return AGAIN, ""

    # -- looking ahead ----------------------------------------------------------------------------

    def _later(self, index: int, attempt_id: str) -> Iterator[events.AnyPayload]:
        """Yield what the rest of the tail says of an attempt."""
        for stored in self._tail[index + 1 :]:
            if stored.event.attempt_id == attempt_id:
                yield stored.event.payload
