"""Many at once: one decider, agents at work in threads, answers admitted as they arrive."""

from __future__ import annotations

import threading

import pytest

from esaa_git.core.events import TaskNote
from esaa_git.engine import operator
from esaa_git.engine.atwork import MAX_VOIDED
from esaa_git.engine.cycle import Options, Stop, Unobserved, cycle
from esaa_git.engine.pool import Cancelled, WorkerPool
from esaa_git.engine.proposer import Dispatched, dispatch
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import oblige, result, write
from esaa_git.testing.contracts import task
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.world import MemoryChecker, MemoryWorkerRegistry

WAIT = 20.0
"""Seconds after which a test gives up; none waits that long."""


def own(number: int) -> dict[str, object]:
    """A task that writes one file of its own."""
    return task(f"T-{number}", writes=[f"docs/qa/T-{number}.md"])


def test_so_many_agents_are_at_work_at_once_and_no_more() -> None:
    together = threading.Barrier(3)
    at_work: list[int] = []
    most: list[int] = []

    def meet(request: Request) -> bytes:
        at_work.append(1)
        most.append(len(at_work))
        together.wait(WAIT)
        at_work.pop()
        return oblige(request)

    made = engine(meet)
    made.apply(*(own(number) for number in range(1, 7)))
    report = cycle(made, Options(parallel=3))
    assert report.result == "success"
    assert max(most) == 3


def test_answers_are_admitted_in_the_order_in_which_they_arrive() -> None:
    first_is_in = threading.Event()

    def answer(request: Request) -> bytes:
        if request.task_id == "T-1":
            assert first_is_in.wait(WAIT)
        return oblige(request)

    class Looking(Unobserved):
        def admitted(self, admission: object) -> None:
            first_is_in.set()

    made = engine(answer)
    made.apply(own(1), own(2))
    cycle(made, Options(parallel=2), observer=Looking())
    done = [event.payload.task_id for event in made.events if event.action == "agent.result"]
    assert done == ["T-2", "T-1"]


@pytest.mark.parametrize("overlap", [False, True])
def test_tasks_that_may_write_the_same_files_run_together_only_when_asked(overlap: bool) -> None:
    running: set[str] = set()
    met: list[set[str]] = []
    both = threading.Barrier(2)

    def answer(request: Request) -> bytes:
        running.add(request.task_id)
        if overlap:
            both.wait(WAIT)
        met.append(set(running))
        running.discard(request.task_id)
        return oblige(request)

    made = engine(answer)
    made.apply(task("T-1"), task("T-2"))
    cycle(made, Options(parallel=2, overlap=overlap))
    assert (max(len(one) for one in met) == 2) is overlap
    assert all(made.task(name).is_done for name in ("T-1", "T-2"))


def test_two_agents_that_changed_one_file_are_merged_or_told_of_the_conflict() -> None:
    both = threading.Barrier(2)
    text = "".join(f"line {number}\n" for number in range(20))

    def answer(request: Request) -> bytes:
        if request.attempt_id.endswith("-A1"):
            both.wait(WAIT)
        mine = {"T-1": "line 1\n", "T-2": "line 18\n", "T-3": "line 1\n"}[request.task_id]
        edit = {"old": mine, "new": f"{request.task_id}\n"}
        update = {"op": "edit", "path": "docs/a.md", "edits": [edit]}
        return result(update)(request)  # type: ignore[return-value]

    made = engine(answer, files={"docs/a.md": text.encode()})
    made.apply(task("T-1"), task("T-2"))
    cycle(made, Options(parallel=2, overlap=True))
    content = made.content("docs/a.md")
    assert content is not None
    assert b"T-1\n" in content
    assert b"T-2\n" in content
    clash = engine(answer, files={"docs/a.md": text.encode()})
    clash.apply(task("T-1"), task("T-3"))
    cycle(clash, Options(parallel=2, overlap=True, steps=2))
    codes = [e.payload.code for e in clash.events if e.action == "output.rejected"]
    assert codes == ["WRITE_CONFLICT"]


