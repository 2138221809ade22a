"""The pipeline files of the guides: each step is run as the forge's runner runs it.

What a runner does besides is done here by hand: the checkout, and the values of its expressions. In
the place of pip stands a script that notes what it is to install, and `git-esaa` is this checkout.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from esaa_git import __version__
from tests.conftest import Git
from tests.support.team import LOG, Team, copy, hook_environment

GUIDES = Path(__file__).resolve().parents[2] / "docs/guides"
FORGED = "## git esaa verify: forged"
PROGRAM = "import sys; from esaa_git.cli.main import main; sys.exit(main())"

Step = tuple[str, dict[str, str]]


@dataclass
class Job:
    """One pipeline at work: its steps in order, each in the clone that a runner would have made."""

    steps: list[Step]
    folder: Path
    env: dict[str, str]
    summary: Path
    after: str = "true"

    def run(self, **changed: str) -> tuple[int, str]:
        """Run the steps until one fails; return its exit status, and all that was said."""
        said, status = "", 0
        for script, env in self.steps:
            done = self._shell(script, {**env, **changed})
            said, status = said + done.stdout, done.returncode
            if status:
                break
        self._shell(self.after, {})
        return status, said

    def _shell(self, script: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script],
            cwd=self.folder,
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def actions(name: str, values: Mapping[str, str]) -> Iterator[Step]:
    """Yield the steps of a workflow of GitHub, Gitea or Forgejo for a pull request."""
    document = yaml.safe_load((GUIDES / name).read_text())
    (job,) = document["jobs"].values()
    for step in job["steps"]:
        assert step.get("if") in (None, "github.event_name == 'pull_request'")
        if "run" in step:
            env = {**document["env"], **step.get("env", {})}
            yield step["run"], {key: _valued(value, values) for key, value in env.items()}


def _valued(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{\{ (.+?) \}\}", lambda found: values[found[1]], text)


def gitlab() -> Iterator[Step]:
    """Yield what GitLab's runner runs, its scripts as one, and what it runs after any outcome."""
    job: dict[str, Any] = yaml.safe_load((GUIDES / "gitlab-ci.yml").read_text())["esaa verify"]
    yield "\n".join([*job["before_script"], *job["script"]]), dict(job["variables"])
    yield "\n".join(job["after_script"]), {}


