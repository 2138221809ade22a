"""Checks on the base: what fails before any work is found before an agent is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from esaa_git.core.agent_contract import Check
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.options import Stop
from esaa_git.errors import AgentError
from esaa_git.ports.checks import CheckResult
from esaa_git.ports.files import FileEntry
from esaa_git.testing.answers import oblige
from esaa_git.testing.contracts import Place, contracts, task
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.world import MemoryChecker

SPEC: Place = ("AGENT_CONTRACT.yaml", "kinds", "spec", "checks")
QA: Place = ("AGENT_CONTRACT.yaml", "kinds", "qa", "checks")
TESTS = {"name": "tests", "run": ["make", "test"]}
LINT = {"name": "lint", "run": ["make", "lint"]}
BROKEN = {"README.md": b"tests fails here\n"}


def checker(made: MemoryEngine) -> MemoryChecker:
    assert isinstance(made.checker, MemoryChecker)
    return made.checker


def test_a_check_of_a_kind_that_fails_on_the_base_stops_the_run_before_anybody_is_asked() -> None:
    made = engine(oblige, given=contracts({SPEC: [TESTS]}), files=BROKEN)
    made.apply(task())
    with pytest.raises(AgentError) as caught:
        cycle(made)
    assert caught.value.message == (
        "check 'tests' of 'T-1' fails on the base already: it left with exit status 1"
    )
    assert caught.value.cause == "output"
    assert "'git esaa check T-1'" in str(caught.value.hint)
    assert "'git esaa run --base-may-fail'" in str(caught.value.hint)
    assert made.actions == ["run.init"]
    assert made.requests == []


def test_who_says_that_the_base_may_fail_has_the_agent_asked() -> None:
    made = engine(oblige, given=contracts({SPEC: [TESTS]}), files=BROKEN)
    made.apply(task(attempts_allowed=1))
    cycle(made, Options(base_may_fail=True))
    assert checker(made).on_base == 0
    assert len(made.requests) == 1


def test_a_check_of_a_task_may_fail_before_its_work() -> None:
    made = engine(oblige, files=BROKEN)
    made.apply(task(checks=[TESTS], attempts_allowed=1))
    cycle(made)
    assert checker(made).on_base == 1
    assert len(made.requests) == 1


def test_a_check_that_cannot_be_run_stops_the_run_whosever_it_is() -> None:
    made = engine(oblige)
    made.apply(task(checks=[TESTS]))

    class Missing(MemoryChecker):
        def run(self, *_: object) -> list[CheckResult]:  # type: ignore[override]
            return [CheckResult("tests", False, "exit status 127", "", 1, is_runnable=False)]

    made.checker = Missing(made.repository)
    with pytest.raises(AgentError, match="'tests' of 'T-1' cannot be run here: exit status 127"):
        cycle(made)
    assert made.requests == []


def test_the_same_checks_are_looked_at_once_and_others_when_their_task_comes() -> None:
    made = engine(oblige, given=contracts({SPEC: [TESTS], QA: [LINT]}))
    made.apply(task("T-1"), task("T-2"), task("T-3", "qa", depends_on=["T-1"]))
    cycle(made)
    assert checker(made).on_base == 2
    assert made.state.run.state == "success"


def test_no_answer_waits_while_others_checks_are_looked_at() -> None:
    made = engine(oblige, given=contracts({SPEC: [TESTS], QA: [LINT]}))
    made.apply(task("T-1", priority=1), task("T-2", "qa"))
    open_then: list[list[str]] = []

    class Looking(MemoryChecker):
        def run(
            self,
            checks: Sequence[Check],
            base: str,
            changes: Mapping[str, FileEntry | None],
            pause: Callable[[], None],
        ) -> list[CheckResult]:
            if not changes:
                open_then.append(list(made.state.run.in_progress))
            return super().run(checks, base, changes, pause)

    made.checker = Looking(made.repository)
    cycle(made, Options(parallel=2, overlap=True))
    assert open_then == [[], []]
    assert made.state.run.state == "success"


def test_a_person_who_stops_the_run_is_not_kept_by_a_look() -> None:
    made = engine(oblige, given=contracts({SPEC: [TESTS]}))
    made.apply(task())
    stop = Stop()

    class Slow(MemoryChecker):
        def run(self, *given: object) -> list[CheckResult]:  # type: ignore[override]
            stop.finish()
            given[-1]()  # type: ignore[operator]
            raise AssertionError("it was called off")

    made.checker = Slow(made.repository)
    assert cycle(made, stop=stop).stopped
    assert made.actions == ["run.init"]
