"""Workers in memory: what counts, who is late, and how lost races and broken connections end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from esaa_git.core.rejection import RejectCode
from esaa_git.engine import operator, run
from esaa_git.engine.commit import admit
from esaa_git.engine.cycle import Options, Stop, cycle
from esaa_git.engine.exchange import AgentOutput
from esaa_git.engine.lease import Watched
from esaa_git.engine.sharing import Sharing
from esaa_git.errors import ConflictError, RefusedError, RemoteUnreachable, RunHalted
from esaa_git.ports.agent import Answer, Request
from esaa_git.ports.log import ProposalRef
from esaa_git.testing.answers import Answering, oblige, says
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.log import EVENTS

MAIN = "refs/heads/main"


@dataclass
class Server:
    """The shared log: refs that move forward only.

    Attributes:
        away: it cannot be reached.
        breaks: it takes the next push, and the connection breaks before it says so.
    """

    name: str = "origin"
    refs: dict[str, str] = field(default_factory=dict)
    away: bool = False
    breaks: bool = False
    before_push: Callable[[], None] = lambda: None
    pushes: int = 0


@dataclass
class Shared:
    """A `SharedLog`: one worker's way to the server."""

    server: Server
    made: MemoryEngine
    others: list[MemoryEngine]

    @property
    def name(self) -> str:
        return self.server.name

    def publish(
        self,
        tip: str,
        branch: str,
        branch_tip: str | None,
        proposals: Sequence[ProposalRef] = (),
    ) -> None:
        once, self.server.before_push = self.server.before_push, lambda: None
        once()
        self._reach()
        self.server.pushes += 1
        moves = {EVENTS: tip, f"refs/heads/{branch}": str(branch_tip)}
        for ref, new in moves.items():
            old = self.server.refs.get(ref)
            if old is not None and old not in self.made.repository.ancestors(new):
                raise ConflictError(f"'{ref}' has moved")
        self.server.refs |= moves
        for other in self.others:
            other.repository.blobs.update(self.made.repository.blobs)
            other.repository.commits.update(self.made.repository.commits)
            other.log.recorded.update(self.made.log.recorded)
        if self.server.breaks:
            self.server.breaks = False
            raise RemoteUnreachable("'origin' cannot be reached", cause="it hung up")

    def catch_up(self) -> bool:
        self._reach()
        repository = self.made.repository
        moves = [(ref, repository.refs.get(ref), new) for ref, new in self.server.refs.items()]
        repository.swap([move for move in moves if move[1] != move[2]])
        repository.checkout = dict(repository.files(repository.refs[MAIN]))
        return any(old != new for _, old, new in moves)

    def _reach(self) -> None:
        if self.server.away:
            raise RemoteUnreachable("'origin' cannot be reached", cause="nobody answers")


@dataclass
class Fleet:
    """Workers with a clock each, and the server that they share."""

    server: Server
    workers: list[MemoryEngine]

    def __getitem__(self, number: int) -> MemoryEngine:
        return self.workers[number]

    def sit(self, seconds: float) -> None:
        """Let time pass, for all alike."""
        for worker in self.workers:
            worker.clock.forward(seconds=seconds)


def team(
    *answering: Answering,
    tasks: int = 1,
    changes: Mapping[Place, Any] | None = None,
    patience: float = 5.0,
    given_up: Callable[[], bool] = lambda: False,
) -> Fleet:
    """Make workers on one plan, each with an agent of its own."""
    given = contracts({("RUNTIME_POLICY.yaml", "attempts", "ttl"): "PT1M", **(changes or {})})
    server = Server()
    workers = [engine(agent, given=given) for agent in answering]
    for made in workers:
        shared = Shared(server, made, [other for other in workers if other is not made])
        made.sharing = Sharing(
            shared,
            made.clock,
            made.say,
            patience=patience,
            given_up=given_up,
            poll=(0.0, 0.01),
        )
        made.leases = Watched(lambda made=made: made.clock.moment.timestamp())
    workers[0].apply(*(task(f"T-{n}", writes=[f"docs/qa/T-{n}.md"]) for n in range(1, tasks + 1)))
    for made in workers[1:]:
        follow(made)
    return Fleet(server, workers)


def follow(made: MemoryEngine) -> None:
    assert made.sharing is not None
    made.sharing.catch_up()


