"""Deciding again: what was recorded here while others recorded elsewhere, on the state they left.

Two orchestrators that appended after the same event cannot both be right: the log is one line.
The one that comes second takes back its tail and decides it again, event by event, as if it came
now: intentions (a result with its after-images, a claim, a note, a task of the plan) pass the
same rules as the first time, under new ids and on the new branch; what the orchestrator itself
concluded from them is concluded anew. Every event of the tail has an outcome, and whoever calls
this keeps the tail itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from esaa_git.core.contract_rules import required_checks
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import StoredEvent, event_id
from esaa_git.core.events.base import encode
from esaa_git.core.machine import Cause, RunState
from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.core.state import DEFINITION_FIELDS, State, Task
from esaa_git.engine import decide
from esaa_git.engine.effect import Grant, close, file_change, write_effect
from esaa_git.engine.engine import Engine
from esaa_git.engine.exchange import Admission
from esaa_git.engine.lease import Lease
from esaa_git.engine.proof import Proof, Unproven, failed_check, find_proof, settled
from esaa_git.engine.request import branch_tip
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.engine.verifier import Proposal
from esaa_git.errors import ConfigurationError, RefusedError, RunHalted, UsageError
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.log import Attachments

_OF_REJECTION = ("exchange", "check_results", "model", "usage", "latency_ms", "tries")
"""What else the record of a refused answer holds, and keeps when it is recorded again."""

AGAIN = "recorded again"
ALREADY = "there already"
CONCLUDED = "concluded anew"
CHANGED = "decided otherwise"
LEFT_OUT = "left out"

_EXCHANGE = {"request": "request.json", "response": "response"}
_CAUSES = ("output.rejected", "attempt.timeout", "approval.deny", "issue.report")
_CONCLUSIONS = frozenset(
    {
        Cause.REJECTED,
        Cause.TIMED_OUT,
        Cause.ATTEMPTS_SPENT,
        Cause.CHANGES_REQUESTED,
        Cause.ISSUE,
        Cause.DEPENDENCY,
    }
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one event of the tail.

    `kind` is one of the words above; `became` names the new events. What a transaction recorded
    is named by the event that led to it, and its `CONCLUDED` events name none.
    """

    old: StoredEvent
    kind: str
    reason: str = ""
    became: tuple[str, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Answer whether the new log does not say what this event said."""
        return self.kind == LEFT_OUT


class _LeftOut(Exception):
    """An event does not apply any more; the message is the reason."""


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
        self._outcomes: dict[int, Outcome] = {}
        self._attempts: dict[str, str] = {}
        self._ended: dict[str, str] = {}
        self._issues: dict[str, str] = {}
        self._approvals: dict[str, str] = {}
        self._runs: dict[str, str] = {}
        self._strangers: set[str] = set()

    def run(self) -> list[Outcome]:
        for index, stored in enumerate(self._tail):
            if index in self._outcomes:
                continue
            before = self._seq()
            try:
                kind, reason = self._decide(index, stored)
            except _LeftOut as error:
                kind, reason = LEFT_OUT, str(error)
            except (RefusedError, RunHalted, UsageError, ConfigurationError) as error:
                kind, reason = LEFT_OUT, ": ".join(filter(None, (error.message, error.cause)))
            became = tuple(event_id(seq) for seq in range(before + 1, self._seq() + 1))
            self._outcomes[index] = Outcome(stored, kind, reason, became)
        return [self._outcomes[index] for index in range(len(self._tail))]

    def _seq(self) -> int:
        tip = self._engine.log.tip()
        return 0 if tip is None else tip.seq

    def _state(self) -> State:
        return self._engine.log.load()[0]

    def _decide(self, index: int, stored: StoredEvent) -> tuple[str, str]:
        event = stored.event
        payload = encode(event.payload)
        self._require_same_task(event.action, payload)
        match event.action:
            case "run.init":
                return self._run_init(stored)
            case "task.create":
                return self._task_create(payload)
            case "attempt.create":
                return self._attempt_create(index, payload)
            case "agent.result":
                return self._agent_result(index, stored)
            case "task.update":
                return self._task_update(index, payload)
            case "output.rejected":
                return self._output_rejected(index, payload)
            case "issue.report":
                return self._issue_report(event.actor, payload)
            case "approval.grant":
                return self._approval_grant(event.actor, payload)
            case "approval.deny":
                return self._approval_deny(event.actor, payload)
            case "attempt.timeout":
                return self._attempt_timeout(payload)
            case "run.end":
                return self._run_end(index, payload)
            case "verify.start" | "verify.ok" | "verify.fail":
                raise _LeftOut("it speaks of a log that ended otherwise; the next run verifies")
            case "orchestrator.file.write":
                self._attempt(payload["attempt_id"])
                return CONCLUDED, ""
            case _:
                return self._emit(event.action, event.actor, payload)

    # -- ids ------------------------------------------------------------------------------------

    def _require_same_task(self, action: str, payload: Mapping[str, Any]) -> None:
        task_id = payload.get("task_id")
        if action != "task.create" and task_id in self._strangers:
            raise _LeftOut(f"'{task_id}' is another task there")

    def _attempt(self, attempt_id: str) -> str:
        if attempt_id in self._ended:
            raise _LeftOut(self._ended[attempt_id])
        return self._attempts.get(attempt_id, attempt_id)

    def _approval(self, approval_id: str) -> str:
        found = self._approvals.get(approval_id, approval_id)
        approval = self._state().approvals.get(found)
        if approval is None:
            raise _LeftOut(f"nobody asks for '{approval_id}' there")
        if approval.state != "pending":
            raise _LeftOut(f"'{found}' was {approval.state} by {approval.decided_by} meanwhile")
        return found

    def _translated(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        found = dict(payload)
        if "attempt_id" in found:
            found["attempt_id"] = self._attempt(found["attempt_id"])
        if "issue_id" in found:
            found["issue_id"] = self._issues.get(found["issue_id"], found["issue_id"])
        return found

    # -- what is said again as it was -------------------------------------------------------------

    def _emit(self, action: str, actor: str, payload: Mapping[str, Any]) -> tuple[str, str]:
        """Record what needs nothing but new ids: notes, lessons, dispatches, heartbeats."""
        if payload.get("view") == "effect":
            raise _LeftOut("it links an effect to a branch that is no longer")

        def decided(tx: Transaction) -> None:
            given = self._translated(payload)
            if action == "lesson.record":
                given["lesson_id"] = f"LES-{tx.state.run.lessons + 1:04d}"
            if action == "agent.heartbeat":
                lease = Lease.begin(given["attempt_id"], tx.now, tx.contracts)
                given["deadline"] = lease.deadline
            if action == "approval.request":
                given["approval_id"] = f"APR-{tx.state.run.approvals + 1:04d}"
            tx.emit(action, actor, given, attachments=_attachments(payload))
            if action == "approval.request":
                self._approvals[payload["approval_id"]] = given["approval_id"]

        transact(self._engine, decided)
        return AGAIN, ""

    # -- the plan ---------------------------------------------------------------------------------

    def _run_init(self, stored: StoredEvent) -> tuple[str, str]:
        payload = encode(stored.event.payload)
        contracts = self._contracts_of(stored.commit)
        state, in_force = self._engine.log.load()
        same = contracts.pins == in_force.pins
        if state.run.is_open:
            return self._join_run(payload, str(state.run.run_id), same)
        new = [one for one in payload["tasks"] if self._is_new(one, state)]

        def decided(tx: Transaction) -> None:
            base = self._engine.branch.tip(payload["branch"])
            if base is None:
                raise _LeftOut(f"there is no branch '{payload['branch']}'")
            pinned = tx.contracts if same else contracts
            run_id = f"RUN-{tx.state.run.number + 1:04d}"
            given = {**payload, "run_id": run_id, "base": base, "tasks": new}
            given["contracts"] = pinned.pins
            tx.emit("run.init", decide.ORCHESTRATOR, given, contracts=pinned)
            self._runs[payload["run_id"]] = run_id

        transact(self._engine, decided)
        return AGAIN, ""

    def _join_run(
        self, payload: Mapping[str, Any], run_id: str, same_contracts: bool
    ) -> tuple[str, str]:
        """Add the tasks of a run to the one that somebody else has started."""
        signed = {"by": payload["by"]} if "by" in payload else {}
        self._runs[payload["run_id"]] = run_id
        faults = []
        count = 0
        for definition in payload["tasks"]:
            try:
                kind, _ = self._task_create({"task": definition, **signed})
                count += kind == AGAIN
            except (_LeftOut, RefusedError, RunHalted, ConfigurationError) as error:
                faults.append(f"'{definition['task_id']}': {error}")
                self._strangers.add(definition["task_id"])
        said = [f"{run_id} is open there, and has {count} of its tasks now"]
        if not same_contracts:
            said.append("the contracts that it pinned are not in force")
        return (LEFT_OUT if faults else CHANGED), "; ".join(said + faults)

    def _is_new(self, definition: Mapping[str, Any], state: State) -> bool:
        """Answer whether there is no task of this id; note where there is, and it is another."""
        task = state.tasks.get(definition["task_id"])
        if task is not None and not _is_same(task, definition):
            self._strangers.add(task.task_id)
        return task is None

    def _task_create(self, payload: Mapping[str, Any]) -> tuple[str, str]:
        definition = payload["task"]
        task_id = definition["task_id"]
        if not self._is_new(definition, self._state()):
            if task_id in self._strangers:
                raise _LeftOut(f"there is another task '{task_id}' by now")
            return ALREADY, f"'{task_id}' was created there, with the same definition"
        given = self._translated(payload)
        transact(self._engine, lambda tx: tx.emit("task.create", decide.ORCHESTRATOR, given))
        return AGAIN, ""

    # -- attempts ---------------------------------------------------------------------------------

    def _attempt_create(self, index: int, payload: Mapping[str, Any]) -> tuple[str, str]:
        old = payload["attempt_id"]
        self._ended[old] = f"its attempt '{old}' was left out"
        if self._find(index, "attempt.timeout", old) is not None:
            raise _LeftOut(f"the lease of '{old}' ran out without an answer")

        def decided(tx: Transaction) -> str:
            base = self._known_base(tx, payload["base"])
            agent, mode = payload["agent"], payload["mode"]
            return decide.open_attempt(tx, payload["task_id"], agent, mode=mode, base=base)

        self._attempts[old] = new = transact(self._engine, decided)
        del self._ended[old]
        return AGAIN, "" if new == old else f"as '{new}'"

    def _known_base(self, tx: Transaction, base: str) -> str:
        """Return the commit where others have it as well, or else the branch's tip."""
        tip = branch_tip(self._engine, tx)
        return base if self._engine.branch.contains(tip, base) else tip

    def _attempt_timeout(self, payload: Mapping[str, Any]) -> tuple[str, str]:
        self._attempt(payload["attempt_id"])
        task_id = payload["task_id"]

        def decided(tx: Transaction) -> int:
            return decide.expire(tx, [decide.find_task(tx.state, task_id)])

        if not transact(self._engine, decided):
            raise _LeftOut("the attempt is not active there, or has more time")
        return AGAIN, ""

    def _agent_result(self, index: int, stored: StoredEvent) -> tuple[str, str]:
        payload = encode(stored.event.payload)
        old = payload["attempt_id"]
        written = self._find(index, "orchestrator.file.write", old)
        self._announce(index, old)

        def decided(tx: Transaction, proof: Proof | None) -> Rejected | Unproven | None:
            given = self._translated(payload)
            task = decide.find_task(tx.state, payload["task_id"])
            attempt = task.active_attempt
            if attempt is None or attempt.attempt_id != given["attempt_id"]:
                raise _LeftOut(
                    f"'{given['attempt_id']}' is over there: '{task.task_id}' is {task.state}"
                )
            proposal = None
            if written is not None:
                rebased = self._rebased(tx, task, self._tail[written])
                if isinstance(rebased, Rejected):
                    self._reject(tx, given, rebased)
                    return rebased
                proposal = rebased if rebased.files else None
            results: Sequence[CheckResult] = ()
            if proposal is not None:
                checks = required_checks(task, tx.contracts)
                proven = find_proof(proof, task.task_id, checks, proposal)
                if isinstance(proven, Unproven):
                    return proven
                failed = failed_check(proven, tx.contracts)
                if failed is not None:
                    self._reject(tx, given, failed)
                    return failed
                results = proven
            given["paths"] = [] if proposal is None else list(proposal.paths)
            attached = _attachments(payload)
            tx.emit("agent.result", stored.event.actor, given, attachments=attached)
            if proposal is not None and written is not None:
                base = self._tail[written].event.payload["base"]
                task = tx.state.tasks[task.task_id]
                write_effect(tx, task, proposal, self._known_base(tx, base), results)
            return None

        engine = self._engine
        rejected = settled(
            engine, lambda proof: transact(engine, lambda tx: decided(tx, proof)), lambda: None
        )
        if rejected is not None:
            self._ended[old] = f"the result of '{old}' was rejected"
            return CHANGED, f"rejected, {rejected.code}: {rejected.message}"
        return AGAIN, ""

    def _rebased(self, tx: Transaction, task: Task, stored: StoredEvent) -> Proposal | Rejected:
        """Return the recorded after-images as a proposal for the branch as it is now."""
        payload = encode(stored.event.payload)
        files = tuple(file_change(file) for file in payload["files"])
        onto = payload.get("merged_onto", payload["base"])
        proposal = Proposal(files, onto, payload["changed_lines"])
        verifier = self._engine.verifier
        boundary = verifier.boundary(task, tx.contracts)
        return verifier.rebase(proposal, branch_tip(self._engine, tx), boundary)

    def _reject(self, tx: Transaction, given: Mapping[str, Any], rejected: Rejected) -> None:
        exchange = given.get("exchange")
        size = (exchange or {}).get("response", {}).get("bytes", 0)
        decide.reject(
            tx,
            given["task_id"],
            given["attempt_id"],
            rejected,
            {"sha256": given["output_sha256"], "bytes": size, "preview": ""},
            _attachments(given),
            {"exchange": exchange} if exchange else {},
        )

    def _output_rejected(self, index: int, payload: Mapping[str, Any]) -> tuple[str, str]:
        given = self._translated(payload)
        following = self._tail[index + 1].event if index + 1 < len(self._tail) else None
        concluded = (
            following is not None
            and following.action == "task.update"
            and following.attempt_id == payload["attempt_id"]
        )
        rejected = Rejected(RejectCode(payload["code"]), payload["message"], payload["detail"])

        def decided(tx: Transaction) -> None:
            decide.find_task(tx.state, given["task_id"])
            decide.reject(
                tx,
                given["task_id"],
                given["attempt_id"],
                rejected,
                dict(payload["output"]),
                _attachments(payload),
                {name: given[name] for name in _OF_REJECTION if name in given},
                closing=concluded,
            )

        transact(self._engine, decided)
        return AGAIN, ""

    # -- tasks ------------------------------------------------------------------------------------

    def _task_update(self, index: int, payload: Mapping[str, Any]) -> tuple[str, str]:
        cause = Cause(payload["cause"])
        if cause in _CONCLUSIONS:
            return self._concluded(index)
        task = decide.find_task(self._state(), payload["task_id"])
        if cause in (Cause.ACCEPTED, Cause.APPROVED):
            return self._closed(index, payload, task)
        given = {name: payload[name] for name in ("reason", "by", "changes") if name in payload}
        if cause == Cause.RELEASED:
            attempt = task.active_attempt
            if attempt is None or attempt.attempt_id != self._attempt(payload["attempt_id"]):
                raise _LeftOut(f"'{payload['attempt_id']}' is over there")

        def decided(tx: Transaction) -> None:
            now = tx.state.tasks[task.task_id]
            if "attempts_allowed" in payload:
                more = now.attempts_used + tx.contracts.policy.max_attempts
                allowed = payload["attempts_allowed"]
                given["attempts_allowed"] = allowed if allowed > now.attempts_used else more
            decide.update_task(tx, now, cause, **given)

        transact(self._engine, decided)
        return AGAIN, ""

    def _closed(self, index: int, payload: Mapping[str, Any], task: Task) -> tuple[str, str]:
        attempt_id = self._attempt(payload["attempt_id"])
        if task.is_done and task.result is not None and task.result.attempt_id == attempt_id:
            return CONCLUDED, ""
        if task.is_done or task.result is None or task.result.attempt_id != attempt_id:
            raise _LeftOut(f"'{task.task_id}' is {task.state} there, and not by '{attempt_id}'")
        if "effect_commit" in payload:
            self._before_effect(payload["effect_commit"])
        return _admitted(close(self._engine, task.task_id))

    def _concluded(self, index: int) -> tuple[str, str]:
        """Return what became of the event from which the orchestrator concluded this one."""
        for before in range(index - 1, -1, -1):
            if self._tail[before].event.action in _CAUSES:
                if self._outcomes[before].is_lost:
                    raise _LeftOut(f"{self._tail[before].event.event_id} was left out")
                return CONCLUDED, ""
        raise _LeftOut("what it was concluded from is not known")

    # -- issues and reviews -----------------------------------------------------------------------

    def _issue_report(self, actor: str, payload: Mapping[str, Any]) -> tuple[str, str]:
        given = {name: item for name, item in payload.items() if name != "issue_id"}
        given["severity"] = given.pop("reported_as", given["severity"])
        if "attempt_id" in given:
            # What somebody found stays true where the attempt it was found in is not repeated.
            old = given.pop("attempt_id")
            if old not in self._ended:
                given["attempt_id"] = self._attempt(old)
        attached = _attachments(payload)
        self._issues[payload["issue_id"]] = transact(
            self._engine, lambda tx: decide.report_issue(tx, actor, given, attached)
        )
        return AGAIN, ""

    def _approval_grant(self, actor: str, payload: Mapping[str, Any]) -> tuple[str, str]:
        approval = self._state().approvals[self._approval(payload["approval_id"])]
        task = self._state().tasks[approval.task_id]
        if task.pending_approval != approval.approval_id:
            raise _LeftOut(f"'{task.task_id}' does not wait for it any more")
        for index, stored in enumerate(self._tail):
            effect = stored.event.payload.get("effect_commit")
            if stored.event.task_id == task.task_id and effect is not None:
                self._announce(index - 1, str(stored.event.attempt_id))
        admission = close(self._engine, task.task_id, grant=Grant(actor, payload["reason"]))
        return _admitted(admission)

    def _approval_deny(self, actor: str, payload: Mapping[str, Any]) -> tuple[str, str]:
        approval_id = self._approval(payload["approval_id"])

        def decided(tx: Transaction) -> None:
            given = {**payload, "approval_id": approval_id}
            tx.emit("approval.deny", actor, given)
            if actor != decide.ORCHESTRATOR:
                task_id = tx.state.approvals[approval_id].task_id
                decide.give_back(tx, task_id, Cause.CHANGES_REQUESTED, payload["reason"])

        transact(self._engine, decided)
        return AGAIN, ""

    # -- the end of a run -------------------------------------------------------------------------

    def _run_end(self, index: int, payload: Mapping[str, Any]) -> tuple[str, str]:
        if "issue_id" in payload:
            return self._concluded(index)
        if payload["result"] != RunState.HALTED or "by" not in payload:
            raise _LeftOut("the run goes on with what others recorded; 'git esaa run' ends it")
        run_id = self._runs.get(payload["run_id"], payload["run_id"])

        def decided(tx: Transaction) -> None:
            decide.require_run(tx.state)
            if tx.state.run.run_id != run_id:
                raise _LeftOut(f"{run_id} is over there, and {tx.state.run.run_id} is another")
            decide.end_run(tx, RunState.HALTED, payload["reason"], by=payload["by"])

        transact(self._engine, decided)
        return AGAIN, ""

    # -- looking ahead ----------------------------------------------------------------------------

    def _find(self, index: int, action: str, attempt_id: str) -> int | None:
        for later in range(index + 1, len(self._tail)):
            event = self._tail[later].event
            if event.action == action and event.attempt_id == attempt_id:
                return later
        return None

    def _announce(self, index: int, attempt_id: str) -> None:
        """Say which effect comes next, if the attempt has one in this tail."""
        closing = self._find(index, "task.update", attempt_id)
        if closing is not None:
            effect = self._tail[closing].event.payload.get("effect_commit")
            if effect is not None:
                self._before_effect(effect)


def _is_same(task: Task, definition: Mapping[str, Any]) -> bool:
    wanted = Task.from_json(definition)
    return all(getattr(task, name) == getattr(wanted, name) for name in DEFINITION_FIELDS)


def _admitted(admission: Admission) -> tuple[str, str]:
    return (AGAIN, "") if admission.kind == "done" else (CHANGED, admission.message)


def _attachments(payload: Mapping[str, Any]) -> Attachments:
    named = payload.get("exchange", {})
    return Attachments(
        exchange={_EXCHANGE[part]: kept["blob"] for part, kept in named.items() if "blob" in kept}
    )
