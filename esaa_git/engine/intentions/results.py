"""Results: accepted, judged by policy, applied, and closed."""

from __future__ import annotations

from esaa_git.core.answer import Lesson
from esaa_git.core.events import (
    AgentResult,
    FileWrite,
)
from esaa_git.core.events.base import Record
from esaa_git.core.events.facts import Facts


class AcceptResult(Record):
    """Record a valid result, and what follows: its effect, a review, or the end of the task.

    Where the effect needs no review, its commit comes next, and `CloseTask` after it.
    """

    actor: str
    result: AgentResult
    lessons: tuple[Lesson, ...] = ()
    write: FileWrite | None = None


class Judge(Record):
    """Record what policy decides of a result that stands in the log, and was not decided of it yet.

    Attributes:
        facts: what policy sees of it.
    """

    task_id: str
    facts: Facts


class ApplyResult(Record):
    """Finish a task whose result is recorded, as far as no commit is needed for it.

    Attributes:
        write: the effect as the branch takes it now, where that is another than the recorded one.
    """

    task_id: str
    write: FileWrite | None = None


class CloseTask(Record):
    """Close a task whose effect stands in a commit, which nothing refers to yet."""

    task_id: str
    effect_commit: str
