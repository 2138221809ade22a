"""Every knob of every contract does something: turn it, and another thing is decided or recorded.

A knob is a leaf of a contract's file. Those of the templates and those that only the schemas
offer are collected here; each has a scenario, and each scenario a knob.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from esaa_git.agents.adapter import AdapterContext
from esaa_git.agents.registry import ADAPTERS, make_agent
from esaa_git.core import contract_schemas as schemas
from esaa_git.core.contracts import Contracts
from esaa_git.core.event import Event, NewEvent, seal
from esaa_git.core.events.base import encode
from esaa_git.core.globs import GlobSet
from esaa_git.core.invariants import INVARIANTS
from esaa_git.core.programs import Programs
from esaa_git.core.rejection import RejectCode
from esaa_git.core.roles import Signed, fault
from esaa_git.core.state import EMPTY
from esaa_git.engine import operator, run
from esaa_git.engine.cycle import Options, cycle
from esaa_git.engine.intentions import ReportIssue
from esaa_git.errors import ConfigurationError, MismatchError, RefusedError, RunHalted
from esaa_git.ports.agent import Answer, Request
from esaa_git.ports.checks import Audit
from esaa_git.testing.answers import (
    Answering,
    envelope,
    in_turn,
    oblige,
    result,
    says,
    spoken,
    write,
)
from esaa_git.testing.contracts import (
    Place,
    contracts,
    task,
    template_document,
    template_files,
)
from esaa_git.testing.engine import MemoryEngine, engine
from esaa_git.testing.world import NoWorkspaces
from esaa_git.trust.roles import check_signers
from tests.support.examples import EXAMPLES, TS
from tests.support.records import payload_of

AGENT = "AGENT_CONTRACT.yaml"
ORCHESTRATOR = "ORCHESTRATOR_CONTRACT.yaml"
GUARD = "POLICY.yaml"
POLICY = "RUNTIME_POLICY.yaml"
STORAGE = "STORAGE_POLICY.yaml"
SWARM = "agents_swarm.yaml"
PROFILE = "PARCER_PROFILE.*.yaml"

SCHEMAS = {
    AGENT: schemas.AGENT_CONTRACT,
    ORCHESTRATOR: schemas.ORCHESTRATOR_CONTRACT,
    GUARD: schemas.POLICY,
    POLICY: schemas.RUNTIME_POLICY,
    STORAGE: schemas.STORAGE_POLICY,
    SWARM: schemas.SWARM,
    PROFILE: schemas.PARCER_PROFILE,
}
NAMED = (
    (AGENT, "kinds"),
    (ORCHESTRATOR, "signing"),
    (SWARM, "agents"),
    (SWARM, "kinds"),
    (SWARM, "reviewers"),
)
"""Where people choose the names; in a pattern, `*` stands for any of them."""


@dataclass
class Bench:
    """The knob at hand, and what a scenario may need to turn it."""

    place: Place
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def name(self) -> str:
        """What people called it: a kind, an agent, an action."""
        return self.place[2]

    def engine(
        self,
        value: Any,
        answering: Answering | None = None,
        more: Mapping[Place, Any] | None = None,
        files: Mapping[str, Any] | None = None,
    ) -> MemoryEngine:
        """An orchestrator under contracts in which the knob stands at this value."""
        given = contracts({**(more or {}), self.place: value})
        return engine(answering, given=given, files=files)


Scenario = Callable[[Bench], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(*patterns: str) -> Callable[[Scenario], Scenario]:
    def register(function: Scenario) -> Scenario:
        for pattern in patterns:
            assert pattern not in SCENARIOS
            SCENARIOS[pattern] = function
        return function

    return register


# ---------------------------------------------------------------------------- which knobs there are


def leaves(value: Any, place: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    else:
        yield place


def offered(schema: Mapping[str, Any], place: Place = ()) -> Iterator[Place]:
    """Yield the leaves that a schema admits, `*` for names that people choose."""
    if schema.get("type") != "object" or len(schema) == 1:
        yield place
        return
    named = set(schema.get("required", ())) | set(schema.get("properties", ()))
    for alternative in schema.get("oneOf", ()):
        yield from offered(alternative, place)
    for key in named:
        below = schema.get("properties", {}).get(key, {})
        yield from offered(below, (*place, key))
    if isinstance(schema.get("additionalProperties"), dict):
        yield from offered(schema["additionalProperties"], (*place, "*"))


def pattern_of(place: Place) -> str:
    """Return the knob's name with `*` for what people chose."""
    name, *keys = place
    if name.startswith("PARCER_PROFILE."):
        name = PROFILE
    if keys and (name, keys[0]) in NAMED and keys[1] != "default":
        keys[1] = "*"
    if keys[:2] == ["budgets", "kind"]:
        keys[2] = "*"
    return "/".join((name, *keys))


KNOBS = [
    place
    for name in sorted(template_files())
    if name.endswith(".yaml")
    for place in leaves(template_document(name), (name,))
]
OFFERED = {
    "/".join((name, *place)) for name, schema in SCHEMAS.items() for place in offered(schema)
} | {
    "/".join(place)
    for name in ADAPTERS.built_in
    if (adapter := ADAPTERS.find(name)) is not None
    for place in offered({"type": "object", **adapter.schema_for({})}, (SWARM, "agents", "*"))
}

SHOWN = {pattern_of(place) for place in KNOBS}

# What the schemas offer and the templates leave out: settings of an agent.
MORE_KNOBS: list[Place] = [
    tuple(pattern.replace("*", "agent-spec" if "/agents/" in pattern else "spec").split("/"))
    for pattern in sorted(OFFERED - SHOWN)
]


