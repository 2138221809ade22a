"""The contracts: what people declare is typed, and a mistake is named with its file and place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from esaa_git.app.roadmap import check_contracts
from esaa_git.core.contracts import REQUIRED_FILES, Contracts, is_contract_file
from esaa_git.core.documents import decode_yaml
from esaa_git.core.invariants import INVARIANTS
from esaa_git.core.limits import EXCHANGE_PART
from esaa_git.errors import ConfigurationError
from esaa_git.testing.contracts import Place, changed_files, contracts, template_files

AGENT = "AGENT_CONTRACT.yaml"
ORCHESTRATOR = "ORCHESTRATOR_CONTRACT.yaml"
POLICY = "RUNTIME_POLICY.yaml"
STORAGE = "STORAGE_POLICY.yaml"
SWARM = "agents_swarm.yaml"
PROFILE = "PARCER_PROFILE.agent-impl.yaml"
DOCUMENTS = (AGENT, ORCHESTRATOR, POLICY, STORAGE, SWARM, PROFILE)

MISSING = object()
TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def unusable(files: dict[str, bytes]) -> ConfigurationError:
    check_contracts(contracts())
    with pytest.raises(ConfigurationError) as caught:
        check_contracts(Contracts(files))
    return caught.value


def edited(name: str, edit: Callable[[bytes], bytes]) -> dict[str, bytes]:
    before = template_files()[name]
    after = edit(before)
    assert after != before
    return {**template_files(), name: after}


# ---------------------------------------------------------------------------- what stands in them


def test_the_contracts_of_a_new_project_are_typed() -> None:
    found = contracts()
    found.check()
    assert found.agent.actions == {
        "agent.result",
        "issue.report",
        "agent.heartbeat",
        "lesson.record",
        "question.ask",
    }
    assert found.agent.kind("spec").write_patterns == ("docs/**", "*.md")
    assert found.agent.kind("spec").write.matches("docs/a.md")
    assert found.agent.kind("spec").review == "none"
    assert found.orchestrator.signing == {"run.init": {"orchestrator", "admin"}}
    assert found.policy.ttl_ms == 30 * 60 * 1000
    assert found.policy.cooldown_ms == 0
    assert found.policy.escalation == {
        "low": "log",
        "medium": "flag",
        "high": "block",
        "critical": "halt",
    }
    assert (found.storage.request, found.storage.response) == ("full", "full")
    assert found.swarm.line_up("hotfix") == ("agent-impl",)
    assert found.swarm.agent("agent-qa").settings["timeout"] == 10 * 60 * 1000
    profile = found.profile("agent-impl")
    assert profile is not None
    assert profile["rules"][0].startswith("Do what the task asks")
    assert found.profile("person@example.com") is None


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("PT1S", 1000),
        ("PT45S", 45_000),
        ("PT30M", 1_800_000),
        ("PT1H30M", 5_400_000),
        ("P1D", 86_400_000),
        ("P1DT1H1M1S", 90_061_000),
        ("P3650D", 315_360_000_000),
    ],
)
def test_a_duration_is_milliseconds(text: str, milliseconds: int) -> None:
    found = contracts({(POLICY, "attempts", "ttl"): text})
    assert found.policy.ttl_ms == milliseconds


def test_the_pins_are_the_digests_of_all_files_in_order_of_name() -> None:
    names = [pin.path for pin in contracts().pins]
    assert names == sorted(template_files())
    other = contracts({(POLICY, "lessons", "max_in_request"): 3})
    different = [a.path for a, b in zip(contracts().pins, other.pins, strict=True) if a != b]
    assert different == [POLICY]


@pytest.mark.parametrize(
    ("name", "belongs"),
    [
        *((name, True) for name in REQUIRED_FILES),
        (PROFILE, True),
        ("openpgp_signers.yaml", True),
        ("plan.yaml", False),
        ("roadmap.json", False),
        ("PARCER_PROFILE.yaml", False),
        ("PARCER_PROFILE..yaml", False),
        ("PARCER_PROFILE.a/b.yaml", False),
        ("AGENT_CONTRACT.yaml.bak", False),
    ],
)
def test_what_is_pinned_is_a_closed_list(name: str, belongs: bool) -> None:
    assert is_contract_file(name) == belongs


# ----------------------------------------------------------------------------- mistakes in any file


@pytest.mark.parametrize("name", REQUIRED_FILES)
def test_a_missing_file_is_named(name: str) -> None:
    files = {key: data for key, data in template_files().items() if key != name}
    assert f"'.roadmap/{name}' is missing" in unusable(files).message


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_unknown_key_is_named_with_its_file(name: str) -> None:
    error = unusable(edited(name, lambda data: data + b"\nsurprise: 1\n"))
    assert f"'.roadmap/{name}'" in error.message
    assert "surprise" in error.message


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_duplicate_key_is_named_with_line_and_column(name: str) -> None:
    first = next(
        line for line in template_files()[name].split(b"\n") if line and line[:1].isalpha()
    ).partition(b":")[0]
    error = unusable(edited(name, lambda data: data + b"\n" + first + b": 1\n"))
    line = template_files()[name].count(b"\n") + 2
    assert error.message == (
        f"'.roadmap/{name}' line {line} column 1: duplicate key '{first.decode()}'"
    )


@pytest.mark.parametrize("name", DOCUMENTS)
def test_bad_syntax_is_named_with_line_and_column(name: str) -> None:
    error = unusable(edited(name, lambda data: b"a: [\n" + data))
    assert error.message.startswith(f"'.roadmap/{name}' line ")
    assert " column " in error.message


@pytest.mark.parametrize("name", DOCUMENTS)
def test_bytes_that_are_not_utf8_are_named_with_their_line(name: str) -> None:
    error = unusable(edited(name, lambda data: b"# one\n# \xff\n" + data))
    assert error.message == f"'.roadmap/{name}' line 2 is not UTF-8"


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("data", [b"", b"- a list\n", b"just text\n", b"7\n"])
def test_a_document_of_another_form_is_named(name: str, data: bytes) -> None:
    error = unusable({**template_files(), name: data})
    assert f"'.roadmap/{name}': expected a mapping of names to values, found " in error.message


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name != PROFILE])
def test_another_version_is_not_ours_to_read(name: str) -> None:
    error = unusable(changed_files({(name, "schema_version"): "0.4.0"}))
    assert f"'.roadmap/{name}': schema_version: " in error.message


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"a: !!python/object/apply:os.system [ls]\n", id="a tag that runs code"),
        pytest.param(b"? [a, b]\n: 1\n", id="a key that is a list"),
        pytest.param(b"1: one\n", id="a key that is a number"),
        pytest.param(b"a: &x [*x]\nb: *y\n", id="an alias of nothing"),
        pytest.param(b"a: 1\n---\nb: 2\n", id="two documents"),
        pytest.param(b"a: 2026-13-45\n", id="a date that is none"),
        pytest.param(b"a: \x07\n", id="a control character"),
        pytest.param(b"[" * 5000, id="without an end"),
        pytest.param(b"a: &x 1\n", id="an anchor"),
        pytest.param(b"a: &x [1]\nb: *x\n", id="an alias"),
        pytest.param(b"a: &x {b: 1}\nc: {<<: *x}\n", id="a merge key with an alias"),
        pytest.param(b"a: {<<: {b: 1}}\n", id="a merge key"),
        pytest.param(b"a: {<<: [{b: 1}]}\n", id="a merge key with a list"),
        pytest.param(b"a: !!str 5\n", id="a tag of YAML's own"),
        pytest.param(b"a: !x 5\n", id="a tag of one's own"),
        pytest.param(b"a: !!set {b, c}\n", id="a set"),
        pytest.param(b"[" * (1 << 20), id="a megabyte of brackets"),
        pytest.param(b"- " * (1 << 19), id="a megabyte of lists"),
        pytest.param(b"{a: " * 33 + b"}" * 33, id="33 levels of mappings"),
        pytest.param(b"[" + b"x," * 60_000 + b"]", id="too many texts"),
        pytest.param(b"# \n" * 400_000, id="over a mebibyte"),
        pytest.param(b"{" * 400 + b"}" * 400, id="keys that are mappings"),
        pytest.param(b"&a " * 1000 + b"x", id="a thousand anchors"),
    ],
)
def test_yaml_that_is_no_plain_document_is_refused_with_the_file(data: bytes) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_yaml(data, "contract.yaml")
    assert caught.value.message.startswith("'contract.yaml'")


LEVELS = b"a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 9)
)


def test_no_alias_is_expanded_and_what_to_do_is_said() -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_yaml(LEVELS, "contract.yaml")
    assert caught.value.message == (
        "'contract.yaml' line 1 column 5: an anchor ('&name') is not accepted: write it out"
    )
    assert str(caught.value.hint).startswith("correct 'contract.yaml' there")


def test_numbers_dates_and_words_are_read_as_yaml_has_them() -> None:
    value = decode_yaml(
        b"{a: 1, b: '1', c: true, d: no, e: null, f: ~, g: 1.5, h: text, i: , j: 0x10}\n", "x"
    )
    assert value == {
        "a": 1, "b": "1", "c": True, "d": False, "e": None, "f": None, "g": 1.5, "h": "text",
        "i": None, "j": 16,
    }  # fmt: skip
    # A number of base 60 with 500,000 parts would take minutes.
    long = "1" + ":1" * 5000
    assert decode_yaml(f"a: {long}\n".encode(), "x") == {"a": long}


@pytest.mark.parametrize(
    "name", [path for path in sorted(TEMPLATES.glob("**/*.yaml")) if path.name != "plan.yaml"]
)
def test_what_the_templates_bring_is_read_as_the_safe_loader_would(name: Path) -> None:
    data = name.read_bytes()
    assert decode_yaml(data, name.name) == yaml.safe_load(data)


def test_a_duplicate_key_deep_inside_is_named_where_it_stands() -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_yaml(b"a:\n  b:\n    c: 1\n    d: 2\n    c: 3\n", "contract.yaml")
    assert caught.value.message == "'contract.yaml' line 5 column 5: duplicate key 'c'"


# ---------------------------------------------------------------------------- mistakes in each file

WRONG: list[tuple[Place, Any, str]] = [
    # AGENT_CONTRACT
    ((AGENT, "actions"), [], "actions"),
    ((AGENT, "actions"), ["run.end"], "actions/0"),
    ((AGENT, "actions"), "agent.result", "actions"),
    ((AGENT, "kinds"), {}, "kinds"),
    ((AGENT, "kinds", "a kind"), {"write": [], "read": [], "review": "none"}, "kinds"),
    ((AGENT, "kinds", "spec", "review"), "sometimes", "kinds/spec/review"),
    ((AGENT, "kinds", "spec", "review"), True, "kinds/spec/review"),
    ((AGENT, "kinds", "spec", "write"), "docs/**", "kinds/spec/write"),
    ((AGENT, "kinds", "spec", "write"), [7], "kinds/spec/write/0"),
    ((AGENT, "kinds", "spec", "execute"), [], "kinds/spec"),
    ((AGENT, "kinds", "spec"), {"write": [], "read": []}, "kinds/spec"),
    ((AGENT, "prohibitions", "paths"), None, "prohibitions/paths"),
    ((AGENT, "prohibitions", "operations"), ["write"], "prohibitions/operations/0"),
    # ORCHESTRATOR_CONTRACT
    ((ORCHESTRATOR, "signing"), ["admin"], "signing"),
    ((ORCHESTRATOR, "signing", "run.init"), [], "signing/run.init"),
    ((ORCHESTRATOR, "signing", "run.init"), ["root"], "signing/run.init/0"),
    ((ORCHESTRATOR, "signing", "run.end"), "admin", "signing/run.end"),
    ((ORCHESTRATOR, "invariants"), "all", "invariants"),
    ((ORCHESTRATOR, "attribution", "assisted_by"), "yes", "attribution/assisted_by"),
    # RUNTIME_POLICY
    ((POLICY, "attempts", "ttl"), 30, "attempts/ttl"),
    ((POLICY, "attempts", "max_per_task"), 0, "attempts/max_per_task"),
    ((POLICY, "attempts", "max_per_task"), 1001, "attempts/max_per_task"),
    ((POLICY, "attempts", "max_per_task"), 1.5, "attempts/max_per_task"),
    ((POLICY, "escalation", "low"), "ignore", "escalation/low"),
    ((POLICY, "escalation", "repeat_medium"), -1, "escalation/repeat_medium"),
    ((POLICY, "limits", "max_output_bytes"), 0, "limits/max_output_bytes"),
    ((POLICY, "limits", "max_output_bytes"), "4 MB", "limits/max_output_bytes"),
    ((POLICY, "limits", "max_files_per_proposal"), 10_001, "limits/max_files_per_proposal"),
    ((POLICY, "limits", "max_patch_lines"), 0, "limits/max_patch_lines"),
    ((POLICY, "limits", "max_file_bytes"), 2**30 + 1, "limits/max_file_bytes"),
    ((POLICY, "verification", "snapshots_kept"), 0, "verification/snapshots_kept"),
    ((POLICY, "run_end", "success_when"), "always", "run_end/success_when"),
    ((POLICY, "run_end", "on_blocked"), "halt", "run_end/on_blocked"),
    ((POLICY, "lessons", "max_in_request"), -1, "lessons/max_in_request"),
    # STORAGE_POLICY
    ((STORAGE, "exchange", "request"), "some", "exchange/request"),
    ((STORAGE, "exchange", "response"), None, "exchange/response"),
    ((STORAGE, "exchange", "max_bytes"), -1, "exchange/max_bytes"),
    ((STORAGE, "exchange", "max_bytes"), EXCHANGE_PART + 1, "exchange/max_bytes"),
    ((STORAGE, "redact"), [""], "redact/0"),
    ((STORAGE, "redact"), ["x" * 1001], "redact/0"),
    # agents_swarm
    ((SWARM, "agents"), {}, "agents"),
    ((SWARM, "agents", "agent-qa", "adapter"), "telepathy", "agents/agent-qa/adapter"),
    ((SWARM, "agents", "agent-qa", "command"), "run me", "agents/agent-qa/command"),
    ((SWARM, "agents", "agent-qa", "command"), [], "agents/agent-qa/command"),
    ((SWARM, "agents", "agent-qa", "folder"), "recorded", "agents/agent-qa"),
    ((SWARM, "agents", "agent-qa"), {"command": ["x"]}, "agents/agent-qa"),
    ((SWARM, "agents", "an agent"), {"adapter": "scripted", "folder": "x"}, "agents"),
    ((SWARM, "kinds", "spec"), 7, "kinds/spec"),
    ((SWARM, "kinds", "spec"), [], "kinds/spec"),
    ((SWARM, "kinds", "spec"), ["agent-spec", "agent-spec"], "kinds/spec"),
    ((SWARM, "kinds", "spec"), ["agent-spec", 7], "kinds/spec/1"),
    # PARCER_PROFILE
    ((PROFILE, "persona"), ["a developer"], "persona"),
    ((PROFILE, "rules"), "be good", "rules"),
    ((PROFILE, "context"), "a\x07b", "context"),
]


@pytest.mark.parametrize(
    ("place", "value", "where"), WRONG, ids=[f"{'/'.join(p)}={str(v)[:20]!r}" for p, v, _ in WRONG]
)
def test_a_wrong_value_is_named_with_its_file_and_place(
    place: Place, value: Any, where: str
) -> None:
    error = unusable(changed_files({place: value}))
    assert f"'.roadmap/{place[0]}': {where}: " in error.message
    assert error.hint is not None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_has_its_mistakes_here(name: str) -> None:
    assert name in {place[0] for place, _, _ in WRONG}


@pytest.mark.parametrize("number", INVARIANTS)
def test_an_invariant_cannot_be_left_out(number: str) -> None:
    others = [name for name in INVARIANTS if name != number]
    error = unusable(changed_files({(ORCHESTRATOR, "invariants"): others}))
    assert error.message == f"{ORCHESTRATOR} leaves out {number}"


@pytest.mark.parametrize(
    "text",
    [
        "30m",
        "PT",
        "P",
        "P1DT",
        "1H",
        "PT1.5H",
        "PT-1S",
        "pt1s",
        "P1W",
        "P1Y",
        "PT1S ",
        "",
        "PT1M1H",
    ],
)
@pytest.mark.parametrize("place", [("attempts", "ttl"), ("attempts", "cooldown")])
def test_a_duration_that_is_none_is_named(place: tuple[str, str], text: str) -> None:
    error = unusable(changed_files({(POLICY, *place): text}))
    where = "/".join(place)
    assert error.message.startswith(
        (f"{POLICY}: {where}: '{text}' is not a duration", f"'.roadmap/{POLICY}': {where}: ")
    )


@pytest.mark.parametrize("text", ["P3651D", "P99999999999D", "PT999999999999999999H"])
def test_a_duration_that_no_clock_could_reach_is_refused(text: str) -> None:
    error = unusable(changed_files({(POLICY, "attempts", "ttl"): text}))
    assert error.message == f"{POLICY}: attempts/ttl: '{text}' is longer than ten years"


def test_a_lease_of_no_time_is_refused() -> None:
    error = unusable(changed_files({(POLICY, "attempts", "ttl"): "PT0S"}))
    assert f"{POLICY}: attempts/ttl" in error.message
    assert contracts({(POLICY, "attempts", "cooldown"): "PT0S"}).policy.cooldown_ms == 0


def test_a_bad_timeout_of_an_agent_is_named() -> None:
    error = unusable(changed_files({(SWARM, "agents", "agent-qa", "timeout"): "soon"}))
    assert error.message == f"{SWARM}: agents/agent-qa/timeout: 'soon' is not a duration"


@pytest.mark.parametrize("pattern", ["(", "[a", "a{2,1}", "*", "(?=a)", "(?<!a)b"])
def test_a_bad_regular_expression_is_named(pattern: str) -> None:
    error = unusable(changed_files({(STORAGE, "redact"): ["fine", pattern]}))
    assert error.message.startswith(f"{STORAGE}: redact pattern '{pattern}': ")


@pytest.mark.parametrize(
    "glob", ["!docs/**", "/docs/**", "docs/", "a//b", "../x", "docs/**x", "[a"]
)
@pytest.mark.parametrize("place", [("kinds", "spec", "write"), ("kinds", "spec", "read")])
def test_a_bad_glob_is_named_with_its_kind(place: tuple[str, ...], glob: str) -> None:
    error = unusable(changed_files({(AGENT, *place): ["docs/**", glob]}))
    assert error.message.startswith(f"{AGENT}: {'/'.join(place)}: ")
    assert glob in error.message


def test_a_bad_prohibited_glob_is_named() -> None:
    error = unusable(changed_files({(AGENT, "prohibitions", "paths"): ["!docs/**"]}))
    assert error.message.startswith(f"{AGENT}: prohibitions/paths: ")
    assert "!docs/**" in error.message


def test_a_kind_that_the_swarm_does_and_nobody_knows_is_named() -> None:
    error = unusable(changed_files({(SWARM, "kinds", "poetry"): "agent-spec"}))
    assert error.message == f"no task kind 'poetry' in {AGENT}"
    assert error.cause == "it knows hotfix, impl, qa, setup, spec"


def test_an_agent_that_is_asked_for_and_does_not_exist_is_named() -> None:
    error = unusable(changed_files({(SWARM, "kinds", "spec"): "agent-x"}))
    assert error.message == "unknown agent 'agent-x'"
    assert "agent-impl, agent-qa, agent-spec" in str(error.cause)


def test_a_kind_without_an_agent_is_named_when_one_is_needed() -> None:
    with pytest.raises(ConfigurationError, match="no agent does tasks of kind 'poetry'"):
        contracts().swarm.line_up("poetry")
