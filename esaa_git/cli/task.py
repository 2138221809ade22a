"""`git esaa task`: the tasks, and what a person decides about one."""

from __future__ import annotations

from typing import Any

import click

from esaa_git.app.project import Project
from esaa_git.cli.output import (
    as_option,
    json_option,
    pass_project,
    print_json,
    print_table,
    state_text,
)

reason_option = click.option(
    "--reason", required=True, metavar="TEXT", help="Why; it is recorded with the decision."
)


@click.group()
def task() -> None:
    """List, show and add tasks; unblock them, and leave notes."""


@task.command(
    "list",
    epilog="""\b
Example:
  git esaa task list --state blocked
""",
)
@click.option(
    "--state",
    type=click.Choice(["todo", "in_progress", "blocked", "done"]),
    help="Only tasks in this state.",
)
@click.option("--kind", metavar="KIND", help="Only tasks of this kind.")
@json_option
@pass_project
def list_(project: Project, state: str | None, kind: str | None, as_json: bool) -> None:
    """List the tasks of the log."""
    current, _ = project.log.load()
    found = [
        one
        for one in current.tasks.values()
        if state in (None, one.state) and kind in (None, one.kind)
    ]
    if as_json:
        print_json([one.to_json() for one in found])
        return
    print_table(
        ["task", "state", "kind", "attempts", "title"],
        ([one.task_id, one.state, one.kind, str(one.attempts_total), one.title] for one in found),
    )


@task.command(
    "show",
    epilog="""\b
Example:
  git esaa task show T-1000
""",
)
@click.argument("task_id", metavar="TASK")
@json_option
@click.pass_context
def show_(ctx: click.Context, task_id: str, as_json: bool) -> None:
    """Show everything about one task (the same as 'git esaa show TASK')."""
    from esaa_git.cli.history import show

    ctx.invoke(show, what=task_id, as_json=as_json)


@task.command(
    epilog="""\b
Example:
  git esaa task add T-2000 --kind impl --title "Add a dark mode" --depends-on T-1000
"""
)
@click.argument("task_id", metavar="TASK")
@click.option("--kind", required=True, metavar="KIND", help="Kind of task, as in AGENT_CONTRACT.")
@click.option("--title", required=True, metavar="TEXT", help="One line that says what to do.")
@click.option("--description", metavar="TEXT", help="The whole of it.")
@click.option("--acceptance", multiple=True, metavar="TEXT", help="A criterion; repeatable.")
@click.option("--depends-on", multiple=True, metavar="TASK", help="A dependency; repeatable.")
@click.option("--writes", multiple=True, metavar="GLOB", help="Narrow the boundary; repeatable.")
@click.option("--agent", metavar="NAME", help="Who does it, whatever its kind says.")
@click.option("--priority", type=int, metavar="N", help="Higher goes first; 0 by default.")
@click.option("--review", is_flag=True, help="Somebody else must approve it before it is done.")
@as_option
@pass_project
def add(project: Project, /, task_id: str, actor: str | None, **given: Any) -> None:
    """Create a task outside of the plan."""
    from esaa_git.engine import operator

    definition: dict[str, Any] = {"task_id": task_id}
    for name, value in given.items():
        if value:
            definition[name] = list(value) if isinstance(value, tuple) else value
    operator.add_task(project.engine, definition, project.actor(actor))
    click.echo(f"{task_id} created")


@task.command(
    epilog="""\b
Example:
  git esaa task unblock T-1000 --reason "the API key is renewed" --attempts 2
"""
)
@click.argument("task_id", metavar="TASK")
@click.option(
    "--attempts",
    type=click.IntRange(1, 100),
    metavar="N",
    help="Grant N more attempts; where they were spent, as many as a new task gets by default.",
)
@reason_option
@as_option
@pass_project
def unblock(
    project: Project, task_id: str, attempts: int | None, reason: str, actor: str | None
) -> None:
    """Return a blocked task to 'todo', with those that were blocked because of it."""
    from esaa_git.engine import operator

    freed = operator.unblock(project.engine, task_id, project.actor(actor), reason, attempts)
    click.echo(f"{', '.join(freed)}: {state_text('todo')}")


@task.command(
    epilog="""\b
Example:
  git esaa task release T-1000 --reason "taken by mistake"
"""
)
@click.argument("task_id", metavar="TASK")
@reason_option
@as_option
@pass_project
def release(project: Project, task_id: str, reason: str, actor: str | None) -> None:
    """Give back a task that somebody holds; the attempt does not count."""
    from esaa_git.engine import operator

    operator.unclaim(project.engine, task_id, project.actor(actor), reason)
    click.echo(f"{task_id}: {state_text('todo')}")


@task.command(
    epilog="""\b
Example:
  git esaa task note T-1000 "use the colours of the style guide"
"""
)
@click.argument("task_id", metavar="TASK")
@click.argument("text")
@as_option
@pass_project
def note(project: Project, task_id: str, text: str, actor: str | None) -> None:
    """Leave a remark that the task's next request carries to the agent."""
    from esaa_git.engine import operator

    operator.note(project.engine, task_id, project.actor(actor), text)
    click.echo(f"noted on {task_id}")
