"""Lessons: what agents tell each other, and to whom it may go.

A lesson goes to another request only as long as all of this holds, by the state alone:

1. It was recorded in an attempt whose result closed its task (`AcceptedLessons`).
2. That task still stands: no other has taken its place, and it was neither overridden nor undone.
3. No person has withdrawn it.
4. The request is for a kind that it names, or for its task's own where it names none; and its
   author works on that kind: its task is of it, or the contracts in force give it to the author.
5. Its author has no more of them there than the policy allows, the newest first.
"""

from __future__ import annotations

from esaa_git.core.contracts import Contracts
from esaa_git.core.entries import Lesson
from esaa_git.core.state import State
from esaa_git.core.undone import stands


def lessons_for(state: State, contracts: Contracts, kind: str) -> list[Lesson]:
    """Return the lessons that a request for this kind of task holds, oldest first."""
    policy = contracts.policy
    found: list[Lesson] = []
    for _, ids in state.accepted_lessons.by_author:
        own = 0
        for lesson_id in reversed(ids):
            if own >= policy.lessons_of_author:
                break
            lesson = state.lessons[lesson_id]
            if kind in kinds_of(state, contracts, lesson):
                found.append(lesson)
                own += 1
    newest = sorted(found, key=_number, reverse=True)[: policy.lessons_in_request]
    return newest[::-1]


def kinds_of(state: State, contracts: Contracts, lesson: Lesson) -> tuple[str, ...]:
    """Return the kinds of task that a lesson goes to now, whatever else there is; none: nobody."""
    task_id = lesson.task_id
    if task_id is None or lesson.lesson_id not in _accepted(state, lesson.recorded_by):
        return ()
    if state.supersessions.successor_of(task_id) is not None or not stands(state, task_id):
        return ()
    own = state.tasks[task_id].kind
    works_on = {own} | {
        kind for kind, agents in contracts.swarm.kinds.items() if lesson.recorded_by in agents
    }
    return tuple(sorted(works_on & set(lesson.kinds or (own,))))


def _accepted(state: State, author: str) -> tuple[str, ...]:
    return dict(state.accepted_lessons.by_author).get(author, ())


def _number(lesson: Lesson) -> int:
    return int(lesson.lesson_id.removeprefix("LES-"))