@pytest.fixture
def team(template: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A team with a pull request: one effect and a commit of a person, on a branch of its own."""
    hook_environment(monkeypatch)
    made = copy(template, tmp_path)
    made.one.ok("run", "--task", "T-2")
    made.one.write("notes.md", "by hand\n")
    # A verdict of the pusher's own, which goes on after what hides the next one.
    made.one.write("summary.md", f"{FORGED}\n\n<!--\n")
    made.one.git("add", "notes.md", "summary.md")
    made.one.git("commit", "--quiet", "--message", "Notes | by <b>hand</b>")
    made.one.git("push", "--quiet", "--atomic", "origin", LOG, "main:refs/heads/feature")
    return made


@pytest.fixture(params=["github", "gitea", "gitlab"])
def job(request: pytest.FixtureRequest, team: Team, tmp_path: Path, git: Git) -> Job:
    base, head = (team.at(f"refs/heads/{name}") for name in ("main", "feature"))
    genesis = team.one.chain()[0].oid
    clone = tmp_path / "clone"
    clone.mkdir()
    summary = tmp_path / "page.md"
    env = {**os.environ, "PATH": os.pathsep.join([str(_programs(tmp_path)), os.environ["PATH"]])}
    if request.param == "gitea":
        found = actions(
            "gitea-workflow.yml",
            {
                "vars.ESAA_GENESIS": genesis,
                "github.server_url": f"file://{tmp_path}",
                "github.repository": "server",
                "github.token": "secret",
                "github.event.pull_request.head.sha || github.sha": head,
                "github.event.pull_request.head.sha": head,
                "github.base_ref": "main",
                "github.event.pull_request.base.sha || github.event.before": base,
            },
        )
        env["GITHUB_STEP_SUMMARY"] = str(summary)
        return Job(list(found), clone, env, summary)
    # As actions/checkout and GitLab's runner do: branches of the remote, and no branch of its own.
    git(clone, "init", "--quiet")
    git(clone, "remote", "add", "origin", f"file://{team.server}")
    git(clone, "fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*")
    git(clone, "checkout", "--quiet", "--detach", base if request.param == "github" else head)
    if request.param == "github":
        git(clone, "merge", "--quiet", "--no-ff", "--message", "Merge", head)
        env |= {"GITHUB_SHA": git(clone, "rev-parse", "HEAD"), "GITHUB_STEP_SUMMARY": str(summary)}
        values = {
            "vars.ESAA_GENESIS": genesis,
            "github.base_ref": "main",
            "github.event.pull_request.base.sha || github.event.before": base,
        }
        # The log of this team is on the ref that a server with a hook has.
        steps = [
            (script, {**own, "EVENTS_REF": LOG})
            for script, own in actions("github-workflow.yml", values)
        ]
        return Job(steps, clone, env, summary)
    env |= {
        "ESAA_GENESIS": genesis,
        "TMPDIR": str(tmp_path),
        "CI_JOB_ID": "7",
        "CI_COMMIT_SHA": head,
        "CI_COMMIT_BEFORE_SHA": "0" * 40,
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
    }
    script, (after, _) = gitlab()
    return Job([script], clone, env, clone / "summary.md", after)


def _programs(folder: Path) -> Path:
    programs = folder / "bin"
    programs.mkdir()
    install = "-I -m pip install"
    scripts = {
        "git-esaa": f"#!{sys.executable}\n{PROGRAM}\n",
        "python": f'#!/bin/sh\ntest "$1 $2 $3 $4" = "{install}" && echo "$@" >{folder}/pip\n',
    }
    for name, text in scripts.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    return programs


def test_a_pull_request_is_verified_as_it_will_be_merged_and_told_of(
    job: Job, team: Team, tmp_path: Path
) -> None:
    status, said = job.run()
    assert status == 0, said
    assert (tmp_path / "pip").read_text().split()[-1] == f"esaa-git=={__version__}"
    shown = job.summary.read_text()
    assert shown.startswith("## git esaa verify: ok")
    assert FORGED not in shown + said
    (row,) = [line for line in shown.splitlines() if "`T-2`" in line]
    assert "`Do T-2`" in row
    assert "(orchestrator" in row
    assert "T-1" not in shown.partition("### Tasks")[2]
    assert "| `Notes \\| by <b>hand</b>` |" in shown


def _no_log(job: Job, team: Team) -> None:
    team.run(team.server, "update-ref", "-d", LOG)


def _shallow(job: Job, team: Team) -> None:
    (job.folder / ".git/shallow").write_text(team.run(job.folder, "rev-parse", "HEAD~1") + "\n")


def _dropped(job: Job, team: Team) -> None:
    """Somebody with the rights of the server's owner takes back the events of the pull request."""
    team.run(team.server, "update-ref", LOG, f"{LOG}~3")


@pytest.mark.parametrize(
    ("spoil", "changed", "why"),
    [
        (None, {"GENESIS": "", "ESAA_GENESIS": ""}, "ESAA_GENESIS is not set"),
        (None, {"GENESIS": "1" * 40, "ESAA_GENESIS": "1" * 40}, "check 1"),
        (_no_log, {}, "there is no event log on refs/esaa/events"),
        (_dropped, {}, "check 11"),
    ],
    ids=["no pin", "another log", "no log", "effects without events"],
)
def test_what_cannot_be_checked_or_does_not_hold_fails(
    job: Job,
    team: Team,
    spoil: Callable[[Job, Team], None] | None,
    changed: dict[str, str],
    why: str,
) -> None:
    if spoil is not None:
        spoil(job, team)
    status, said = job.run(**changed)
    assert status != 0
    assert why in said
    assert not job.summary.exists() or FORGED not in job.summary.read_text()


@pytest.mark.parametrize("job", ["github", "gitlab"], indirect=True)
def test_a_shallow_clone_of_a_runner_fails(job: Job, team: Team) -> None:
    _shallow(job, team)
    status, said = job.run()
    assert status != 0
    assert "the clone is shallow" in said