ELSEWHERE: dict[str, str] = {
    f"{SWARM}/agents/*/{key}": test
    for key, test in {
        "arguments": "agents/test_worktree.py::"
        "test_a_preset_starts_its_tool_with_its_flags_the_model_and_more",
        "preset": "agents/test_worktree.py::"
        "test_a_preset_starts_its_tool_with_its_flags_the_model_and_more",
        "program": "agents/test_worktree.py::"
        "test_a_preset_starts_its_tool_with_its_flags_the_model_and_more",
        "hosts": "sandbox/test_confinement.py::test_hosts_of_an_agent_are_reached_and_no_others",
        "read": "sandbox/test_confinement.py::"
        "test_read_of_an_agent_is_readable_and_nothing_beside_it",
        "limits/memory_bytes": "sandbox/test_confinement.py::"
        "test_memory_bytes_of_an_agent_is_a_limit",
        "limits/processes": "sandbox/test_confinement.py::test_processes_of_an_agent_is_a_limit",
        "limits/disk_bytes": "sandbox/test_confinement.py::"
        "test_disk_bytes_of_an_agent_is_a_limit_that_is_named",
        "context_tokens": "agents/test_local.py::test_a_prompt_that_does_not_fit_spends_no_attempt",
        "dialect": "agents/test_http.py::"
        "test_the_body_holds_model_prompt_and_schema_where_the_dialect_wants_them",
        "extra": "agents/test_http.py::test_extra_is_merged_into_the_body_and_null_takes_out_of_it",
        "file": "agents/test_local.py::test_weights_are_looked_for_where_the_entry_says",
        "package": "agents/test_registry.py::"
        "test_the_package_that_brings_an_adapter_is_named_where_it_is_missing",
        "key_env": "agents/test_http.py::test_the_key_travels_in_a_header_and_nowhere_else",
        "max_output_tokens": "agents/test_http.py::"
        "test_the_most_tokens_of_an_answer_go_where_the_dialect_wants_them",
        "max_tries": "agents/test_http.py::test_tries_end_at_their_number",
        "prices/cached_input_microdollars_per_million": "agents/test_http.py::"
        "test_prices_of_the_entry_make_the_cost_in_micro_dollars_rounded_up",
        "prices/input_microdollars_per_million": "agents/test_http.py::"
        "test_prices_of_the_entry_make_the_cost_in_micro_dollars_rounded_up",
        "prices/output_microdollars_per_million": "agents/test_http.py::"
        "test_prices_of_the_entry_make_the_cost_in_micro_dollars_rounded_up",
        "template": "agents/test_http.py::test_the_entry_may_name_another_template",
        "url": "agents/test_http.py::"
        "test_a_service_is_sent_exactly_what_was_prepared_and_its_answer_is_an_envelope",
    }.items()
}


def test_the_templates_and_the_schemas_speak_of_the_same_knobs() -> None:
    assert SHOWN <= OFFERED
    assert {"/".join(place[:2]) for place in MORE_KNOBS} == {
        f"{SWARM}/agents",
        f"{SWARM}/pin",
        f"{SWARM}/reviewers",
        f"{AGENT}/kinds",
        f"{AGENT}/pin",
        f"{POLICY}/budgets",
        f"{GUARD}/cases",
        f"{GUARD}/default",
    }


def test_every_knob_has_a_scenario() -> None:
    assert OFFERED - set(SCENARIOS) - set(ELSEWHERE) == set()


def test_every_scenario_has_a_knob() -> None:
    assert set(SCENARIOS) - OFFERED == set()
    assert set(ELSEWHERE) - OFFERED == set()
    assert set(ELSEWHERE) & set(SCENARIOS) == set()


