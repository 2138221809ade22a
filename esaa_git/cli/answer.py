"""`git esaa answer`: a person answers what an agent has asked."""

from __future__ import annotations

import click

from esaa_git.app import questions
from esaa_git.app.project import Project
from esaa_git.cli.output import as_option, examples, pass_project, say


@click.command(
    epilog=examples(
        'git esaa answer Q-0001 "the second format"', 'git esaa answer T-1000 "both, see docs/a.md"'
    )
)
@click.argument("name", metavar="QUESTION|TASK")
@click.argument("text")
@as_option
@pass_project
def answer(project: Project, name: str, text: str, actor: str | None) -> None:
    """Answer what an agent has asked; 'git esaa review' lists what waits.

    The answer is signed with your own SSH key, an approver's; it needs no other key, and 'git esaa
    push' shares it. The task goes on with the next run, whose agent is told question and answer.
    """
    question_id, task_id = questions.answer(project, name, text, actor)
    say(f"{question_id} of {task_id} is answered")
