"""`git esaa claim|submit|complete|review`: people work through the same admission as agents."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from esaa_git.app.project import Project
from esaa_git.app.work import file_update
from esaa_git.cli.output import as_option, json_option, pass_project, print_json
from esaa_git.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from esaa_git.core.state import Task
    from esaa_git.engine.exchange import Admission


@click.command(
    epilog="""\b
Example:
  git esaa claim T-1000
  git esaa claim T-1000 --json > request.json
"""
)
@click.argument("task_id", metavar="TASK")
@json_option
@as_option
@pass_project
def claim(project: Project, task_id: str, as_json: bool, actor: str | None) -> None:
    """Take a task: an attempt opens for you, with a deadline.

    With --json, the request is printed exactly as an agent would be sent it.
    """
    from esaa_git.engine import operator

    by = project.actor(actor)
    request = operator.claim(project.engine, task_id, by)
    if as_json:
        click.echo(request.sent, nl=False)
        return
    click.echo(f"{request.attempt_id} is yours until {request.deadline} (base {request.base[:12]})")
    click.echo(
        f"then: git esaa complete {task_id} --summary TEXT [PATH...], or git esaa submit FILE"
    )


@click.command(
    epilog="""\b
Example:
  git esaa submit envelope.json
  my-agent < request.json | git esaa submit -
"""
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
    output = _read(file)
    return _admit(project, output, project.actor(actor), task_id, as_json)


@click.command(
    epilog="""\b
Example:
  git esaa complete T-1000 --summary "wrote the parser" src/parser.py
  git esaa complete T-1000 --summary "nothing to change"
"""
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
    by = project.actor(actor)
    task = _held(project, task_id, by)
    payload: dict[str, Any] = {"summary": summary}
    if checks:
        payload["checks"] = list(checks)
    if paths:
        base = "" if task.attempt is None else task.attempt.base
        payload["file_updates"] = [file_update(project, path, base) for path in paths]
    envelope = {
        "action": "agent.result",
        "task_id": task_id,
        "attempt_id": task.attempt.attempt_id if task.attempt else "",
        "payload": payload,
    }
    return _admit(project, json.dumps(envelope, ensure_ascii=False).encode(), by, task_id, as_json)


@click.command(
    epilog="""\b
Example:
  git esaa review T-1000
  git esaa review T-1000 --approve
  git esaa review T-1000 --request-changes "the tests do not cover the empty file"
"""
)
@click.argument("task_id", metavar="TASK")
@click.option("--approve", is_flag=True, help="Agree: the task is done.")
@click.option("--request-changes", metavar="TEXT", help="Send it back, saying what is missing.")
@click.option("--reason", default="", metavar="TEXT", help="A remark to an approval.")
@json_option
@as_option
@pass_project
def review(
    project: Project,
    task_id: str,
    approve: bool,
    request_changes: str | None,
    reason: str,
    as_json: bool,
    actor: str | None,
) -> int:
    """Look at, approve or send back a result that waits for a review.

    Without a decision, the proposed changes are shown as a diff. Nobody approves their own work.
    """
    if approve == (request_changes is not None):
        if approve:
            raise UsageError("--approve and --request-changes exclude each other")
        return _show_proposal(project, task_id)
    from esaa_git.engine import operator

    admission = operator.review(
        project.engine,
        task_id,
        project.actor(actor),
        approve=approve,
        reason=reason if approve else str(request_changes),
    )
    if not approve:
        click.echo(f"{task_id} goes back: {admission.message}")
        return 0
    return _print(admission, as_json)


def _show_proposal(project: Project, task_id: str) -> int:
    from esaa_git.cli.history import print_effect
    from esaa_git.engine.decide import find_task

    state, _ = project.log.load()
    task = find_task(state, task_id)
    if task.pending_approval is None or task.attempt is None or task.result is None:
        raise RefusedError(
            f"'{task_id}' does not wait for a review; it is {task.state}",
            hint="run 'git esaa status' to see what does",
        )
    click.echo(f"{task.attempt.attempt_id} by {task.attempt.agent}: {task.result.summary}")
    print_effect(project, task.attempt.attempt_id)
    click.echo(
        f"\ndecide: git esaa review {task_id} --approve, or --request-changes TEXT", err=True
    )
    return 0


def _admit(project: Project, output: bytes, by: str, task_id: str | None, as_json: bool) -> int:
    from esaa_git.engine.commit import admit
    from esaa_git.engine.exchange import Said
    from esaa_git.ports.agent import Answer

    task = _held(project, task_id, by) if task_id is not None else _only_one_held(project, by)
    attempt_id = None if task is None or task.attempt is None else task.attempt.attempt_id
    said = Said(
        Answer(output, 0),
        by,
        task_id=None if task is None else task.task_id,
        attempt_id=attempt_id,
    )
    return _print(admit(project.engine, said), as_json)


def _held(project: Project, task_id: str, by: str) -> Task:
    from esaa_git.engine.decide import find_task

    state, _ = project.log.load()
    task = find_task(state, task_id)
    attempt = task.attempt
    if attempt is None or attempt.agent != by:
        holder = f"; {attempt.agent} does" if attempt and attempt.is_active else ""
        raise RefusedError(
            f"you ({by}) do not hold '{task_id}'{holder}",
            hint=f"run 'git esaa claim {task_id}' first",
        )
    return task


def _only_one_held(project: Project, by: str) -> Task | None:
    """Return the task whose attempt this person holds, if there is exactly one."""
    state, _ = project.log.load()
    held = [state.tasks[name] for name in state.run.in_progress]
    mine = [task for task in held if task.attempt is not None and task.attempt.agent == by]
    return mine[0] if len(mine) == 1 else None


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read '{file}'", cause=error.strerror) from error


def _print(admission: Admission, as_json: bool) -> int:
    if as_json:
        rejected = admission.rejected
        print_json(
            {
                "kind": admission.kind,
                "task_id": admission.task_id,
                "attempt_id": admission.attempt_id,
                "message": admission.message,
                "code": None if rejected is None else rejected.code,
                "detail": None if rejected is None else dict(rejected.detail),
                "effect_commit": admission.effect_commit,
                "issue_id": admission.issue_id,
            }
        )
    elif admission.rejected is None:
        click.echo(f"{admission.kind}: {admission.message or admission.task_id}")
        if admission.effect_commit is not None:
            click.echo(f"effect: {admission.effect_commit}")
    if admission.rejected is not None:
        from esaa_git.core.rejection import EXPLANATIONS

        rejected = admission.rejected
        if not as_json:
            recorded = "" if admission.attempt_id else " (not recorded: it answers no attempt)"
            raise RefusedError(
                f"rejected, {rejected.code}: {rejected.message}{recorded}",
                hint=EXPLANATIONS[rejected.code],
            )
        return RefusedError.exit_code
    return 0
