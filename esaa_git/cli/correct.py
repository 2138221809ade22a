"""`git esaa hotfix` and `git esaa override`: corrections of what is done, which stays as it is."""

from __future__ import annotations

from typing import Any

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import as_option, pass_project
from esaa_git.cli.task import reason_option


@click.command(
    epilog="""\b
Example:
  git esaa hotfix T-1000 --title "Fix the broken login" --reason ISS-0001 --issue ISS-0001
"""
)
@click.argument("task_id", metavar="TASK")
@click.option("--title", required=True, metavar="TEXT", help="One line that says what to do.")
@click.option("--id", "new_id", metavar="ID", help="Id of the new task; TASK-HF1 by default.")
@click.option("--kind", default="hotfix", show_default=True, metavar="KIND", help="Kind of task.")
@click.option("--description", metavar="TEXT", help="The whole of it.")
@click.option("--acceptance", multiple=True, metavar="TEXT", help="A criterion; repeatable.")
@click.option("--writes", multiple=True, metavar="GLOB", help="Narrow the boundary; repeatable.")
@click.option("--issue", "issue_id", metavar="ISSUE", help="The issue that it answers.")
@reason_option
@as_option
@pass_project
def hotfix(
    project: Project,
    /,
    task_id: str,
    new_id: str | None,
    issue_id: str | None,
    reason: str,
    actor: str | None,
    **given: Any,
) -> None:
    """Create the task that corrects a done one. The done task stays as it is, superseded."""
    from esaa_git.engine import operator

    definition: dict[str, Any] = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value
    }
    definition["priority"] = 100
    if new_id is not None:
        definition["task_id"] = new_id
    made = operator.hotfix(
        project.engine, task_id, definition, project.actor(actor), reason, issue_id
    )
    click.echo(f"{made} created; it supersedes {task_id}")


@click.command(
    epilog="""\b
Example:
  git esaa override T-1000 --reason "the licence of the library forbids its use"
"""
)
@click.argument("task_id", metavar="TASK")
@reason_option
@as_option
@pass_project
def override(project: Project, task_id: str, reason: str, actor: str | None) -> None:
    """Set a done task aside in an emergency, without touching its record or its effect."""
    from esaa_git.engine import operator

    operator.override(project.engine, task_id, project.actor(actor), reason)
    click.echo(f"{task_id} is overridden; 'git esaa hotfix {task_id}' creates its successor")