def test_the_first_stop_lets_what_is_under_way_finish() -> None:
    stop = Stop()

    def answer(request: Request) -> bytes:
        stop.finish()
        return oblige(request)

    made = engine(answer)
    made.apply(own(1), own(2))
    report = cycle(made, stop=stop)
    assert report.stopped
    assert made.task("T-1").is_done
    assert made.task("T-2").state == "todo"
    assert made.actions.count("orchestrator.dispatch") == 1


class Pausing:
    """An agent that is at work until it is called off."""

    sandbox = "in-process"
    has_checkout = True
    adapter = "command"
    model = None

    def __init__(self, name: str, begun: threading.Barrier) -> None:
        self.name = name
        self._begun = begun

    def ready(self) -> None: ...

    def prepare(self, request: Request) -> Request:
        return request

    def answer(self, request: Request, pause: object) -> Answer:
        self._begun.wait(WAIT)
        for _ in range(2000):
            pause()  # type: ignore[operator]
            threading.Event().wait(0.01)
        raise AssertionError("nobody called it off")


def test_the_second_stop_calls_everybody_off_and_the_tasks_come_back() -> None:
    begun = threading.Barrier(3)
    stop = Stop()
    made = engine()
    made.make_agent = lambda entry, _: Pausing(entry.name, begun)  # type: ignore[assignment]
    made.apply(own(1), own(2), own(3))

    def ask_to_stop() -> None:
        begun.wait(WAIT)
        stop.finish()
        stop.cancel()

    asking = threading.Thread(target=ask_to_stop)
    asking.start()
    report = cycle(made, Options(parallel=2), stop=stop)
    asking.join()
    assert report.stopped
    for name in ("T-1", "T-2", "T-3"):
        assert (made.task(name).state, made.task(name).attempts_used) == ("todo", 0)
    causes = [e.payload.cause for e in made.events if e.action == "task.update"]
    assert causes == ["released", "released"]


def test_an_agent_that_cannot_be_asked_does_not_cost_the_others_their_answers() -> None:
    first = threading.Event()

    def answer(request: Request) -> bytes:
        if request.task_id == "T-1":
            first.set()
            raise AgentError("the program is gone")
        assert first.wait(WAIT)
        return oblige(request)

    made = engine(answer)
    made.apply(own(1), own(2))
    with pytest.raises(AgentError, match="the program is gone"):
        cycle(made, Options(parallel=2))
    assert made.task("T-2").is_done
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)


def test_whatever_ends_a_run_nobody_is_at_work_afterwards() -> None:
    class Failing(Unobserved):
        def dispatched(self, what: object) -> None:
            if isinstance(what, Dispatched) and what.task_id == "T-2":
                raise ZeroDivisionError

    made: MemoryEngine = engine(result(write("docs/a.md")))
    made.apply(task("T-1", writes=["docs/a.md"]), own(2))
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        cycle(made, Options(parallel=2), observer=Failing())
    assert threading.active_count() == before
    assert all(made.task(name).active_attempt is None for name in ("T-1", "T-2"))


def test_a_critical_issue_ends_the_run_and_calls_the_others_off() -> None:
    begun = threading.Event()

    def answer(request: Request) -> bytes:
        if request.task_id == "T-1":
            assert begun.wait(WAIT)
            payload = {"severity": "critical", "title": "on fire"}
            return (
                b'{"action":"issue.report","task_id":"T-1","attempt_id":"%s","payload":'
                b'{"severity":"%s","title":"%s"}}'
                % (request.attempt_id.encode(), *(one.encode() for one in payload.values()))
            )
        begun.set()
        return oblige(request)

    made = engine(answer)
    made.apply(own(1), own(2))
    report = cycle(made, Options(parallel=2))
    assert report.result == "halted"
    assert made.task("T-2").active_attempt is None


def test_a_job_that_raises_is_handed_out_with_what_it_raised() -> None:
    pool = WorkerPool()
    pool.start("a", lambda pause: 1 / 0)
    ended = pool.next(WAIT)
    assert ended is not None
    assert isinstance(ended.error, ZeroDivisionError)
    assert len(pool) == 0


