"""`git esaa claim|submit|complete`: people work through the same admission as agents."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from esaa_git.app import work
from esaa_git.app.project import Project
from esaa_git.app.work import Outcome
from esaa_git.cli.output import (
    as_option,
    examples,
    json_option,
    pass_project,
    print_json,
    say,
)
from esaa_git.errors import RefusedError, UsageError


@click.command(
    epilog=examples("git esaa claim T-1000", "git esaa claim T-1000 --json > request.json")
)
@click.argument("task_id", metavar="TASK")
@json_option
@as_option
@pass_project
def claim(project: Project, task_id: str, as_json: bool, actor: str | None) -> None:
    """Take a task: an attempt opens for you, with a deadline.

    With --json, the request is printed exactly as an agent would be sent it.
    """
    found = work.claim(project, task_id, actor=actor)
    if as_json:
        say(found.sent, nl=False)
        return
    say(f"{found.attempt_id} is yours until {found.deadline} (base {found.base[:12]})")
    say(f"then: git esaa complete {task_id} --summary TEXT [PATH...], or git esaa submit FILE")


@click.command(
    epilog=examples("git esaa submit envelope.json", "my-agent < request.json | git esaa submit -")
)
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--task", "task_id", metavar="TASK", help="The claimed task that FILE answers.")
@json_option
@as_option
@pass_project
def submit(
    project: Project, file: str, task_id: str | None, as_json: bool, actor: str | None
) -> int:
    """Submit an envelope for a task that you hold: a result, an issue, a heartbeat or a lesson.

    FILE is what an agent would answer; - reads standard input. An output that breaks a rule is
    recorded as a rejection, and says how to correct it.
    """
    return print_outcome(work.submit(project, _read(file), task_id=task_id, actor=actor), as_json)


@click.command(
    epilog=examples(
        'git esaa complete T-1000 --summary "wrote the parser" src/parser.py',
        'git esaa complete T-1000 --summary "nothing to change"',
    )
)
@click.argument("task_id", metavar="TASK")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--summary", required=True, metavar="TEXT", help="What was done.")
@click.option("--check", "checks", multiple=True, metavar="TEXT", help="What was checked.")
@json_option
@as_option
@pass_project
def complete(
    project: Project,
    task_id: str,
    paths: tuple[str, ...],
    summary: str,
    checks: tuple[str, ...],
    as_json: bool,
    actor: str | None,
) -> int:
    """Complete a task that you hold, with the files of your checkout as the proposal.

    Each PATH is proposed as it stands in the checkout; one that is gone is proposed as deleted.
    """
    outcome = work.complete(project, task_id, summary, paths, checks=checks, actor=actor)
    return print_outcome(outcome, as_json)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read '{file}'", cause=error.strerror) from error


def print_outcome(outcome: Outcome, as_json: bool) -> int:
    if as_json:
        print_json(outcome.to_json())
    elif outcome.rejected is None:
        say(f"{outcome.kind}: {outcome.message or outcome.task_id}")
        if outcome.effect_commit is not None:
            say(f"effect: {outcome.effect_commit}")
        if outcome.left_out_words:
            say(f"left out: {outcome.left_out_words}")
    if outcome.rejected is not None:
        from esaa_git.core.rejection import EXPLANATIONS

        rejected = outcome.rejected
        if not as_json:
            recorded = "" if outcome.attempt_id else " (not recorded: it answers no attempt)"
            raise RefusedError(
                f"rejected, {rejected.code}: {rejected.message}{recorded}",
                hint=EXPLANATIONS[rejected.code],
            )
        return RefusedError.exit_code
    return 0
