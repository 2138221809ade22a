"""Questions of agents: which of them wait, and the answers of people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from esaa_git.core.task import Question, Task

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.state import State


def open_questions(state: State) -> list[tuple[Task, Question]]:
    """Return what waits for an answer, in the order in which it was asked."""
    held = (state.tasks[name] for name in (*state.run.in_progress, *state.run.blocked))
    found = [(task, one) for task in held for one in task.open_questions]
    return sorted(found, key=lambda pair: pair[1].question_id)


def answer(project: Project, name: str, text: str, actor: str | None = None) -> tuple[str, str]:
    """Answer a question, and return the ids of the question and of its task.

    Args:
        name: the question, or the task that asks it.

    Raises:
        UsageError: if there is no such question.
        RefusedError: if it is answered already, or this is not the actor's to say.
    """
    from esaa_git.engine import questions

    return questions.answer(project.engine, name, project.actor(actor), text)
