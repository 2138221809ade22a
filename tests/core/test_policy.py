"""POLICY.yaml: what it may say, what each rule matches, and how the answers are put together."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from esaa_git.core.entries import Requirement
from esaa_git.core.events.base import replace
from esaa_git.core.events.facts import Facts, FileFact
from esaa_git.core.policy import cel
from esaa_git.core.policy.cases import require_library, try_cases
from esaa_git.core.policy.document import check_expressions, decode_cases, decode_policy
from esaa_git.core.policy.evaluate import Verdict, evaluate, requirements
from esaa_git.core.policy.rules import Match, Policy, Require, Seen
from esaa_git.errors import ConfigurationError

NAME = ".roadmap/POLICY.yaml"
HEAD = 'schema_version: "0.3.0"\n'


def policy(*rules: Mapping[str, Any], **more: Any) -> Policy:
    named = [{"name": f"r{nth}", "effect": "deny", **rule} for nth, rule in enumerate(rules)]
    document = {"schema_version": "0.3.0", "rules": named, **more}
    return decode_policy(json.dumps(document).encode(), NAME)


def match(**conditions: Any) -> Match:
    return policy({"match": conditions}).rules[0].match


FILES = (
    FileFact(path="docs/a.md", change="modify", before_mode="100644", mode="100644"),
    FileFact(path="src/new.sh", change="add", mode="100755"),
    FileFact(
        path="docs/b.md", change="rename", from_="src/b.md", before_mode="100644", mode="100644"
    ),
    FileFact(path="old/c.md", change="delete", before_mode="100644"),
)
FACTS = Facts(
    task_id="WEB-7",
    kind="impl",
    agent="codex",
    model="gpt-5",
    cost_microdollars=900,
    lines=40,
    files=FILES,
)


def says(*rules: Mapping[str, Any], facts: Facts = FACTS, **more: Any) -> Verdict:
    return evaluate(policy(*rules, **more), facts)


# -- what a document may be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "place", "fault"),
    [
        ("rules:\n  - name: a\n    effect: deny\n    macth: {}\n", "4:5", "did you mean 'match'?"),
        ("rules:\n  - name: a\n    effect: deni\n", "3:5", "'deni' is not one of allow, deny"),
        ("rules:\n  - {name: a, effect: {require: {role: admn}}}\n", "2:34", "'admn' is not one"),
        ("rules:\n  - {name: a, effect: {require: {count: 0}}}\n", "2:34", "0 is less than"),
        ("rules:\n  - {name: a, effect: deny, match: {path: x}}\n", "2:37", "mean 'paths'?"),
        ("rules:\n  - {name: a, effect: deny, match: {paths: [/x]}}\n", "2:37", "starts with '/'"),
        ("rules:\n  - {name: a, effect: deny, match: {paths: []}}\n", "2:37", "paths"),
        ("rules:\n  - name: a\n    effect: deny\n    on: tool\n", "4:5", "not one of proposal"),
        ("rules:\n  - {name: a, effect: deny}\n  - {name: a, effect: deny}\n", "3:6", "two rules"),
        ("rules:\n  - {name: default, effect: deny}\n", "2:6", "no rule can be called"),
        ("rules: []\n", "1:1", "names no rule"),
        (
            "rules:\n  - {name: a, effect: deny, match: {lines: {more_than: 4, less_than: 5}}}\n",
            "2:37",
            "no number is more and less",
        ),
        (
            "rules:\n  - {name: a, effect: deny, on: dispatch, match: {paths: x}}\n",
            "2:51",
            "before an agent is asked",
        ),
        (
            "rules:\n  - {name: a, effect: require, on: dispatch}\n",
            "2:15",
            "a dispatch is allowed or denied",
        ),
        (
            "rules:\n  - {name: a, effect: deny}\ncases:\n  - {expect: deny, rules: [b]}\n",
            "4:28",
            "there is no rule 'b'",
        ),
        ("rules:\n  - name: a\n   effect: deny\n", "3:4", "did not find expected"),
        ("", "1:1", "expected a mapping"),
    ],
)
def test_a_fault_is_named_with_its_line_and_column(text: str, place: str, fault: str) -> None:
    data = f"{text}{HEAD}" if text.startswith("rules") else text
    with pytest.raises(ConfigurationError) as caught:
        decode_policy(data.encode(), NAME)
    line, column = place.split(":")
    assert caught.value.message.startswith(f"'{NAME}' line {line} column {column}: ")
    assert fault in caught.value.message


def test_on_is_a_key_although_yaml_reads_it_as_true() -> None:
    made = decode_policy(
        f"{HEAD}rules:\n- {{name: a, on: dispatch, effect: deny}}\n".encode(), NAME
    )
    assert made.rules[0].on == "dispatch"


def test_what_an_effect_requires_has_defaults() -> None:
    full = {"require": {"role": "admin", "count": 2, "other_than": "starter"}}
    made = policy({"effect": full}, {"effect": "require"}, {"effect": {"require": {}}})
    assert [rule.require for rule in made.rules] == [
        Require("admin", 2, "starter"),
        Require("approver", 1),
        Require("approver", 1),
    ]
    asked = requirements(made, ["r0", "gone"])
    assert asked == (
        Requirement("the policy asks for it by 'r0'", "admin", 2, "starter"),
        Requirement("the policy asks for it by 'gone'", "approver"),
    )


# -- match --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conditions", "missed"),
    [
        ({}, None),
        ({"kind": "impl"}, None),
        ({"kind": ["spec", "im*"]}, None),
        ({"kind": "spec"}, "kind"),
        ({"task": "WEB-*"}, None),
        ({"task": "API-*"}, "task"),
        ({"agent": "codex"}, None),
        ({"agent": "claude"}, "agent"),
        ({"model": ["gpt-*", "o*"]}, None),
        ({"model": "claude-*"}, "model"),
        ({"lines": {"more_than": 39}}, None),
        ({"lines": {"more_than": 40}}, "lines"),
        ({"lines": {"less_than": 40}}, "lines"),
        ({"files": {"more_than": 3, "less_than": 5}}, None),
        ({"files": {"less_than": 4}}, "files"),
        ({"cost_microdollars": {"more_than": 899}}, None),
        ({"cost_microdollars": {"more_than": 900}}, "cost_microdollars"),
        ({"paths": "docs/**"}, None),
        ({"paths": ["x", "src/b.md"]}, None),  # where a renamed file was
        ({"paths": ["test/**", "*.md"]}, "paths"),
        ({"operations": "delete"}, None),
        ({"operations": ["executable"]}, None),
        # Both of one file: something in docs/ changes, and something is deleted, but not there.
        ({"operations": "delete", "paths": "docs/**"}, "paths"),
        ({"operations": ["delete", "rename"], "paths": "docs/**"}, None),
        ({"kind": "impl", "lines": {"more_than": 100}}, "lines"),
    ],
)
def test_a_rule_matches_where_all_of_its_conditions_hold(
    conditions: Mapping[str, Any], missed: str | None
) -> None:
    assert match(**conditions).misses(Seen.of(FACTS)) == missed


def test_what_is_not_known_is_empty() -> None:
    unknown = Facts(task_id="T-1", kind="impl", agent="a", lines=0, files=())
    seen = Seen.of(unknown)
    assert match(cost_microdollars={"more_than": 0}).misses(seen) == "cost_microdollars"
    assert match(model="?*").misses(seen) == "model"
    assert match(operations=["add", "delete"]).misses(seen) == "operations"
    assert match().misses(seen) is None


# -- how the answers are put together -----------------------------------------------------------


def test_deny_beats_require_and_require_beats_allow() -> None:
    allow, require, deny = ({"effect": effect} for effect in ("allow", "require", "deny"))
    assert says(allow).effect == "allow"
    assert says(allow, require).effect == "require"
    assert [hit.rule.name for hit in says(require, allow, require).decisions] == ["r0", "r2"]
    denied = says(require, deny, allow, deny)
    assert denied.effect == "deny"
    assert [hit.rule.name for hit in denied.decisions] == ["r1", "r3"]
    assert denied.required == ()


def test_what_is_not_enforced_is_noted_and_decides_nothing() -> None:
    verdict = says({"mode": "audit"}, {"mode": "warn", "effect": "require"}, {"effect": "allow"})
    assert verdict.effect == "allow"
    assert [(one.rule, one.effect, one.mode) for one in verdict.notes] == [
        ("r0", "deny", "audit"),
        ("r1", "require", "warn"),
    ]


def test_what_no_rule_allows_is_denied_where_that_is_the_default() -> None:
    aside = {"effect": "allow", "match": {"kind": "spec"}}
    assert says(aside, default="deny").denied[0].rule.name == "default"
    assert says(aside, {"mode": "audit", "effect": "allow"}, default="deny").effect == "deny"
    assert says({"effect": "allow"}, default="deny").effect == "allow"
    assert says({"effect": "require"}, default="deny").effect == "require"
    dispatched = evaluate(policy(aside, default="deny"), replace(FACTS, on="dispatch"))
    assert dispatched.effect == "allow"  # it is said of proposals alone


# -- expressions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ('task == "WEB-7" && kind == "impl" && agent == "codex" && model == "gpt-5"', True),
        ("lines > 39 && cost_microdollars == 900 && size(files) == 4", True),
        ('files.exists(f, f.path.startsWith("src/") && "executable" in f.operations)', True),
        ('files.exists(f, f.from == "src/b.md" && f.change == "rename")', True),
        ('files.all(f, f.mode == "100644")', False),
        ('files.exists(f, f.before_mode == "" && f.change == "add")', True),
        ("true || lines / 0 > 1", True),
    ],
)
def test_an_expression_sees_the_facts(when: str, holds: bool) -> None:
    assert (says({"when": when}).effect == "deny") is holds


@pytest.mark.parametrize("when", ["lines / 0 > 1", 'files[9].path == "a"', "files[0].path > 3"])
def test_an_error_while_evaluating_denies(when: str) -> None:
    verdict = says({"when": when, "effect": "allow"})
    assert verdict.effect == "deny"
    assert "could not be evaluated" in verdict.denied[0].says
    (noted,) = says({"when": when, "effect": "allow", "mode": "audit"}).notes
    assert noted.erred is True


def test_a_rule_that_does_not_match_otherwise_is_not_asked_its_expression() -> None:
    assert says({"when": "lines / 0 > 1", "match": {"kind": "spec"}}).effect == "allow"


@pytest.mark.parametrize(
    ("when", "fault"),
    [
        ("lnes > 3", "at 1:1: there is nothing of the name 'lnes'; did you mean 'lines'?"),
        ("lines > 3 &&\n  xyz == 1", "at 2:3: there is nothing of the name 'xyz'; there is task"),
        ("lines >", "Syntax error"),
        ('lines > "a"', "no matching overload"),
        ("lines", "it answers with a number, and not with true or false"),
        ("model", "it answers with text, and not with true or false"),
        ("files[0].path", "and not with true or false"),
        ("now() > 3", "there is nothing of the name 'now'"),
    ],
)
def test_an_expression_that_cannot_be_used_is_named_where_it_stands(when: str, fault: str) -> None:
    made = policy({}, {"when": when})
    with pytest.raises(ConfigurationError) as caught:
        check_expressions(made, NAME)
    assert caught.value.message.startswith(f"'{NAME}' line 1 column ")
    assert fault in caught.value.message
    # One that is in force all the same errs, and so denies.
    assert says({"when": when, "effect": "allow"}).effect == "deny"


# -- cases, and other versions of the library ---------------------------------------------------

CASES = [
    {"name": "docs", "expect": "deny", "given": {"files": ["docs/a.md"]}, "rules": ["r0"]},
    {"expect": "allow", "given": {"files": [{"path": "docs/a.md", "change": "delete"}]}},
]
DOCS = {"match": {"paths": "docs/**", "operations": ["modify", "add"]}}


def test_cases_are_held_against_the_rules() -> None:
    made = policy(DOCS, cases=CASES)
    assert [one.fault for one in try_cases(made, made.cases)] == [None, None]
    other = policy({**DOCS, "effect": "require"}, {"effect": "allow"}, cases=CASES)
    assert [one.fault for one in try_cases(other, other.cases)] == [
        "expected deny, and the policy says require by r0",
        None,
    ]
    text = json.dumps({"cases": [{"expect": "deny", "rules": [], "given": {"files": ["docs/x"]}}]})
    (again,) = try_cases(made, decode_cases(text.encode(), "cases.yaml", made))
    assert again.fault == "expected the rules none, and those that match are r0"


def test_another_version_of_the_library_has_to_pass_the_cases_of_the_policy() -> None:
    rule = {"when": "lines > 3"}
    cases = [{"expect": "deny", "given": {"lines": 4}}, {"expect": "allow", "given": {"lines": 3}}]
    require_library(policy(rule, cases=cases), "cel-expr-python 0.0.1")
    wrong = policy(rule, cases=[{"expect": "allow", "given": {"lines": 4}}])
    require_library(wrong, cel.library())  # by this very version it was pinned
    with pytest.raises(cel.CelMissing, match="answers the cases"):
        require_library(wrong, "cel-expr-python 0.0.1")


WITHOUT = """
import sys
sys.modules["cel_expr_python"] = None
from tests.core import test_policy as here
assert here.cel.library() is None
assert here.says({"match": {"kind": "impl"}}).effect == "deny"
for rule in ({"when": "true"}, {"when": "true", "match": {"kind": "spec"}}):
    try:
        here.says(rule)
    except here.ConfigurationError as error:
        print(error.message, "|", error.hint)
"""


def test_without_the_library_nothing_is_said_and_the_hint_names_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=True
    )
    said = "'.roadmap/POLICY.yaml' has a rule with 'when', and nothing evaluates it"
    hint = "run 'pip install \"esaa-git[policy]\"', which brings cel-expr-python"
    assert done.stdout.splitlines() == [f"{said} | {hint}"] * 2


def test_a_policy_without_expressions_does_not_import_the_library() -> None:
    program = (
        "import sys\nfrom tests.core import test_policy as here\nhere.says({})\n"
        "assert not any(name.startswith('cel_expr') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
