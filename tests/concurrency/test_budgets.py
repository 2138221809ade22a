"""Workers under one budget: killed at random, they never spend what was not reserved.

Two clones, a real smart-HTTP remote with the real hook, agents whose cost is random. What agents
really took is noted outside of the log, by the agents themselves.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from esaa_git.core.accounts import Account
from esaa_git.core.projection import evolve
from esaa_git.core.state import EMPTY, State
from tests.concurrency.conftest import Web
from tests.conftest import Git
from tests.support.patience import patience
from tests.support.project import Project
from tests.support.workers import Fleet, Worker, fleet

pytestmark = pytest.mark.servers

RUN = "run.RUN-0001"
OVER = (0, 14)
"""How a worker ends where all is done, or where the budget has no room."""

MOST = 1000
"""What one call costs at most, in micro-dollars."""

PAID = """\
import json, os, random, sys, time

request = json.load(sys.stdin)
task, attempt = request["task"]["task_id"], request["attempt_id"]
with open(os.path.join({told!r}, attempt), "a+") as asked:
    asked.seek(0)
    dice = random.Random(attempt + asked.read())
    cost = dice.randrange(1, 1001)
    asked.write(str(cost) + "\\n")
time.sleep(dice.random() / 5)
update = {{"op": "write", "path": f"src/{{task}}.txt", "content": f"{{task}}\\n"}}
usage = {{"input_tokens": 1, "output_tokens": 1, "cost_microdollars": cost}}
payload = {{"summary": f"Did {{task}}", "file_updates": [update], "usage": usage}}
print(json.dumps({{"action": "agent.result", "task_id": task, "attempt_id": attempt,
                  "payload": payload}}))
"""
"""Notes what it costs before it does anything, as a service counts what was never delivered."""


def states(project: Project) -> list[State]:
    """Return the state after each event of a log."""
    found = [EMPTY]
    for one in project.chain():
        found.append(evolve(found[-1], one.event))
    return found[1:]


def account(state: State) -> Account:
    return state.accounts.get(RUN) or Account()


def really_spent(made: Fleet) -> dict[str, list[int]]:
    """Return what each call of an agent cost, by attempt."""
    return {
        path.name: [int(line) for line in path.read_text().split()] for path in made.told.iterdir()
    }


def worked_through(
    made: Fleet, dice: random.Random, workers: int, kills: int, *options: str
) -> None:
    """Run workers in both clones, of which some are killed at random and begin again.

    So does one that gives up because another one died with a lock in its hand.
    """

    def begin(place: int) -> Worker:
        return made.start(place % 2, "--sandbox", "none", *options)

    running = [begin(place) for place in range(workers)]
    end = time.monotonic() + patience(90 + kills * 20)
    while any(worker.process.poll() not in OVER for worker in running):
        assert time.monotonic() < end, [worker.said() for worker in running]
        time.sleep(dice.uniform(0.5, 2.5))
        place = dice.randrange(workers)
        if kills and running[place].process.poll() is None:
            kills -= 1
            running[place].kill()
        for place, worker in enumerate(running):
            if worker.process.poll() not in (None, *OVER):
                assert "Traceback" not in worker.said(), worker.said()
                running[place] = begin(place)


def check(made: Fleet, cap: int) -> State:
    """Assert that no more was spent than reserved, nor reserved than may be, and nothing lost."""
    project = made.clones[0]
    project.ok("fetch")
    project.forget()
    project.check()
    found = states(project)
    for state in found:
        booked = account(state)
        assert booked.spent.microdollars + booked.reserved.microdollars <= cap
        assert booked.overrun.microdollars == 0
    really = really_spent(made)
    last = account(found[-1])
    assert sum(map(sum, really.values())) <= last.spent.microdollars + last.reserved.microdollars
    asked = Counter(
        one["payload"]["attempt_id"]
        for one in made.events()
        if one["action"] == "orchestrator.dispatch"
    )
    for attempt, costs in really.items():
        assert len(costs) <= asked[attempt], attempt
    booked_calls = found[-1].reservations
    assert len(booked_calls) == sum(asked.values())
    unknown = sum(
        one.spent.microdollars for one in booked_calls.values() if one.spent and one.unknown
    )
    assert last.unknown == unknown
    return found[-1]


def settings(cap: int) -> dict[str, Any]:
    policy = {"budgets": {"run": {"microdollars": cap}}}
    return {"program": True, "source": PAID, "max_cost": MOST, "policy": policy}


def test_agents_of_two_clones_never_spend_beyond_the_cap(
    tmp_path: Path, git: Git, web: Web
) -> None:
    cap = 3000
    with fleet(tmp_path, git, clones=2, tasks=20, serve=web.serve, **settings(cap)) as made:
        worked_through(made, random.Random(29), 2, 1, "--parallel", "4")
        state = check(made, cap)
        done = dict(state.run.by_state).get("done", 0)
        assert 1 <= done < 20  # the cap came first, and was used
        assert account(state).spent.microdollars > cap - MOST


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_eight_workers_on_two_clones_spend_no_micro_dollar_too_much(
    tmp_path: Path, git: Git, web: Web
) -> None:
    cap = 80_000
    with fleet(tmp_path, git, clones=2, tasks=200, serve=web.serve, **settings(cap)) as made:
        worked_through(made, random.Random(time.time_ns()), 8, 24)
        state = check(made, cap)
        assert account(state).spent.microdollars > cap - MOST
