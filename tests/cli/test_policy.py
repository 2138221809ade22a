"""`git esaa policy`: check, test, explain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.project import Project, make_project, result, task, write

RULES = """\
schema_version: "0.3.0"
rules:
  - name: no-drafts
    match: {paths: "drafts/**"}
    effect: deny
    message: drafts stay outside
  - name: long
    match: {lines: {more_than: 2}}
    effect: {require: {role: approver}}
    mode: audit
cases:
  - {name: a draft, expect: deny, given: {files: [drafts/a.md]}, rules: [no-drafts]}
  - {name: a page, expect: allow, given: {files: [a.md]}, rules: []}
"""
PLACE = ".roadmap/POLICY.yaml"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Project:
    project = make_project(tmp_path_factory.mktemp("policy") / "a", git, task("T-1"), task("T-2"))
    project.write(PLACE, RULES)
    project.answers(
        T_1_A1=result("T-1", write("drafts/a.md", "1\n"), attempt_id="T-1-A1"),
        T_1_A2=result("T-1", write("a.md", "1\n2\n3\n"), attempt_id="T-1-A2"),
        T_2=result("T-2", write("b.md", "1\n")),
    )
    project.commit("Rules")
    project.ok("run")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path, git: Git) -> Project:
    copy_folder(finished.path, tmp_path / "a")
    return Project(tmp_path / "a", git)


def test_check_names_what_is_wrong_and_where(project: Project) -> None:
    assert project.ok("policy", "check") == "2 rules, 2 cases: nothing wrong\n"
    project.write("draft.yaml", RULES.replace('{paths: "drafts/**"}', "{kind: imlp}"))
    said = project.esaa("policy", "check", str(project.path / "draft.yaml"))
    assert said.code == 1
    assert said.out.splitlines()[0].endswith(
        "draft.yaml:3:5: 'no-drafts': there is no kind 'imlp'; did you mean 'impl'?"
    )
    assert project.esaa("policy", "check", "--json").json == {
        "file": PLACE,
        "rules": 2,
        "cases": 2,
        "findings": [],
    }
    project.write(PLACE, RULES.replace("{role: approver}", "{role: admin, count: 3}"))
    said = project.esaa("policy", "check")
    assert (said.code, said.out.splitlines()[0]) == (
        1,
        f"{PLACE}:7:5: 'long': it asks for 3 people who are admin, and allowed_signers names 1",
    )
    project.write(PLACE, RULES.replace("effect: deny\n", "efect: deny\n"))
    said = project.fails(4, "policy", "check")
    unknown = f"error: '{PLACE}' line 5 column 5: rules/0: there is no entry of the name 'efect'"
    assert unknown in said
    assert "did you mean 'effect'?" in said
    project.write(PLACE, RULES.replace("mode: audit\n", "when: lins > 2\n"))
    said = project.fails(4, "policy", "check")
    assert f"error: '{PLACE}' line 10 column 5: rules/1/when at 1:1: there is nothing" in said
    assert "did you mean 'lines'?" in said
    (project.path / PLACE).unlink()
    assert "there is no '.roadmap/POLICY.yaml'" in project.fails(3, "policy", "check")


def test_a_policy_that_cannot_be_used_is_not_pinned(project: Project) -> None:
    tip = project.tip()
    project.write(PLACE, RULES.replace("mode: audit\n", "when: lins > 2\n"))
    project.plan(task("T-1"), task("T-2"), task("T-3"))
    assert "line 10 column 5" in project.fails(4, "plan", "apply")
    assert project.tip() == tip


def test_cases_are_tried(project: Project) -> None:
    assert project.ok("policy", "test") == "2 of 2 cases are answered as they say\n"
    project.write("cases.yaml", "cases:\n- {name: x, expect: allow, given: {files: [drafts/x]}}\n")
    said = project.esaa("policy", "test", str(project.path / "cases.yaml"))
    assert (said.code, said.out.splitlines()) == (
        1,
        [
            "failed x: expected allow, and the policy says deny by no-drafts",
            "0 of 1 cases are answered as they say",
        ],
    )
    project.write(PLACE, RULES.partition("cases:")[0])
    assert "has no case to try" in project.fails(2, "policy", "test")
    said = project.fails(2, "policy", "test", "--diff")
    assert "--since and --diff go with --history" in said


def test_a_draft_is_tried_on_the_history(project: Project) -> None:
    assert project.ok("policy", "test", "--history").splitlines() == [
        "EV-00000005 T-1-A1 POLICY_DENIED: deny by no-drafts",
        "EV-00000009 T-1-A2 accepted: allow, noted long (audit: require)",
        "3 proposals: 1 denied, 0 asked a person for, 2 allowed",
    ]
    assert project.ok("policy", "test", "--history", "--diff").splitlines() == [
        "3 proposals: 0 answered otherwise"
    ]
    project.write(PLACE, RULES.replace("    mode: audit\n", ""))
    said = project.ok("policy", "test", "--history", "--diff", "--since", "EV-00000006")
    noted = "allow, noted long (audit: require)"
    assert said.splitlines() == [
        f"EV-00000009 T-1-A2 accepted: require by long (in force: {noted})",
        "2 proposals: 1 answered otherwise",
    ]
    answered = project.esaa("policy", "test", "--history", "--diff", "--json").json["answers"]
    both = [(one["effect"], one["in_force"]["effect"]) for one in answered]
    assert both == [("require", "allow")]
    assert "'42' is no event" in project.fails(2, "policy", "test", "--history", "--since", "42")


def test_explain_tells_of_each_rule_why_it_matched_or_did_not(project: Project) -> None:
    assert project.ok("policy", "explain", "T-1").splitlines() == [
        "T-1-A2 (EV-00000009, accepted)",
        "facts: impl by agent-x with scripted-1, 1 files, 3 lines",
        "  add a.md",
        "  no   no-drafts: 'paths' does not hold",
        "  yes  long: require (audit): the rule 'long' of POLICY.yaml says so",
        "so: allow, noted long (audit: require)",
    ]
    said = project.esaa("policy", "explain", "T-2", "--json").json
    assert [(one["rule"], one["missed"]) for one in said["rules"]] == [
        ("no-drafts", "paths"),
        ("long", "lines"),
    ]
    assert "no task 'T-9'" in project.fails(2, "policy", "explain", "T-9")
