"""A person's own clone records what policy is to see of their result, and may lie in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from esaa_git.engine import commit
from tests.conftest import Git
from tests.support.project import make_project, result, task, write

POLICY = """\
schema_version: "0.3.0"
rules:
  - {name: wide, match: {lines: {more_than: 100}}, effect: deny, message: too wide}
"""


def test_a_result_with_false_facts_is_refused_and_stops_no_run(
    tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What writes it is our own program, bent as its owner may bend it."""
    project = make_project(tmp_path / "one", git, task("T-1"), task("T-2"))
    (project.path / ".roadmap/POLICY.yaml").write_text(POLICY)
    project.commit("a policy")
    project.ok("plan", "apply")
    key = project.git("config", "esaa.signingKey").strip()
    project.git("config", "--unset", "esaa.signingKey")
    project.ok("claim", "T-1")
    project.answers(T_2=result("T-2", write("src/T-2.txt", "two\n")))
    proposed = result("T-1", write("src/T-1.txt", "one\n" * 90), attempt_id="T-1-A1")
    honest = commit._changes
    with monkeypatch.context() as bent:
        bent.setattr(commit, "_changes", lambda proposal: (honest(proposal)[0], 1))
        project.ok("submit", "-", stdin=json.dumps(proposed))
    assert project.actions()[-1] == "agent.result"
    project.git("config", "esaa.signingKey", key)
    project.esaa("run")
    refused = project.payloads("output.rejected")[0]
    assert (refused["attempt_id"], refused["code"]) == ("T-1-A1", "INVALID_VALUE")
    assert project.task("T-2").is_done
    project.check()