@pytest.mark.parametrize("pattern", sorted(ELSEWHERE))
def test_a_scenario_that_stands_elsewhere_is_there(pattern: str) -> None:
    """Adapters are tried with real programs, services and servers, in files of their own."""
    file, name = ELSEWHERE[pattern].split("::")
    tree = ast.parse((Path(__file__).parents[1] / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_templates_have_this_many_knobs() -> None:
    """A walk that stopped short would prove nothing."""
    assert len(KNOBS) > 70
    assert {place[0] for place in KNOBS} == {n for n in template_files() if n.endswith(".yaml")}


HERE = [place for place in KNOBS + MORE_KNOBS if pattern_of(place) not in ELSEWHERE]


@pytest.mark.parametrize("place", HERE, ids="/".join)
def test_turning_the_knob_changes_what_happens(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    SCENARIOS[pattern_of(place)](Bench(place, tmp_path, monkeypatch))


# ------------------------------------------------------------------------------- what scenarios use


def worked(bench: MemoryEngine, kind: str = "spec", steps: int = 1, **more: Any) -> MemoryEngine:
    """Have one task worked on for so many attempts."""
    bench.apply(task("T-1", kind, **more))
    cycle(bench, Options(steps=steps))
    return bench


def found(bench: MemoryEngine, action: str) -> list[Event]:
    return [event for event in bench.events if event.action == action]


def codes(bench: MemoryEngine) -> list[str]:
    return [event.payload.code for event in found(bench, "output.rejected")]


def kind_of(agent: str) -> str:
    kinds: dict[str, str] = template_document(SWARM)["kinds"]
    return next((kind for kind, name in kinds.items() if name == agent), "spec")


GARBAGE: Answering = lambda request: b"???"  # noqa: E731  # a value of the same kind as the others

# ---------------------------------------------------------------------------------------- all files


@scenario(
    *(f"{name}/schema_version" for name in (AGENT, ORCHESTRATOR, GUARD, POLICY, STORAGE, SWARM))
)
def another_version_is_refused(bench: Bench) -> None:
    contracts({bench.place: "0.3.0"}).check()
    with pytest.raises(ConfigurationError):
        contracts({bench.place: "0.3.1"}).check()


# ----------------------------------------------------------------------------------- AGENT_CONTRACT


@scenario(f"{AGENT}/actions")
def an_action_that_is_not_listed_is_forbidden(bench: Bench) -> None:
    lesson = says("lesson.record", rule="Read first.", mistake="Wrote first.")
    everything = template_document(AGENT)["actions"]
    taken = worked(bench.engine(everything, lesson))
    refused = worked(bench.engine(["agent.result", "issue.report"], lesson))
    assert codes(taken) == ["NO_RESULT"]
    assert codes(refused) == ["FORBIDDEN_ACTION"]
    assert found(taken, "lesson.record") == found(refused, "lesson.record") == []
    assert set(taken.view()["answer"]["actions"]) == set(everything)
    assert set(refused.view()["answer"]["actions"]) == {"agent.result", "issue.report"}


@scenario(f"{AGENT}/kinds/*/write")
def a_kind_writes_inside_its_globs(bench: Bench) -> None:
    agent = result(write("plans/deep/a.txt"))
    alone = {(AGENT, "kinds", bench.name): {"write": [], "read": ["**"], "review": "none"}}
    inside = worked(bench.engine(["plans/**"], agent, alone), bench.name)
    outside = worked(bench.engine(["plans/*"], agent, alone), bench.name)
    assert inside.content("plans/deep/a.txt") == b"text\n"
    assert codes(outside) == ["BOUNDARY_VIOLATION"]
    assert outside.content("plans/deep/a.txt") is None
    assert inside.view()["contract"]["write"] == ["plans/**"]


@scenario(f"{AGENT}/kinds/*/read")
def a_kind_s_read_globs_reach_the_request(bench: Bench) -> None:
    for globs in (["src/**", "*.md"], []):
        asked = worked(bench.engine(globs), bench.name)
        assert list(asked.requests[0].read) == globs
        assert asked.view()["contract"]["read"] == globs


@scenario(f"{AGENT}/kinds/*/checks")
def a_kind_s_results_pass_its_checks(bench: Bench) -> None:
    agent = result(write("docs/qa/a.md", "tests fails\n"))
    for value, refused in (([], []), ([{"name": "tests", "run": ["true"]}], ["CHECK_FAILED"])):
        assert codes(worked(bench.engine(value, agent), bench.name)) == refused


@scenario(f"{AGENT}/kinds/*/context")
def a_kind_s_context_is_what_a_request_carries(bench: Bench) -> None:
    files = {"docs/a.md": b"a", "src/b.py": b"b"}
    for value in (["docs/**"], ["src/*.py"], []):
        made = bench.engine(value, files=files)
        made.has_checkout = False
        carried = {file["path"] for file in worked(made, bench.name).view()["files"]}
        assert carried == {path for path in files if GlobSet(value).matches(path)}


@scenario(f"{POLICY}/limits/max_context_bytes")
def a_request_carries_so_many_bytes_of_files(bench: Bench) -> None:
    for value, carried in ((10, ["a", "b"]), (5, ["a"]), (0, [])):
        made = bench.engine(value, files={"a": b"aaaaa", "b": b"bbbbb"})
        made.has_checkout = False
        shown = worked(made).view()["files"]
        assert [file["path"] for file in shown] == ["a", "b"]
        assert [file["path"] for file in shown if "content" in file] == carried


@scenario(f"{POLICY}/limits/questions_per_task")
def the_attempts_on_a_task_ask_so_often(bench: Bench) -> None:
    for value, code in ((1, []), (0, ["QUESTIONS_SPENT"])):
        made = bench.engine(value)
        made.answering[""] = says("question.ask", text="A or B?")
        assert codes(worked(made)) == code


@scenario(f"{AGENT}/kinds/*/review")
def a_kind_s_results_wait_for_a_review(bench: Bench) -> None:
    writes = {(AGENT, "kinds", bench.name, "write"): ["docs/**"]}
    at_once = worked(bench.engine("none", more=writes), bench.name)
    waiting = worked(bench.engine("required", more=writes), bench.name)
    assert at_once.task("T-1").state == "done"
    assert waiting.task("T-1").state == "in_progress"
    assert waiting.task("T-1").pending_approval == "APR-0001"
    assert waiting.content("docs/qa/T-1.md") is None
    operator.review(waiting, "T-1", "person@example.com", "approve", "fine")
    assert waiting.content("docs/qa/T-1.md") == b"About T-1.\n"
    assert (at_once.view()["contract"]["review"], waiting.view()["contract"]["review"]) == (
        False,
        True,
    )
    agents = {"": oblige, "judge": says("agent.review", verdict="approve", reason="fine")}
    given = {
        **writes,
        bench.place: "agent",
        (SWARM, "reviewers"): {bench.name: "judge"},
        (SWARM, "agents", "judge"): {"adapter": "scripted", "folder": "recorded"},
    }
    reviewed = worked(engine(agents, given=contracts(given)), bench.name)
    assert [event.payload.reviewer for event in found(reviewed, "review.result")] == ["judge"]


@scenario(f"{AGENT}/prohibitions/paths")
def a_prohibited_path_is_closed_to_every_kind(bench: Bench) -> None:
    agent = result(write("secret/Notes/a.txt"))
    for kind in ("impl", "hotfix"):
        open_ = worked(bench.engine([], agent), kind)
        closed = worked(bench.engine(["secret/notes/**"], agent), kind)
        assert open_.content("secret/Notes/a.txt") == b"text\n"
        assert codes(closed) == ["PATH_PROTECTED"]
        assert closed.view()["contract"]["prohibited_paths"] == ["secret/notes/**"]


@scenario(f"{AGENT}/prohibitions/self_running")
def what_runs_by_itself_is_closed_where_the_contract_names_the_list(bench: Bench) -> None:
    agent = result(write("sub/.vscode/tasks.json"))
    closed = worked(bench.engine(1, agent), "impl")
    assert codes(closed) == ["PATH_PROTECTED"]
    assert closed.view()["contract"]["self_running"][0].startswith("ci (.github, ")
    paths = {"paths": [], "operations": []}
    nothing_to_open = {(AGENT, "kinds", "setup", "opens"): []}
    given = contracts({(AGENT, "prohibitions"): paths, **nothing_to_open})
    open_ = worked(engine(agent, given=given), "impl")
    assert open_.content("sub/.vscode/tasks.json") == b"text\n"
    assert open_.view()["contract"]["self_running"] == []


@scenario(f"{AGENT}/kinds/*/opens")
def a_kind_opens_by_name_what_runs_by_itself(bench: Bench) -> None:
    agent = result(write("deep/.github/workflows/a.yml"))
    done = {(AGENT, "kinds", bench.name, "review"): "none"}
    closed = worked(bench.engine([], agent, done), bench.name)
    opened = worked(bench.engine(["**/.github/workflows/**"], agent, done), bench.name)
    assert codes(closed) == ["PATH_PROTECTED"]
    assert opened.content("deep/.github/workflows/a.yml") == b"text\n"
    assert opened.view()["contract"]["write"][-1] == "**/.github/workflows/**"


@scenario(f"{AGENT}/pin", f"{SWARM}/pin")
def what_belongs_to_a_program_is_closed_to_proposals(bench: Bench) -> None:
    place, agent = bench.place[:2], result(write("tools/lib/a.txt"))
    none = Programs.of({})

    def under(globs: list[str], programs: Programs | None) -> MemoryEngine:
        given = Contracts(contracts({place: globs}).files, programs)
        return worked(engine(agent, given=given), "impl")

    assert codes(under(["tools/**"], none)) == ["PATH_PROTECTED"]
    assert under(["ci/**"], none).content("tools/lib/a.txt") == b"text\n"
    # A log that says nothing of programs protects none.
    assert under(["tools/**"], None).content("tools/lib/a.txt") == b"text\n"


@scenario(f"{AGENT}/by_products")
def a_by_product_is_left_out_and_named(bench: Bench) -> None:
    agent = result(write("docs/a.md"), write("docs/x.o"), write("x/y.o"))
    taken = worked(bench.engine([], agent), "impl")
    left = worked(bench.engine(["**/*.o"], agent), "impl")
    assert taken.content("x/y.o") == b"text\n"
    assert left.content("docs/a.md") == b"text\n"
    assert left.content("x/y.o") is None
    (event,) = found(left, "agent.result")
    assert event.payload.left_out.count == 2
    assert [(one.path, one.why) for one in event.payload.left_out.files] == [
        ("docs/x.o", "by-product"),
        ("x/y.o", "by-product"),
    ]
    assert left.view()["contract"]["by_products"] == ["**/*.o"]
    nothing = worked(bench.engine(["**"], agent), "impl")
    assert codes(nothing) == ["EMPTY_PROPOSAL"]


@scenario(f"{AGENT}/kinds/*/setup", f"{SWARM}/agents/*/setup")
def what_a_setup_provides_is_part_of_no_proposal(bench: Bench) -> None:
    kind = bench.name if bench.place[0] == AGENT else kind_of(bench.name)
    writes = {(AGENT, "kinds", kind, "write"): ["**"]}
    agent = result(write("made/tool"))
    setup = [{"run": ["true"], "provides": ["made"]}]
    assert codes(worked(bench.engine([], agent, writes), kind)) == []
    assert codes(worked(bench.engine(setup, agent, writes), kind)) == ["PATH_PROTECTED"]


@scenario(f"{AGENT}/kinds/*/outside")
def a_new_file_outside_of_the_boundary_is_rejected_or_dropped(bench: Bench) -> None:
    agent = result(write("docs/a.md"), write("else/where.txt"))
    narrow = {(AGENT, "kinds", bench.name, "write"): ["docs/**"]}
    rejected = worked(bench.engine("reject", agent, narrow), bench.name)
    dropped = worked(bench.engine("drop", agent, narrow), bench.name)
    assert codes(rejected) == ["BOUNDARY_VIOLATION"]
    assert dropped.content("docs/a.md") == b"text\n"
    assert dropped.content("else/where.txt") is None
    (event,) = found(dropped, "agent.result")
    assert [(one.path, one.why) for one in event.payload.left_out.files] == [
        ("else/where.txt", "outside")
    ]
    # What is there, and what is protected, is no by-product of anything.
    for path, code in (("README.md", "BOUNDARY_VIOLATION"), (".github/x", "PATH_PROTECTED")):
        other = result(write("docs/a.md"), write(path))
        assert codes(worked(bench.engine("drop", other, narrow), bench.name)) == [code]


@scenario(f"{AGENT}/kinds/*/retry")
def the_next_attempt_goes_on_or_begins_anew(bench: Bench) -> None:
    narrow = {(AGENT, "kinds", bench.name, "write"): ["docs/**"]}
    begun = {}
    for value in ("continue", "anew"):
        agent = in_turn(result(write("docs/a.md"), write("else.txt")), result(write("docs/a.md")))
        made = bench.engine(value, agent, narrow)
        made.goes_on = True
        worked(made, bench.name, steps=2)
        begun[value] = made.requests[1].begun.keys()
        assert ("continues" in made.view(1)) is (value == "continue")
    assert begun == {"continue": {"docs/a.md"}, "anew": set()}


@scenario(f"{AGENT}/prohibitions/operations")
def a_prohibited_operation_is_refused(bench: Bench) -> None:
    attempts = {
        "delete": ({"op": "delete", "path": "README.md"}, RejectCode.FORBIDDEN_ACTION),
        "rename": (
            {"op": "rename", "from": "README.md", "path": "docs/a.md"},
            RejectCode.FORBIDDEN_ACTION,
        ),
        "executable": (
            {"op": "chmod", "path": "README.md", "executable": True},
            RejectCode.MODE_FORBIDDEN,
        ),
    }
    for operation, (update, code) in attempts.items():
        others = sorted(attempts.keys() - {operation})
        allowed = worked(bench.engine(others, result(update)))
        prohibited = worked(bench.engine([operation], result(update)))
        assert allowed.task("T-1").state == "done"
        assert codes(prohibited) == [code]
        assert prohibited.view()["contract"]["prohibited_operations"] == [operation]


# ---------------------------------------------------------------------------- ORCHESTRATOR_CONTRACT


def may_begin(given: Contracts, role: str) -> bool:
    """Answer whether a key with this role may start another run under the same contracts."""
    person = None if role == "orchestrator" else "person@example.com"
    new = NewEvent(person or "orchestrator", EXAMPLES["run.init"].payload)
    event = seal(new, after_seq=1, after_ts="", now=TS)
    return fault(Signed(event, EMPTY, given, frozenset({role}), person)) is None


@scenario(f"{ORCHESTRATOR}/signing/*")
def an_action_is_signed_by_the_roles_that_are_left(bench: Bench) -> None:
    assert bench.name == "run.init"
    for left in (["orchestrator"], ["admin"], ["orchestrator", "admin"]):
        given = contracts({bench.place: left})
        assert [role for role in ("orchestrator", "admin") if may_begin(given, role)] == left
        check_signers(given)
    for wider in (["approver"], ["orchestrator", "contributor"]):
        with pytest.raises(ConfigurationError, match="may never sign it"):
            check_signers(contracts({bench.place: wider}))


@scenario(f"{SWARM}/agents/*/stands_for")
def what_an_agent_makes_is_the_persons_it_stands_for(bench: Bench) -> None:
    required = {(AGENT, "kinds", "spec", "review"): "required"}
    for value, approves in (("ann@example.com", False), ("ben@example.com", True)):
        made = bench.engine(value, result(write("docs/a.md")), more=required)
        made.apply(task("T-1"))
        with pytest.raises(RunHalted):
            made.run()
        if approves:
            operator.review(made, "T-1", "ann@example.com", "approve")
        else:
            with pytest.raises(RefusedError, match="nobody approves their own work"):
                operator.review(made, "T-1", "ann@example.com", "approve")
        assert (made.task("T-1").state == "done") == approves


@scenario(f"{ORCHESTRATOR}/invariants")
def no_invariant_can_be_switched_off(bench: Bench) -> None:
    contracts({bench.place: [*INVARIANTS, "INV-007"]}).check()
    for number in INVARIANTS:
        with pytest.raises(ConfigurationError, match=number):
            contracts({bench.place: [name for name in INVARIANTS if name != number]}).check()


@scenario(f"{ORCHESTRATOR}/attribution/assisted_by")
def an_effect_names_who_assisted(bench: Bench) -> None:
    model = {(SWARM, "agents", "agent-spec", "model"): "some-model"}
    for value, expected in ((True, "agent-spec:some-model"), (False, None)):
        done = worked(bench.engine(value, more=model))
        assert effect_of(done)["assisted_by"] == expected


@scenario(f"{ORCHESTRATOR}/foreign_logs")
def commits_of_another_log_are_let_be(bench: Bench) -> None:
    other = "imported-3-" + "f" * 32
    for value in ([], [other]):
        state = worked(bench.engine(value)).state
        assert list(state.run.foreign_logs) == value


def effect_of(bench: MemoryEngine) -> Mapping[str, Any]:
    found_result = bench.task("T-1").result
    assert found_result is not None
    assert found_result.effect_commit is not None
    return bench.repository.commits[found_result.effect_commit].message


# ----------------------------------------------------------------------------------- RUNTIME_POLICY


@scenario(f"{POLICY}/attempts/ttl")
def a_lease_lasts_as_long_as_it_says(bench: Bench) -> None:
    for value, deadline in (
        ("PT1M", "2026-01-31T09:01:00.000Z"),
        ("P1D", "2026-02-01T09:00:00.000Z"),
    ):
        opened = worked(bench.engine(value))
        assert found(opened, "attempt.create")[0].payload.deadline == deadline
        assert opened.requests[0].deadline == deadline
        claimed = bench.engine(value)
        claimed.apply(task())
        operator.claim(claimed, "T-1", "person@example.com")
        claimed.clock.forward(hours=1)
        taken_back = "T-1-A2" if value == "PT1M" else "T-1-A1"
        if value == "PT1M":
            cycle(claimed, Options(steps=1))
        attempt = claimed.task("T-1").attempt
        assert attempt is not None
        assert attempt.attempt_id == taken_back


@scenario(f"{POLICY}/attempts/max_per_task")
def a_task_is_blocked_after_so_many_attempts(bench: Bench) -> None:
    for value in (1, 2, 5):
        tried = bench.engine(value, GARBAGE)
        tried.apply(task())
        with suppress(RunHalted):
            cycle(tried, Options(task_id="T-1"))
        assert len(found(tried, "attempt.create")) == value
        assert tried.task("T-1").state == "blocked"
        assert tried.view(0)["attempts"]["allowed"] == value


@scenario(f"{POLICY}/approvals/expire_after")
def nobody_decides_after_that(bench: Bench) -> None:
    required = {(AGENT, "kinds", "spec", "review"): "required"}
    for value, state in (("PT1H", "blocked"), ("P2D", "in_progress")):
        asked = worked(bench.engine(value, more=required))
        asked.clock.forward(days=1)
        with suppress(RunHalted):
            cycle(asked)
        assert asked.task("T-1").state == state


@scenario(f"{POLICY}/attempts/cooldown")
def a_task_rests_after_a_failed_attempt(bench: Bench) -> None:
    for value, starts in (
        ("PT0S", "2026-01-31T09:00:00.000Z"),
        ("PT5M", "2026-01-31T09:05:00.000Z"),
    ):
        tried = worked(bench.engine(value, in_turn(GARBAGE, result())), steps=2)
        assert found(tried, "attempt.create")[1].ts == starts


@scenario(*(f"{POLICY}/escalation/{severity}" for severity in schemas.SEVERITIES))
def an_issue_has_the_consequence_of_its_severity(bench: Bench) -> None:
    severity = bench.place[-1]
    seen = {}
    for value in ("log", "flag", "block", "halt"):
        reported = bench.engine(value, more={(POLICY, "escalation", "repeat_medium"): 0})
        reported.apply(task(), task("T-2", depends_on=["T-1"]))
        report = ReportIssue(
            actor="person@example.com", severity=severity, title="x", task_id="T-1"
        )
        operator.report_issue(reported, report)
        state = reported.state
        told = None
        if state.tasks["T-1"].state == "todo":
            cycle(reported, Options(steps=1))
            told = "issues" in reported.view()
        states = (state.run.state, state.tasks["T-1"].state, state.tasks["T-2"].state)
        seen[value] = (*states, told)
    assert seen == {
        "log": ("initialized", "todo", "todo", False),
        "flag": ("initialized", "todo", "todo", True),
        "block": ("initialized", "blocked", "blocked", None),
        "halt": ("halted", "blocked", "blocked", None),
    }


@scenario(f"{POLICY}/escalation/repeat_medium")
def so_many_medium_issues_are_a_high_one(bench: Bench) -> None:
    for value, severities in (
        (0, ["medium"] * 4),
        (1, ["high"] * 4),
        (2, ["medium", "high", "high", "high"]),
        (4, ["medium", "medium", "medium", "high"]),
    ):
        reported = bench.engine(value)
        reported.apply(task())
        for _ in range(4):
            report = ReportIssue(
                actor="person@example.com", severity="medium", title="x", task_id="T-1"
            )
            operator.report_issue(reported, report)
        said = [event.payload.severity for event in found(reported, "issue.report")]
        assert said == severities
        assert reported.task("T-1").state == ("blocked" if "high" in severities else "todo")


@scenario(f"{POLICY}/limits/max_output_bytes")
def an_answer_has_at_most_so_many_bytes(bench: Bench) -> None:
    def padded(request: Any) -> bytes:
        return result()(request).ljust(1000)

    assert worked(bench.engine(1000, padded)).task("T-1").state == "done"
    assert codes(worked(bench.engine(999, padded))) == ["OUTPUT_TOO_LARGE"]


@scenario(f"{POLICY}/limits/max_files_per_proposal")
def a_proposal_has_at_most_so_many_files(bench: Bench) -> None:
    agent = result(*(write(f"docs/{number}.md") for number in range(3)))
    assert worked(bench.engine(3, agent)).task("T-1").state == "done"
    assert codes(worked(bench.engine(2, agent))) == ["TOO_MANY_FILES"]


@scenario(f"{POLICY}/limits/max_patch_lines")
def a_proposal_changes_at_most_so_many_lines(bench: Bench) -> None:
    agent = result(write("docs/a.md", "1\n2\n"), write("README.md", "# Other\n"))
    assert worked(bench.engine(4, agent)).task("T-1").state == "done"
    assert codes(worked(bench.engine(3, agent))) == ["PATCH_TOO_LARGE"]


@scenario(f"{POLICY}/limits/max_file_bytes")
def a_file_has_at_most_so_many_bytes(bench: Bench) -> None:
    agent = result(write("docs/a.md", "four"), write("docs/b.md", "five5"))
    assert worked(bench.engine(5, agent)).task("T-1").state == "done"
    assert codes(worked(bench.engine(4, agent))) == ["FILE_TOO_LARGE"]


@scenario(f"{POLICY}/verification/snapshots_kept")
def so_many_snapshots_of_failed_verifications_are_kept(bench: Bench) -> None:
    for value in (1, 2):
        failing = bench.engine(value)
        failing.audit = lambda: Audit("mismatch", 1, 1, check=7, message="differs")
        for number in range(1, 4):
            failing.apply(task(f"T-{number}"))
            cycle(failing, Options(steps=1))
            with pytest.raises(MismatchError):
                cycle(failing)
        kept = {
            name.split("/")[3][:8]
            for name in failing.repository.refs
            if name.startswith("refs/esaa/snapshots/")
        }
        assert kept == {f"RUN-000{number}" for number in range(4 - value, 4)}


@scenario(f"{POLICY}/run_end/success_when")
def a_success_may_leave_blocked_tasks(bench: Bench) -> None:
    for value, ending in (("all_done", "failed"), ("none_left", "success")):
        ended = bench.engine(value, in_turn(GARBAGE, GARBAGE, GARBAGE, result()))
        ended.apply(task("T-1"), task("T-2"))
        cycle(ended)
        assert ended.state.run.blocked == ("T-1",)
        assert ended.state.run.state == ending


@scenario(f"{POLICY}/run_end/on_blocked")
def a_run_with_blocked_tasks_fails_or_waits(bench: Bench) -> None:
    failed = bench.engine("failed", GARBAGE)
    failed.apply(task())
    cycle(failed)
    assert failed.state.run.state == "failed"
    waiting = bench.engine("wait", GARBAGE)
    waiting.apply(task())
    with pytest.raises(RunHalted, match="1 tasks are blocked"):
        cycle(waiting)
    assert waiting.state.run.state == "running"


@scenario(f"{POLICY}/lessons/max_in_request")
def a_request_carries_at_most_so_many_lessons(bench: Bench) -> None:
    lessons = [{"rule": f"rule {number}", "mistake": "m"} for number in range(3)]
    for value, rules in (
        (0, []),
        (2, ["rule 1", "rule 2"]),
        (9, ["rule 0", "rule 1", "rule 2"]),
    ):
        taught = bench.engine(value, result(lessons=lessons))
        taught.apply(task("T-1"), task("T-2"))
        cycle(taught, Options(steps=2))
        assert [lesson["rule"] for lesson in taught.view().get("lessons", [])] == rules


@scenario(f"{POLICY}/lessons/max_per_author")
def a_request_carries_at_most_so_many_lessons_of_one_author(bench: Bench) -> None:
    def learns(request: Request) -> bytes:
        (name,) = [request.task_id]
        rules = [{"rule": f"{name} {number}", "mistake": "m"} for number in range(3)]
        return spoken({**envelope(request, "agent.result", summary="s", lessons=rules)})

    for value, rules in (
        (0, []),
        (1, ["T-1 2", "T-2 2"]),
        (2, ["T-1 1", "T-1 2", "T-2 1", "T-2 2"]),
    ):
        taught = bench.engine(value, learns)
        taught.apply(task("T-1"), task("T-2", agent="agent-qa"), task("T-3"))
        cycle(taught, Options(steps=3))
        assert [one["rule"] for one in taught.view().get("lessons", [])] == rules


# ----------------------------------------------------------------------------------- STORAGE_POLICY


def kept(bench: MemoryEngine, action: str, side: str) -> tuple[set[str], bytes | None]:
    """Return what the event names of one side of its exchange, and the text beside it."""
    stored = next(s for s in bench.log.events() if s.event.action == action)
    named = payload_of(stored.event).get("exchange", {}).get(side, {})
    file = {"request": "request.json", "response": "response"}[side]
    blob = bench.log.recorded[stored.commit].attachments.exchange.get(file)
    assert blob == named.get("blob")
    return set(named), None if blob is None else bench.repository.blobs[blob]


@scenario(f"{STORAGE}/exchange/request", f"{STORAGE}/exchange/response")
def one_side_of_an_exchange_is_kept_in_full_by_digest_or_not(bench: Bench) -> None:
    side = bench.place[-1]
    for agent, action in ((result(), "agent.result"), (GARBAGE, "output.rejected")):
        for value, names in (
            ("full", {"sha256", "bytes", "blob"}),
            ("digest", {"sha256", "bytes"}),
            ("none", set()),
        ):
            done = worked(bench.engine(value, agent))
            named, text = kept(done, action, side)
            assert named == names
            request = done.requests[0]
            said = request.sent if side == "request" else agent(request)
            assert text == (said if value == "full" else None)


@scenario(f"{STORAGE}/exchange/max_bytes")
def so_many_bytes_of_an_exchange_are_kept(bench: Bench) -> None:
    for value in (0, 7, 20):
        done = worked(bench.engine(value, result()))
        text = result()(done.requests[0])
        assert kept(done, "agent.result", "response")[1] == text[:value]
        assert kept(done, "agent.result", "request")[1] == done.requests[0].sent[:value]
        exchange = found(done, "agent.result")[0].payload.exchange
        assert exchange.response.bytes == len(text)


@scenario(f"{STORAGE}/redact")
def what_a_pattern_matches_is_blotted_out(bench: Bench) -> None:
    secret = "hush-0000000000"
    for value, shown in (([], True), (["hush-[0-9]{10}"], False)):
        answered = worked(bench.engine(value, result(summary=f"Used {secret}.")))
        garbled = worked(bench.engine(value, lambda request: f"!{secret}!".encode()))
        text = kept(answered, "agent.result", "response")[1]
        preview = garbled.refusals[0].preview
        assert text is not None
        assert (secret in text.decode(), secret in preview) == (shown, shown)
        summary = found(answered, "agent.result")[0].payload.summary
        assert summary == ("Used hush-0000000000." if shown else "Used [redacted].")


@scenario(f"{STORAGE}/keep_rejected")
def the_lawful_part_of_a_rejected_answer_is_kept_or_not(bench: Bench) -> None:
    """One file is inside of the boundary and one is not."""
    for value in (True, False):
        answer = result(write("docs/a.md", "a\n"), write(".roadmap/b.py", "b = 1\n"))
        done = worked(bench.engine(value, answer))
        refused = found(done, "output.rejected")[0].payload
        refs = [ref for ref in done.repository.refs if "/proposals/" in ref]
        assert (refused.proposal is not None, bool(refs)) == (value, value)
        left = [one.path for one in refused.not_kept or ()]
        assert left == ([".roadmap/b.py"] if value else [])
        if value:
            files = done.repository.files(refused.proposal.commit)
            assert ("docs/a.md" in files, ".roadmap/b.py" in files) == (True, False)


# ------------------------------------------------------------------------------------------- POLICY


@scenario(f"{GUARD}/rules")
def a_rule_that_is_enforced_decides_and_another_is_noted(bench: Bench) -> None:
    """Each condition is turned in tests/core/test_policy.py."""
    rule = {"name": "no-docs", "match": {"paths": ["docs/**"]}, "effect": "deny"}
    enforced = worked(bench.engine([rule], result(write("docs/a.md"))))
    assert codes(enforced) == ["POLICY_DENIED"]
    noted = worked(bench.engine([{**rule, "mode": "audit"}], result(write("docs/a.md"))))
    (note,) = found(noted, "agent.result")[0].payload.policy
    assert (note.rule, note.effect, note.mode) == ("no-docs", "deny", "audit")
    asked = worked(bench.engine([{**rule, "effect": "require"}], result(write("docs/a.md"))))
    (rule,) = found(asked, "approval.request")[0].payload.requirements
    assert rule.rule.endswith("'no-docs'")


@scenario(f"{GUARD}/default")
def what_no_rule_allows_is_denied_by_default(bench: Bench) -> None:
    allowed = worked(bench.engine("allow", result(write("docs/a.md"))))
    denied = worked(bench.engine("deny", result(write("docs/a.md"))))
    assert (codes(allowed), codes(denied)) == ([], ["POLICY_DENIED"])


@scenario(f"{GUARD}/cases")
def a_case_names_rules_that_there_are(bench: Bench) -> None:
    case = {"expect": "allow", "rules": ["large-change"]}
    contracts({bench.place: [case]}).check()
    with pytest.raises(ConfigurationError):
        contracts({bench.place: [{**case, "rules": ["small-change"]}]}).check()


# ------------------------------------------------------------------------------------- agents_swarm

ECHO = """
import json, os, sys
request = json.load(sys.stdin)
print(json.dumps({
    "action": "agent.result",
    "task_id": request["task"]["task_id"],
    "attempt_id": request["attempt_id"],
    "payload": {"summary": " ".join([*sys.argv[1:], os.environ.get("ESAA_KNOB", "unset")])
                if "ESAA_KNOB" not in sys.argv else os.environ.get("KNOB_VALUE", "unset")},
}))
"""


def real(bench: Bench, entry: Mapping[str, Any]) -> MemoryEngine:
    """Have a task done by the real adapter of an agent with this entry."""
    place = bench.place[:3]
    made = engine(given=contracts({place: entry}))
    made.make_agent = lambda found_entry, in_force: make_agent(
        found_entry,
        AdapterContext(
            root=bench.folder,
            trees=made.trees,
            blobs=made.blobs,
            workspaces=NoWorkspaces(),
            clock=made.clock,
            max_output_bytes=in_force.policy.max_output_bytes,
            sandbox="none",
            prompt=in_force.prompt,
        ),
    )
    return worked(made, kind_of(bench.name), agent=bench.name)


def command(*arguments: str, **more: Any) -> dict[str, Any]:
    return {
        "adapter": "command",
        "command": [sys.executable, "-IS", "-c", ECHO, *arguments],
        **more,
    }


def scripted(bench: Bench, folder: str, summary: str) -> dict[str, Any]:
    """Record an answer in a folder, and return the entry that answers from there."""
    (bench.folder / folder).mkdir()
    envelope = {
        "action": "agent.result",
        "task_id": "T-1",
        "attempt_id": "{{attempt_id}}",
        "payload": {"summary": summary},
    }
    (bench.folder / folder / "T-1.json").write_bytes(spoken(envelope))
    return {"adapter": "scripted", "folder": folder}


def summary_of(bench: MemoryEngine) -> str:
    return str(found(bench, "agent.result")[0].payload.summary)


@scenario(f"{SWARM}/agents/*/adapter")
def an_adapter_decides_how_an_agent_is_asked(bench: Bench) -> None:
    program = real(bench, command("asked"))
    recording = real(bench, scripted(bench, "recorded", "recorded"))
    asked = [found(made, "orchestrator.dispatch")[0].payload for made in (program, recording)]
    assert [each.adapter for each in asked] == ["command", "scripted"]
    assert [each.sandbox for each in asked] == ["none", "in-process"]
    assert summary_of(program).startswith("asked")
    assert summary_of(recording) == "recorded"


@scenario(f"{SWARM}/agents/*/command")
def a_command_is_what_answers(bench: Bench) -> None:
    for words in (["one"], ["two", "words"]):
        assert summary_of(real(bench, command(*words))) == " ".join([*words, "unset"])


@scenario(f"{SWARM}/agents/*/model")
def a_model_is_put_on_record(bench: Bench) -> None:
    for value in ("model-a", "model-b"):
        done = worked(bench.engine(value), kind_of(bench.name), agent=bench.name)
        assert found(done, "orchestrator.dispatch")[0].payload.model == value
        assert found(done, "agent.result")[0].payload.model == value
        assert effect_of(done)["assisted_by"] == f"{bench.name}:{value}"


@scenario(f"{SWARM}/agents/*/timeout")
def an_agent_has_so_much_time(bench: Bench) -> None:
    in_time = real(bench, command("asked", timeout="PT10M"))
    too_late = real(bench, command("asked", timeout="PT0S"))
    assert in_time.task("T-1").state == "done"
    assert codes(too_late) == ["AGENT_TIMEOUT"]
    assert too_late.refusals[0].message == "did not answer within its timeout of 0 ms"


@scenario(f"{SWARM}/agents/*/env")
def a_named_variable_is_passed_on(bench: Bench) -> None:
    bench.monkeypatch.setenv("KNOB_VALUE", "passed")
    assert summary_of(real(bench, command("ESAA_KNOB"))) == "unset"
    assert summary_of(real(bench, command("ESAA_KNOB", env=["KNOB_VALUE"]))) == "passed"


@scenario(f"{SWARM}/agents/*/folder")
def a_folder_is_where_answers_come_from(bench: Bench) -> None:
    for folder in ("here", "there"):
        assert summary_of(real(bench, scripted(bench, folder, f"from {folder}"))) == (
            f"from {folder}"
        )


UNITS = ("microdollars", "tokens", "calls", "attempts", "minutes")


def takes(request: Request) -> Answer:
    """Answer well; that takes 100 micro-dollars, 5 tokens and a minute."""
    usage = {"input_tokens": 2, "output_tokens": 3, "cost_microdollars": 100}
    said = spoken(envelope(request))
    return Answer(said, 60_000, usage=usage)


@scenario(
    *(f"{POLICY}/budgets/run/{unit}" for unit in UNITS),
    *(f"{POLICY}/budgets/day/{unit}" for unit in UNITS),
    *(f"{POLICY}/budgets/kind/*/{unit}" for unit in UNITS),
    *(f"{SWARM}/agents/*/budget/{unit}" for unit in UNITS),
)
def a_budget_is_spent_and_no_more(bench: Bench) -> None:
    # A call reserves 350 micro-dollars and 10 minutes; of tokens it cannot say how many it takes.
    cap = {(SWARM, "agents", "agent-spec", "max_cost"): 350}
    limits = {
        "microdollars": (350, 450),
        "tokens": (5, 6),
        "calls": (1, 2),
        "attempts": (1, 2),
        "minutes": (10, 11),
    }
    for count, limit in enumerate(limits[bench.place[-1]], start=1):
        made = bench.engine(limit, takes, cap)
        made.apply(task(), task("T-2"), task("T-3"))
        with pytest.raises(RunHalted, match=r"the budget of .* has .* left of"):
            made.run()
        assert len(found(made, "attempt.create")) == count


@scenario(f"{SWARM}/agents/*/max_cost")
def a_call_reserves_what_it_may_cost_at_most(bench: Bench) -> None:
    money = {(POLICY, "budgets"): {"run": {"microdollars": 1000}}}
    for value in (400, 900):
        done = worked(bench.engine(value, takes, money), kind_of(bench.name), agent=bench.name)
        assert found(done, "orchestrator.dispatch")[0].payload.reserves.microdollars == value


@scenario(f"{SWARM}/reviewers/*")
def a_kind_is_reviewed_by_the_agent_that_is_named(bench: Bench) -> None:
    kind = bench.name
    by_agents = {(AGENT, "kinds", kind, "review"): "agent"}
    agents = {"agent-spec", "agent-impl", "agent-qa"} - {template_document(SWARM)["kinds"][kind]}
    for reviewer in sorted(agents):
        approves = says("agent.review", verdict="approve", reason="fine")
        answering = {"": oblige, reviewer: approves}
        given = contracts({(SWARM, "reviewers"): {kind: reviewer}, **by_agents})
        done = worked(engine(answering, given=given), kind)
        assert [event.payload.reviewer for event in found(done, "review.result")] == [reviewer]


@scenario(f"{SWARM}/kinds/*")
def a_kind_is_done_by_the_agent_that_is_named(bench: Bench) -> None:
    for agent in ("agent-spec", "agent-impl", "agent-qa"):
        writes = {(AGENT, "kinds", bench.name, "write"): ["docs/**"]}
        done = worked(bench.engine(agent, more=writes), bench.name)
        assert found(done, "attempt.create")[0].payload.agent == agent
        assert found(done, "agent.result")[0].actor == agent


# ----------------------------------------------------------------------------------- PARCER_PROFILE


@scenario(
    *(f"{PROFILE}/{part}" for part in ("persona", "audience", "context", "execution", "response")),
    f"{PROFILE}/rules",
)
def a_profile_reaches_the_request(bench: Bench) -> None:
    name, part = bench.place
    agent = name.removeprefix("PARCER_PROFILE.").removesuffix(".yaml")
    value = ["Only this."] if part == "rules" else "Only this."
    before = worked(engine(), kind_of(agent)).view()["profile"]
    after = worked(bench.engine(value), kind_of(agent)).view()["profile"]
    assert before == template_document(name)
    assert after == {**before, part: value}
    assert after != before


# ------------------------------------------------------------------------ when a turned knob counts


def test_a_knob_counts_from_the_next_run_on() -> None:
    made = engine(GARBAGE)
    made.apply(task())
    cycle(made, Options(steps=1))
    made.given = contracts({(POLICY, "attempts", "max_per_task"): 1})
    made.apply(task(), task("T-2"))
    assert made.contracts.policy.max_attempts == 3
    run.stop(made, "to begin again", "person@example.com")
    made.apply(task(), task("T-2"))
    assert made.contracts.policy.max_attempts == 1
    json.dumps([encode(pin) for pin in made.contracts.pins])
