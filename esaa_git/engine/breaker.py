"""The circuit breaker: the same failure again and again, over different tasks, is the set-up's.

Whatever it looks like (a program that dies at once, a check that fails whatever is proposed, a
boundary that nobody can keep): what fails in the same way for one task and for another will fail
so for the next, and costs an attempt each time.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from esaa_git.core.rejection import RejectCode, Rejected
from esaa_git.engine.converted import BY_A_PERSON
from esaa_git.engine.exchange import Admission
from esaa_git.errors import AgentError
from esaa_git.ports.agent import Answer

ALIKE: Final = 3
"""How many failures alike in a row, of one agent, over two tasks at least, are the set-up's."""

OF_OTHERS: Final = frozenset(
    {RejectCode.WRITE_CONFLICT, RejectCode.STALE_ATTEMPT, RejectCode.REVIEW_CHANGES_REQUESTED}
)
"""What others had a part in is no failure of a set-up."""

_OF_THE_AGENT: Final = frozenset(
    {RejectCode.AGENT_FAILED, RejectCode.AGENT_TIMEOUT, RejectCode.OUTPUT_EMPTY}
)
"""A reject signal corrects an answer, and none of these: the next attempt had better be another
task's, to tell the set-up's failure from the task's."""

_VARIES: Final = re.compile(r"\S*[0-9]\S*")
"""A word with a digit in it: an id, a time, a temporary folder, a line."""


@dataclass
class _Streak:
    """Failures of one agent in a row, all alike."""

    signature: str
    first: Rejected
    tasks: list[str] = field(default_factory=list)


class Breaker:
    """What the agents of this run failed with last."""

    def __init__(self) -> None:
        self._streaks: dict[str, _Streak] = {}
        self._open: set[str] = set()

    def spares(self, agent: str, answer: Answer) -> bool:
        """Answer whether a failure that was under way when the run was stopped need not count."""
        return agent in self._open and answer.failure is not None

    @property
    def suspects(self) -> Collection[str]:
        """The tasks that are better not tried next, where there is another."""
        return {
            task
            for streak in self._streaks.values()
            if streak.first.code in _OF_THE_AGENT
            for task in streak.tasks
        }

    def heard(self, agent: str, came: Admission) -> AgentError | None:
        """Take note of what became of an answer; return why the run is to stop, if it is."""
        rejected = came.rejected
        if rejected is None or rejected.code in OF_OTHERS:
            if came.kind != "noted":
                self._streaks.pop(agent, None)
            return None
        if came.of_setup:
            return AgentError(
                f"what agent '{agent}' made for '{came.task_id}' cannot be recorded in this "
                "repository; no attempt is spent",
                cause=f"{rejected.code}: {rejected.message}",
                hint=BY_A_PERSON,
            )
        signature = _signature(came, rejected)
        streak = self._streaks.get(agent)
        if streak is None or streak.signature != signature:
            streak = self._streaks[agent] = _Streak(signature, rejected)
        streak.tasks.append(came.task_id)
        tasks = sorted(set(streak.tasks))
        if len(streak.tasks) < ALIKE or len(tasks) < 2:
            return None
        self._open.add(agent)
        named = ", ".join(f"'{task}'" for task in tasks[:5])
        denied = rejected.code == RejectCode.POLICY_DENIED
        return AgentError(
            f"agent '{agent}' failed {len(streak.tasks)} times in a row in the same way, for "
            f"{named}: that is no matter of a task",
            cause=f"{rejected.code}: {rejected.message}",
            hint=f"look at it with 'git esaa task show {came.task_id}', mend what is wrong with "
            f"the agent, its checks, {'a rule of the policy' if denied else 'its boundary'}, then "
            "run 'git esaa run'",
        )


def _signature(came: Admission, rejected: Rejected) -> str:
    """Return what is the same of failures that are alike: no word that an attempt has its own of.

    Of a check, what it printed counts too: it is the set-up's that fails in the same way whatever
    was proposed.
    """
    said = [rejected.code, rejected.message]
    if rejected.code == RejectCode.CHECK_FAILED:
        said.append(str(rejected.detail.get("output", "")))
    text = "\n".join(said).replace(came.task_id, "#")
    return _VARIES.sub("#", text)
