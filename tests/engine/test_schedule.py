"""Which task is next, and why none is set to work beside those under way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from esaa_git.core.plan import load_plan
from esaa_git.engine import operator
from esaa_git.engine import run as runs
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.schedule import PlanOrder
from esaa_git.errors import RefusedError, RunHalted
from esaa_git.ports.agent import Answer, Request
from esaa_git.testing.answers import oblige
from esaa_git.testing.contracts import task
from esaa_git.testing.engine import MemoryEngine, engine

WAIT = 20.0
"""Seconds after which a test gives up; none waits that long."""


def asked(made: MemoryEngine) -> list[str]:
    return [request.task_id for request in made.requests]


def test_tasks_are_done_in_the_order_of_the_plan() -> None:
    made = engine()
    made.apply(task("T-20"), task("T-3", depends_on=["T-7"]), task("T-100"), task("T-7"))
    made.run()
    assert asked(made) == ["T-20", "T-100", "T-7", "T-3"]


def test_a_priority_goes_before_the_order_of_the_plan() -> None:
    made = engine()
    made.apply(task("B-1"), task("B-2", priority=-1), task("A-1", priority=1), task("A-2"))
    made.run()
    assert asked(made) == ["A-1", "B-1", "A-2", "B-2"]


def test_what_the_plan_does_not_name_comes_after_it_with_digits_as_numbers() -> None:
    order = PlanOrder(["Z-1", "Y-1"])
    names = ["T-10", "Y-1", "T-2", "T-2-HF1", "Z-1", "10", "9"]
    assert sorted(names, key=lambda name: order.place(name, 0)) == [
        *("Z-1", "Y-1", "9", "10", "T-2", "T-2-HF1", "T-10")
    ]


def test_a_task_that_waits_for_what_another_may_write_is_named_once_with_the_way_out() -> None:
    made = engine()
    made.apply(*(task(f"T-{number}") for number in range(1, 6)))
    cycle(made, Options(parallel=2))
    (told,) = [line for line in made.lines if "agents at work" in line]
    assert told == (
        "1 of 2 agents at work: 'T-2', 'T-3', 'T-4' and 1 more wait for 'T-1': what they may write "
        "overlaps; narrow it by 'writes' in .roadmap/plan.yaml, or use --overlap"
    )


def test_an_agent_without_work_is_explained_by_what_the_others_wait_for() -> None:
    made = engine()
    made.apply(task("T-1"), task("T-2", depends_on=["T-1"]))
    cycle(made, Options(parallel=2))
    assert [line for line in made.lines if "agents at work" in line] == [
        "1 of 2 agents at work: 'T-2' waits for T-1"
    ]
    alone = engine()
    alone.apply(task("T-1"))
    cycle(alone, Options(parallel=2))
    assert "1 of 2 agents at work: no other task is left" in alone.lines
    single = engine()
    single.apply(task("T-1"), task("T-2"))
    cycle(single, Options(parallel=2, task_id="T-1"))
    assert "1 of 2 agents at work: --task asks for 'T-1' alone" in single.lines
    step = engine()
    step.apply(task("T-1"), task("T-2", writes=["docs/qa/b.md"]))
    cycle(step, Options(parallel=2, steps=1, overlap=True))
    assert "1 of 2 agents at work: --steps allows no other attempt" in step.lines


def test_nothing_is_said_where_as_many_work_as_may_or_at_the_end_of_a_parallel_run() -> None:
    both = threading.Barrier(2)

    def meet(request: Request) -> bytes:
        if request.task_id in ("T-1", "T-2"):
            both.wait(WAIT)
        return oblige(request)

    made = engine(meet)
    made.apply(*(task(f"T-{number}", writes=[f"docs/qa/T-{number}.md"]) for number in range(1, 4)))
    cycle(made, Options(parallel=2))
    assert not [line for line in made.lines if "agents at work" in line]


def test_a_task_that_waits_names_what_for_and_each_step_of_the_way() -> None:
    made = engine()
    made.apply(task("T-3", depends_on=["T-2", "T-1"]), task("T-2", depends_on=["T-1"]), task("T-1"))
    with pytest.raises(RefusedError, match="'T-3' waits for T-2, T-1") as caught:
        made.run(Options(task_id="T-3"))
    assert caught.value.hint == (
        "run 'git esaa run --task T-1', then 'git esaa run --task T-2', then 'git esaa run --task "
        "T-3'; or 'git esaa run' for the whole plan"
    )
    operator.claim(made, "T-1", "alice@example.com")
    with pytest.raises(RefusedError) as caught:
        made.run(Options(task_id="T-2"))
    assert "until alice@example.com has done 'T-1'" in str(caught.value.hint)


def test_a_task_that_is_done_is_refused_and_a_blocked_one_halts_each_with_the_way_on() -> None:
    def fails(request: Request) -> Answer:
        return Answer(b"", 1, "left with exit status 1", "AGENT_FAILED", {"exit_status": 1})

    made = engine({"": oblige, "agent-qa": fails})
    made.apply(task("T-1"), task("Q-1", "qa"), task("T-2"))
    made.run(Options(task_id="T-1"))
    with pytest.raises(RefusedError, match="'T-1' is done, and done is final") as done:
        made.run(Options(task_id="T-1"))
    assert "git esaa hotfix T-1" in str(done.value.hint)
    for _ in range(2):  # as it is blocked, and from then on
        with pytest.raises(RunHalted, match="'Q-1' is blocked: all 3 attempts failed") as blocked:
            made.run(Options(task_id="Q-1"))
        assert "git esaa task unblock Q-1" in str(blocked.value.hint)
    assert made.task("T-2").state == "todo"


def slower(made: MemoryEngine, others: Callable[[], object]) -> None:
    """Let others record something each time when we are about to, the first time."""
    waiting = [others]

    @contextmanager
    def turn() -> Iterator[None]:
        if waiting:
            waiting.pop()()
        yield

    made.turn = turn


PLAN = load_plan(
    b"project: example\ntasks: [{task_id: T-1, kind: qa, title: Do it}]\n", "plan.yaml"
)


@pytest.mark.parametrize("is_over", [False, True])
def test_whoever_is_slower_at_the_first_event_decides_again(is_over: bool) -> None:
    made = engine()

    def begin() -> None:
        made.apply(task("T-1", kind="qa", title="Do it"))
        if is_over:
            made.run()

    slower(made, begin)
    done = runs.apply(made, PLAN, made.given, branch=None, by=None, idle=False)
    assert (done.run_id, done.started, done.created) == ("RUN-0001", False, 0)
    assert made.actions.count("run.init") == 1
    assert made.run().result == "success"
    assert made.actions.count("task.create") + made.actions.count("agent.result") == 1
