"""Workers: several machines on one plan, over a real smart-HTTP remote with the real hook.

Every worker is a process in a clone of its own. However a test goes, in the end there is one log
on all clones and the server, without a gap, with every task done once, and it verifies anew.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.concurrency.conftest import Web
from tests.conftest import Git
from tests.support.patience import patience
from tests.support.team import LOG
from tests.support.workers import Fleet, Worker, dying, fleet, shifted, until

pytestmark = pytest.mark.servers

SHORT = {"attempts__ttl": "PT3S"}
"""A lease that a test can sit out."""

Make = Callable[..., Fleet]


@pytest.fixture
def make(tmp_path: Path, git: Git, web: Web) -> Iterator[Make]:
    with ExitStack() as stack:

        def made(**settings: Any) -> Fleet:
            return stack.enter_context(fleet(tmp_path, git, serve=web.serve, **settings))

        yield made


def codes(events: list[dict[str, Any]]) -> list[str]:
    """Return why answers were refused, in order."""
    return [one["payload"]["code"] for one in events if one["action"] == "output.rejected"]


def opened(events: list[dict[str, Any]]) -> Counter[str]:
    """Return how many attempts each task had."""
    tasks = [one["payload"]["task_id"] for one in events if one["action"] == "attempt.create"]
    return Counter(tasks)


def test_workers_share_a_plan_and_all_leave_with_its_result(make: Make) -> None:
    made = make(clones=3, tasks=6)
    workers = [made.start(number) for number in range(3)]
    said = [worker.ends() for worker in workers]
    assert [status for status, _ in said] == [0, 0, 0], said
    assert all("run success: 6 tasks done" in text for _, text in said)
    events = made.settle()
    assert set(opened(events).values()) == {1}
    assert [one["action"] for one in events].count("run.end") == 1


def test_agents_of_one_worker_are_at_work_while_another_worker_records(make: Make) -> None:
    made = make(clones=2, tasks=4, program=True)
    for number in range(1, 5):
        made.hold(f"T-{number}-A1")
    first = made.start(0, "--parallel", "2", "--sandbox", "none")
    until(lambda: made.asked("T-1-A1")() and made.asked("T-2-A1")())
    second = made.start(1, "--sandbox", "none")
    until(made.asked("T-3-A1"))
    made.let_go("T-3-A1")
    until(made.happened("task.update", task_id="T-3", to="done"))
    for number in (1, 2, 4):
        made.let_go(f"T-{number}-A1")
    assert first.ends()[0] == second.ends()[0] == 0
    assert set(opened(made.settle()).values()) == {1}


def test_a_worker_that_comes_when_all_is_done_leaves_with_the_result(make: Make) -> None:
    made = make(clones=2, tasks=1)
    assert made.start(0).ends()[0] == 0
    status, said = made.start(1).ends()
    assert status == 0
    assert "run success" in said
    made.settle()


def test_the_task_of_a_killed_worker_comes_back_after_its_lease(make: Make) -> None:
    # Its only task: with another one to do, a slow machine would sit out the lease over that.
    made = make(clones=2, tasks=1, program=True, policy=SHORT)
    made.hold("T-1-A1")
    victim = made.start(0, "--sandbox", "none")
    until(made.asked("T-1-A1"))
    victim.kill()
    status, said = made.start(1, "--sandbox", "none").ends()
    assert status == 0, said
    assert "waiting: 'T-1' is held by agent" in said
    events = made.settle()
    assert opened(events) == {"T-1": 2}
    timeouts = [one["payload"] for one in events if one["action"] == "attempt.timeout"]
    assert [payload["attempt_id"] for payload in timeouts] == ["T-1-A1"]


@pytest.mark.parametrize(
    "where",
    [
        "push-begun:2",
        pytest.param("push-done:1", marks=pytest.mark.slow),
        pytest.param("push-done:2", marks=pytest.mark.slow),
    ],
)
def test_a_worker_that_dies_around_a_push_doubles_nothing(make: Make, where: str) -> None:
    made = make(clones=1, tasks=2, policy=SHORT)
    victim = made.start(0, before=dying(where))
    assert victim.ends()[0] == -signal.SIGKILL
    assert made.start(0).ends()[0] == 0
    made.settle()


def test_a_worker_that_slept_past_its_lease_commits_nothing(make: Make) -> None:
    made = make(clones=2, tasks=3, program=True, policy=SHORT)
    for name in ("T-1-A1", "T-3-A1"):
        made.hold(name)
    sleeper = made.start(0, "--sandbox", "none")
    until(made.asked("T-1-A1"))
    sleeper.stop()
    made.let_go("T-1-A1")  # its answer is ready when it wakes up
    other = made.start(1, "--sandbox", "none")
    until(made.happened("task.update", task_id="T-1", to="done"))
    sleeper.go_on()
    until(made.happened("output.rejected", attempt_id="T-1-A1"))
    made.let_go("T-3-A1")
    assert other.ends()[0] == 0
    assert sleeper.ends()[0] == 0
    events = made.settle()
    assert "STALE_ATTEMPT" in codes(events) or "AGENT_TIMEOUT" in codes(events)
    winner = [
        one["payload"]["attempt_id"]
        for one in events
        if one["action"] == "agent.result" and one["payload"]["task_id"] == "T-1"
    ]
    assert winner == ["T-1-A2"]


@pytest.mark.slow
def test_a_worker_that_slept_through_the_end_of_the_run_leaves_with_its_result(make: Make) -> None:
    made = make(clones=2, tasks=1, program=True, policy=SHORT)
    made.hold("T-1-A1")
    sleeper = made.start(0, "--sandbox", "none")
    until(made.asked("T-1-A1"))
    sleeper.stop()
    made.let_go("T-1-A1")
    assert made.start(1, "--sandbox", "none").ends()[0] == 0
    before = made.refs()
    sleeper.go_on()
    status, said = sleeper.ends()
    assert status == 0, said
    assert "run success" in said
    assert made.refs() == before
    made.settle()


def test_answers_wait_for_a_server_that_is_away(make: Make, web: Web) -> None:
    made = make(clones=2, tasks=4, program=True)
    for number in (1, 2):
        made.hold(f"T-{number}-A1")
    workers = [made.start(number, "--sandbox", "none") for number in range(2)]
    until(lambda: made.asked("T-1-A1")() and made.asked("T-2-A1")())
    before = made.refs()
    web.go_away()
    for number in (1, 2):
        made.let_go(f"T-{number}-A1")
    waiting = "cannot be reached, waiting for it up to 600 s"
    until(lambda: all(waiting in worker.said() for worker in workers))
    assert made.refs() == before
    web.come_back()
    for worker in workers:
        status, said = worker.ends()
        assert status == 0
        assert "'origin' can be reached again" in said
    events = made.settle()
    assert set(opened(events).values()) == {1}
    assert codes(events) == []


@pytest.mark.slow
def test_a_worker_gives_up_a_repository_that_stays_away(make: Make) -> None:
    made = make(clones=2, tasks=2, program=True, policy=SHORT)
    made.hold("T-1-A1")
    worker = made.start(0, "--sandbox", "none", "--patience", "PT2S")
    until(made.asked("T-1-A1"))
    place = made.server.resolve()
    shutil.move(place, place.with_name("elsewhere.git"))
    made.let_go("T-1-A1")
    status, said = worker.ends()
    assert status == 3
    assert "error: 'origin' cannot be reached" in said
    assert "run 'git esaa run --remote origin' again" in said
    shutil.move(place.with_name("elsewhere.git"), place)
    assert made.start(1, "--sandbox", "none").ends()[0] == 0
    assert opened(made.settle()) == {"T-1": 2, "T-2": 1}


def test_workers_whose_clocks_differ_by_minutes_take_nothing_from_each_other(make: Make) -> None:
    made = make(clones=2, tasks=6, program=True)
    made.hold("T-1-A1")
    slow = made.start(0, "--sandbox", "none", before=shifted(-240))
    until(made.asked("T-1-A1"))
    fast = made.start(1, "--sandbox", "none")
    until(made.happened("task.update", task_id="T-2", to="done"))
    made.let_go("T-1-A1")
    assert slow.ends()[0] == fast.ends()[0] == 0
    events = made.settle()
    assert set(opened(events).values()) == {1}
    assert codes(events) == []
    times = [one["ts"] for one in events]
    assert times == sorted(times)


def test_a_lease_of_a_clock_that_is_ahead_is_sat_out_and_not_believed(make: Make) -> None:
    made = make(clones=2, tasks=1, program=True, policy=SHORT)
    made.hold("T-1-A1")
    fast = made.start(1, "--sandbox", "none", before=shifted(280))
    until(made.asked("T-1-A1"))
    fast.kill()
    status, said = made.start(0, "--sandbox", "none").ends()
    assert status == 0, said
    assert opened(made.settle()) == {"T-1": 2}


def test_a_worker_refuses_to_begin_with_events_that_are_not_shared(make: Make) -> None:
    made = make(clones=1, tasks=1)
    clone = made.clones[0]
    clone.ok("task", "note", "T-1", "mine alone")
    before = made.refs(), clone.refs()
    said = clone.fails(6, "run", "--remote", "origin")
    assert "git esaa push origin" in said
    assert (made.refs(), clone.refs()) == before
    clone.ok("push")
    clone.ok("run", "--remote", "origin")
    made.settle()


def test_workers_may_begin_the_first_log_of_all_and_the_slower_takes_it_in(make: Make) -> None:
    made = make(clones=2, tasks=2)
    made.run(made.server, "update-ref", "-d", LOG)
    for clone in made.clones:
        for ref in (LOG, "refs/esaa/remotes/origin/events"):
            clone.git("update-ref", "-d", ref)
        shutil.rmtree(clone.repository.esaa_dir)
    both = [made.start(0), made.start(1)]
    ended = [worker.ends() for worker in both]
    assert [status for status, _ in ended] == [0, 0], ended
    said = "".join(text for _, text in ended)
    assert said.count("RUN-0001 started on 'main' with 2 new tasks") == 1
    made.settle()


def test_how_long_to_be_patient_is_a_duration(make: Make) -> None:
    (clone,) = make(clones=1, tasks=1).clones
    said = clone.fails(2, "run", "--remote", "origin", "--patience", "soon")
    assert "'soon' is not a duration; write it as in PT30M" in said


def test_a_worker_refuses_another_log_of_the_same_name(make: Make, tmp_path: Path) -> None:
    made = make(clones=2, tasks=1)
    stranger = made.clones[1]
    stranger.git("update-ref", "-d", "refs/esaa/events")
    shutil.rmtree(stranger.repository.esaa_dir)
    # It began its log where nobody could tell that there is one.
    url = stranger.git("config", "remote.origin.url")
    stranger.git("init", "--quiet", "--bare", str(tmp_path / "empty.git"))
    stranger.git("config", "remote.origin.url", str(tmp_path / "empty.git"))
    stranger.ok("plan", "apply")
    stranger.git("config", "remote.origin.url", url)
    before = made.refs()
    assert "another log" in stranger.fails(9, "run", "--remote", "origin")
    assert made.refs() == before


def test_a_worker_merges_no_branches(make: Make) -> None:
    made = make(clones=2, tasks=1)
    for clone in made.clones:
        clone.git("commit", "--quiet", "--allow-empty", "--message", f"By {clone.path.name}")
    made.clones[0].git("push", "--quiet", "origin", "main")
    behind = made.clones[1]
    before = made.refs(), behind.head()
    said = behind.fails(6, "run", "--remote", "origin")
    assert "'main' here and on 'origin' have gone different ways" in said
    assert "git esaa sync origin" in said
    assert (made.refs(), behind.head()) == before
    behind.ok("sync")
    behind.ok("run", "--remote", "origin")
    made.settle()


def test_a_worker_follows_no_server_that_was_rolled_back(make: Make) -> None:
    made = make(clones=2, tasks=1)
    (clone, other) = made.clones
    clone.ok("task", "note", "T-1", "soon to be lost")
    clone.ok("push")
    other.ok("fetch")
    made.run(made.server, "update-ref", LOG, f"{LOG}~1")
    before = made.refs(), other.refs()
    assert "rolled back to event 1" in other.fails(9, "run", "--remote", "origin")
    assert (made.refs(), other.refs()) == before
    clone.git("push", "--quiet", "origin", LOG)
    other.ok("run", "--remote", "origin")
    made.settle()


def test_events_that_others_push_by_hand_are_followed(make: Make) -> None:
    made = make(clones=2, tasks=2, program=True)
    made.hold("T-1-A1")
    worker = made.start(0, "--sandbox", "none")
    until(made.asked("T-1-A1"))
    other = made.clones[1]
    other.ok("fetch")
    other.ok("task", "note", "T-2", "look here")
    other.git("commit", "--quiet", "--allow-empty", "--message", "By hand")
    other.ok("push")
    made.let_go("T-1-A1")
    assert worker.ends()[0] == 0
    events = made.settle()
    assert codes(events) == []
    log = other.git("log", "--format=%s", "main")
    assert "By hand" in log


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_dies_or_sleeps_each_task_is_done_once(make: Make, seed: int) -> None:
    chance = random.Random(seed)
    patient = {**SHORT, "attempts__max_per_task": 1000}
    made = make(clones=4, tasks=12, policy=patient)
    at_work: dict[int, Worker] = {}
    end = time.monotonic() + patience(40)
    while not made.happened("run.end")() and time.monotonic() < end:
        number = chance.randrange(4)
        worker = at_work.pop(number, None)
        if worker is None or worker.process.poll() is not None:
            at_work[number] = made.start(number)
        elif chance.random() < 0.5:
            worker.kill()
        else:
            worker.stop()
            time.sleep(chance.uniform(0, 4))
            worker.go_on()
            at_work[number] = worker
        time.sleep(chance.uniform(0, 1.5))
    for worker in at_work.values():
        worker.ends()
    # Whoever comes last finds nothing left to do.
    for number in range(4):
        status, said = made.start(number).ends()
        assert status == 0, said
    made.settle()
