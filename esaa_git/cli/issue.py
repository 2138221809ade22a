"""`git esaa issue`: defects and blockers, and what policy does about them."""

from __future__ import annotations

from typing import Any

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import as_option, json_option, pass_project, print_json, print_table
from esaa_git.cli.task import reason_option


@click.group()
def issue() -> None:
    """Report, list and resolve issues."""


@issue.command(
    epilog="""\b
Example:
  git esaa issue report --task T-1000 --severity high --title "login is broken on Safari"
"""
)
@click.option("--task", "task_id", metavar="TASK", help="The task it is about.")
@click.option(
    "--severity",
    required=True,
    type=click.Choice(["low", "medium", "high", "critical"]),
    help="What follows is in RUNTIME_POLICY: by default high blocks the task and its dependents, "
    "critical halts the run.",
)
@click.option("--title", required=True, metavar="TEXT", help="One line.")
@click.option("--description", metavar="TEXT", help="What happens, and how to see it.")
@json_option
@as_option
@pass_project
def report(
    project: Project,
    task_id: str | None,
    severity: str,
    title: str,
    description: str | None,
    as_json: bool,
    actor: str | None,
) -> None:
    """Report an issue; what the policy says of its severity happens at once."""
    from esaa_git.engine import operator

    payload: dict[str, Any] = {"severity": severity, "title": title}
    if task_id is not None:
        payload["task_id"] = task_id
    if description:
        payload["description"] = description
    issue_id = operator.report_issue(project.engine, project.actor(actor), payload)
    state, _ = project.log.load()
    recorded = state.issues[issue_id]
    if as_json:
        print_json(recorded.to_json())
        return
    raised = f" (the third medium one: recorded as {recorded.severity})"
    click.echo(f"{issue_id} recorded{raised if recorded.reported_as else ''}")
    if task_id is not None:
        click.echo(f"{task_id} is {state.tasks[task_id].state}")
    if not state.run.is_open:
        click.echo(f"{state.run.run_id} is {state.run.state}")


@issue.command(
    "list",
    epilog="""\b
Example:
  git esaa issue list --all
""",
)
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@json_option
@pass_project
def list_(project: Project, everything: bool, as_json: bool) -> None:
    """List the open issues."""
    state, _ = project.log.load()
    found = [one for one in state.issues.values() if everything or one.is_open]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    print_table(
        ["issue", "severity", "task", "state", "title"],
        (
            [
                one.issue_id,
                one.severity,
                one.task_id or "-",
                "open" if one.is_open else "resolved",
                one.title,
            ]
            for one in found
        ),
    )


@issue.command(
    epilog="""\b
Example:
  git esaa issue resolve ISS-0001 --reason "fixed by T-1000-HF1"
"""
)
@click.argument("issue_id", metavar="ISSUE")
@reason_option
@as_option
@pass_project
def resolve(project: Project, issue_id: str, reason: str, actor: str | None) -> None:
    """Resolve an issue. Tasks that it blocked stay blocked until 'git esaa task unblock'."""
    from esaa_git.engine import operator

    operator.resolve_issue(project.engine, issue_id, project.actor(actor), reason)
    click.echo(f"{issue_id} resolved")
