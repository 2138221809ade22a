"""A person who answers what an agent asked, and what the next attempt is told of it."""

from __future__ import annotations

from functools import partial

from esaa_git.core.event import NewEvent
from esaa_git.core.events import QuestionAnswer
from esaa_git.core.said import GONE, asked_in, words
from esaa_git.core.state import State
from esaa_git.core.task import Question, Task
from esaa_git.engine.decider import Decider
from esaa_git.engine.engine import Engine
from esaa_git.engine.intentions import FollowQuestion
from esaa_git.engine.transaction import Transaction, transact
from esaa_git.errors import RefusedError, UsageError
from esaa_git.ports.files import BlobStore

LIST = "run 'git esaa review' to see what waits for an answer"


def answer(engine: Engine, name: str, by: str, text: str) -> tuple[str, str]:
    """Record a person's answer, and return the ids of the question and of its task.

    Args:
        name: the question, or a task that asks one.

    Raises:
        UsageError: if there is no such question, or nothing is said.
        RefusedError: if it is answered already, or this is not the person's to say.
    """
    if not text.strip():
        raise UsageError("an answer says something", hint=f"run 'git esaa answer {name} TEXT'")
    decider = Decider(engine, by, text)

    def step(tx: Transaction) -> tuple[str, str]:
        task, question = find_question(tx.state, name)
        made = partial(
            QuestionAnswer,
            question_id=question.question_id,
            question_sha256=question.sha256,
            task_id=task.task_id,
        )
        tx.record(NewEvent(decider.by, decider.sign(tx, made)))
        if not tx.alone:
            tx.ask(FollowQuestion(task_id=task.task_id))
        return question.question_id, task.task_id

    return transact(engine, step)


def find_question(state: State, name: str) -> tuple[Task, Question]:
    """Return the open question of this id, or the oldest one of the task of this id.

    Raises:
        UsageError: if there is neither.
        RefusedError: if it is answered already.
    """
    if name in state.tasks:
        task = state.tasks[name]
        if not task.open_questions:
            raise RefusedError(f"'{name}' asks nothing; it is {task.state}", hint=LIST)
        return task, task.open_questions[0]
    for task in state.tasks.values():
        question = task.question(name)
        if question is not None and question.by is not None:
            raise RefusedError(f"'{name}' is answered already, by {question.by}", hint=LIST)
        if question is not None:
            return task, question
    raise UsageError(f"there is no question or task '{name}'", hint=LIST)


def answers(blobs: BlobStore, task: Task) -> list[str]:
    """Return what a task asked and was answered, as remarks on it, oldest first."""
    return [
        f"an earlier attempt asked: {asked_in(one, blobs.read)}\n"
        f"{one.by} answered: {words(one.answer, blobs.read) or GONE}"
        for one in task.questions
        if one.answer is not None
    ]
