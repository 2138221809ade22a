"""`git esaa note` and `git esaa lesson`: what people remark, and take back of what agents say."""

from __future__ import annotations

import click

from esaa_git.app import remarks
from esaa_git.app.project import Project
from esaa_git.cli.output import (
    as_option,
    examples,
    json_option,
    pass_project,
    print_json,
    print_table,
    say,
)


@click.command(
    epilog=examples(
        'git esaa note T-1000 "use the colours of the style guide"',
        'git esaa note RUN-0001 "the first run under the new contract"',
        'git esaa note EV-00000042 "discussed on Monday: it stays"',
    )
)
@click.argument("target", metavar="TASK|RUN|EVENT")
@click.argument("text")
@as_option
@pass_project
def note(project: Project, target: str, text: str, actor: str | None) -> None:
    """Leave a remark on a task, a run or an event.

    Those on a task go to the agent with its next request. 'git esaa show' shows them.
    """
    say(f"noted on {remarks.note(project, target, text, actor)}")


@click.group()
def lesson() -> None:
    """List what agents learnt, and take a lesson back."""


@lesson.command("list", epilog=examples("git esaa lesson list --all"))
@click.option("--all", "everything", is_flag=True, help="Those too that go to nobody.")
@json_option
@pass_project
def list_(project: Project, everything: bool, as_json: bool) -> None:
    """List the lessons that requests hold, with who says so and to which kinds they go.

    A lesson goes to others once the result that it came with is accepted, and only for kinds
    that its author works on. With --all, also those that were withdrawn or never got so far.
    """
    found = [one for one in remarks.lessons(project) if everything or one.kinds]
    if as_json:
        print_json([{**one.lesson.to_json(), "told_to": list(one.kinds)} for one in found])
        return
    print_table(
        ["lesson", "by", "task", "standing", "rule"],
        (
            [
                one.lesson.lesson_id,
                one.lesson.recorded_by,
                one.lesson.task_id or "-",
                one.standing,
                " ".join(one.lesson.rule.split()),
            ]
            for one in found
        ),
    )


@lesson.command(epilog=examples('git esaa lesson withdraw LES-0001 --reason "it is wrong"'))
@click.argument("lesson_id", metavar="LESSON")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it is recorded with it.")
@as_option
@pass_project
def withdraw(project: Project, lesson_id: str, reason: str, actor: str | None) -> None:
    """Take a lesson back: it stays on record, and no request holds it any more."""
    remarks.withdraw_lesson(project, lesson_id, reason, actor)
    say(f"{lesson_id} withdrawn")
