"""Questions of agents: which of them wait, and the answers of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from esaa_git.core.said import asked_in

if TYPE_CHECKING:
    from esaa_git.app.project import Project
    from esaa_git.core.task import Question, Task


@dataclass(frozen=True, slots=True)
class Asking:
    """A question that nobody has answered, with its words."""

    task: Task
    question: Question
    text: str

    def to_json(self) -> dict[str, Any]:
        """Return it as `git esaa review --json` prints it."""
        return {
            "task_id": self.task.task_id,
            "title": self.task.title,
            "question_id": self.question.question_id,
            "attempt_id": self.question.attempt_id,
            "since": self.question.since,
            "text": self.text,
        }


def open_questions(project: Project, task_id: str | None = None) -> list[Asking]:
    """Return what waits for an answer, in the order in which it was asked.

    Args:
        task_id: whose questions; by default all.
    """
    state, _ = project.log.load()
    held = (state.tasks[name] for name in (*state.run.in_progress, *state.run.blocked))
    found = [
        Asking(task, one, asked_in(one, project.words))
        for task in held
        for one in task.open_questions
        if task_id in (None, task.task_id)
    ]
    return sorted(found, key=lambda one: (one.question.since, one.question.question_id))


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