def agree(fleet: Fleet) -> None:
    """Assert that everybody has the same log, and that it holds."""
    for made in fleet.workers:
        follow(made)
        assert made.repository.refs == fleet.workers[0].repository.refs
        assert made.audit().is_ok


def open_one(made: MemoryEngine) -> str:
    """Claim T-1 in a worker's clone, and return the attempt's id."""
    return operator.claim(made, "T-1", "alice").attempt_id


def test_nothing_counts_that_the_shared_log_has_not_taken() -> None:
    fleet = team(oblige, patience=0)
    one = fleet[0]
    before = dict(one.repository.refs)
    fleet.server.away = True
    with pytest.raises(RemoteUnreachable, match="origin"):
        open_one(one)
    assert one.repository.refs == before


def test_a_run_is_carried_out_by_two_and_ends_for_both() -> None:
    fleet = team(oblige, oblige, tasks=6)
    first = cycle(fleet[0], Options(steps=4))
    second = cycle(fleet[1])
    third = cycle(fleet[0])
    assert [first.result, second.result, third.result] == [None, "success", "success"]
    assert [len(one.admissions) for one in (first, second, third)] == [4, 2, 0]
    agree(fleet)


def test_who_loses_a_race_decides_again_on_what_is_true_then() -> None:
    fleet = team(oblige, oblige)
    one, two = fleet.workers
    fleet.server.before_push = lambda: open_one(two)
    with pytest.raises(RefusedError, match="'T-1' is in progress: alice holds it"):
        operator.claim(one, "T-1", "bob")
    agree(fleet)
    assert one.task("T-1").attempts_total == 1


def test_a_worker_that_was_too_late_for_a_task_takes_another_one() -> None:
    fleet = team(oblige, oblige, tasks=2)
    one, two = fleet.workers
    taken = threading.Event()

    def be_faster() -> None:
        taken.set()
        open_one(two)

    fleet.server.before_push = be_faster
    report = cycle(one, Options(steps=1))
    assert taken.is_set()
    assert [admission.task_id for admission in report.admissions] == ["T-2"]
    agree(fleet)


def test_what_was_taken_before_the_connection_broke_is_not_recorded_twice() -> None:
    fleet = team(oblige, oblige)
    one = fleet[0]
    fleet.server.breaks = True
    attempt_id = open_one(one)
    assert one.actions.count("attempt.create") == 1
    attempt = one.task("T-1").active_attempt
    assert attempt is not None
    assert attempt.attempt_id == attempt_id
    agree(fleet)


def test_a_refusal_of_the_server_reaches_the_person_and_leaves_nothing() -> None:
    fleet = team(oblige)
    one = fleet[0]
    before = dict(one.repository.refs)

    def refuse() -> None:
        raise RefusedError("'origin' refuses the push", cause="check 3")

    fleet.server.before_push = refuse
    with pytest.raises(RefusedError, match="refuses the push"):
        open_one(one)
    assert one.repository.refs == before
    assert one.journal.followup is None


def test_an_outage_shorter_than_our_patience_is_waited_out_and_told_once() -> None:
    fleet = team(oblige)
    one = fleet[0]
    timer = threading.Timer(0.3, lambda: setattr(fleet.server, "away", False))
    fleet.server.away = True
    timer.start()
    open_one(one)
    timer.join()
    told = [line for line in one.lines if "reached" in line]
    assert [line.split(",")[0] for line in told] == [
        "'origin' cannot be reached",
        "'origin' can be reached again",
    ]
    agree(fleet)


def test_who_does_not_want_to_wait_any_longer_need_not() -> None:
    stop = Stop()
    fleet = team(oblige, patience=600, given_up=lambda: stop.cancelling)
    fleet.server.away = True
    timer = threading.Timer(0.2, stop.cancel)
    timer.start()
    with pytest.raises(RemoteUnreachable) as error:
        open_one(fleet[0])
    timer.join()
    assert error.value.hint is not None
    assert "git esaa run --remote origin" in error.value.hint


# -- leases -----------------------------------------------------------------------------------


