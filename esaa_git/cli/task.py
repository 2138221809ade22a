"""`git esaa task|issue|hotfix|override`: the tasks, and what a person decides about one."""

from __future__ import annotations

from typing import Any

import click

from esaa_git.app import issues, remarks, tasks
from esaa_git.app.project import Project
from esaa_git.app.status import current_state
from esaa_git.cli.output import (
    as_option,
    examples,
    json_option,
    pass_project,
    print_json,
    print_table,
    say,
    state_text,
)
from esaa_git.errors import UsageError

ASKED = "asked for: the orchestrator's next 'git esaa run' carries it out"

reason_option = click.option(
    "--reason", required=True, metavar="TEXT", help="Why; it is recorded with the decision."
)


@click.group()
def task() -> None:
    """List, show and add tasks; unblock and release them, and leave notes."""


@task.command("list", epilog=examples("git esaa task list --state blocked"))
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
    held = current_state(project)
    found = [
        one
        for one in held.tasks.values()
        if state in (None, one.state) and kind in (None, one.kind)
    ]
    if as_json:
        from esaa_git.core.said import task_json

        print_json([task_json(one, project.words) for one in found])
        return
    print_table(
        ["task", "state", "kind", "attempts", "title"],
        (
            [
                one.task_id,
                one.state if held.undone.by(one.task_id) is None else f"{one.state}, undone",
                one.kind,
                str(one.attempts_total),
                one.title,
            ]
            for one in found
        ),
    )


@task.command("show", epilog=examples("git esaa task show T-1000"))
@click.argument("task_id", metavar="TASK")
@json_option
@click.pass_context
def show_(ctx: click.Context, task_id: str, as_json: bool) -> None:
    """Show everything about one task (the same as 'git esaa show TASK')."""
    from esaa_git.cli.history import show

    ctx.invoke(show, what=task_id, as_json=as_json)


@task.command(
    epilog=examples(
        'git esaa task add T-2000 --kind impl --title "Add a dark mode" --depends-on T-1000'
    )
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
    tasks.add(project, {"task_id": task_id, **_definition(given)}, actor)
    say(f"{task_id} created")


@task.command(
    epilog=examples(
        'git esaa task unblock T-1000 --reason "the API key is renewed" --attempts 2',
        'git esaa task unblock --all --cause attempts_spent --reason "the check is mended"',
    )
)
@click.argument("task_ids", metavar="[TASK]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every task that is blocked.")
@click.option("--cause", metavar="CAUSE", help="Of these, what this blocked, as 'show' names it.")
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
    project: Project,
    task_ids: tuple[str, ...],
    everything: bool,
    cause: str | None,
    attempts: int | None,
    reason: str,
    actor: str | None,
) -> None:
    """Return blocked tasks to 'todo', with those that were blocked because of them."""
    if everything and task_ids:
        raise UsageError(
            f"--all is every task that is blocked, and '{task_ids[0]}' is named beside it",
            hint=f"run 'git esaa task unblock {' '.join(task_ids)} --reason TEXT', or leave the "
            "names out",
        )
    if not everything and not task_ids:
        raise UsageError(
            "no task is named",
            hint="run 'git esaa task unblock TASK --reason TEXT', or say --all; 'git esaa task "
            "list --state blocked' shows them",
        )
    if everything and cause is None and not current_state(project).run.blocked:
        say("no task is blocked")
        return
    freed = tasks.unblock_many(project, task_ids, actor, reason, attempts, cause=cause)
    say(f"{', '.join(freed)}: {state_text('todo')}" if freed else ASKED)


@task.command(epilog=examples('git esaa task release T-1000 --reason "taken by mistake"'))
@click.argument("task_id", metavar="TASK")
@reason_option
@as_option
@pass_project
def release(project: Project, task_id: str, reason: str, actor: str | None) -> None:
    """Give back a task that somebody holds; the attempt does not count."""
    tasks.release(project, task_id, actor, reason)
    say(f"{task_id}: {state_text('todo')}")


@task.command(epilog=examples('git esaa task note T-1000 "use the colours of the style guide"'))
@click.argument("task_id", metavar="TASK")
@click.argument("text")
@as_option
@pass_project
def note(project: Project, task_id: str, text: str, actor: str | None) -> None:
    """Leave a remark on a task (the same as 'git esaa note TASK')."""
    tasks.find(project, task_id)
    say(f"noted on {remarks.note(project, task_id, text, actor)}")


def _definition(given: dict[str, Any]) -> dict[str, Any]:
    """Return what was given of a task, as a plan would define it."""
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value
    }


# -- issues ------------------------------------------------------------------------------------


@click.group()
def issue() -> None:
    """Report, list and resolve issues."""


@issue.command(
    "report",
    epilog=examples(
        'git esaa issue report --task T-1000 --severity high --title "login is broken on Safari"'
    ),
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
def report_(
    project: Project,
    task_id: str | None,
    severity: str,
    title: str,
    description: str | None,
    as_json: bool,
    actor: str | None,
) -> None:
    """Report an issue; what the policy says of its severity happens at once."""
    done = issues.report(project, actor, severity, title, task_id=task_id, description=description)
    recorded, state = done.issue, done.state
    if as_json:
        print_json(recorded.to_json())
        return
    raised = f" (the third medium one: recorded as {recorded.severity})"
    say(f"{recorded.issue_id} recorded{raised if recorded.reported_as else ''}")
    if task_id is not None:
        say(f"{task_id} is {state.tasks[task_id].state}")
    if not state.run.is_open:
        say(f"{state.run.run_id} is {state.run.state}")


@issue.command("list", epilog=examples("git esaa issue list --all"))
@click.option("--all", "everything", is_flag=True, help="Resolved ones too.")
@json_option
@pass_project
def issues_(project: Project, everything: bool, as_json: bool) -> None:
    """List the open issues."""
    state = current_state(project)
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


@issue.command(epilog=examples('git esaa issue resolve ISS-0001 --reason "fixed by T-1000-HF1"'))
@click.argument("issue_id", metavar="ISSUE")
@reason_option
@as_option
@pass_project
def resolve(project: Project, issue_id: str, reason: str, actor: str | None) -> None:
    """Resolve an issue. Tasks that it blocked stay blocked until 'git esaa task unblock'."""
    issues.resolve(project, issue_id, actor, reason)
    say(f"{issue_id} resolved")


# -- corrections of what is done, which stays as it is -------------------------------------------


@click.command(
    epilog=examples(
        'git esaa hotfix T-1000 --title "Fix the broken login" --reason ISS-0001 --issue ISS-0001'
    )
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
    definition = {**_definition(given), "priority": 100}
    if new_id is not None:
        definition["task_id"] = new_id
    made = tasks.hotfix(project, task_id, definition, actor, reason, issue_id)
    done = made in current_state(project).tasks
    say(f"{made} created; it supersedes {task_id}" if done else ASKED)


@click.command(
    epilog=examples(
        'git esaa override T-1000 --reason "the licence of the library forbids its use"'
    )
)
@click.argument("task_id", metavar="TASK")
@reason_option
@as_option
@pass_project
def override(project: Project, task_id: str, reason: str, actor: str | None) -> None:
    """Set a done task aside in an emergency, without touching its record or its effect."""
    tasks.override(project, task_id, actor, reason)
    done = current_state(project).supersessions.successor_of(task_id) is not None
    hotfix = f"'git esaa hotfix {task_id} --title TEXT --reason TEXT' creates its successor"
    said = f"{task_id} is overridden; {hotfix}"
    say(said if done else ASKED)
