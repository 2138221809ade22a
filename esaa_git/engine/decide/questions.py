"""Questions of agents: asked, and what follows from an answer."""

from __future__ import annotations

from dataclasses import replace

from esaa_git.core.event import NewEvent
from esaa_git.core.events import QuestionAsk
from esaa_git.core.machine import AttemptState, Cause, TaskState
from esaa_git.core.state import State
from esaa_git.core.task import Task
from esaa_git.engine.decide.events import Events, by_actor, update
from esaa_git.engine.intentions import AskQuestion, FollowQuestion
from esaa_git.engine.schedule import find_task


def ask(state: State, wanted: AskQuestion) -> Events:
    """Record a question, and block its task until it is answered."""
    task = find_task(state, wanted.task_id)
    question_id = f"Q-{state.run.questions + 1:04d}"
    asked = QuestionAsk(
        question_id=question_id,
        task_id=task.task_id,
        attempt_id=wanted.attempt_id,
        exchange=wanted.exchange,
        model=wanted.call.model,
        usage=wanted.call.usage,
        latency_ms=wanted.call.latency_ms,
        tries=wanted.call.tries,
        agent=wanted.agent,
    )
    return by_actor(wanted.actor, asked), _blocked(task, question_id)


def follow(state: State, wanted: FollowQuestion) -> Events:
    """Block a task that asks, and return one to `todo` whose questions are answered."""
    task = find_task(state, wanted.task_id)
    events: list[NewEvent] = []
    attempt = task.attempt
    if (
        task.state == TaskState.IN_PROGRESS
        and attempt is not None
        and attempt.state == AttemptState.ASKED
    ):
        events.append(_blocked(task, task.questions[-1].question_id))
        task = replace(task, state=TaskState.BLOCKED)
    elif not task.asks:
        return ()
    if not task.open_questions:
        events.append(update(task, Cause.ANSWERED, by=task.questions[-1].by))
    return tuple(events)


def _blocked(task: Task, question_id: str) -> NewEvent:
    return update(task, Cause.QUESTION, reason=f"asks {question_id}")