def test_a_deadline_of_another_clock_is_not_believed() -> None:
    fleet = team(oblige, oblige)
    slow, fast = fleet.workers
    fast.clock.forward(hours=1)
    open_one(slow)
    follow(fast)
    with pytest.raises(RefusedError, match="is in progress"):
        operator.claim(fast, "T-1", "bob")
    fleet.sit(59)
    with pytest.raises(RefusedError, match="is in progress"):
        operator.claim(fast, "T-1", "bob")
    fleet.sit(2)
    operator.claim(fast, "T-1", "bob")
    assert fast.actions[-3:] == ["attempt.timeout", "task.update", "attempt.create"]
    agree(fleet)


def test_a_lease_that_ends_in_our_future_is_over_when_we_have_sat_it_out() -> None:
    fleet = team(oblige, oblige)
    slow, fast = fleet.workers
    fast.clock.forward(minutes=4)
    open_one(fast)
    follow(slow)
    with pytest.raises(RefusedError, match="is in progress"):
        operator.claim(slow, "T-1", "bob")
    fleet.sit(61)
    operator.claim(slow, "T-1", "bob")
    timeout = next(event for event in slow.events if event.action == "attempt.timeout")
    assert timeout.ts >= timeout.payload.deadline
    agree(fleet)


def test_a_heartbeat_is_a_new_lease_for_those_who_watch() -> None:
    fleet = team(oblige, oblige)
    one, two = fleet.workers
    attempt_id = open_one(one)
    follow(two)
    for _ in range(3):
        fleet.sit(40)
        beat = says("agent.heartbeat")(asked(attempt_id))
        assert isinstance(beat, bytes)
        said = AgentOutput(Answer(beat, 0), "alice", task_id="T-1", attempt_id=attempt_id)
        assert admit(one, said).kind == "noted"
        follow(two)
        with pytest.raises(RefusedError, match="is in progress"):
            operator.claim(two, "T-1", "bob")
    agree(fleet)


def test_our_own_answer_is_not_late_because_another_clock_is_ahead() -> None:
    fleet: Fleet

    def answer(request: Request) -> bytes:
        if request.task_id == "T-1":
            fleet.sit(30)
            follow(fleet[1])
            cycle(fleet[1], Options(steps=1))
        return oblige(request)

    fleet = team(answer, oblige, tasks=2)
    fleet[1].clock.forward(minutes=4)
    report = cycle(fleet[0])
    assert report.result == "success"
    assert [admission.kind for admission in report.admissions] == ["done"]
    agree(fleet)


def test_our_own_answer_is_late_when_we_took_too_long_ourselves() -> None:
    fleet: Fleet

    def answer(request: Request) -> bytes:
        if request.attempt_id == "T-1-A1":
            fleet.sit(61)
        return oblige(request)

    fleet = team(answer)
    report = cycle(fleet[0])
    assert report.result == "success"
    codes = [a.rejected.code for a in report.admissions if a.rejected is not None]
    assert codes in ([RejectCode.STALE_ATTEMPT], [])
    assert fleet[0].task("T-1").attempts_total == 2
    agree(fleet)


def test_an_answer_after_others_have_ended_the_run_is_let_go() -> None:
    fleet: Fleet

    def answer(request: Request) -> bytes:
        follow(fleet[1])
        run.stop(fleet[1], "enough", "alice")
        return oblige(request)

    fleet = team(answer, oblige)
    report = cycle(fleet[0])
    assert report.result == "halted"
    assert report.admissions == []
    agree(fleet)


def test_a_worker_waits_for_what_a_person_holds() -> None:
    fleet = team(oblige, oblige, tasks=2)
    one, two = fleet.workers
    open_one(two)
    timer = threading.Timer(0.5, lambda: run.stop(two, "enough", "alice"))
    timer.start()
    report = cycle(one)
    timer.join()
    assert report.result == "halted"
    assert any(line.startswith("waiting: 'T-1' is held by alice") for line in one.lines)
    agree(fleet)


def test_a_worker_does_not_wait_where_only_a_person_can_go_on() -> None:
    wait = {("RUNTIME_POLICY.yaml", "run_end", "on_blocked"): "wait"}
    broken = says("issue.report", severity="high", title="It is broken")
    fleet = team(broken, changes=wait)
    with pytest.raises(RunHalted, match="1 tasks are blocked"):
        cycle(fleet[0])
    agree(fleet)


def asked(attempt_id: str) -> Request:
    return Request("T-1", attempt_id, "", b"", (), "", b"")
