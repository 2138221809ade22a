"""What acts or judges is closed to proposals, in every spelling, unless a kind opens it by name."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from esaa_git.core.contract_rules import check_contract_rules
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event, seal
from esaa_git.core.events.base import encode
from esaa_git.core.invariants import Violation
from esaa_git.core.judges import judges_of, opened, runs_nothing_pinned, unpinned
from esaa_git.core.programs import (
    MAX_BYTES,
    MAX_PROGRAMS,
    Programs,
    check_bounds,
    differences,
)
from esaa_git.core.proposal import Boundary
from esaa_git.core.requirements import needs_review, reviewer_of
from esaa_git.core.state import EMPTY, State
from esaa_git.core.table import Table
from esaa_git.core.task import Task
from esaa_git.errors import ConfigurationError, CorruptedError
from esaa_git.testing.contracts import contracts
from tests.support.examples import TS
from tests.support.records import new_event

AGENT = "AGENT_CONTRACT.yaml"
SWARM = "agents_swarm.yaml"
CHECKS = [
    {"name": "judge", "run": ["python3", "ci/check.py"]},
    {"name": "suite", "run": ["python3", "-m", "pytest", "tests"]},
]
PINNED = Programs.of(
    {
        ".roadmap/agents/impl": ("100755", b"impl"),
        "ci/check.py": ("100644", b"check"),
        "tools/reviewer": ("100755", b"reviewer"),
        "lib/judge/words.py": ("100644", b"words"),
    }
)


def pinned(programs: Programs | None = PINNED, **changes: Any) -> Contracts:
    """Contracts with a reviewer, a check and a helper of it, all of them pinned."""
    given = {
        (AGENT, "kinds", "impl", "checks"): CHECKS,
        (AGENT, "kinds", "impl", "write"): ["**"],
        (AGENT, "pin"): ["lib/judge/**", "data/*.json"],
        (SWARM, "agents", "agent-qa", "command"): ["./tools/reviewer"],
    }
    given |= {(AGENT, "kinds", "impl", name): value for name, value in changes.items()}
    return Contracts(contracts(given).files, programs)


CLOSED = [
    "tools/reviewer",
    "Tools/Reviewer",
    "TOOLS/REVIEWER",
    "tools/reviewer/below",
    "tools",
    "TOOLS",
    "ci/check.py",
    "ci",
    "lib/judge/words.py",
    "lib/judge/new.py",
    "lib/JUDGE/new.py",
    "lib/judge",
    "lib",
    "data/expected.json",
    "data",
    # a module that is installed: one of the tree would go before it
    "pytest.py",
    "pytest/__main__.py",
    "PyTest/__init__.py",
    ".roadmap/agents/impl",
    ".Roadmap/agents/new",
]


@pytest.mark.parametrize("path", CLOSED)
def test_no_spelling_of_what_acts_or_judges_is_open_to_a_proposal(path: str) -> None:
    fault = Boundary.of(Task("T-1", "impl", ""), pinned()).check(path)
    assert fault is not None
    assert fault.code == "PATH_PROTECTED"


@pytest.mark.parametrize(
    "path", ["tools/other", "tools/reviewer.md", "ci/notes.py", "data/deep/x.json", "tests/a.py"]
)
def test_what_lies_beside_is_open(path: str) -> None:
    assert Boundary.of(Task("T-1", "impl", ""), pinned()).check(path) is None


def test_a_log_that_says_nothing_of_programs_protects_none() -> None:
    boundary = Boundary.of(Task("T-1", "impl", ""), pinned(None))
    assert boundary.check("tools/reviewer") is None


def test_a_path_that_is_named_is_closed_before_it_exists() -> None:
    boundary = Boundary.of(Task("T-1", "impl", ""), pinned(Programs.of({})))
    assert boundary.check("tools/reviewer") is not None


@pytest.mark.parametrize("write", [["tools/reviewer"], ["src/**", "ci/check.py"]])
def test_a_kind_that_names_a_path_opens_it_and_then_a_person_decides(write: list[str]) -> None:
    for review in ("none", "agent"):
        given = pinned(write=write, review=review)
        task = Task("T-1", "impl", "")
        assert opened(given.agent.kind("impl"), given) == (write[-1],)
        assert Boundary.of(task, given).check(write[-1]) is None
        assert needs_review(task, given)
        assert reviewer_of(task, given) is None
    closed = pinned(write=["src/**"], review="none")
    assert not needs_review(Task("T-1", "impl", ""), closed)


@pytest.mark.parametrize("write", [["tools/**"], ["tools/reviewe?"], ["tools/[r]eviewer"], ["**"]])
def test_a_pattern_opens_nothing(write: list[str]) -> None:
    given = pinned(write=write)
    assert not opened(given.agent.kind("impl"), given)
    assert Boundary.of(Task("T-1", "impl", ""), given).check("tools/reviewer") is not None


def test_the_folder_of_agents_is_opened_by_no_kind() -> None:
    given = pinned(write=[".roadmap/agents/impl"])
    fault = Boundary.of(Task("T-1", "impl", ""), given).check(".roadmap/agents/impl")
    assert fault is not None


def test_a_check_on_tests_alone_runs_nothing_that_is_pinned() -> None:
    judge, suite = (check["run"] for check in CHECKS)
    assert not runs_nothing_pinned(judge, pinned())
    assert runs_nothing_pinned(suite, pinned())
    assert runs_nothing_pinned(["make", "test"], pinned())


# -- tasks ------------------------------------------------------------------------------------


def told(action: str, checks: list[dict[str, Any]]) -> tuple[State, Event]:
    """An event by which a task appears, or changes, with these checks; and the state before it."""
    payload: dict[str, Any] = {"task_id": "T-1", "kind": "impl", "title": "x", "checks": checks}
    if action == "task.create":
        payload = {"task": payload}
    elif action == "run.init":
        given = pinned()
        payload = {"run_id": "RUN-0001", "project": "x", "branch": "main", "base": "0" * 40}
        payload["contracts"] = [encode(pin) for pin in given.pins]
        payload["programs"] = [encode(pin) for pin in given.program_pins or ()]
        definition = {"task_id": "T-1", "kind": "impl", "title": "x", "checks": checks}
        payload["tasks"] = [definition]
    else:
        amended = {"from": "todo", "to": "todo", "cause": "amended"}
        payload = {"task_id": "T-1", **amended, "changes": {"checks": checks}}
    state = State(tasks=Table({"T-1": Task("T-1", "impl", "x", state="todo")}))
    new = new_event(action, "orchestrator", payload)
    return state, seal(new, after_seq=1, after_ts=TS, now=TS)


@pytest.mark.parametrize(
    "run",
    [
        ["./ci/other.sh"],
        ["sh", "ci/other.sh"],
        ["env", "-S", "python3 ci/other.py"],
        ["uv", "run", "other.py"],
        ["sh", "-c", "exec ./ci/other.sh"],
        ["npx", "./ci/other"],
        ["ci/check.py/../other.py"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("action", ["task.create", "task.update", "run.init"])
def test_a_task_outside_of_a_run_init_names_pinned_programs_alone(
    run: list[str], action: str
) -> None:
    check = {"name": "own", "run": run}
    state, event = told(action, [check])
    with pytest.raises(Violation, match=r"PLAN_PROGRAM_NOT_PINNED: 'T-1': check 'own' names"):
        check_contract_rules(state, event, pinned())
    assert unpinned(run, pinned())
    if action != "run.init":
        check_contract_rules(state, event, pinned(None))
        return
    # An admin has looked at what they begin; where the program is missing, no check is run.
    person = dataclasses.replace(event, actor="ann@example.com")
    check_contract_rules(state, person, pinned())


@pytest.mark.parametrize(
    "run", [["ci/check.py"], ["python3", "./ci/check.py"], ["pytest", "tests/x"], ["make"]]
)
def test_a_task_may_name_what_is_pinned_or_installed(run: list[str]) -> None:
    for action in ("task.create", "task.update", "run.init"):
        state, event = told(action, [{"name": "own", "run": run}])
        check_contract_rules(state, event, pinned())


# -- bounds -----------------------------------------------------------------------------------


def test_programs_are_bounded_in_number_and_size() -> None:
    check_bounds(PINNED)
    many = Programs.of({f"a/{n}": ("100644", b"") for n in range(MAX_PROGRAMS + 1)})
    with pytest.raises(ConfigurationError, match="1001 programs"):
        check_bounds(many)
    large = Programs.of({"a": ("100644", b"x" * (MAX_BYTES + 1))})
    with pytest.raises(ConfigurationError, match="'a' has 8388609 bytes"):
        check_bounds(large)
    together = {f"a{n}": ("100644", bytes([n]) * MAX_BYTES) for n in range(5)}
    with pytest.raises(ConfigurationError, match="the programs have 41943040 bytes"):
        check_bounds(Programs.of(together))


@pytest.mark.parametrize(
    "files",
    [{"a/X": b"1", "a/x": b"2"}, {"a": b"1", "a/b": b"2"}, {".git/hooks/x": b""}, {"../x": b""}],
    ids=["case", "folder", "git", "outside"],
)
def test_programs_stand_at_paths_that_a_tree_can_have(files: dict[str, bytes]) -> None:
    programs = Programs.of({path: ("100644", data) for path, data in files.items()})
    with pytest.raises(ConfigurationError):
        check_bounds(programs)


def test_programs_are_listed_in_order_and_are_what_they_are_listed_as() -> None:
    with pytest.raises(ConfigurationError, match="order of path"):
        check_bounds(Programs(PINNED.pins[::-1], PINNED.read))
    with pytest.raises(CorruptedError, match=r"'\.roadmap/agents/impl' is damaged"):
        check_bounds(Programs(PINNED.pins, lambda _: b"another"))


def test_a_difference_of_the_mode_alone_is_one() -> None:
    before = Programs.of({"a": ("100644", b"1"), "b": ("100644", b"2"), "c": ("100644", b"3")})
    after = Programs.of({"a": ("100755", b"1"), "b": ("100644", b"4"), "d": ("100644", b"3")})
    became = {"a": "mode", "b": "content", "c": "removed", "d": "new"}
    assert differences(before, after) == became
    assert not Contracts({}, before).same_as(Contracts({}, after))
    assert not Contracts({}, before).same_as(Contracts({}, None))
    assert judges_of(Contracts({}, None)).paths == frozenset()
    assert EMPTY.programs.pinned is None


def test_inv_004_an_effect_on_what_acts_or_judges_is_unlawful_whoever_recorded_it() -> None:
    added = {"change": "add", "mode": "100644", "after": "0" * 40, "sha256": "0" * 64, "bytes": 1}
    passed = [{"name": one["name"], "passed": True, "duration_ms": 1} for one in CHECKS]
    for path, lawful in (("src/a.py", True), ("Tools/Reviewer", False), ("lib/judge/x", False)):
        payload = {
            "task_id": "T-1",
            "attempt_id": "T-1-A1",
            "base": "0" * 40,
            "files": [{**added, "path": path}],
            "changed_lines": 1,
            "check_results": passed,
        }
        new = new_event("orchestrator.file.write", "orchestrator", payload)
        event = seal(new, after_seq=1, after_ts=TS, now=TS)
        state = State(tasks=Table({"T-1": Task("T-1", "impl", "x", state="in_progress")}))
        if lawful:
            check_contract_rules(state, event, pinned())
            continue
        with pytest.raises(Violation) as raised:
            check_contract_rules(state, event, pinned())
        assert raised.value.rule == "INV-004"
