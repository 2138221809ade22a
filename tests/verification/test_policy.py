"""A policy with an expression, in a real repository: run, verified, pushed; without CEL too."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from esaa_git.app.hooks import install
from esaa_git.core.policy import cel
from esaa_git.store.eventcommit import EventCommit
from esaa_git.store.repository import open_repository
from tests.conftest import Git
from tests.support.copies import copy_folder
from tests.support.forgery import Forger, attachments, value
from tests.support.project import LOG, Project, make_project, result, task, write
from tests.support.warm import CHECKOUT, environment

RULES = [
    {
        "name": "no-big-drafts",
        "match": {"paths": "drafts/**"},
        "when": "lines > 2",
        "effect": "deny",
        "message": "drafts are short",
    },
    {"name": "new-files", "match": {"operations": "add"}, "effect": "deny", "mode": "audit"},
]
CASES = [{"expect": "deny", "given": {"lines": 3, "files": ["drafts/a.md"]}}]
MAIN = "refs/heads/main"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, git: Git) -> Project:
    """One answer was denied, the next one and another task's were accepted."""
    project = make_project(tmp_path_factory.mktemp("policy") / "a", git, task("T-1"), task("T-2"))
    project.amend_yaml("POLICY.yaml", rules=RULES, cases=CASES)
    project.answers(
        T_1_A1=result("T-1", write("drafts/a.md", "1\n2\n3\n"), attempt_id="T-1-A1"),
        T_1_A2=result("T-1", write("drafts/a.md", "1\n2\n"), attempt_id="T-1-A2"),
        T_2=result("T-2"),
    )
    project.commit("Rules")
    project.ok("run")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path, git: Git) -> Project:
    copy_folder(finished.path, tmp_path / "a")
    return Project(tmp_path / "a", git)


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables under which Python finds no CEL library."""
    hidden = tmp_path_factory.mktemp("hidden")
    (hidden / "cel_expr_python.py").write_text("raise ImportError('hidden by a test')\n")
    return {"PYTHONPATH": f"{hidden}{os.pathsep}{CHECKOUT}"}


def esaa(project: Project, env: dict[str, str], *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "esaa_git", "-C", str(project.path), *arguments],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_what_was_decided_is_on_record_and_verified(finished: Project) -> None:
    finished.check()
    assert [one["rule"] for one in finished.payloads("policy.decision")] == ["no-big-drafts"]
    (rejected,) = finished.said("output.rejected")
    assert (rejected["code"], rejected["detail"]["messages"]) == (
        "POLICY_DENIED",
        ["drafts are short"],
    )
    assert [len(one["files"]) for one in [rejected["facts"]]] == [1]
    first, second = finished.payloads("agent.result")
    assert first["policy"] == [{"rule": "new-files", "effect": "deny", "mode": "audit"}]
    assert (second["facts"]["files"], "policy" in second) == ([], False)
    assert finished.payloads("run.init")[0]["cel"] == cel.library()


def test_without_the_library_verify_says_not_evaluated(
    project: Project, without: dict[str, str]
) -> None:
    code, said = esaa(project, without, "verify", "--full")
    assert code == 4
    assert said.startswith("verify_status: not evaluated\n")
    # The rejection, two results, one effect, and the closing of each task.
    assert "the policy was not evaluated for 6 events, from EV-00000005 on: " in said
    assert "esaa-git[policy]" in said


def test_without_the_library_a_run_begins_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    tip = project.tip()
    project.plan(task("T-1"), task("T-2"), task("T-3"))
    project.answers(T_3=result("T-3", write("b.md", "b\n")))
    project.commit("More to do")
    # As in a process that cannot import it, which the test before starts.
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    for found in (cel._module, cel._environment, cel.library, cel.compiled):
        found.cache_clear()
    try:
        said = project.fails(4, "run")
    finally:
        for found in (cel._module, cel._environment, cel.library, cel.compiled):
            found.cache_clear()
    assert "error: '.roadmap/POLICY.yaml' has a rule with 'when', and nothing evaluates it" in said
    assert "esaa-git[policy]" in said
    assert project.tip() == tip


def test_a_hook_without_the_library_refuses_effects_under_such_a_policy(
    project: Project, without: dict[str, str], tmp_path: Path, git: Git
) -> None:
    server = tmp_path / "server.git"
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", str(server))
    install(open_repository(server), "pre-receive")

    def push(env: dict[str, str]) -> tuple[int, str]:
        done = subprocess.run(
            ["git", "push", str(server), LOG, MAIN],
            cwd=project.path,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stderr

    code, said = push(without)
    assert code != 0
    assert "the policy is not evaluated here" in said
    assert "on the server, run 'pip install" in said
    assert git(server, "for-each-ref") == ""
    code, said = push(environment())
    assert code == 0, said


def test_another_version_that_passes_the_cases_evaluates_and_is_named(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # There is one version to be had, so that of another day is named in its place.
    monkeypatch.setattr("esaa_git.core.policy.cel.library", lambda: "cel-expr-python 9.9.9")
    monkeypatch.setattr("esaa_git.verification.evaluated.library", lambda: "cel-expr-python 9.9.9")
    said = project.ok("verify", "--full")
    assert "evaluated by cel-expr-python 9.9.9, which passes its cases; the log pins cel-" in said


# -- what the orchestrator's key signs, against the policy ---------------------------------------


def accepted_all_the_same(forger: Forger, chain: list[EventCommit]) -> None:
    """The answer that a rule denied is recorded as a result."""
    asked, refused, result_ = chain[2], chain[4], chain[8]
    forger.copy(chain[:3])
    facts = value(refused.event)["payload"]["facts"]
    forger.add(
        value(
            result_.event,
            event_seq=4,
            event_id="EV-00000004",
            ts=asked.event.ts,
            payload__attempt_id="T-1-A1",
            payload__facts=facts,
        ),
        attached=attachments(result_),
    )


def denied_by_no_rule(forger: Forger, chain: list[EventCommit]) -> None:
    """An answer is refused in the name of the policy, with facts that it does not deny."""
    forger.copy(chain[:4])
    facts = value(chain[4].event)["payload"]["facts"] | {"lines": 2}
    forger.add(value(chain[4].event, payload__facts=facts), attached=attachments(chain[4]))


def not_noted(forger: Forger, chain: list[EventCommit]) -> None:
    """A result leaves out which rule matches that is only noted."""
    forger.copy(chain[:8])
    said = value(chain[8].event)
    del said["payload"]["policy"]
    forger.add(said, attached=attachments(chain[8]))


def fewer_lines(forger: Forger, chain: list[EventCommit]) -> None:
    """A result says that it changes less than its effect does."""
    forger.copy(chain[:8])
    facts = value(chain[8].event)["payload"]["facts"] | {"lines": 1}
    forger.add(value(chain[8].event, payload__facts=facts), attached=attachments(chain[8]))
    forger.add(chain[9].event, attached=attachments(chain[9]))


@pytest.mark.parametrize(
    ("forge", "event", "words"),
    [
        (accepted_all_the_same, "EV-00000004", "'T-1-A1' is denied by policy: drafts are short"),
        (denied_by_no_rule, "EV-00000005", "no rule denies what 'T-1-A1' proposes"),
        (not_noted, "EV-00000009", "'T-1-A2' notes other rules than those that match"),
        (fewer_lines, "EV-00000010", "is not what the facts of its result say"),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_what_is_signed_against_the_policy_fails_check_8(
    project: Project, forge: Callable[[Forger, list[EventCommit]], None], event: str, words: str
) -> None:
    forger = Forger(project, project.signer.sign)
    chain = project.chain()
    forge(forger, chain)
    forger.finish()
    project.forget()
    audit = project.verify().audit
    assert (audit.outcome, audit.check, audit.event_id) == ("mismatch", 8, event), audit.message
    assert words in audit.message