def test_calling_off_reaches_a_job_at_its_next_pause() -> None:
    pool = WorkerPool()

    def job(pause: object) -> None:
        while True:
            pause()  # type: ignore[operator]
            threading.Event().wait(0.01)

    pool.start("a", job)
    assert pool.next(0.05) is None
    pool.call_off()
    ended = pool.next(WAIT)
    assert ended is not None
    assert isinstance(ended.error, Cancelled)


# -------------------------------------------------------------------- what a dead process left


def left_behind(made: MemoryEngine) -> str:
    """Open an attempt as a process does that dies while its agent is at work."""
    made.apply(own(1), own(2))
    opened = dispatch(made, made.task("T-1"), None)
    assert isinstance(made.registry, MemoryWorkerRegistry)
    made.registry.orphans.append(opened.attempt_id)
    return opened.attempt_id


def test_what_a_dead_process_was_at_work_on_is_taken_up_again_at_once() -> None:
    made = engine()
    attempt_id = left_behind(made)
    cycle(made)
    assert made.task("T-1").is_done
    assert made.task("T-1").attempts_total == 1
    assert [request.attempt_id for request in made.requests] == [attempt_id, "T-2-A1"]
    # The same request is sent again, and the log says already that it was.
    assert made.actions.count("orchestrator.dispatch") == 2


def test_it_is_told_what_it_was_told_whatever_happened_meanwhile() -> None:
    made = engine()
    left_behind(made)
    operator.add_note(made, TaskNote(task_id="T-1", text="Mind the gap."), "person@example.com")
    cycle(made)
    assert "notes" not in made.view(0)["task"]
    assert made.actions.count("orchestrator.dispatch") == 2


def test_a_request_that_cannot_be_made_again_is_a_dispatch_of_its_own() -> None:
    made = engine()
    left_behind(made)
    made.has_checkout = False  # as if another version of us worded it in another way
    cycle(made)
    asked = [e.payload.attempt_id for e in made.events if e.action == "orchestrator.dispatch"]
    assert asked == ["T-1-A1", "T-1-A1", "T-2-A1"]


def test_a_run_that_works_on_another_task_gives_it_back() -> None:
    made = engine()
    left_behind(made)
    cycle(made, Options(task_id="T-2"))
    assert (made.task("T-1").state, made.task("T-1").attempts_used) == ("todo", 0)


@pytest.mark.parametrize("name", ["T-9-A1", "T-1-A7", "APR-0009", "nonsense"])
def test_a_name_that_means_nothing_any_more_is_forgotten(name: str) -> None:
    made = engine()
    made.apply(own(1))
    assert isinstance(made.registry, MemoryWorkerRegistry)
    made.registry.orphans.append(name)
    assert cycle(made).result == "success"


def test_nobody_is_on_the_roster_after_a_run() -> None:
    made = engine()
    made.apply(own(1), own(2))
    cycle(made, Options(parallel=2))
    assert isinstance(made.registry, MemoryWorkerRegistry)
    assert made.registry.names == []


def test_checks_that_others_void_again_and_again_are_let_through() -> None:
    """Each admission moves the branch, and with it the tree that a slow check was run on."""
    slow_is_done = threading.Event()

    class Slow(MemoryChecker):
        def run(self, *given: object) -> list:  # type: ignore[type-arg, override]
            slow_is_done.wait(0.05)
            return super().run(*given)  # type: ignore[arg-type]

    made = engine()
    made.checker = Slow(made.repository)
    check = [{"name": "tests", "run": ["make"]}]
    quick = [own(number) for number in range(2, 40)]
    made.apply(task("T-1", writes=["docs/qa/T-1.md"], checks=check, priority=1), *quick)
    cycle(made, Options(parallel=4))
    assert all(one.is_done for one in made.state.tasks.values())
    assert len(made.checker.trees) <= MAX_VOIDED + 1
